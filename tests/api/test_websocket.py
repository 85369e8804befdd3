"""The protocol graphql-transport-ws: keys, close codes, operations that end."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from api.server_parts import ServerParts
from api.websocket import OPERATIONS_AT_MOST
from domain import feed, keys, recipients
from domain.connections import credentials
from domain.settings import Settings
from tests.api.conftest import Api, Socket, serving
from tests.conftest import Servers

INIT: dict[str, Any] = {"type": "connection_init"}
SUBSCRIBE: dict[str, Any] = {
    "id": "1",
    "type": "subscribe",
    "payload": {"query": "subscription { recipientEvents { id } }"},
}
EVENTS = "subscription ($after: String) { recipientEvents(after: $after) { id status } }"


async def _closed(raw: ClientConnection) -> int:
    """The code with which the server closes, whatever it says before."""
    with suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(10):
            async for _ in raw:
                pass
    assert raw.close_code is not None
    return raw.close_code


async def test_broken_documents_do_not_close_the_socket(api: Api) -> None:
    async with api.socket() as socket:
        for document, code in (("{", "GRAPHQL_PARSE_FAILED"), ("{ nothing }", "GRAPHQL_VALIDATION_FAILED")):
            await socket.start(document)
            message = await socket.message()
            assert message["payload"][0]["extensions"]["code"] == code
        await socket.start("{ __typename }")
        assert (await socket.message())["payload"]["data"] == {"__typename": "Query"}
        assert (await socket.message())["type"] == "complete"


async def test_mutations_work_over_the_socket_too(api: Api) -> None:
    async with api.socket() as socket:
        await socket.start('mutation { sequenceCreate(input: {name: "X"}) { sequence { name } } }')
        message = await socket.message()
        assert message["payload"]["data"] == {"sequenceCreate": {"sequence": {"name": "X"}}}


@pytest.mark.parametrize("payload", [{}, {"Authorization": "Bearer rel_wrong"}, {"apiKey": 5}])
async def test_a_wrong_key_closes_the_socket(api: Api, payload: dict[str, Any]) -> None:
    async with api.raw_socket() as raw:
        await raw.send(json.dumps({"type": "connection_init", "payload": payload}))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(raw.recv(), 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


@pytest.mark.parametrize("name", ["Authorization", "authorization", "apiKey"])
async def test_the_key_may_come_in_three_ways(api: Api, name: str) -> None:
    secret = api.key.secret if name == "apiKey" else f"Bearer {api.key.secret}"
    async with api.socket(**{name: secret}) as socket:
        await socket.start("{ __typename }")
        assert (await socket.message())["type"] == "next"


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_key_that_has_ended_closes_its_sockets_within_seconds(api: Api, end: str) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1) if end == "expired" else None
    key = await keys.create(api.workspace_id, "ending", expires_at=expires_at)
    async with api.socket(apiKey=key.secret) as socket:
        await socket.start(EVENTS, {})
        if end == "revoked":
            await keys.revoke(key.secret)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(socket.message(), 12)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", 4400),
        ("[]", 4400),
        ('{"type": 5}', 4400),
        ('{"type": "nothing"}', 4400),
        ('{"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}', 4401),
        ('{"id": 1, "type": "subscribe", "payload": "x"}', 4400),
    ],
)
async def test_a_message_against_the_protocol_closes_with_its_code(api: Api, message: str, code: int) -> None:
    async with api.raw_socket() as raw:
        await raw.send(message)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(raw.recv(), 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([INIT, INIT], 4429),
        ([INIT, SUBSCRIBE, SUBSCRIBE], 4409),
    ],
)
async def test_what_may_be_said_once_closes_the_socket_when_it_is_said_twice(
    api: Api, messages: list[dict[str, Any]], code: int
) -> None:
    async with api.raw_socket() as raw:
        for message in messages:
            if message is INIT:
                message = INIT | {"payload": {"apiKey": api.key.secret}}
            await raw.send(json.dumps(message))
            if message["type"] == "connection_init" and messages.count(INIT) == 1:
                await asyncio.wait_for(raw.recv(), 10)
        assert await _closed(raw) == code


async def test_whoever_says_nothing_at_first_is_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.websocket.INIT_TIMEOUT", timedelta(seconds=0.1))
    async with serving(settings) as running:
        address = f"ws://127.0.0.1:{running.config.port}/graphql"
        async with websockets.connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as raw:
            assert await _closed(raw) == 4408


async def test_a_server_that_ends_finishes_what_a_socket_asked_for_and_says_come_again(
    api: Api, settings: Settings, database_url: str
) -> None:
    outside = await asyncpg.connect(**credentials(database_url))
    async with serving(settings) as running:
        address = f"ws://127.0.0.1:{running.config.port}/graphql"
        async with websockets.connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as raw:
            await raw.send(json.dumps(INIT | {"payload": {"apiKey": api.key.secret}}))
            await asyncio.wait_for(raw.recv(), 10)
            socket = Socket(raw)
            held = outside.transaction()
            await held.start()
            await outside.execute("LOCK TABLE sequences IN EXCLUSIVE MODE")
            try:
                await socket.start('mutation { sequenceCreate(input: {name: "Last"}) { sequence { name } } }')
                process: ServerParts = running.config.app.state.process  # type: ignore[union-attr]
                for _ in range(500):
                    if process.answering:
                        break
                    await asyncio.sleep(0.01)
                assert process.answering
                running.should_exit = True
                await asyncio.sleep(0.5)
            finally:
                await held.rollback()
            answered = await socket.message()
            assert answered["payload"]["data"] == {"sequenceCreate": {"sequence": {"name": "Last"}}}
            assert await _closed(raw) == 1012  # which graphql-ws takes for a reason to connect again
    await outside.close()


async def test_an_operation_the_client_completes_is_over_and_its_id_is_free_again(api: Api) -> None:
    world = await api.world()
    await feed.number()
    after = (await feed.state(api.workspace_id)).cursor
    async with api.socket() as socket:
        id = await socket.start(EVENTS, {"after": after})
        await socket.raw.send(json.dumps({"id": id, "type": "complete"}))
        payload = {"query": EVENTS, "variables": {"after": after}}
        await socket.raw.send(json.dumps({"id": id, "type": "subscribe", "payload": payload}))
        await recipients.pause(api.workspace_id, api.actor, world.recipient_ids[0])
        assert len(await socket.events(1)) == 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.message(), 0.5)


async def test_a_database_that_is_gone_for_a_moment_asks_the_client_to_come_again(
    api: Api, servers: Servers, database_url: str
) -> None:
    name = database_url.rpartition("/")[2]
    outside = await asyncpg.connect(**credentials(servers.database_url))
    await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await outside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    try:
        async with api.raw_socket() as raw:
            await raw.send(json.dumps({"type": "connection_init", "payload": {"apiKey": "rel_x_y"}}))
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(raw.recv(), 10)
    finally:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await outside.close()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


async def test_the_old_protocol_is_not_spoken(api: Api) -> None:
    async with api.raw_socket("graphql-transport-ws-not") as raw:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(raw.recv(), 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4406


async def test_pages_of_other_origins_are_refused_a_socket(api: Api) -> None:
    with pytest.raises(websockets.InvalidStatus):
        async with api.raw_socket(origin="https://evil.example"):
            pass
    async with api.raw_socket(origin="https://app.example"):
        pass


async def test_one_operation_too_many_is_told_how_many_are_allowed_and_the_others_go_on(api: Api) -> None:
    async with api.socket() as socket:
        for _ in range(OPERATIONS_AT_MOST):
            await socket.start("subscription { recipientEvents { id } }")
        one_more = await socket.start("{ viewer { actor { name } } }")
        told = await socket.message()
        assert (told["id"], told["type"]) == (one_more, "error")
        (error,) = told["payload"]
        assert error["extensions"].pop("requestId").startswith("req_")
        assert error["extensions"] == {
            "code": "BAD_REQUEST",
            "reason": "TOO_MANY_OPERATIONS",
            "allowed": OPERATIONS_AT_MOST,
        }
        assert "Complete one first" in error["message"]
        await socket.raw.send(json.dumps({"id": "1", "type": "complete"}))
        await socket.start("{ __typename }")
        assert (await socket.message())["type"] == "next"
