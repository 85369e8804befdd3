"""A worker that is told to stop finishes what is past its second mark, however slow the mail server."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain import unconfirmed
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.engine.conftest import until
from tests.faults.crew import dawdling_server
from tests.workers.smtp_servers import ScriptedServer
from tests.world import email, make_world
from workers.main import run


class SlowServer(ScriptedServer):
    """Takes its time after the dot."""

    async def _act(self, key: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if key == "DOT":
            await asyncio.sleep(3.5)
        return await super()._act(key, number, reader, writer)


async def test_the_lease_of_what_is_finished_after_the_stop_is_renewed(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings
) -> None:
    server, stop = SlowServer(), asyncio.Event()
    async with server.running() as port:
        await make_world(workspace_id, actor, vault, steps=[email()], port=port)
        worker = asyncio.create_task(run(replace(settings, lease_seconds=2), stop))

        async def written() -> bool:
            return bool(server.payloads)

        await until(written)
        stop.set()
        stopped_at = datetime.now(UTC)
        while not worker.done():
            assert await unconfirmed.give_up_lost_hand_overs() == 0
            await asyncio.sleep(0.2)
            assert datetime.now(UTC) - stopped_at < timedelta(seconds=20)
        await worker
    assert [row["state"] for row in await fetch("SELECT state FROM messages")] == ["SENT"]


async def test_a_worker_that_is_hurried_shows_what_is_not_answered_as_unconfirmed(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings
) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    async with dawdling_server(240) as server:
        await make_world(workspace_id, actor, vault, steps=[email()], port=server.port)
        worker = asyncio.create_task(run(replace(settings, stop_seconds=900), stop, hurry=hurry))

        async def begun() -> bool:
            return bool(await fetch("SELECT FROM messages WHERE state = 'HANDING_OVER'"))

        await until(begun)
        stop.set()
        hurry.set()
        await asyncio.wait_for(worker, 60)
    assert [row["state"] for row in await fetch("SELECT state FROM messages")] == ["UNCONFIRMED"]
