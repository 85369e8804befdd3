"""Erasing a person: everything that says who it was goes, the counts stay, and an opt-out outlives it as a keyed hash.

The contact stays as an empty row with the keyed hashes of its address and number, so that what was sent and what came
of it is still counted, a late report or an opt-out link is still taken in, and the suppression list knows the person
again. What comes in afterwards is recorded as a fact, without its words: whoever writes about a person calls
`keep_erased` at the end of the same transaction.

Source: product.md section 5; reliability.md 2.31, R26.
"""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from domain.changes import Change
from domain.database import Tx, tx
from domain.plans import load_plans
from domain.refusals import NotFound
from domain.rules import moves
from domain.rules.actor import ENGINE, Actor
from domain.rules.event_types import EventType
from domain.rules.lifecycle import EndReason
from domain.rules.personal_columns import OWNED_BY, PERSONAL
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.suppression import Entry, suppress
from domain.writing import read, write


@dataclass(frozen=True, slots=True)
class Erased:
    """What came of it."""

    stopped: int  # open recipients
    in_flight: int  # messages whose hand-over had begun before the answer


async def erase(workspace_id: UUID, actor: Actor, contact_id: UUID) -> Erased:
    """Erase a person, in one transaction.

    Raises:
        NotFound: there is no such contact, or it was erased already.
    """

    async def work(t: Tx) -> Erased:
        recipients = await t.fetch(
            "SELECT id FROM recipients WHERE workspace_id = $1 AND contact_id = $2 ORDER BY id FOR NO KEY UPDATE",
            t.workspace_id,
            contact_id,
        )
        contact = await t.fetchrow(
            "SELECT * FROM contacts WHERE workspace_id = $1 AND id = $2 AND erased_at IS NULL FOR UPDATE",
            t.workspace_id,
            contact_id,
        )
        if contact is None:
            raise NotFound("contact", field=["id"])
        stopped = await _stop(t, [row["id"] for row in recipients], actor)
        in_flight = await t.fetchval(
            "SELECT count(*) FROM messages WHERE workspace_id = $1 AND contact_id = $2 AND state = 'HANDING_OVER'",
            t.workspace_id,
            contact_id,
        )
        await _clear(t, contact, actor)
        await t.execute(
            "UPDATE contacts SET erased_at = $3, updated_at = $3 WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            contact_id,
            t.now,
        )
        return Erased(stopped, in_flight)

    return await tx(workspace_id, work)


async def keep_erased(t: Tx, contact_id: UUID) -> None:
    """Clear what this transaction has written about a person who is erased; nothing for anyone else."""
    contact = await t.fetchrow(
        "SELECT * FROM contacts WHERE workspace_id = $1 AND id = $2 AND erased_at IS NOT NULL FOR UPDATE",
        t.workspace_id,
        contact_id,
    )
    if contact is not None:
        await _clear(t, contact, ENGINE)


async def _clear(t: Tx, contact: asyncpg.Record, actor: Actor) -> None:
    await _keep_hashes(t, contact, actor)
    for table, columns in PERSONAL.items():
        cleared = ", ".join(f'"{name}" = {left}' for name, left in columns.items())
        await t.execute(
            f"UPDATE {table} SET {cleared} WHERE workspace_id = $1 AND {OWNED_BY[table]}",
            t.workspace_id,
            contact["id"],
        )


async def _stop(t: Tx, recipient_ids: list[UUID], actor: Actor) -> int:
    """Stop what is open; return how many. The rows are locked, so that none of them moves meanwhile."""
    recipients = await read(t, recipient_ids)
    plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
    changes = [
        Change(
            before=before,
            after=moves.end(before, plans[before.sequence_id], EndReason.STOPPED, t.now),
            type=EventType.STATUS_CHANGED,
            actor=actor,
        )
        for before in recipients.values()
        if not before.ended
    ]
    return len(await write(t, changes))


async def _keep_hashes(t: Tx, contact: asyncpg.Record, actor: Actor) -> None:
    """Replace what says the person's addresses and numbers in the suppression list by their keyed hashes."""
    plain = await t.fetch(
        """
        SELECT s.id, s.value FROM suppressions s WHERE s.workspace_id = $1
            AND ((s.kind = 'ADDRESS' AND s.value = $3) OR (s.kind = 'PHONE' AND s.value = $4)
                OR (s.kind IN ('ADDRESS', 'PHONE') AND s.recipient_id IN (
                    SELECT r.id FROM recipients r WHERE r.workspace_id = $1 AND r.contact_id = $2)))
        """,
        t.workspace_id,
        contact["id"],
        contact["email_key"],
        contact["phone_key"],
    )
    for row in plain:
        kept = await t.fetchval(
            "UPDATE suppressions s SET kind = 'ERASED', value = $3, note = NULL WHERE s.workspace_id = $1 "
            "AND s.id = $2 AND (s.lifted_at IS NOT NULL OR NOT EXISTS (SELECT FROM suppressions o "
            "WHERE o.workspace_id = $1 AND o.kind = 'ERASED' AND o.value = $3 AND o.lifted_at IS NULL "
            "AND (o.reason, o.source) = (s.reason, s.source) AND o.message_id IS NOT DISTINCT FROM s.message_id "
            "AND o.recipient_id IS NOT DISTINCT FROM s.recipient_id)) RETURNING s.id",
            t.workspace_id,
            row["id"],
            t.hashed(row["value"]),
        )
        if kept is None:  # on the same ground for another erased person: one entry is enough
            await t.execute("DELETE FROM suppressions WHERE workspace_id = $1 AND id = $2", t.workspace_id, row["id"])
    grounds = await t.fetch(
        "SELECT reason, source, recipient_id, message_id FROM suppressions "
        "WHERE workspace_id = $1 AND contact_id = $2 AND lifted_at IS NULL",
        t.workspace_id,
        contact["id"],
    )
    hashes = [value for name in ("email_hash", "phone_hash") if (value := contact[name]) is not None]
    for bound in grounds if hashes else ():
        await suppress(
            t,
            [Entry(SuppressionKind.ERASED, value) for value in hashes],
            reason=SuppressionReason(bound["reason"]),
            source=SuppressionSource(bound["source"]),
            actor=actor,
            recipient_id=bound["recipient_id"],
            message_id=bound["message_id"],
        )
