"""Moving sequences between DRAFT, ACTIVE, PAUSED and ARCHIVED. What stands in them is written in authoring.py.

A pause is immediate at any size: `paused_at` on the sequence is a gate before every hand-over from the moment it is
committed. The rows of its recipients follow in batches (settling.py), through the one writer, each with the times at
which the pauses were answered and lifted. While rows still follow a resume, none of the sequence is claimed.

Source: product.md section 2 "Sequences"; architecture.md "Facts, not memories".
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.database import Tx, tx
from domain.plans import load_plan
from domain.refusals import NotFound, SequenceActionNotAvailable
from domain.rules.plan import Plan, SequenceStatus, channels_of
from domain.settling import settle_small

_SENDS_FROM: Final = {"EMAIL": "mailbox to send from", "SMS": "number to send text messages from"}


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of changing a sequence's status."""

    sequence_id: UUID
    in_flight: int = 0  # messages whose hand-over had begun before the answer


async def activate(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """DRAFT → ACTIVE: the waits of those enrolled start now.

    Raises:
        NotFound
        SequenceActionNotAvailable: not a draft, without steps, or a step that sends without a mailbox to send from.
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_unless(row, SequenceStatus.DRAFT, "Only a draft can be activated.")
        lack = await what_lacks(t, sequence_id, await load_plan(t, sequence_id))
        if lack is not None:
            raise SequenceActionNotAvailable(lack, row["status"], lacking=sequence_id)

    return await _move(workspace_id, sequence_id, SequenceStatus.ACTIVE, check)


async def what_lacks(t: Tx, sequence_id: UUID, plan: Plan) -> str | None:
    """Return what a draft lacks to be activated, in one sentence; None when it can be."""
    if plan.first() is None:
        return "The sequence has no steps. Add a step first."
    there = await t.fetch(
        "SELECT DISTINCT m.channel FROM sequence_mailboxes l JOIN mailboxes m ON m.workspace_id = l.workspace_id "
        "AND m.id = l.mailbox_id WHERE l.workspace_id = $1 AND l.sequence_id = $2",
        t.workspace_id,
        sequence_id,
    )
    for channel in channels_of(step.kind for step in plan.steps if not step.removed):
        if channel not in {row["channel"] for row in there}:
            return f"The sequence has no {_SENDS_FROM[channel]}. Choose one first."
    return None


async def pause(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """ACTIVE → PAUSED: no hand-over begins after this has answered; the rows of the recipients follow.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_unless(row, SequenceStatus.ACTIVE, "Only an active sequence can be paused.")

    return await _move(workspace_id, sequence_id, SequenceStatus.PAUSED, check)


async def resume(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """PAUSED → ACTIVE: waits go on with what was left. Recipients paused by hand stay paused; nothing is retried.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        refuse_unless(row, SequenceStatus.PAUSED, "Only a paused sequence can be resumed.")

    return await _move(workspace_id, sequence_id, SequenceStatus.ACTIVE, check)


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

    return await _move(workspace_id, sequence_id, SequenceStatus.ARCHIVED, check)


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

    return await _move(workspace_id, sequence_id, SequenceStatus.PAUSED, check)


async def _move(workspace_id: UUID, sequence_id: UUID, to: SequenceStatus, check: Any) -> Moved:
    async def work(t: Tx) -> Moved:
        row = await locked(t, sequence_id)
        await check(t, row)
        await t.execute(
            """
            UPDATE sequences SET status = $3::text, settling = true, updated_at = $4,
                -- a draft is a pause since it was made
                pauses_to_follow = CASE WHEN $3::text = 'ACTIVE'
                    THEN pauses_to_follow || ARRAY[coalesce(paused_at, created_at), $4::timestamptz]
                    WHEN $3::text = 'PAUSED' THEN pauses_to_follow END,
                paused_at = CASE WHEN $3::text = 'PAUSED' THEN $4::timestamptz END,
                activated_at = CASE WHEN $3::text = 'ACTIVE' THEN coalesce(activated_at, $4) ELSE activated_at END,
                archived_at = CASE WHEN $3::text = 'ARCHIVED' THEN $4::timestamptz END
            WHERE workspace_id = $1 AND id = $2
            """,
            t.workspace_id,
            sequence_id,
            to,
            t.now,
        )
        in_flight = await t.fetchval(
            "SELECT count(*) FROM messages WHERE workspace_id = $1 AND sequence_id = $2 AND state = 'HANDING_OVER'",
            t.workspace_id,
            sequence_id,
        )
        return Moved(sequence_id, in_flight)

    moved = await tx(workspace_id, work)
    await settle_small(workspace_id, sequence_id)
    return moved


async def locked(t: Tx, sequence_id: UUID, *, field: str = "id") -> asyncpg.Record:
    row = await t.fetchrow(
        "SELECT * FROM sequences WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE", t.workspace_id, sequence_id
    )
    if row is None:
        raise NotFound("sequence", field=[field])
    return row


def refuse_unless(row: asyncpg.Record, status: SequenceStatus, message: str) -> None:
    if row["status"] != status:
        raise SequenceActionNotAvailable(f"{message} This one is {row['status'].lower()}.", row["status"])


def refuse_in(row: asyncpg.Record, statuses: set[SequenceStatus], message: str) -> None:
    if SequenceStatus(row["status"]) in statuses:
        raise SequenceActionNotAvailable(message, row["status"])
