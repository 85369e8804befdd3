"""The waiting reasons in SQL: the same questions in the same order as `rules/standing.waiting_reason`.

A test compares the two on many rows. `r`, `s` and `w` are named by the statement around (see filters.py).
"""

from collections.abc import Mapping
from typing import Final

from domain.rules.standing import WaitingReason

_WAITS: Final = "r.status IN ('SCHEDULED', 'IN_PROGRESS') AND s.status <> 'PAUSED'"
_MESSAGE: Final = (
    "SELECT FROM messages x WHERE x.workspace_id = $1 AND x.recipient_id = r.id AND x.step_id = r.current_step_id "
    "AND x.step_run = r.step_run"
)
_IN_HAND: Final = "x.state = 'HANDING_OVER' OR (x.state = 'CLAIMED' AND x.lease_until > now())"
BEING_SENT: Final = f"EXISTS ({_MESSAGE} AND ({_IN_HAND}))"
_NOT_ACTIVE: Final = "s.status <> 'ACTIVE'"
_SCHEDULED: Final = "coalesce(r.scheduled_for > w.now, false)"
_WAIT: Final = "coalesce(r.wait_ends_at > w.now, false)"
_RETRY: Final = "coalesce(r.retry_at > w.now, false)"
_PACED: Final = "coalesce(r.paced_until > w.now, false)"
_CLOSED: Final = "(r.due_at IS NULL OR r.due_at > w.now)"
_AUTOMATED: Final = "coalesce(r.due_kind IN ('AUTOMATED_EMAIL', 'SMS'), false)"
_ZONE: Final = (
    "CASE WHEN (s.settings #>> '{window,use_recipient_time_zone}')::bool "
    "THEN coalesce((SELECT c.time_zone FROM contacts c WHERE c.workspace_id = $1 AND c.id = r.contact_id), "
    "s.settings #>> '{window,time_zone}') ELSE s.settings #>> '{window,time_zone}' END"
)
_TODAY: Final = f"(w.now AT TIME ZONE ({_ZONE}))"
_DAY: Final = f"to_char({_TODAY}, 'YYYY-MM-DD')"
_BLACKOUT: Final = (
    f"coalesce((s.settings #> '{{window,blackout_dates}}' ? {_DAY} "
    f"OR coalesce(s.settings #> '{{window,public_holidays,dates}}' ? {_DAY}, false)) "
    f"AND s.settings #> '{{window,weekdays}}' @> to_jsonb(extract(isodow FROM {_TODAY})::int - 1), false)"
)
_AWAY: Final = (
    "EXISTS (SELECT FROM contacts c "
    "WHERE c.workspace_id = $1 AND c.id = r.contact_id AND c.out_of_office_until > w.now AND r.scheduled_for IS NULL)"
)
_MAILBOX: Final = (
    "EXISTS (SELECT FROM mailboxes m WHERE m.workspace_id = $1 "
    "AND m.id = CASE WHEN r.due_kind = 'SMS' THEN r.sms_mailbox_id ELSE r.mailbox_id END AND "
)


def _when(*conditions: str) -> str:
    return f"({' AND '.join((_WAITS, *conditions))})"


def _not(*conditions: str) -> str:
    return " AND ".join(f"NOT {condition}" for condition in conditions)


_BEFORE_DUE = (_not(BEING_SENT), "s.status = 'ACTIVE'", _not(_SCHEDULED))
_WAIT_OVER = (*_BEFORE_DUE, _not(_WAIT, _RETRY))
_NOBODY_AWAY = (*_WAIT_OVER, f"NOT ({_AUTOMATED} AND {_AWAY})")
_UNPACED = (*_NOBODY_AWAY, _not(_PACED))
_DUE = (*_UNPACED, _not(_CLOSED), _AUTOMATED)


def _held_back(reason: WaitingReason) -> str:
    name = (
        f"coalesce(m.held_back_by, '{WaitingReason.MINIMUM_GAP}') = '{reason}' AND m.state = 'CONNECTED' "
        "AND m.next_send_at > now())"
    )
    return _when(*_DUE, "s.guardrail_hold IS NULL", _MAILBOX + name)


_CONDITIONS: Mapping[WaitingReason, str] = {
    WaitingReason.BEING_SENT: _when(BEING_SENT),
    WaitingReason.SEQUENCE_NOT_ACTIVE: _when(_not(BEING_SENT), _NOT_ACTIVE),
    WaitingReason.SEND_SCHEDULED: _when(_not(BEING_SENT), "s.status = 'ACTIVE'", _SCHEDULED),
    WaitingReason.WAIT: _when(*_BEFORE_DUE, _WAIT),
    WaitingReason.RETRY_BACKOFF: _when(*_BEFORE_DUE, _not(_WAIT), _RETRY),
    WaitingReason.OUT_OF_OFFICE: _when(*_WAIT_OVER, _AUTOMATED, _AWAY),
    WaitingReason.FREQUENCY_CAP: _when(*_NOBODY_AWAY, _PACED, "r.frequency_capped"),
    WaitingReason.DOMAIN_PACING: _when(*_NOBODY_AWAY, _PACED, "NOT r.frequency_capped"),
    WaitingReason.OUTSIDE_WINDOW: _when(*_UNPACED, _CLOSED, _not(_BLACKOUT)),
    WaitingReason.BLACKOUT_DATE: _when(*_UNPACED, _CLOSED, _BLACKOUT),
    WaitingReason.GUARDRAIL: _when(*_DUE, f"(s.guardrail_hold IS NOT NULL OR {_MAILBOX}m.state = 'HELD'))"),
    WaitingReason.DAILY_LIMIT: _held_back(WaitingReason.DAILY_LIMIT),
    WaitingReason.MINIMUM_GAP: _held_back(WaitingReason.MINIMUM_GAP),
    WaitingReason.MAILBOX_BACKOFF: _held_back(WaitingReason.MAILBOX_BACKOFF),
}


def waiting_condition(reason: WaitingReason) -> str:
    """Return the condition that this reason holds a recipient back. Nothing sets the reasons that are missing yet."""
    return _CONDITIONS.get(reason, "false")
