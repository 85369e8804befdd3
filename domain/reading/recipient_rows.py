"""The statement that reads recipients with what is wanted of them, and the way from its records to rows."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from domain.plans import SequenceSettings
from domain.reading.columns import Layout, columns_of, to_contact, to_mailbox, to_sequence, to_step
from domain.reading.pending_rows import PENDING_COLUMNS, to_pending
from domain.reading.recipient_steps import Paths, load_paths
from domain.reading.rows import ContactRow, MailboxRow, RecipientRow, SequenceRow, StepRow
from domain.reading.waiting_sql import BEING_SENT
from domain.rules.guardrails import FROM_MAILBOX, IN_SEQUENCE, Hold
from domain.rules.lifecycle import EndReason, Status, shown_status, stage_of
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.standing import Situation, next_attempt_at, paused_by, view_of, waiting_reason
from domain.rules.status_messages import status_message
from domain.rules.step_errors import StepErrorCode, sentence

FROM: Final = """
    FROM recipients r JOIN sequences s ON s.workspace_id = r.workspace_id AND s.id = r.sequence_id
    CROSS JOIN (SELECT now() + make_interval(secs => clock_offset_seconds) AS now,
        make_interval(secs => clock_offset_seconds) AS "offset" FROM workspaces WHERE id = $1) w
