"""The budget of a key, as clients see it: what it costs, what is left, how a refusal says when to come again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from api.server_parts import ServerParts
from cli.embedded import datadir
from cli.embedded.valkey import Valkey
from domain import keys
from domain.connections import credentials
from domain.keys import NewKey
from domain.settings import Settings
from tests.api.conftest import PATIENCE_SECONDS, Api, Socket, serving

SMALL = {"budget_points": 20_000, "budget_points_per_second": 1}
PAGE = "query ($first: Int!) { recipients(first: $first) { nodes { id } } }"
CHEAP = "{ viewer { scopes } }"
EXPENSIVE = "{ __schema { queryType { name } } }"  # nothing of its 510 points is given back


@asynccontextmanager
async def running(settings: Settings, key: NewKey | None = None) -> AsyncIterator[Api]:
    """A server with these settings; with a workspace and a key of its own where none is given."""
    async with serving(settings) as server:
        process: ServerParts = server.config.app.state.process  # type: ignore[union-attr]
        workspace_id = await keys.create_workspace("Acme")
        key = key or await keys.create(workspace_id, "tests")
        url = f"http://127.0.0.1:{server.config.port}"
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http:
            yield Api(url, process, workspace_id, key, http)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.02)


def _start(valkey: Valkey) -> None:
    valkey.launch()
    valkey.wait_until_ready()


async def settled(*apis: Api) -> None:
    """Wait until each of these processes knows of all the others."""
    await until(lambda: all(not one.process.budgets.alone for one in apis))
    await until(lambda: all(one.process.budgets.processes >= len(apis) for one in apis))


async def spend(api: Api) -> int:
    """Ask until no more is granted; return how many points were."""
    points = 0
    for _ in range(100):
        response = await api.post(EXPENSIVE)
        if response.status_code == 429:
            return points
        points += cost_of(response)["actual"]
    raise AssertionError("endless")


async def refused_for_good(api: Api) -> tuple[int, httpx.Response, dict[str, Any]]:
    """Ask until less is left than is asked for, which comes true once all is settled with Redis.

    Return how many points were granted, that refusal, and what it tells.
    """
    points = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            response = await api.post(EXPENSIVE)
            if response.status_code != 429:
                points += cost_of(response)["actual"]
                continue
            told: dict[str, Any] = response.json()["errors"][0]["extensions"]
            if told["remaining"] < told["requested"]:
                return points, response, told
            await asyncio.sleep(0.05)


def cost_of(response: httpx.Response) -> dict[str, Any]:
    cost: dict[str, Any] = response.json()["extensions"]["cost"]
    return cost


async def test_a_response_says_what_was_asked_for_what_it_took_and_what_is_left(api: Api) -> None:
    await settled(api)
    await api.world(people=3)
    page = cost_of(await api.post(PAGE, {"first": 50}))
    assert (page["requested"], page["actual"]) == (10 + 50, 10 + 3)
    assert page["limit"] == 200_000
    assert page["restoreRate"] == 2_000
    assert page["limit"] - 200 <= page["remaining"] <= page["limit"]
    nested = (
        "{ recipients(first: 5) { edges { node { steps { message { id } } events(first: 4) { nodes { id } } } } } }"
    )
    both = cost_of(await api.post(nested))
    assert both["requested"] == 10 + 5 + 5 * 4
    assert 10 + 3 <= both["actual"] < both["requested"]
    mutation = cost_of(await api.post('mutation { sequenceCreate(input: {name: "X"}) { sequence { id } } }'))
    assert (mutation["requested"], mutation["actual"]) == (20, 20)
    introspection = cost_of(await api.post("{ __schema { queryType { name } } }"))
    assert introspection["requested"] == 510
    asked = await api.ask("{ rateLimit { limit cost remaining restoreRate resetAt } }")
    assert asked["rateLimit"]["cost"] == 10
    assert asked["rateLimit"]["limit"] == 200_000


async def test_a_spent_budget_is_429_with_the_time_to_wait_and_other_keys_go_on(settings: Settings) -> None:
    async with running(replace(settings, **SMALL)) as api:
        await settled(api)
        spent, response, told = await refused_for_good(api)
        assert 20_000 - 510 < spent <= 20_000 + PATIENCE_SECONDS  # a point a second comes back meanwhile
        (error,) = response.json()["errors"]
        assert told["code"] == "RATE_LIMITED"
        assert told["requested"] == 510
        assert told["remaining"] < told["requested"]
        assert told["limit"] == 20_000
        assert response.headers["retry-after"] == str(told["retryAfterSeconds"])
        assert f"Try again in {told['retryAfterSeconds']} seconds" in error["message"]
        async with api.socket() as socket:
            await socket.start(EXPENSIVE)
            message = await socket.message()
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            assert message["payload"][0]["extensions"]["retryAfterSeconds"] >= 1
        other = await keys.create(api.workspace_id, "other")
        assert (await api.post(CHEAP, authorization=f"Bearer {other.secret}")).status_code == 200


async def test_what_is_refused_costs_too_and_more_than_the_budget_is_refused_for_good(settings: Settings) -> None:
    async with running(replace(settings, **SMALL)) as api:
        await settled(api)
        before = cost_of(await api.post(CHEAP))["remaining"]
        await api.post("{ nonsense }")
        assert cost_of(await api.post(CHEAP))["remaining"] in range(before - 60, before - 55)
        deep = "{ recipients(first: 200) { nodes { events(first: 99) { nodes { id } } } } }"
        response = await api.post(deep)
        assert response.status_code == 400
        assert response.json()["errors"][0]["extensions"] == {
            "code": "BAD_USER_INPUT",
            "reason": "LIMIT_EXCEEDED",
            "limit": "cost",
            "found": 10 + 200 + 200 * 99,
            "allowed": 20_000,
        }


async def test_two_processes_grant_one_key_no_more_than_there_is(settings: Settings) -> None:
    small = replace(settings, **SMALL)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(small))
        second = await stack.enter_async_context(running(small, first.key))
        await settled(first, second)
        begun_at = time.monotonic()
        total = 0
        for _ in range(3):  # each time until both have nothing left to grant, and have told each other so
            total += sum(await asyncio.gather(*(spend(one) for one in (first, second))))
            await asyncio.sleep(0.2)
        assert 17_000 < total <= 20_000 + time.monotonic() - begun_at
        left = [one.process.budgets.standing(first.key.id).remaining for one in (first, second)]
        assert max(left) < 3_000


async def test_without_redis_nothing_fails_and_a_quarter_is_granted_until_it_is_back(
    settings: Settings, tmp_path: Path
) -> None:
    valkey = Valkey(datadir.prepare(tmp_path / "redis"), durable=False)
    await asyncio.to_thread(_start, valkey)
    try:
        async with running(replace(settings, redis_url=valkey.url, **SMALL)) as api:
            await settled(api)
            assert cost_of(await api.post(CHEAP))["limit"] == 20_000
            await until(lambda: not any(told.unsettled for told in api.process.budgets.unsettled()))
            for _ in range(20):
                assert (await api.post(EXPENSIVE)).status_code == 200
            await until(lambda: not any(told.unsettled for told in api.process.budgets.unsettled()))
            redis = Redis.from_url(valkey.url)
            await redis.flushall()  # emptied under load: it is told again what it knew
            await redis.aclose()
            await asyncio.sleep(1.2)
            assert cost_of(await api.post(CHEAP))["remaining"] < 10_000
            assert valkey.child is not None
            valkey.child.program.kill()
            valkey.child.program.wait(10)
            await until(lambda: api.process.budgets.alone)
            alone = cost_of(await api.post(CHEAP))
            assert alone["limit"] == 5_000
            assert alone["remaining"] < 2_500
            assert await spend(api) <= alone["remaining"] + 5
            assert (await api.post(EXPENSIVE)).status_code == 429
            await asyncio.to_thread(_start, valkey)
            await until(lambda: not api.process.budgets.alone)
            back = await api.post(CHEAP)
            assert back.status_code == 200
            assert cost_of(back)["limit"] == 20_000
    finally:
        await asyncio.to_thread(valkey.stop)


async def test_a_query_that_takes_too_long_is_stopped(settings: Settings, database_url: str) -> None:
    async with running(replace(settings, query_seconds=1)) as api:
        locking = await asyncpg.connect(**credentials(database_url))
        try:
            async with locking.transaction():
                await locking.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
                response = await api.post("{ users { nodes { id } } }")
            assert response.status_code == 503
            (error,) = response.json()["errors"]
            assert error["extensions"] == {
                "code": "DEADLINE_EXCEEDED",
                "reason": "LIMIT_EXCEEDED",
                "limit": "seconds",
                "found": 1,
                "allowed": 1,
            }
        finally:
            await locking.close()
        assert await api.ask("{ users { nodes { id } } }") == {"users": {"nodes": []}}


@pytest.mark.parametrize("whose", ["key", "process"])
async def test_only_so_many_are_carried_out_and_subscribed_at_once(
    settings: Settings, database_url: str, whose: str
) -> None:
    few = {f"{kind}_per_{whose}": 2 for kind in ("operations", "subscriptions")}
    events = "subscription { recipientEvents { id } }"
    async with running(replace(settings, **few)) as api, api.socket() as raw:
        socket: Socket = raw
        for _ in range(3):
            await socket.start(events)
        refused = (await socket.message())["payload"][0]["extensions"]
        assert (refused["code"], refused["limit"]) == ("RATE_LIMITED", f"subscriptionsPer{whose.title()}")
        assert (refused["found"], refused["allowed"], refused["retryAfterSeconds"]) == (3, 2, 1)
        locking = await asyncpg.connect(**credentials(database_url))
        try:
            async with locking.transaction():
                await locking.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
                slow = [asyncio.create_task(api.post("{ users { nodes { id } } }")) for _ in range(2)]
                await until(lambda: api.process.operations._taken.total() == 2)
                response = await api.post(CHEAP)
            assert response.status_code == 429
            assert response.headers["retry-after"] == "1"
            assert response.json()["errors"][0]["extensions"]["limit"] == f"operationsPer{whose.title()}"
            assert [(await one).status_code for one in slow] == [200, 200]
        finally:
            await locking.close()
        assert (await api.post(CHEAP)).status_code == 200
