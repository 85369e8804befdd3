"""Moving sequences between DRAFT, ACTIVE, PAUSED and ARCHIVED. What stands in them is written in authoring.py.

A pause is immediate at any size: `paused_at` on the sequence is a gate before every hand-over from the moment it is
committed. The rows of its recipients follow in batches (`settle_batch`), through the one writer, each with the times
at which the pauses were answered and lifted. While rows still follow a resume, none of the sequence is claimed.

Source: product.md section 2 "Sequences"; architecture.md "Facts, not memories".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.database import Tx, fetch, tx
from domain.plans import load_plan
from domain.refusals import NotFound, SequenceActionNotAvailable
from domain.rules import recipient as rules
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.lifecycle import EndReason
from domain.rules.plan import EMAIL_KINDS, SequenceStatus
from domain.writing import Change, read, write

BATCH: Final = 2_000


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of changing a sequence's status."""

    sequence_id: UUID
    in_flight: int = 0  # messages whose hand-over had begun before the answer


async def activate(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """DRAFT → ACTIVE: the waits of those enrolled start now.

    Raises:
        NotFound
        SequenceActionNotAvailable: not a draft, without steps, or an email step without a mailbox to send from.
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_unless(row, SequenceStatus.DRAFT, "Only a draft can be activated.")
        plan = await load_plan(t, sequence_id)
        if plan.first() is None:
            raise SequenceActionNotAvailable("The sequence has no steps. Add a step first.", row["status"])
        sends = any(step.kind in EMAIL_KINDS and not step.removed for step in plan.steps)
        if sends and not await t.fetchval(
            "SELECT EXISTS (SELECT FROM sequence_mailboxes WHERE workspace_id = $1 AND sequence_id = $2)",
            t.workspace_id,
            sequence_id,
        ):
            raise SequenceActionNotAvailable(
                "The sequence has no mailbox to send from. Choose one first.", row["status"]
            )

    return await _move(workspace_id, sequence_id, SequenceStatus.ACTIVE, "RESUME", check)


async def pause(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """ACTIVE → PAUSED: no hand-over begins after this has answered; the rows of the recipients follow.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_unless(row, SequenceStatus.ACTIVE, "Only an active sequence can be paused.")

    return await _move(workspace_id, sequence_id, SequenceStatus.PAUSED, "PAUSE", check)


async def resume(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """PAUSED → ACTIVE: waits go on with what was left. Recipients paused by hand stay paused; nothing is retried.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_unless(row, SequenceStatus.PAUSED, "Only a paused sequence can be resumed.")

    return await _move(workspace_id, sequence_id, SequenceStatus.ACTIVE, "RESUME", check)


async def archive(workspace_id: UUID, sequence_id: UUID, *, stop_open_recipients: bool = False) -> Moved:
    """Any → ARCHIVED: enrolling is refused from now on.

    Raises:
        NotFound
        SequenceActionNotAvailable: archived already, or it has open recipients and was not told to stop them.
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_in(row, {SequenceStatus.ARCHIVED}, "The sequence is archived already.")
        count = await t.fetchval(
            "SELECT count(*) FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND end_reason IS NULL "
            "AND deleted_at IS NULL",
            t.workspace_id,
            sequence_id,
        )
        if count and not stop_open_recipients:
            raise SequenceActionNotAvailable(
                f"{count} recipients are still open. Stop them with the archiving, or wait until they have ended.",
                row["status"],
                count,
            )

    return await _move(workspace_id, sequence_id, SequenceStatus.ARCHIVED, "STOP", check)


async def unarchive(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """ARCHIVED → PAUSED.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_unless(row, SequenceStatus.ARCHIVED, "Only an archived sequence can be unarchived.")
        if row["settling"]:
            raise SequenceActionNotAvailable(
                "Its recipients are still being stopped. Try again in a moment.", row["status"]
            )

    return await _move(workspace_id, sequence_id, SequenceStatus.PAUSED, "PAUSE", check)


async def settle_batch(workspace_id: UUID, sequence_id: UUID) -> int:
    """Let up to 2,000 recipients follow the last change of their sequence; return how many did. 0 = all have.

    Safe to repeat and to interrupt: what is left is found again by its facts.
    """

    async def work(t: Tx) -> int:
        row = await _settling(t, sequence_id, "FOR SHARE")
        if row is None:
            return 0
        changes = await _unfollowed(t, row)
        await write(t, changes)
        return len(changes)

    settled = await tx(workspace_id, work)
    if settled == 0:
        await tx(workspace_id, lambda t: _mark_settled(t, sequence_id), rings=False)
    return settled


async def unsettled() -> list[tuple[UUID, UUID]]:
    """Return (workspace, sequence) of each sequence whose recipients still have to follow."""
    rows = await fetch(
        "SELECT workspace_id, id FROM sequences WHERE settling IS NOT NULL ORDER BY updated_at LIMIT 100"
    )
    return [(row["workspace_id"], row["id"]) for row in rows]


# $4 is the time of the pause or the resume that is being followed.
_UNSETTLED: Mapping[str, str] = {
    "PAUSE": "(sequence_paused_at IS NULL OR sequence_paused_at < $4)",
    # Held by a pause that is over, or not written since: the clock ran through a pause that the row never followed.
    "RESUME": """(sequence_paused_at IS NOT NULL OR (updated_at < $4 AND paused_at IS NULL
        AND error_id IS NULL AND (pending_id IS NULL OR scheduled_for <= $4)))""",
    "STOP": "$4::timestamptz IS NOT NULL",
}


async def _settling(t: Tx, sequence_id: UUID, lock: str) -> asyncpg.Record | None:
    return await t.fetchrow(
        "SELECT id, settling, paused_at, archived_at, pauses_to_follow FROM sequences "
        f"WHERE workspace_id = $1 AND id = $2 AND settling IS NOT NULL {lock}",
        t.workspace_id,
        sequence_id,
    )


async def _unfollowed(t: Tx, sequence: asyncpg.Record) -> list[Change]:
    """Return the changes by which up to 2,000 recipients follow. Only what changes by it: a row that is as it should
    be ends the settling, it never prolongs it."""
    over = sequence["pauses_to_follow"] or []
    since = {"PAUSE": sequence["paused_at"], "RESUME": over[-1] if over else t.now, "STOP": sequence["archived_at"]}
    found = {
        row["id"]: row
        for row in await t.fetch(
            f"""
            SELECT id, version, updated_at FROM recipients
            WHERE workspace_id = $1 AND sequence_id = $2 AND end_reason IS NULL AND deleted_at IS NULL
                AND {_UNSETTLED[sequence["settling"]]} ORDER BY id LIMIT $3
            """,
            t.workspace_id,
            sequence["id"],
            BATCH,
            since[sequence["settling"]],
        )
    }
    plan = await load_plan(t, sequence["id"])
    pauses = [*zip(over[::2], over[1::2], strict=True)]
    if sequence["settling"] == "PAUSE":
        pauses.append((sequence["paused_at"], None))
    changes = []
    for before in (await read(t, found)).values():
        if before.version != found[before.id]["version"]:
            continue  # it is found again if it still has to follow
        if sequence["settling"] == "STOP":
            after = rules.end(before, plan, EndReason.STOPPED, t.now)
        else:
            after = rules.follow_pauses(before, plan, pauses, found[before.id]["updated_at"])
        if after != before:
            kind = EventType.STATUS_CHANGED if after.status is not before.status else EventType.HOLD_CHANGED
            changes.append(Change(before=before, after=after, type=kind, actor=ENGINE))
    return changes


async def _mark_settled(t: Tx, sequence_id: UUID) -> None:
    row = await _settling(t, sequence_id, "FOR UPDATE")
    if row is not None and not await _unfollowed(t, row):
        await t.execute(
            "UPDATE sequences SET settling = NULL, pauses_to_follow = NULL WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            sequence_id,
        )


async def _move(workspace_id: UUID, sequence_id: UUID, to: SequenceStatus, settling: str, check: Any) -> Moved:
    async def work(t: Tx) -> Moved:
        row = await locked(t, sequence_id)
        await check(t, row)
        await t.execute(
            """
            UPDATE sequences SET status = $3::text, settling = $4::text, updated_at = $5,
                -- a draft is a pause since it was made
                pauses_to_follow = CASE WHEN $4::text = 'RESUME'
                    THEN pauses_to_follow || ARRAY[coalesce(paused_at, created_at), $5::timestamptz]
                    WHEN $4::text = 'PAUSE' THEN pauses_to_follow END,
                paused_at = CASE WHEN $3::text = 'PAUSED' THEN $5::timestamptz END,
                activated_at = CASE WHEN $3::text = 'ACTIVE' THEN coalesce(activated_at, $5) ELSE activated_at END,
                archived_at = CASE WHEN $3::text = 'ARCHIVED' THEN $5::timestamptz END
            WHERE workspace_id = $1 AND id = $2
            """,
            t.workspace_id,
            sequence_id,
            to,
            settling,
            t.now,
        )
        in_flight = await t.fetchval(
            "SELECT count(*) FROM messages WHERE workspace_id = $1 AND sequence_id = $2 AND state = 'HANDING_OVER'",
            t.workspace_id,
            sequence_id,
        )
        return Moved(sequence_id, in_flight)

    moved = await tx(workspace_id, work)
    # The first batch at once, so that a small sequence has settled when the answer arrives; a worker does the rest.
    if await settle_batch(workspace_id, sequence_id) < BATCH:
        await settle_batch(workspace_id, sequence_id)
    return moved


async def locked(t: Tx, sequence_id: UUID) -> asyncpg.Record:
    row = await t.fetchrow(
        "SELECT * FROM sequences WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE", t.workspace_id, sequence_id
    )
    if row is None:
        raise NotFound("sequence", field=["id"])
    return row


def refuse_unless(row: asyncpg.Record, status: SequenceStatus, message: str) -> None:
    if row["status"] != status:
        raise SequenceActionNotAvailable(f"{message} This one is {row['status'].lower()}.", row["status"])


def refuse_in(row: asyncpg.Record, statuses: set[SequenceStatus], message: str) -> None:
    if SequenceStatus(row["status"]) in statuses:
        raise SequenceActionNotAvailable(message, row["status"])
