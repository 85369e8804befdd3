"""The one writer of recipients: one guarded statement for one or two thousand, rows and events together.

A verb reads rows, decides in Python what they become (domain/rules/moves.py, holds.py, following.py), and gives the
pairs to `write`. A row is only written while its version is still the one that was read; rows that moved are reported
back, to be read and decided again. What hangs on a recipient (its done steps, errors and pending actions) follows in
the same transaction.

Source: architecture.md "Five sentences", 3.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from domain.database import Tx
from domain.rules.actor import Actor
from domain.rules.error_groups import cause_key
from domain.rules.event_types import EventType
from domain.rules.lifecycle import EndReason
from domain.rules.plan import StepKind
from domain.rules.recipient import Recipient
from domain.rules.step_errors import StepErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class NewError:
    id: UUID
    code: str
    detail: str | None = None
    message_id: UUID | None = None
    mailbox_id: UUID | None = None
    # When what it was judged on was read; the time of the transaction when left out. What changed after it may have
    # cleared the cause.
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPending:
    id: UUID
    step_id: UUID
    kind: StepKind
    subject: str | None = None
    body: str | None = None
    task_kind: str | None = None
    task_title: str | None = None
    task_notes: str | None = None
    assignee_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one recipient becomes, and why."""

    before: Recipient
    after: Recipient
    type: EventType
    actor: Actor
    step_id: UUID | None = None
    message_id: UUID | None = None
    done: str | None = None  # "CARRIED_OUT" or "SKIPPED": the outcome of step_id
    done_at: datetime | None = None  # None: now
    opens: NewError | None = None
    puts: NewPending | None = None
    completes: bool = False  # a person completed the pending task
    note: str | None = None  # written by whoever completed the task
    # The revision of the sequence that this was decided on. Given when the words of a step were read for it.
    seen_revision: int | None = None

    @property
    def decided_on(self) -> int | None:
        """The revision that the sequence must still have: it goes to a step, or took words, as of that revision."""
        moves = self.after.current_step_id not in (None, self.before.current_step_id)
        return self.after.plan_revision if moves else self.seen_revision


# column, type, attribute: the facts as the statement writes them
_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("mailbox_id", "uuid", "mailbox_id"),
    ("status", "text", "status"),
    ("end_reason", "text", "end_reason"),
    ("ended_at", "timestamptz", "ended_at"),
    ("paused_at", "timestamptz", "paused_at"),
    ("sequence_paused_at", "timestamptz", "sequence_paused_at"),
    ("error_id", "uuid", "error_id"),
    ("pending_id", "uuid", "pending_id"),
    ("scheduled_for", "timestamptz", "scheduled_for"),
    ("begun", "bool", "begun"),
    ("current_step_id", "uuid", "current_step_id"),
    ("last_step_id", "uuid", "last_step_id"),
    ("plan_revision", "int", "plan_revision"),
    ("step_run", "int", "step_run"),
    ("start_at", "timestamptz", "start_at"),
    ("anchor_at", "timestamptz", "anchor_at"),
    ("wait_ends_at", "timestamptz", "wait_ends_at"),
    ("wait_left_seconds", "float8", "wait_left"),
    ("due_at", "timestamptz", "due_at"),
    ("due_kind", "text", "due_kind"),
    ("retry_at", "timestamptz", "retry_at"),
    ("paced_until", "timestamptz", "paced_until"),
    ("contacted_at", "timestamptz", "contacted_at"),
    ("replied_at", "timestamptz", "replied_at"),
    ("deleted_at", "timestamptz", "deleted_at"),
)
_GUARD = (("id", "uuid"), ("version", "int"), ("seen_revision", "int"), ("edited_in", "uuid"), ("decided_on", "int"))
_EVENT = (
    ("type", "text"),
    ("previous_status", "text"),
    ("previous_stage", "text"),
    ("stage", "text"),
    ("actor_kind", "text"),
    ("actor_id", "uuid"),
    ("step_id", "uuid"),
    ("message_id", "uuid"),
    ("step_error_id", "uuid"),
)


