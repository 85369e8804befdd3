"""Pause, stop, delete, opt-out and suppression at random while mail leaves: nothing begins after the answer.
reliability.md R9.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

from domain import recipients, signals
from domain.database import fetch
from domain.refusals import ActionNotAvailable
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.secrets import Vault
from tests.engine.conftest import until
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew, DawdlingServer, dawdling_server
from tests.faults.judging import drained, enrol_people, judge


async def test_no_message_begins_after_a_pause_stop_delete_or_opt_out_was_answered(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)

    async def opt_out(recipient_id: UUID) -> None:
        fact = Fact(signal=Signal.OPT_OUT, recipient_id=recipient_id, actor=ENGINE)
        await signals.apply(workspace_id, fact)

    gates: list[Callable[[UUID], Awaitable[object]]] = [
        lambda one: recipients.pause(workspace_id, actor, one),
        lambda one: recipients.stop(workspace_id, actor, one),
        lambda one: recipients.delete(workspace_id, actor, one),
        opt_out,
    ]
    begun_at_the_answer: dict[UUID, set[str]] = {}
    refused = 0
    async with dawdling_server(0.02) as server:
        await enrol_people(workspace_id, actor, vault, server, 250 * LENGTH)
        ids = [row["id"] for row in await fetch("SELECT id FROM recipients WHERE workspace_id = $1", workspace_id)]
        crew.start()
        crew.start()
        await until(lambda: _any(server))
        for recipient_id in chance.sample(ids, len(ids) * 3 // 4):
            try:
                answer = await chance.choice(gates)(recipient_id)
            except ActionNotAvailable:
                refused += 1  # it has completed already
                continue
            begun = await _begun(recipient_id)
            begun_at_the_answer[recipient_id] = {row["rfc_message_id"] for row in begun}
            if isinstance(answer, recipients.Acted):
                assert answer.in_flight <= len(begun)
            await asyncio.sleep(0.002)
        await until(lambda: drained(workspace_id), seconds=30 * LENGTH)
        await asyncio.sleep(0.3)
        for recipient_id, begun_then in begun_at_the_answer.items():
            assert {row["rfc_message_id"] for row in await _begun(recipient_id)} == begun_then
        gated = await fetch(
            "SELECT rfc_message_id FROM messages WHERE recipient_id = ANY($1::uuid[])", list(begun_at_the_answer)
        )
        allowed = set().union(*begun_at_the_answer.values())
        taken = server.by_message_id.keys() & {row["rfc_message_id"] for row in gated}
        assert taken <= allowed
        assert await judge(workspace_id, server) == 0
    print(f"{len(begun_at_the_answer)} gates, {len(allowed)} messages had begun before, {refused} came too late")
    assert len(begun_at_the_answer) > len(allowed)


async def _any(server: DawdlingServer) -> bool:
    return bool(server.mails)


async def _begun(recipient_id: UUID) -> list[asyncpg.Record]:
    return await fetch(
        "SELECT rfc_message_id FROM messages WHERE recipient_id = $1 AND marked_at IS NOT NULL", recipient_id
    )
