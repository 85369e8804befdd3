"""What the outcome of a hand-over makes of its recipient and its message: decided here, written by delivery.py.

The next step is due from the actual send. What arrives when the recipient has left the step is only recorded.

Source: product.md section 2 (signals, "While a message is being handed over"), section 6.
"""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from domain.changes import Change, NewError
from domain.rules import moves, timers
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.lifecycle import EndReason, Signal, effect_of
from domain.rules.outcomes import (
    ERROR_WHEN_PATIENCE_IS_OUT,
    MAILBOX_WAITS,
    PATIENCE,
    Later,
    LaterReason,
    MailboxBroken,
    NotSendable,
    OptedOut,
    Outcome,
    Refused,
    Sent,
    Unknown,
    retry_after,
)
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient

UNCONFIRMED: Final = "DELIVERY_UNCONFIRMED"


def decide(
    before: Recipient,
    plan: Plan,
    row: asyncpg.Record,
    outcome: Outcome | NotSendable,
    *,
    claimed_at: datetime | None,
    answered_at: datetime,
    now: datetime,
) -> tuple[Change | None, str]:
    """Return what the recipient becomes (None: nothing that it shows) and the new state of the message.

    `row` is the message with `throttled_for`, how long its provider has taken nothing from its mailbox. `claimed_at`:
    when what the message was made of was read.
    """
    if isinstance(outcome, Sent) or (isinstance(outcome, Unknown) and outcome.assumable and plan.assumes_sent):
        return _sent(before, plan, row, answered_at, now), "SENT"
    if isinstance(outcome, MailboxBroken):
        return _due_again(before, plan, row, None, now), "DEFERRED"  # the mailbox's state is what holds it back
    if isinstance(outcome, Later):
        code = _patience_out(outcome, row)
        if code is not None:
            return _failed(before, plan, row, code, outcome.reply, now, claimed_at), "REFUSED"
        pause = None
        if outcome.reason not in MAILBOX_WAITS:
            pause = retry_after(outcome.reason, row["tries"], random.random())
        return _due_again(before, plan, row, pause, now), "DEFERRED"
    if isinstance(outcome, Unknown):
        return _failed(before, plan, row, UNCONFIRMED, outcome.why, now), "UNCONFIRMED"
    if isinstance(outcome, OptedOut):
        return None, "REFUSED"  # the person ends with the opt-out itself
    if isinstance(outcome, Refused) and outcome.hard_bounce:
        return _bounced(before, plan, row, now), "REFUSED"
    detail = outcome.reply if isinstance(outcome, Refused) else outcome.detail
    return _failed(before, plan, row, outcome.code, detail, now, claimed_at), "REFUSED"


def at_this_step(before: Recipient, row: asyncpg.Record) -> bool:
    """Return whether the recipient is still at the step, and at the run of it, that a message was made for."""
    return (
        before.deleted_at is None
        and not before.ended
        and before.current_step_id == row["step_id"]
        and before.step_run == row["step_run"]
    )


def _sent(before: Recipient, plan: Plan, row: asyncpg.Record, at: datetime, now: datetime) -> Change | None:
    if before.deleted_at is not None:
        return None
    return Change(
        before=before,
        after=moves.carry_out(before, plan, row["step_id"], at, now),
        type=EventType.STEP_CARRIED_OUT,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
        done="CARRIED_OUT",
        done_at=at,
    )


def _failed(
    before: Recipient,
    plan: Plan,
    row: asyncpg.Record,
    code: str,
    detail: str | None,
    now: datetime,
    occurred_at: datetime | None = None,
) -> Change | None:
    """Open an error; None when the recipient has left this step, so that the failure is only recorded."""
    if not at_this_step(before, row):
        return None
    error = NewError(
        id=new_id(),
        code=code,
        detail=detail,
        message_id=row["id"],
        mailbox_id=row["mailbox_id"],
        occurred_at=occurred_at,
    )
    return Change(
        before=before,
        after=moves.fail(before, plan, error.id, now),
        type=EventType.STEP_FAILED,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
        opens=error,
    )


def _due_again(
    before: Recipient, plan: Plan, row: asyncpg.Record, pause: timedelta | None, now: datetime
) -> Change | None:
    """Close the error of a message that is now known not to be delivered, and let the same message come due again.

    None for one that was not given up: it is due as before, and its timers are no change.
    """
    if row["state"] != "UNCONFIRMED" or before.error_id is None or not at_this_step(before, row):
        return None
    waits = replace(before, error_id=None, wait_ends_at=None, wait_left=timedelta(0))
    return Change(
        before=before,
        after=timers.settle(replace(waits, retry_at=now + pause if pause is not None else None), plan, now),
        type=EventType.STEP_RETRIED,
        actor=ENGINE,
        step_id=row["step_id"],
    )


def _bounced(before: Recipient, plan: Plan, row: asyncpg.Record, now: datetime) -> Change | None:
    if before.deleted_at is not None or not effect_of(Signal.HARD_BOUNCE, before.status).end_reason:
        return None
    return Change(
        before=before,
        after=moves.end(before, plan, EndReason.BOUNCED, now, bounced_step_id=row["step_id"]),
        type=EventType.STATUS_CHANGED,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
    )


def _patience_out(outcome: Later, row: asyncpg.Record) -> str | None:
    if outcome.reason is LaterReason.THROTTLED and (row["throttled_for"] or PATIENCE) > PATIENCE:
        return ERROR_WHEN_PATIENCE_IS_OUT[outcome.reason]
    if outcome.reason in MAILBOX_WAITS or retry_after(outcome.reason, row["tries"]) is not None:
        return None
    return ERROR_WHEN_PATIENCE_IS_OUT[outcome.reason]