def _statement() -> str:
    inputs = [*_GUARD, *((name, kind) for name, kind, _ in _COLUMNS), *((f"e_{name}", kind) for name, kind in _EVENT)]
    arrays = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(inputs, start=3))
    names = ", ".join(name for name, _ in inputs)
    facts = ", ".join(f"{name} = u.{name}" for name, _, _ in _COLUMNS)
    return f"""
        WITH u AS (SELECT * FROM unnest({arrays}) AS u ({names})),
        -- An edit of the sequence waits for those who go to a step as of before it, and then finds them there. They do
        -- not wait for it, it may want their rows: all is decided again once it is done.
        q AS (
            SELECT id, revision FROM sequences
            WHERE workspace_id = $1 AND id IN (SELECT edited_in FROM u) FOR SHARE NOWAIT
        ), changed AS (
            UPDATE recipients r SET {facts}, version = r.version + 1, updated_at = $2,
                status_changed_at = CASE WHEN r.status = u.status THEN r.status_changed_at ELSE $2 END
            FROM u LEFT JOIN q ON q.id = u.edited_in
            WHERE r.workspace_id = $1 AND r.id = u.id AND r.version = u.version AND r.plan_revision = u.seen_revision
                AND (u.edited_in IS NULL OR q.revision = u.decided_on) AND r.deleted_at IS NULL
            RETURNING r.id, r.version, r.sequence_id, r.mailbox_id, r.deleted_at
        )
        INSERT INTO events (recipient_id, version, workspace_id, sequence_id, type, previous_status, status,
            previous_stage, stage, end_reason, actor_kind, actor_id, step_id, message_id, step_error_id, mailbox_id,
            occurred_at)
        SELECT c.id, c.version, $1, c.sequence_id, u.e_type, u.e_previous_status,
            CASE WHEN c.deleted_at IS NULL THEN u.status END, u.e_previous_stage,
            CASE WHEN c.deleted_at IS NULL THEN u.e_stage END, u.end_reason, u.e_actor_kind, u.e_actor_id, u.e_step_id,
            u.e_message_id, u.e_step_error_id, c.mailbox_id, $2
        FROM changed c JOIN u ON u.id = c.id
        RETURNING recipient_id
    """


_WRITE = _statement()

_READ = f"""
    SELECT r.id, r.workspace_id, r.sequence_id, r.contact_id, r.version, c.time_zone, c.out_of_office_until,
        {", ".join(f"r.{name}" for name, _, _ in _COLUMNS)},
        ARRAY(SELECT o.step_id FROM recipient_steps o
            WHERE o.workspace_id = $1 AND o.recipient_id = r.id AND o.outcome IS NOT NULL) AS done
    FROM recipients r JOIN contacts c ON c.id = r.contact_id
    WHERE r.workspace_id = $1 AND r.id = ANY($2::uuid[]) AND (r.deleted_at IS NULL OR $3)
    ORDER BY r.id
"""


def to_recipient(row: asyncpg.Record) -> Recipient:
    """Return the facts of a row of `recipients` joined with the contact's time zone and absence."""
    facts: dict[str, Any] = {attribute: row[name] for name, _, attribute in _COLUMNS if name != "status"}
    left = row["wait_left_seconds"]
    facts["wait_left"] = None if left is None else timedelta(seconds=left)
    facts["end_reason"] = EndReason(row["end_reason"]) if row["end_reason"] else None
    facts["due_kind"] = StepKind(row["due_kind"]) if row["due_kind"] else None
    return Recipient(
        id=row["id"],
        workspace_id=row["workspace_id"],
        sequence_id=row["sequence_id"],
        contact_id=row["contact_id"],
        version=row["version"],
        time_zone=row["time_zone"],
        done=frozenset(row["done"]),
        out_of_office_until=row["out_of_office_until"],
        **facts,
    )


async def read(t: Tx, ids: Collection[UUID], *, deleted: bool = False) -> dict[UUID, Recipient]:
    """Return the recipients of the transaction's workspace with these ids, in id order; deleted ones when asked for."""
    rows = await t.fetch(_READ, t.workspace_id, list(ids), deleted)
    return {row["id"]: to_recipient(row) for row in rows}


