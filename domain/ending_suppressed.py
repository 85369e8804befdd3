"""Ending the open recipients that a suppression is about, in bounded batches; whoever is left, a worker ends.

Source: product.md section 2 "What the world does to a recipient".
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from domain.changes import Change
from domain.database import Tx, fetch, tx
from domain.plans import load_plans
from domain.rules import moves
from domain.rules.actor import Actor, ActorKind
from domain.rules.event_types import EventType
from domain.rules.lifecycle import Signal, effect_of
from domain.rules.suppressed import SuppressionKind
from domain.suppression import Entry
from domain.writing import read, write

BATCH: Final = 500

# The contacts `c` that an entry of kind $2 and value $3 is about, each by an index of its own. Erased ones have no
# open recipients. A domain is compared backwards, so that it and all below it stand together.
_CONCERNED: Final = """
    SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND $2 = 'CONTACT' AND c.id::text = $3
    UNION SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND $2 = 'ADDRESS' AND c.email_key = $3
    UNION SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND $2 = 'PHONE' AND c.phone_key = $3
    UNION SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND $2 = 'ERASED' AND c.email_hash = $3
    UNION SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND $2 = 'ERASED' AND c.phone_hash = $3
    UNION SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND $2 = 'DOMAIN'
        AND (reverse(split_part(c.email_key, '@', 2)) = reverse($3)
            OR reverse(split_part(c.email_key, '@', 2)) LIKE reverse($3) || '.%')
"""


async def unsettled() -> list[tuple[UUID, UUID]]:
    """Return suppressions, as (workspace, id), whose recipients have not all been ended yet."""
    rows = await fetch("SELECT workspace_id, id FROM suppressions WHERE settling ORDER BY id LIMIT 20")
    return [(row["workspace_id"], row["id"]) for row in rows]


async def settle_batch(workspace_id: UUID, suppression_id: UUID) -> tuple[int, int, bool]:
    """End the next open recipients that a suppression is about: how many, messages in flight, and whether more wait."""

    async def work(t: Tx) -> tuple[int, int, bool]:
        row = await t.fetchrow(
            "SELECT kind, value, created_by_kind, created_by_id FROM suppressions "
            "WHERE workspace_id = $1 AND id = $2 AND settling AND lifted_at IS NULL",
            t.workspace_id,
            suppression_id,
        )
        if row is None:
            return 0, 0, False
        entry = Entry(SuppressionKind(row["kind"]), row["value"])
        actor = Actor(ActorKind(row["created_by_kind"]), row["created_by_id"])
        return await end_next(t, suppression_id, entry, actor)

    return await tx(workspace_id, work)


async def end_next(t: Tx, suppression_id: UUID, entry: Entry, actor: Actor) -> tuple[int, int, bool]:
    """End up to a batch of the open recipients concerned, and note whether more wait; return how many ended, messages
    in flight, and whether more wait."""
    rows = await t.fetch(
        f"""
        SELECT r.id FROM recipients r
        WHERE r.workspace_id = $1 AND r.end_reason IS NULL AND r.deleted_at IS NULL AND r.contact_id IN ({_CONCERNED})
        ORDER BY r.id LIMIT $4
        """,
        t.workspace_id,
        entry.kind,
        entry.value,
        BATCH + 1,
    )
    found = [row["id"] for row in rows[:BATCH]]
    ended = await _end(t, found, actor)
    in_flight = await t.fetchval(
        "SELECT count(*) FROM messages WHERE workspace_id = $1 AND recipient_id = ANY($2::uuid[]) "
        "AND state = 'HANDING_OVER'",
        t.workspace_id,
        found,
    )
    more = len(rows) > BATCH
    await t.execute(
        "UPDATE suppressions SET settling = $3 WHERE workspace_id = $1 AND id = $2 AND settling <> $3",
        t.workspace_id,
        suppression_id,
        more,
    )
    return ended, in_flight, more


async def _end(t: Tx, recipient_ids: Sequence[UUID], actor: Actor) -> int:
    """End these recipients as the signal table says of a suppression from elsewhere; return how many ended."""
    count, waiting = 0, list(recipient_ids)
    while waiting:
        recipients = await read(t, waiting)
        plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
        changes = []
        for before in recipients.values():
            reason = effect_of(Signal.SUPPRESSION_ELSEWHERE, before.status).end_reason
            if reason is not None:
                after = moves.end(before, plans[before.sequence_id], reason, t.now)
                changes.append(Change(before=before, after=after, type=EventType.STATUS_CHANGED, actor=actor))
        written = await write(t, changes)
        count += len(written)
        waiting = [change.before.id for change in changes if change.before.id not in written]
    return count
