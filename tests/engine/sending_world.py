"""The engine's sending taken one move at a time, without a worker: claim, mark, record."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from domain import marking, sending
from domain.claims import Claim
from domain.database import fetch
from domain.delivery import Result, record
from domain.rules.actor import Actor
from domain.rules.outcomes import NotSendable, Outcome
from domain.secrets import Vault
from tests.world import IN_AN_HOUR, World, email, make_world
from workers.composing import composed

KEY = bytes(32)


async def make_one(workspace_id: UUID, actor: Actor, vault: Vault) -> tuple[World, UUID]:
    """One recipient with a mail due now and another an hour after it."""
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(wait=IN_AN_HOUR)])
    return world, world.recipient_ids[0]


async def carry(claims: Sequence[Claim], outcome: Outcome, *, marked: bool = True) -> set[UUID]:
    """Let these claims end so; `marked` says whether the refusal came after the second mark. Return the recorded."""
    results = []
    for claim in claims:
        letter = composed(claim)
        if isinstance(letter, NotSendable):
            results.append(Result(claim.message_id, claim.token, letter))
            continue
        if marked:
            assert await marking.mark([letter.mark]) == {claim.message_id}
        results.append(Result(claim.message_id, claim.token, outcome))
    return await record(claims[0].workspace_id, results) if claims else set()


async def claim_all(slots: int = 50) -> list[Claim]:
    return await sending.claim(slots, KEY, lease=timedelta(seconds=30))


async def set_row(table: str, row_id: UUID, **values: object) -> None:
    """Bring a row about that would take days to come about."""
    pairs = ", ".join(f"{name} = ${n}" for n, name in enumerate(values, start=2))
    await fetch(f"WITH u AS (UPDATE {table} SET {pairs} WHERE id = $1 RETURNING 1) SELECT 1", row_id, *values.values())


async def advance(workspace_id: UUID, span: timedelta) -> None:
    """Move the workspace's clock on."""
    await fetch(
        "WITH u AS (UPDATE workspaces SET clock_offset_seconds = clock_offset_seconds + $2 WHERE id = $1 RETURNING 1) "
        "SELECT 1",
        workspace_id,
        int(span.total_seconds()),
    )


async def open_error(recipient_id: UUID) -> asyncpg.Record:
    return (await fetch("SELECT * FROM step_errors WHERE recipient_id = $1 AND resolved_at IS NULL", recipient_id))[0]


async def messages_of(recipient_id: UUID) -> list[asyncpg.Record]:
    return await fetch("SELECT * FROM messages WHERE recipient_id = $1 ORDER BY created_at, id", recipient_id)