async def write(t: Tx, changes: Sequence[Change]) -> set[UUID]:
    """Write the changes and their events; return the ids written. Those missing moved since they were read."""
    if not changes:
        return set()
    ordered = sorted(changes, key=lambda change: change.before.id)
    written = {row["recipient_id"] for row in await t.fetch(_WRITE, t.workspace_id, t.now, *_arrays(ordered))}
    kept = [change for change in ordered if change.before.id in written]
    await _note_done(t, [change for change in kept if change.done])
    await _open_errors(t, [change for change in kept if change.opens])
    await _reopen_steps(t, [change for change in kept if _goes_back(change)])
    await _close_errors(t, [change for change in kept if _error_closes(change)])
    await _put_pending(t, [change for change in kept if change.puts])
    await _close_pending(t, [change for change in kept if _pending_closes(change)])
    await _touch_pending(t, [change for change in kept if _pending_stays(change)])
    await _note_sent_after_skip(t, [change for change in kept if _was_left_before(change)])
    return written


def _arrays(changes: Sequence[Change]) -> list[list[Any]]:
    columns: list[list[Any]] = [
        [c.before.id for c in changes],
        [c.before.version for c in changes],
        [c.before.plan_revision for c in changes],
        [None if c.decided_on is None else c.before.sequence_id for c in changes],
        [c.decided_on for c in changes],
    ]
    for _, kind, attribute in _COLUMNS:
        values = [getattr(change.after, attribute) for change in changes]
        if kind == "float8":
            values = [None if left is None else left.total_seconds() for left in values]
        columns.append(values)
    columns += [
        [c.type for c in changes],
        [c.before.status for c in changes],
        [c.before.stage for c in changes],
        [c.after.stage for c in changes],
        [c.actor.kind for c in changes],
        [c.actor.id for c in changes],
        [c.step_id for c in changes],
        [c.message_id for c in changes],
        [c.opens.id if c.opens else None for c in changes],
    ]
    return columns


async def write_timers(t: Tx, moved: Sequence[tuple[Recipient, Recipient]]) -> set[UUID]:
    """Write what (before, after) changed in timers and in what they follow from: no new version, no event. Return the
    ids written."""
    if not moved:
        return set()
    pairs = sorted(moved, key=lambda pair: pair[0].id)
    rows = await t.fetch(
        """
        WITH changed AS (
            UPDATE recipients r SET last_step_id = u.last_step_id, plan_revision = u.plan_revision,
                anchor_at = u.anchor_at, wait_ends_at = u.wait_ends_at, wait_left_seconds = u.wait_left,
                due_at = u.due_at, due_kind = u.due_kind, retry_at = u.retry_at,
                paced_until = u.paced_until
            FROM unnest($2::uuid[], $3::int[], $4::int[], $5::uuid[], $6::int[], $7::timestamptz[], $8::timestamptz[],
                $9::float8[], $10::timestamptz[], $11::text[], $12::timestamptz[], $13::timestamptz[])
                AS u (id, version, seen_revision, last_step_id, plan_revision, anchor_at, wait_ends_at, wait_left,
                    due_at, due_kind, retry_at, paced_until)
            WHERE r.workspace_id = $1 AND r.id = u.id AND r.version = u.version AND r.plan_revision = u.seen_revision
                AND r.deleted_at IS NULL
            RETURNING r.id
        ) SELECT id FROM changed
        """,
        t.workspace_id,
        [before.id for before, _ in pairs],
        [before.version for before, _ in pairs],
        [before.plan_revision for before, _ in pairs],
        [after.last_step_id for _, after in pairs],
        [after.plan_revision for _, after in pairs],
        [after.anchor_at for _, after in pairs],
        [after.wait_ends_at for _, after in pairs],
        [None if after.wait_left is None else after.wait_left.total_seconds() for _, after in pairs],
        [after.due_at for _, after in pairs],
        [after.due_kind for _, after in pairs],
        [after.retry_at for _, after in pairs],
        [after.paced_until for _, after in pairs],
    )
    return {row["id"] for row in rows}