"""
_JOINS: Final = {
    "contact": "JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id",
    "mailbox": "LEFT JOIN mailboxes m ON m.workspace_id = r.workspace_id AND m.id = r.mailbox_id",
    "sms_mailbox": "LEFT JOIN mailboxes n ON n.workspace_id = r.workspace_id AND n.id = r.sms_mailbox_id",
    # the one whose turn it waits for
    "sender": "LEFT JOIN mailboxes k ON k.workspace_id = r.workspace_id "
    "AND k.id = CASE WHEN r.due_kind = 'SMS' THEN r.sms_mailbox_id ELSE r.mailbox_id END",
    "step": "LEFT JOIN steps t ON t.workspace_id = r.workspace_id AND t.id = r.current_step_id",
    "pending": "LEFT JOIN pending_actions p ON p.workspace_id = r.workspace_id AND p.id = r.pending_id",
    "error": "LEFT JOIN step_errors e ON e.workspace_id = r.workspace_id AND e.id = r.error_id",
    "failed": "LEFT JOIN mailboxes f ON f.workspace_id = e.workspace_id AND f.id = e.mailbox_id",
}
_PLAIN: Final = (
    *("id", "external_id", "status", "end_reason", "paused_at", "sequence_paused_at", "version", "contact_id"),
    *("sequence_id", "current_step_id", "enrolled_by_kind", "enrolled_by_id", "enrolled_at", "status_changed_at"),
    *("updated_at", "replied_at", "ended_at", "due_at", "sort_name", "contacted_at", "pending_id"),
)
_TIMERS: Final = ("wait_ends_at", "retry_at", "paced_until", "frequency_capped", "scheduled_for", "due_kind")
# Paused with the words of a person about a message that had ended it.
_TAKEN_BACK: Final = """CASE WHEN r.paused_at IS NOT NULL THEN EXISTS (
    SELECT FROM messages x WHERE x.workspace_id = r.workspace_id AND x.reclassified_at = r.paused_at) END"""
_SILENT: Final = (None, None, None, None)
_MOMENT: Final = frozenset({"status_message", "waiting_reason", "next_attempt_at"})
_SEQUENCE_STATUS: Final = {str(status): status for status in SequenceStatus}
_STATUS: Final = {str(status): status for status in Status}
_END_REASON: Final = {str(reason): reason for reason in EndReason}
_UTC: Final = ZoneInfo("UTC")


class Reader:
    """Reads recipients with the relations of `wants`. Good for one statement."""

    def __init__(self, workspace_id: UUID, wants: Collection[str], place: str) -> None:
        self._workspace_id = workspace_id
        self._wants = frozenset(wants)
        self._moment = not _MOMENT.isdisjoint(self._wants)
        self._message = "status_message" in self._wants
        self._joins: dict[str, str] = {}
        self._layout = Layout()
        self._offset = 0
        self._windows: dict[UUID, SequenceSettings] = {}
        self._lay_out(place)

    def _lay_out(self, place: str) -> None:
        add = self._layout.add
        add("place", [f"{place} AS place"])
        add("plain", columns_of("r", _PLAIN))
        add("sequence_status", ["s.status"])
        if not self._wants.isdisjoint(("opens", "pending_action")):
            add("pending_kind", ["p.kind"])
            self._join("pending")
        if "contact" in self._wants:
            add("contact", columns_of("c", ContactRow.COLUMNS))
            self._join("contact")
        if "sequence" in self._wants:
            add("sequence", columns_of("s", SequenceRow.COLUMNS))
        if "mailbox" in self._wants:
            add("mailbox", columns_of("m", MailboxRow.COLUMNS))
            self._join("mailbox")
        if "sms_mailbox" in self._wants:
            add("sms_mailbox", columns_of("n", MailboxRow.COLUMNS))
            self._join("sms_mailbox")
        if "current_step" in self._wants:
            add("current_step", columns_of("t", StepRow.COLUMNS))
            self._join("step")
        if "pending_action" in self._wants:
            add("pending_action", PENDING_COLUMNS)
        if self._moment:
            turn = ["k.state", 'k.next_send_at + w."offset"', "k.held_back_by", "k.throttled_since"]
            holds = ["k.guardrail_hold", "s.guardrail_hold"]
            away = ["c.time_zone", "c.out_of_office_until"]
            add("moment", [*columns_of("r", _TIMERS), "w.now", BEING_SENT, *turn, *holds, *away, "s.settings"])
            self._join("sender")
            self._join("contact")
        if self._message:
            add("message", ["e.code", "e.detail", "f.address", _TAKEN_BACK])
            self._join("error")
            self._join("failed")

    def _join(self, name: str) -> None:
        self._joins[name] = _JOINS[name]

    def statement(self, conditions: Iterable[str], ending: str) -> str:
        names = ", ".join(
            column if column.endswith(" AS place") else f"{column} AS c{number}"
            for number, column in enumerate(self._layout.columns)
        )
        joins = "\n".join(self._joins.values())
        return f"SELECT {names} {FROM} {joins} WHERE {' AND '.join(conditions)} {ending}"

    def shift(self, columns: int) -> None:
        """Say that the records begin with so many columns of someone else."""
        self._offset = columns

    async def rows(self, records: Sequence[asyncpg.Record]) -> list[RecipientRow]:
        """Return the rows of the records, in their order."""
        own: list[Any] = [record[self._offset :] for record in records] if self._offset else list(records)
        paths = await self._paths(own)
        return [self._row(record, paths) for record in own]

    async def _paths(self, records: Sequence[Any]) -> Paths | None:
        if not records or not ({"next_step", "steps", "status_message"} & self._wants):
            return None
        plain = [self._layout.values("plain", record) for record in records]
        recipients = {values[0] for values in plain} if {"next_step", "steps"} & self._wants else set()
        return await load_paths(self._workspace_id, {values[8] for values in plain}, recipients)

    def _row(self, record: Any, paths: Paths | None) -> RecipientRow:
        layout = self._layout
        (
            key, external_id, stored, end_reason, paused_at, sequence_paused_at, version, contact_key, sequence_key,
            current_step_key, actor_kind, actor_key, enrolled_at, status_changed_at, updated_at, replied_at,
            ended_at, due_at, sort_name, contacted_at, pending_key,
        ) = layout.values("plain", record)  # fmt: skip
        sequence_status = _SEQUENCE_STATUS[layout.values("sequence_status", record)[0]]
        paused = sequence_status is SequenceStatus.PAUSED
        status = shown_status(_STATUS[stored], sequence_paused=paused)
        held_by = paused_by(status, by_sequence=paused or sequence_paused_at is not None)
        pending_kind = layout.values("pending_kind", record)[0] if "pending_kind" in layout else None
        row: dict[str, Any] = {}
        if self._moment:
            situation = self._situation(record, status, held_by, paths)
            row["waiting_reason"] = waiting_reason(situation)
            row["next_attempt_at"] = next_attempt_at(situation)
            if self._message:
                row["status_message"] = status_message(situation)
        if pending_key is not None and "pending_action" in layout:
            held = status is Status.PAUSED
            row["pending_action"] = to_pending(layout.values("pending_action", record), held=held)
        if paths is not None:
            row["next_step"] = paths.following(key, sequence_key, current_step_key)
            if "steps" in self._wants:
                row["steps"] = paths.steps_of(key, sequence_key, current_step_key, due_at, status, paused)
        return RecipientRow(
            key=key,
            external_id=external_id,
            status=status,
            sequence_paused=paused,
            stage=stage_of(status, contacted=contacted_at is not None),
            end_reason=_END_REASON[end_reason] if end_reason else None,
            paused_by_recipient=paused_at is not None,
            paused_by=held_by,
            version=version,
            opens=view_of(status, StepKind(pending_kind) if pending_kind else None),
            contact_key=contact_key,
            sequence_key=sequence_key,
            current_step_key=current_step_key,
            actor_kind=actor_kind,
            actor_key=actor_key,
            enrolled_at=enrolled_at,
            status_changed_at=status_changed_at,
            updated_at=updated_at,
            replied_at=replied_at,
            ended_at=ended_at,
            due_at=due_at,
            sort_name=sort_name,
            contact=layout.row("contact", record, to_contact),
            sequence=layout.row("sequence", record, to_sequence),
            mailbox=layout.row("mailbox", record, to_mailbox),
            sms_mailbox=layout.row("sms_mailbox", record, to_mailbox),
            current_step=layout.row("current_step", record, to_step),
            **row,
        )

    def _situation(self, record: Any, status: Status, held_by: Any, paths: Paths | None) -> Situation:
        (
            wait_ends_at, retry_at, paced_until, frequency_capped, scheduled_for, due_kind, now, being_sent, state,
            turn_at, held_back_by, throttled_since, mailbox_hold, sequence_hold, time_zone, away_until, stored_settings,
        ) = self._layout.values("moment", record)  # fmt: skip
        plain = self._layout.values("plain", record)
        end_reason, sequence_key, step_key, due_at = plain[3], plain[8], plain[9], plain[17]
        settings = self._settings(sequence_key, stored_settings)
        code, detail, address, taken_back = self._layout.values("message", record) if self._message else _SILENT
        step = paths.step(step_key) if paths is not None else None
        return Situation(
            now=now,
            status=status,
            end_reason=_END_REASON[end_reason] if end_reason else None,
            paused_by=held_by,
            sequence_status=_SEQUENCE_STATUS[self._layout.values("sequence_status", record)[0]],
            window=settings.window,
            zone=_zone(settings, time_zone),
            step_number=paths.number(sequence_key, step_key) if paths is not None else None,
            step_kind=step.kind if step is not None else (StepKind(due_kind) if due_kind else None),
            wait_ends_at=wait_ends_at,
            retry_at=retry_at,
            paced_until=paced_until,
            frequency_capped=frequency_capped,
            due_at=due_at,
            scheduled_for=scheduled_for,
            being_sent=being_sent,
            mailbox_state=state,
            mailbox_turn_at=turn_at,
            mailbox_held_back_by=held_back_by,
            mailbox_throttled=throttled_since is not None,
            held=_held(mailbox_hold if state == "HELD" else None, sequence_hold),
            out_of_office_until=away_until,
            taken_back=bool(taken_back),
            error_message=sentence(StepErrorCode(code), mailbox_address=address, detail=detail) if code else None,
        )

    def _settings(self, sequence_key: UUID, stored: str) -> SequenceSettings:
        found = self._windows.get(sequence_key)
        if found is None:
            found = self._windows[sequence_key] = SequenceSettings.from_json(stored)
        return found


def _held(mailbox_hold: str | None, sequence_hold: str | None) -> str | None:
    """Return what holds both back, as its sentence: the sequence's hold before the mailbox's."""
    if sequence_hold is not None:
        return Hold.from_json(orjson.loads(sequence_hold)).message(IN_SEQUENCE)
    return Hold.from_json(orjson.loads(mailbox_hold)).message(FROM_MAILBOX) if mailbox_hold is not None else None


def _zone(settings: SequenceSettings, time_zone: str | None) -> ZoneInfo:
    if settings.window is not None:
        return settings.window.zone_for(time_zone)
    name = time_zone or settings.time_zone
    return _UTC if name == "UTC" else ZoneInfo(name)
