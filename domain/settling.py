"""Rows follow their sequence: after a pause, a resume, an archiving or an edit, in bounded batches.

The change itself is one transaction that ends before anyone answers, with at most two batches in it, so that a small
sequence has settled then: `status` and `revision` of the sequence are the gate on every claim and every second mark.
What each recipient becomes by it is one pure function (rules/following.py); this module finds whose turn it is, by what
their rows say, and writes it. So it can be interrupted at any point, done by several workers at once, and begun again.

Nobody is missed: whoever goes to a step does so under a share lock on the sequence (writing.py), so that an edit either
is seen or finds the row at its new step.

Source: product.md section 2 "Sequences", section 3 "Live edits"; architecture.md "Facts, not memories".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from domain import faults
from domain.changes import Change
from domain.database import Tx, fetch, tx
from domain.following_together import follow_together
from domain.plans import load_plan
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.following import Pauses, follow
from domain.rules.lifecycle import EndReason
from domain.rules.plan import Plan, SequenceStatus
from domain.rules.recipient import Recipient
from domain.writing import read, write, write_timers

BATCH: Final = 1_000
AT_ONCE: Final = 500  # before the change of the sequence is answered

_BEING_SENT: Final = """EXISTS (SELECT FROM messages x WHERE x.workspace_id = r.workspace_id AND x.recipient_id = r.id
    AND x.step_id = r.current_step_id AND x.step_run = r.step_run AND x.state = 'HANDING_OVER')"""

# By the sequence's status: whose hold, clock or life is not what it has to be. $4 is the time of the pause or of the
# last resume that is being followed; null: there is none.
_BEHIND_STATUS: Final = {
    SequenceStatus.DRAFT: "$4::timestamptz IS NULL AND false",
    SequenceStatus.PAUSED: "(r.sequence_paused_at IS NULL OR r.sequence_paused_at < $4)",
    # Held by a pause that is over, or not written since: the clock ran through a pause that the row never followed.
    SequenceStatus.ACTIVE: """(r.sequence_paused_at IS NOT NULL OR (r.updated_at < $4 AND r.paused_at IS NULL
        AND r.error_id IS NULL AND (r.pending_id IS NULL OR r.scheduled_for <= $4)))""",
    SequenceStatus.ARCHIVED: "($4::timestamptz IS NULL OR true)",
}
_BEHIND_EDIT: Final = "r.plan_revision < t.revision"
# Those being handed over keep their step until the outcome is known.
_BEHIND_EDIT_FREE: Final = f"({_BEHIND_EDIT} AND NOT {_BEING_SENT})"


@dataclass(frozen=True, slots=True)
class _Settling:
    """What the rows of a sequence follow."""

    status: SequenceStatus
    pauses: Pauses
    since: datetime | None

    def rows_behind(self, behind_edit: str) -> str:
        """Return the statement that finds recipients who have to follow, and whether for the sequence's status."""
        return f"{self._found(behind_edit)} ORDER BY r.id LIMIT $3"

    @property
    def rows_behind_of(self) -> str:
        """The statement that finds and locks those of $5 who have to follow."""
        return (
            f"{self._found(_BEHIND_EDIT_FREE)} AND r.id = ANY($5::uuid[]) ORDER BY r.id LIMIT $3 FOR NO KEY UPDATE OF r"
        )

    def _found(self, behind_edit: str) -> str:
        told = f"{_BEHIND_STATUS[self.status]} IS TRUE AS behind_status, {_BEING_SENT} AS being_sent"
        return f"SELECT r.id, r.version, r.updated_at, {told} {self._rows(behind_edit)}"

    @property
    def number_behind(self) -> str:
        """The statement that counts them, up to $3."""
        return f"SELECT count(*) AS n FROM (SELECT {self._rows(_BEHIND_EDIT)} LIMIT $3) behind"

    def _rows(self, behind_edit: str) -> str:
        return f"""
            FROM recipients r LEFT JOIN steps t ON t.id = r.current_step_id AND t.workspace_id = r.workspace_id
            WHERE r.workspace_id = $1 AND r.sequence_id = $2 AND r.end_reason IS NULL AND r.deleted_at IS NULL
                AND ({_BEHIND_STATUS[self.status]} OR {behind_edit})
        """


async def settle_batch(workspace_id: UUID, sequence_id: UUID, limit: int | None = None) -> int:
    """Let up to `limit` recipients (1,000) follow the last changes of their sequence; return how many did. 0 = all who
    can have.

    Safe to repeat and to interrupt: what is left is found again by its facts.
    """

    most = min(limit or BATCH, BATCH)

    async def work(t: Tx) -> int:
        settling = await _settling(t, sequence_id, "FOR SHARE")
        if settling is None:
            return 0
        plan = await load_plan(t, sequence_id)
        together = await follow_together(t, sequence_id, plan, settling.pauses, most, _change)
        if together == most:
            await faults.point("before_settle_commit")
            return together
        statement = settling.rows_behind(_BEHIND_EDIT_FREE)
        rows = await t.fetch(statement, t.workspace_id, sequence_id, most - together, settling.since)
        alone = await _follow_each(t, plan, settling.pauses, rows)
        await faults.point("before_settle_commit")
        return together + alone

    settled = await tx(workspace_id, work)
    if settled == 0:
        await tx(workspace_id, lambda t: _mark_settled(t, sequence_id), rings=False)
    return settled


