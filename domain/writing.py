"""The one writer of recipients: one guarded statement for one or two thousand, rows and events together.

A verb reads rows, decides in Python what they become (domain/rules/moves.py, holds.py, following.py), and gives the
pairs to `write`. A row is only written while its version is still the one that was read; rows that moved are reported
back, to be read and decided again. What hangs on a recipient (its done steps, errors and pending actions) follows in
the same transaction.

Source: architecture.md "Five sentences", 3.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from domain.attached import write_attached
from domain.changes import Change
from domain.database import Tx
from domain.rules.lifecycle import EndReason
from domain.rules.plan import StepKind
from domain.rules.recipient import Recipient

# column, type, attribute: the facts as the statement writes them
_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("mailbox_id", "uuid", "mailbox_id"),
    ("sms_mailbox_id", "uuid", "sms_mailbox_id"),
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
    ("left_step_id", "uuid", "left_step_id"),
    ("bounced_step_id", "uuid", "bounced_step_id"),
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
    ("frequency_capped", "bool", "frequency_capped"),
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
    ("previous_mailbox_id", "uuid"),
    ("counted", "jsonb"),
)


# Recipient `r` is still as it was when `u` was decided. One value to PostgreSQL, so that the id alone finds the row: on
# tables that were filled a moment ago it takes the workspace, or not being deleted, for so rare that it would compare
# all rows of the workspace with all of `u`.
_AS_READ = """CASE WHEN r.workspace_id = $1 AND r.version = u.version AND r.plan_revision = u.seen_revision
                AND r.deleted_at IS NULL"""


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
            WHERE r.id = u.id AND {_AS_READ}
                THEN u.edited_in IS NULL OR q.revision = u.decided_on ELSE false END
            RETURNING u.*, r.version AS written, r.sequence_id
        )
        INSERT INTO events (recipient_id, version, workspace_id, sequence_id, type, previous_status, status,
            previous_stage, stage, end_reason, actor_kind, actor_id, step_id, message_id, step_error_id,
            previous_mailbox_id, counted, mailbox_id, occurred_at)
        SELECT id, written, $1, sequence_id, e_type, e_previous_status,
            CASE WHEN deleted_at IS NULL THEN status END, e_previous_stage,
            CASE WHEN deleted_at IS NULL THEN e_stage END, end_reason, e_actor_kind, e_actor_id, e_step_id,
            e_message_id, e_step_error_id, e_previous_mailbox_id, e_counted, mailbox_id, $2
        FROM changed
        RETURNING recipient_id
    """


_WRITE = _statement()

_READ = f"""
    SELECT r.id, r.workspace_id, r.sequence_id, r.contact_id, r.version, c.time_zone, c.out_of_office_until,
        {", ".join(f"r.{name}" for name, _, _ in _COLUMNS)},
        r.enrolled_at, d.step_ids, d.outcomes, d.done_at
    FROM recipients r JOIN contacts c ON c.id = r.contact_id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(o.step_id), '{{}}') AS step_ids, array_agg(o.outcome) AS outcomes,
            array_agg(o.done_at) AS done_at
        FROM recipient_steps o WHERE o.workspace_id = $1 AND o.recipient_id = r.id AND o.outcome IS NOT NULL
    ) d
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
        done=frozenset(row["step_ids"]),
        outcomes=_outcomes(row),
        enrolled_at=row["enrolled_at"],
        out_of_office_until=row["out_of_office_until"],
        **facts,
    )


def _outcomes(row: asyncpg.Record) -> dict[UUID, tuple[str, datetime]]:
    if not row["step_ids"]:
        return {}
    return dict(zip(row["step_ids"], zip(row["outcomes"], row["done_at"], strict=True), strict=True))


async def read(t: Tx, ids: Collection[UUID], *, deleted: bool = False) -> dict[UUID, Recipient]:
    """Return the recipients of the transaction's workspace with these ids, in id order; deleted ones when asked for."""
    rows = await t.fetch(_READ, t.workspace_id, list(ids), deleted)
    return {row["id"]: to_recipient(row) for row in rows}


async def write(t: Tx, changes: Sequence[Change]) -> set[UUID]:
    """Write the changes and their events; return the ids written. Those missing moved since they were read."""
    if not changes:
        return set()
    ordered = sorted(changes, key=lambda change: change.before.id)
    written = {row["recipient_id"] for row in await t.fetch(_WRITE, t.workspace_id, t.now, *_arrays(ordered, t.now))}
    await write_attached(t, [change for change in ordered if change.before.id in written])
    return written


def _arrays(changes: Sequence[Change], now: datetime) -> list[list[Any]]:
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
        [c.mailbox_left for c in changes],
        [c.counted(now) for c in changes],
    ]
    return columns


async def write_timers(t: Tx, moved: Sequence[tuple[Recipient, Recipient]]) -> set[UUID]:
    """Write what (before, after) changed in timers and in what they follow from: no new version, no event. Return the
    ids written."""
    if not moved:
        return set()
    pairs = sorted(moved, key=lambda pair: pair[0].id)
    rows = await t.fetch(
        f"""
        WITH changed AS (
            UPDATE recipients r SET last_step_id = u.last_step_id, plan_revision = u.plan_revision,
                anchor_at = u.anchor_at, wait_ends_at = u.wait_ends_at, wait_left_seconds = u.wait_left,
                due_at = u.due_at, due_kind = u.due_kind, retry_at = u.retry_at,
                paced_until = u.paced_until, frequency_capped = u.frequency_capped
            FROM unnest($2::uuid[], $3::int[], $4::int[], $5::uuid[], $6::int[], $7::timestamptz[], $8::timestamptz[],
                $9::float8[], $10::timestamptz[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::bool[])
                AS u (id, version, seen_revision, last_step_id, plan_revision, anchor_at, wait_ends_at, wait_left,
                    due_at, due_kind, retry_at, paced_until, frequency_capped)
            WHERE r.id = u.id AND {_AS_READ} THEN true ELSE false END
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
        [after.frequency_capped for _, after in pairs],
    )
    return {row["id"] for row in rows}
