"""Recipients brought into any status through the verbs alone."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from domain import pending, recipients, signals
from domain.database import fetch
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal, Status
from domain.secrets import Vault
from tests.world import IN_AN_HOUR, World, email, make_world, task

# Long waits keep every recipient where it was put; the task comes due at once when it is reached.
STEPS = [email(wait=IN_AN_HOUR), email(wait=IN_AN_HOUR), task(), email(wait=IN_AN_HOUR)]

_SIGNALLED = {
    Status.ERROR: Signal.DELIVERY_FAILED,
    Status.BOUNCED: Signal.HARD_BOUNCE,
    Status.REPLIED: Signal.HUMAN_REPLY,
    Status.UNSUBSCRIBED: Signal.OPT_OUT,
}
_SKIPPED_BEFORE = {Status.IN_PROGRESS: 1, Status.PENDING_ACTION: 2, Status.COMPLETED: 4}


async def make_standing(
    workspace_id: UUID, actor: Actor, vault: Vault, each: int
) -> tuple[World, dict[Status, list[UUID]]]:
    """Return a world and `each` recipients of every status."""
    world = await make_world(workspace_id, actor, vault, steps=STEPS, people=each * len(Status))
    standing = {
        status: list(world.recipient_ids[number * each : (number + 1) * each]) for number, status in enumerate(Status)
    }
    for status, ids in standing.items():
        for recipient_id in ids:
            await _bring(world, actor, recipient_id, status)
    await pending.put_due_before_people(limit=10_000)
    found = await fetch("SELECT id, status FROM recipients WHERE workspace_id = $1", workspace_id)
    assert {row["id"]: row["status"] for row in found} == {
        recipient_id: status for status, ids in standing.items() for recipient_id in ids
    }
    return world, standing


async def _bring(world: World, actor: Actor, recipient_id: UUID, status: Status) -> None:
    for step_id in world.step_ids[: _SKIPPED_BEFORE.get(status, 0)]:
        await recipients.skip_step(world.workspace_id, actor, recipient_id, step_id)
    if status is Status.PAUSED:
        await recipients.pause(world.workspace_id, actor, recipient_id)
    elif status is Status.STOPPED:
        await recipients.stop(world.workspace_id, actor, recipient_id)
    elif status in _SIGNALLED:
        fact = Fact(signal=_SIGNALLED[status], recipient_id=recipient_id, actor=ENGINE)
        await signals.apply(world.workspace_id, fact)


async def row_of(recipient_id: UUID) -> asyncpg.Record:
    return (await fetch("SELECT * FROM recipients WHERE id = $1", recipient_id))[0]


async def events_of(recipient_id: UUID) -> Sequence[asyncpg.Record]:
    return await fetch("SELECT * FROM events WHERE recipient_id = $1 ORDER BY version", recipient_id)


async def picture_of(recipient_id: UUID) -> list[object]:
    """All that hangs on a recipient, for "nothing has changed"."""
    return [
        [tuple(row) for row in await fetch(f"SELECT * FROM {table} WHERE {column} = $1 ORDER BY 1, 2, 3", recipient_id)]
        for table, column in (
            ("recipients", "id"),
            ("events", "recipient_id"),
            ("recipient_steps", "recipient_id"),
            ("step_errors", "recipient_id"),
            ("pending_actions", "recipient_id"),
            ("messages", "recipient_id"),
        )
    ]
