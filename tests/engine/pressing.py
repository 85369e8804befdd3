"""Many who pause and resume at random, some of them slowly, some in vain: what fills a feed. reliability.md R11."""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

from domain.changes import Change
from domain.database import Tx, tx
from domain.plans import load_plan
from domain.rules import holds
from domain.rules.actor import Actor
from domain.rules.event_types import EventType
from domain.writing import read, write


class _Rollback(Exception):
    pass


async def write_many(workspace_id: UUID, actor: Actor, ids: Sequence[UUID], chance: random.Random, count: int) -> int:
    """Pause and resume recipients in turn, sometimes slowly, sometimes in vain; return how many changes held."""
    held = 0
    for _ in range(count):
        recipient_id = chance.choice(ids)
        slow, vain = chance.random() < 0.05, chance.random() < 0.05

        async def work(t: Tx, one: UUID = recipient_id, slow: bool = slow, vain: bool = vain) -> int:
            before = (await read(t, [one]))[one]
            plan = await load_plan(t, before.sequence_id)
            after = holds.resume(before, plan, t.now) if before.held else holds.pause(before, plan, t.now)
            change = Change(before=before, after=after, type=EventType.STATUS_CHANGED, actor=actor)
            written = await write(t, [change])
            if slow:
                await asyncio.sleep(0.03)
            if vain:
                raise _Rollback
            return len(written)

        try:
            held += await tx(workspace_id, work)
        except _Rollback:
            continue
    return held