async def _note_done(t: Tx, changes: Sequence[Change]) -> None:
    if changes:
        await t.execute(
            """
            INSERT INTO recipient_steps (workspace_id, recipient_id, step_id, outcome, done_at, message_id)
            SELECT $1, u.recipient_id, u.step_id, u.outcome, u.done_at, u.message_id
            FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::uuid[])
                AS u (recipient_id, step_id, outcome, done_at, message_id)
            ON CONFLICT (recipient_id, step_id)
            DO UPDATE SET outcome = excluded.outcome, done_at = excluded.done_at, message_id = excluded.message_id
            """,
            t.workspace_id,
            [c.before.id for c in changes],
            [c.step_id for c in changes],
            [c.done for c in changes],
            [c.done_at or t.now for c in changes],
            [c.message_id for c in changes],
        )


async def _open_errors(t: Tx, changes: Sequence[Change]) -> None:
    opened = [(change, change.opens) for change in changes if change.opens]
    if opened:
        await t.execute(
            """
            INSERT INTO step_errors (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, step_id,
                message_id, code, detail, occurred_at, cause_key)
            SELECT u.id, $1, u.recipient_id, u.sequence_id, u.contact_id, u.mailbox_id, u.step_id, u.message_id, u.code,
                u.detail, coalesce(u.occurred_at, $2), u.cause_key
            FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[], $10::text[],
                $11::text[], $12::timestamptz[], $13::uuid[])
                AS u (id, recipient_id, sequence_id, contact_id, mailbox_id, step_id, message_id, code, detail,
                    occurred_at, cause_key)
            """,
            t.workspace_id,
            t.now,
            [error.id for _, error in opened],
            [change.before.id for change, _ in opened],
            [change.before.sequence_id for change, _ in opened],
            [change.before.contact_id for change, _ in opened],
            [_mailbox_of(change, error) for change, error in opened],
            [change.step_id for change, _ in opened],
            [error.message_id for _, error in opened],
            [error.code for _, error in opened],
            [error.detail for _, error in opened],
            [error.occurred_at for _, error in opened],
            [_cause_key(change, error) for change, error in opened],
        )


def _mailbox_of(change: Change, error: NewError) -> UUID | None:
    return error.mailbox_id or change.after.mailbox_id


def _cause_key(change: Change, error: NewError) -> UUID:
    return cause_key(
        change.before.workspace_id,
        StepErrorCode(error.code),
        mailbox_id=_mailbox_of(change, error),
        step_id=change.step_id,
        sequence_id=change.before.sequence_id,
        detail=error.detail,
    )


def _goes_back(change: Change) -> bool:
    """A failed delivery takes the recipient back to a step that counted as done."""
    return change.opens is not None and change.after.current_step_id != change.before.current_step_id


async def _reopen_steps(t: Tx, changes: Sequence[Change]) -> None:
    if changes:
        await t.execute(
            """
            UPDATE recipient_steps s SET outcome = NULL, done_at = NULL, message_id = NULL
            FROM unnest($2::uuid[], $3::uuid[]) AS u (recipient_id, step_id)
            WHERE s.workspace_id = $1 AND s.recipient_id = u.recipient_id AND s.step_id = u.step_id
            """,
            t.workspace_id,
            [change.before.id for change in changes],
            [change.after.current_step_id for change in changes],
        )


def _error_closes(change: Change) -> bool:
    return change.before.error_id is not None and change.after.error_id != change.before.error_id


async def _close_errors(t: Tx, changes: Sequence[Change]) -> None:
    if changes:
        await t.execute(
            "UPDATE step_errors SET resolved_at = $2 WHERE workspace_id = $1 AND id = ANY($3::uuid[])",
            t.workspace_id,
            t.now,
            [change.before.error_id for change in changes],
        )


async def _put_pending(t: Tx, changes: Sequence[Change]) -> None:
    put = [(change, change.puts) for change in changes if change.puts]
    if put:
        await t.execute(
            """
            INSERT INTO pending_actions (id, workspace_id, recipient_id, sequence_id, step_id, kind, subject, body,
                task_kind, task_title, task_notes, assignee_id, due_since, version)
            SELECT u.*, $2, 1
            FROM (SELECT id, $1::uuid, recipient_id, sequence_id, step_id, kind, subject, body, task_kind, task_title,
                    task_notes, assignee_id
                FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
                    $10::text[], $11::text[], $12::text[], $13::uuid[])
                AS a (id, recipient_id, sequence_id, step_id, kind, subject, body, task_kind, task_title, task_notes,
                    assignee_id)) u
            """,
            t.workspace_id,
            t.now,
            [pending.id for _, pending in put],
            [change.before.id for change, _ in put],
            [change.before.sequence_id for change, _ in put],
            [pending.step_id for _, pending in put],
            [pending.kind for _, pending in put],
            [pending.subject for _, pending in put],
            [pending.body for _, pending in put],
            [pending.task_kind for _, pending in put],
            [pending.task_title for _, pending in put],
            [pending.task_notes for _, pending in put],
            [pending.assignee_id for _, pending in put],
        )


