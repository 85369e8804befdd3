"""Server-Sent Events: who gets a stream, what it says, and how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.server_parts import ServerParts
from domain import feed, keys, recipients
from domain.settings import Settings
from tests.api.conftest import PATIENCE_SECONDS, Api, serving

STREAM = "text/event-stream"
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)
EVENTS = "subscription ($after: String) { recipientEvents(after: $after) { status } }"


def _parsed(text: str) -> list[tuple[str, Any]]:
    """The events of a stream as (name, JSON); comments are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            told = fields["data"].strip()
            found.append((fields["event"].strip(), json.loads(told) if told else None))
    return found


async def _chunks(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    async for chunk in response.aiter_text():
        for event in _parsed(chunk):
            yield event


async def _nobody_follows(api: Api) -> None:
    for _ in range(500):
        if not len(api.process.selections):
            return
        await asyncio.sleep(0.01)
    pytest.fail("somebody still follows")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (URQL, "application/graphql-response+json"),
        ("*/*", "application/json"),
        (f"application/json, {STREAM}", "application/json"),
        (STREAM, STREAM),
        (f"{STREAM}, application/json", STREAM),
    ],
)
async def test_a_query_is_answered_in_a_stream_only_where_that_is_named_first(
    api: Api, accept: str, media_type: str
) -> None:
    response = await api.post("{ __typename }", accept=accept)
    assert response.headers["content-type"].split(";")[0] == media_type
    if media_type == STREAM:
        (kind, answer), last = _parsed(response.text)
        assert (kind, answer["data"], last) == ("next", {"__typename": "Query"}, ("complete", None))


async def test_what_is_wrong_with_an_operation_is_told_in_its_stream_and_what_is_refused_before_is_not(
    api: Api,
) -> None:
    for document, variables, code in (
        ("{ nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        (EVENTS, {"after": 5}, "BAD_USER_INPUT"),
        ('subscription { recipientEvents(after: "nonsense") { id } }', {}, "BAD_USER_INPUT"),
        ('subscription { recipientEvents(sequenceId: "seq_x") { id } }', {}, "BAD_USER_INPUT"),
    ):
        response = await api.post(document, variables, accept=STREAM)
        assert response.status_code == 200
        (kind, answer), last = _parsed(response.text)
        assert (kind, answer["errors"][0]["extensions"]["code"], last) == ("next", code, ("complete", None))
    refused = await api.post("{ __typename }", accept=STREAM, authorization="Bearer rel_wrong")
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/json; charset=utf-8")


async def test_a_stream_tells_what_was_missed_then_what_happens_until_its_key_is_revoked(api: Api) -> None:
    before = (await feed.state(api.workspace_id)).cursor
    world = await api.world(people=2)
    await feed.number()
    asked = {"query": EVENTS, "variables": {"after": before}}
    headers = {"authorization": f"Bearer {api.key.secret}", "accept": URQL}
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        api.http.stream("POST", "/graphql", json=asked, headers=headers) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        events = _chunks(response)
        for _ in range(2):
            kind, told = await anext(events)
            assert (kind, told["data"]["recipientEvents"]["status"]) == ("next", "SCHEDULED")
        await recipients.pause(api.workspace_id, api.actor, world.recipient_ids[0])
        kind, told = await anext(events)
        assert told["data"] == {"recipientEvents": {"status": "PAUSED"}}
        await keys.revoke(api.key.secret)
        kind, told = await anext(events)
        assert told["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert await anext(events) == ("complete", None)
    await _nobody_follows(api)


async def test_a_server_that_ends_cuts_its_streams_without_calling_them_complete(api: Api, settings: Settings) -> None:
    async with serving(settings) as running, httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        url = f"http://127.0.0.1:{running.config.port}/graphql"
        headers = {"authorization": f"Bearer {api.key.secret}", "accept": STREAM}
        async with http.stream("POST", url, json={"query": EVENTS}, headers=headers) as response:
            chunks = response.aiter_text()
            assert await anext(chunks) == ":\n\n"
            running.should_exit = True
            assert [chunk async for chunk in chunks] == []


async def test_a_reader_who_leaves_leaves_nothing_behind(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.key.secret}", "accept": STREAM}
    async with api.http.stream("GET", "/graphql", params={"query": EVENTS}, headers=headers) as response:
        await anext(response.aiter_text())
        assert len(api.process.selections) == 1
    await _nobody_follows(api)


async def test_streams_and_sockets_share_the_places_of_a_key(api: Api, settings: Settings) -> None:
    query = "subscription ($after: String) { workspaceEvents(after: $after) { type } }"
    async with (
        serving(replace(settings, subscriptions_per_key=2)) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.config.port}", timeout=PATIENCE_SECONDS) as http,
    ):
        process: ServerParts = running.config.app.state.process  # type: ignore[union-attr]
        two = replace(api, url=str(http.base_url).rstrip("/"), http=http, process=process)
        asked = {"query": query, "variables": await two.ask("{ after: workspaceEventsCursor }")}
        headers = {"authorization": f"Bearer {api.key.secret}", "accept": STREAM}

        async def refused_by_stream() -> bool:
            async with http.stream("POST", "/graphql", json=asked, headers=headers) as response:
                if response.status_code == 200:
                    return False
                (error,) = json.loads(await response.aread())["errors"]
                assert (response.status_code, response.headers["retry-after"]) == (429, "1")
                assert error["extensions"]["limit"] == "subscriptionsPerKey"
                return True

        async with http.stream("POST", "/graphql", json=asked, headers=headers) as response:
            chunks = _chunks(response)
            await api.world(people=0)
            told = (await anext(chunks))[1]["data"]["workspaceEvents"]["type"]
            assert told in ("mailbox.connected", "sequence.created")
            async with two.socket() as socket:
                await socket.start(query)
                assert (await socket.any_message())["type"] == "ping"
                assert await refused_by_stream()
                await socket.start(query)
                message = await socket.message()
                assert message["payload"][0]["extensions"]["limit"] == "subscriptionsPerKey"
        for _ in range(300):  # the stream that has ended gives its place back
            if not await refused_by_stream():
                return
            await asyncio.sleep(0.05)
        pytest.fail("its place is still taken")


async def test_an_apollo_link_is_told_that_persisted_queries_are_not_supported(api: Api) -> None:
    asked = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}
    response = await api.http.post("/graphql", json=asked, headers={"authorization": f"Bearer {api.key.secret}"})
    (error,) = response.json()["errors"]
    assert (error["message"], error["extensions"]["code"]) == (
        "PersistedQueryNotSupported",
        "PERSISTED_QUERY_NOT_SUPPORTED",
    )
