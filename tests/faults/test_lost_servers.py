"""Redis emptied and killed, PostgreSQL crashed, while mail leaves. reliability.md R4 and R5."""

import asyncio
import signal
import time
from pathlib import Path
from uuid import UUID

from redis.asyncio import Redis

from cli.embedded import datadir
from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from domain import keys
from domain.database import database, fetch
from domain.migrating import migrate
from domain.rules.actor import Actor, ActorKind
from domain.secrets import Vault
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew, DawdlingServer, dawdling_server
from tests.faults.judging import drained, enrol_people, judge
from workers.main import _tick


async def test_redis_emptied_and_killed_during_sends_costs_nothing(
    database_url: str, workspace_id: UUID, actor: Actor, vault: Vault, tmp_path: Path
) -> None:
    valkey = Valkey(datadir.prepare(tmp_path / "redis"), durable=False)
    await asyncio.to_thread(_start_valkey, valkey)
    crew = Crew(database_url, valkey.url, tmp_path)
    people = 200 * LENGTH
    try:
        async with dawdling_server(0.2) as server:
            await enrol_people(workspace_id, actor, vault, server, people)
            crew.start()
            crew.start()
            for _ in range(3 * LENGTH):
                await _has_more(server, 20)
                async with Redis.from_url(valkey.url) as redis:
                    await redis.flushall()
            for _ in range(LENGTH):
                assert valkey.child is not None
                valkey.child.program.kill()
                valkey.child.program.wait(10)
                await _has_more(server, 30)  # the work goes on without it
                await asyncio.to_thread(_start_valkey, valkey)
            await until(lambda: drained(workspace_id), seconds=40 * LENGTH)
            assert await judge(workspace_id, server) == 0
            assert len(server.mails) == people
        assert len(crew.alive) == 2, crew.logs()
        for worker in crew.alive:
            await worker.finished()
    finally:
        crew.end_all()
        await asyncio.to_thread(valkey.stop)


def _start_valkey(valkey: Valkey) -> None:
    valkey.launch()
    valkey.wait_until_ready()


async def _has_more(server: DawdlingServer, count: int) -> None:
    target = len(server.mails) + count

    async def reached() -> bool:
        return len(server.mails) >= target

    await until(reached)


async def test_arq_wakes_the_loops_each_second_again_after_redis_was_emptied_and_killed(tmp_path: Path) -> None:
    valkey = Valkey(datadir.prepare(tmp_path / "redis"), durable=False)
    await asyncio.to_thread(_start_valkey, valkey)
    wakes: list[float] = []
    stop = asyncio.Event()
    ticking = asyncio.create_task(_tick(valkey.url, lambda: wakes.append(time.monotonic()), stop))

    async def ticks() -> None:
        seen = len(wakes)

        async def two_more() -> bool:
            return len(wakes) >= seen + 2

        await until(two_more, seconds=15)

    try:
        await ticks()
        async with Redis.from_url(valkey.url) as redis:
            await redis.flushall()
        await ticks()
        assert valkey.child is not None
        valkey.child.program.kill()
        valkey.child.program.wait(10)
        await asyncio.sleep(1.5)
        await asyncio.to_thread(_start_valkey, valkey)
        await ticks()
    finally:
        stop.set()
        await asyncio.wait_for(ticking, 10)
        await asyncio.to_thread(valkey.stop)


async def test_postgres_crashing_during_sends_leaves_every_loop_going(tmp_path: Path, redis_url: str) -> None:
    postgres = Postgres(datadir.prepare(tmp_path / "postgres"))
    await asyncio.to_thread(postgres.start)
    crew = Crew(postgres.url, redis_url, tmp_path)
    try:
        await migrate(postgres.url)
        async with database(postgres.url, pool_size=8, pepper=Vault(SECRET_KEY).pepper), dawdling_server(0.1) as server:
            workspace_id = await keys.create_workspace("Crash")
            actor = Actor(ActorKind.API_KEY, (await keys.create(workspace_id, "tests")).id)
            await enrol_people(workspace_id, actor, Vault(SECRET_KEY), server, 150 * LENGTH)
            workers = [crew.start(), crew.start()]
            for _ in range(LENGTH):
                await _has_more(server, 40)
                assert postgres.child is not None
                postgres.child.program.send_signal(signal.SIGQUIT)  # what pg_ctl calls "immediate": a crash
                await asyncio.to_thread(postgres.child.program.wait, 10)
                await asyncio.to_thread(postgres.start)
                restarted = time.monotonic()
                await _has_more(server, 5)
                assert time.monotonic() - restarted < 10
            await until(lambda: drained(workspace_id), seconds=40 * LENGTH)
            unconfirmed = await judge(workspace_id, server)
            assert unconfirmed <= 20 * LENGTH
            # Nothing was left behind: each worker still holds at most its pool and the ring.
            connections = await fetch(
                "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'relance-worker'"
            )
            assert connections[0]["n"] <= 2 * 10
            for worker in workers:
                await worker.finished()
    finally:
        crew.end_all()
        await asyncio.to_thread(postgres.stop)