async def catch_up(t: Tx, recipient_ids: Collection[UUID]) -> dict[UUID, int]:
    """Let those of these recipients follow now, in this transaction, whose rows have not yet followed a change of
    their sequence; return by id the version that each of them was seen with.

    Every verb begins with it: what may be done, and what becomes of it, is decided on what the recipient is by now,
    however many others of its sequence have still to follow.
    """
    unsettled = await t.fetch(
        "SELECT q.id FROM sequences q WHERE q.workspace_id = $1 AND q.settling AND q.id IN "
        "(SELECT r.sequence_id FROM recipients r WHERE r.workspace_id = $1 AND r.id = ANY($2::uuid[])) ORDER BY q.id",
        t.workspace_id,
        list(recipient_ids),
    )
    seen: dict[UUID, int] = {}
    for sequence_id in [row["id"] for row in unsettled]:
        # Rows may be locked already: whoever edits the sequence is not waited for, it may want them.
        settling = await _settling(t, sequence_id, "FOR SHARE NOWAIT")
        if settling is None:
            continue
        key = t.workspace_id, sequence_id
        among = list(recipient_ids)
        rows = await t.fetch(settling.rows_behind_of, *key, len(among), settling.since, among)
        if rows:
            await _follow_each(t, await load_plan(t, sequence_id), settling.pauses, rows)
            seen |= {row["id"]: row["version"] for row in rows}
    return seen


async def settle_small(workspace_id: UUID, sequence_id: UUID) -> None:
    """Let up to 500 recipients follow at once, so that a small sequence has settled when the answer arrives; a worker
    does the rest."""
    if await settle_batch(workspace_id, sequence_id, AT_ONCE) < min(AT_ONCE, BATCH):
        await settle_batch(workspace_id, sequence_id, AT_ONCE)


async def unsettled() -> list[tuple[UUID, UUID]]:
    """Return (workspace, sequence) of each sequence whose recipients still have to follow."""
    rows = await fetch("SELECT workspace_id, id FROM sequences WHERE settling ORDER BY updated_at LIMIT 100")
    return [(row["workspace_id"], row["id"]) for row in rows]


async def remaining(workspace_id: UUID, sequence_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return of each sequence whose rows still follow a change of it how many do."""
    rows = await fetch(
        "SELECT id, status, paused_at, pauses_to_follow FROM sequences "
        "WHERE workspace_id = $1 AND id = ANY($2::uuid[]) AND settling",
        workspace_id,
        list(sequence_ids),
    )
    found: dict[UUID, int] = {}
    for row in rows:
        settling = _to_settling(row)
        (counted,) = await fetch(settling.number_behind, workspace_id, row["id"], None, settling.since)
        found[row["id"]] = counted["n"]
    return found


async def _follow_each(t: Tx, plan: Plan, pauses: Pauses, rows: Sequence[asyncpg.Record]) -> int:
    """Let those who were found behind follow, each by itself; return how many changed by it."""
    found = {row["id"]: row for row in rows}
    shown: list[Change] = []
    timers: list[tuple[Recipient, Recipient]] = []
    for before in (await read(t, found)).values():
        row = found[before.id]
        if before.version != row["version"]:
            continue  # it is found again if it still has to follow
        after = follow(before, plan, t.now, pauses=pauses, written_at=row["updated_at"], being_sent=row["being_sent"])
        # Only what changes by it is written: a row that is as it should be ends the settling, never prolongs it.
        if after == before:
            continue
        if row["behind_status"] or _shows(before, after):
            shown.append(_change(before, after))
        else:
            timers.append((before, after))
    await write(t, shown)
    await write_timers(t, timers)
    return len(shown) + len(timers)


def _shows(before: Recipient, after: Recipient) -> bool:
    """Return whether a query shows the change; timers alone make no version."""
    return (before.status, before.current_step_id, before.sequence_paused_at, before.scheduled_for) != (
        after.status,
        after.current_step_id,
        after.sequence_paused_at,
        after.scheduled_for,
    )


def _change(before: Recipient, after: Recipient) -> Change:
    left = before.current_step_id != after.current_step_id and after.end_reason is not EndReason.STOPPED
    if left and (before.pending_id is not None or before.error_id is not None):
        kind, done = EventType.STEP_SKIPPED, "SKIPPED"
    elif after.status is not before.status:
        kind, done = EventType.STATUS_CHANGED, None
    elif left:
        kind, done = EventType.STEP_CHANGED, None
    else:
        kind, done = EventType.HOLD_CHANGED, None
    step_id = before.current_step_id if done else after.current_step_id if left else None
    return Change(before=before, after=after, type=kind, actor=ENGINE, step_id=step_id, done=done)


async def _settling(t: Tx, sequence_id: UUID, lock: str) -> _Settling | None:
    row: asyncpg.Record | None = await t.fetchrow(
        "SELECT status, paused_at, pauses_to_follow FROM sequences "
        f"WHERE workspace_id = $1 AND id = $2 AND settling {lock}",
        t.workspace_id,
        sequence_id,
    )
    return None if row is None else _to_settling(row)


def _to_settling(row: asyncpg.Record) -> _Settling:
    status, over = SequenceStatus(row["status"]), row["pauses_to_follow"] or []
    pauses: list[tuple[datetime, datetime | None]] = [*zip(over[::2], over[1::2], strict=True)]
    if status is SequenceStatus.PAUSED:
        return _Settling(status, [*pauses, (row["paused_at"], None)], row["paused_at"])
    return _Settling(status, pauses, over[-1] if over else None)


async def _mark_settled(t: Tx, sequence_id: UUID) -> None:
    settling = await _settling(t, sequence_id, "FOR UPDATE")
    if settling is None:
        return
    key = t.workspace_id, sequence_id
    if await t.fetch(settling.rows_behind("false"), *key, 1, settling.since):
        return
    still = await t.fetch(settling.rows_behind(_BEHIND_EDIT), *key, 1, settling.since)
    await t.execute(
        "UPDATE sequences SET settling = $3, pauses_to_follow = NULL WHERE workspace_id = $1 AND id = $2",
        *key,
        bool(still),
    )