_OUTCOME_OF_END = {
    EndReason.REPLIED: "REPLIED",
    EndReason.COMPANY_REPLIED: "STOPPED",
    EndReason.STOPPED: "STOPPED",
    EndReason.UNSUBSCRIBED: "OPTED_OUT",
    EndReason.SUPPRESSED: "OPTED_OUT",
    EndReason.COMPLAINED: "OPTED_OUT",
    EndReason.BOUNCED: "BOUNCED",
}


def _pending_closes(change: Change) -> bool:
    return change.before.pending_id is not None and change.after.pending_id is None


def _pending_outcome(change: Change) -> str:
    if change.completes:
        return "COMPLETED"
    if change.done is not None:
        return "SENT" if change.done == "CARRIED_OUT" else "SKIPPED"
    if change.after.deleted_at is not None:
        return "DELETED"
    reason = change.after.end_reason
    return _OUTCOME_OF_END.get(reason, "SKIPPED") if reason else "SKIPPED"


def _pending_stays(change: Change) -> bool:
    return change.before.pending_id is not None and change.after.pending_id == change.before.pending_id


async def _touch_pending(t: Tx, changes: Sequence[Change]) -> None:
    """What may be done about it, its chosen time, its words: a change of the recipient shows in it, too."""
    if changes:
        await t.execute(
            "UPDATE pending_actions SET version = version + 1 WHERE workspace_id = $1 AND id = ANY($2::uuid[])",
            t.workspace_id,
            [change.before.pending_id for change in changes],
        )


def _was_left_before(change: Change) -> bool:
    return change.done == "CARRIED_OUT" and change.before.current_step_id != change.step_id


async def _note_sent_after_skip(t: Tx, changes: Sequence[Change]) -> None:
    """A person skipped an email while it was being handed over, and it was sent: so says its pending action."""
    if changes:
        await t.execute(
            """
            UPDATE pending_actions p SET outcome = 'SENT', version = p.version + 1,
                closed_by_kind = p.released_by_kind, closed_by_id = p.released_by_id
            FROM unnest($2::uuid[], $3::uuid[]) AS u (recipient_id, step_id)
            WHERE p.workspace_id = $1 AND p.recipient_id = u.recipient_id AND p.step_id = u.step_id
                AND p.outcome = 'SKIPPED' AND p.released_by_kind IS NOT NULL
            """,
            t.workspace_id,
            [change.before.id for change in changes],
            [change.step_id for change in changes],
        )


async def _close_pending(t: Tx, changes: Sequence[Change]) -> None:
    """Close them by whoever made the change; what was sent, by the person who released it."""
    if changes:
        await t.execute(
            """
            UPDATE pending_actions p SET closed_at = $2, outcome = u.outcome, note = u.note, version = p.version + 1,
                closed_by_kind = CASE WHEN u.outcome = 'SENT' THEN coalesce(p.released_by_kind, u.kind) ELSE u.kind END,
                closed_by_id = CASE WHEN u.outcome = 'SENT' AND p.released_by_kind IS NOT NULL THEN p.released_by_id
                    ELSE u.actor_id END
            FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[])
                AS u (id, kind, actor_id, outcome, note)
            WHERE p.workspace_id = $1 AND p.id = u.id AND p.closed_at IS NULL
            """,
            t.workspace_id,
            t.now,
            [change.before.pending_id for change in changes],
            [change.actor.kind for change in changes],
            [change.actor.id for change in changes],
            [_pending_outcome(change) for change in changes],
            [change.note for change in changes],
        )
