"""The protocol graphql-transport-ws: keys, close codes, operations that end."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
import websockets

from api.websocket import OPERATIONS_AT_MOST
from domain import feed, keys, recipients
from domain.connections import credentials
from tests.api.conftest import Api
from tests.conftest import Servers

EVENTS = "subscription ($after: String) { recipientEvents(after: $after) { id status } }"


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


async def test_a_revoked_key_closes_its_sockets_within_seconds(api: Api) -> None:
    async with api.socket() as socket:
        await socket.start(EVENTS, {})
        await keys.revoke(api.key.secret)
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
