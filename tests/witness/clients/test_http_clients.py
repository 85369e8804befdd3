"""Clients and audits that others wrote, against a server of ours: HTTP, Server-Sent Events, persisted queries."""

from domain import feed
from tests.api.conftest import Api
from tests.witness.clients.conftest import run

AUDITS = 61


async def test_all_audits_of_graphql_over_http_pass(api: Api) -> None:
    results = await run("audits.mjs", url=f"{api.url}/graphql", apiKey=api.key.secret)
    assert [one for one in results if one["status"] != "ok"] == []
    assert len(results) == AUDITS


async def test_the_graphql_sse_client_asks_changes_and_follows(api: Api) -> None:
    before = (await feed.state(api.workspace_id)).cursor
    await api.world(people=3)
    await feed.number()
    events = await feed.after(api.workspace_id, before, limit=10)
    told = await run(
        "sse.mjs",
        url=f"{api.url}/graphql",
        apiKey=api.key.secret,
        after=before,
        wanted=len(events),
        broken="{ nothing }",
    )
    assert told["asked"]["data"] == {"__typename": "Query"}
    assert told["changed"]["data"] == {"sequenceCreate": {"sequence": {"name": "By SSE"}}}
    assert told["refused"]["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert len(set(told["ids"])) == len(events) > 0


async def test_apollos_link_for_persisted_queries_sends_whole_ones_after_one_refusal(api: Api) -> None:
    told = await run("apollo.mjs", url=f"{api.url}/graphql", apiKey=api.key.secret)
    assert [sorted(answer) for answer in told["answers"]] == [["viewer"], ["sequences"]]
    assert [one["query"] for one in told["wire"]] == [False, True, True]


async def test_urql_gets_json_for_a_query_and_a_stream_for_a_subscription(api: Api) -> None:
    before = (await feed.state(api.workspace_id)).cursor
    await api.world(people=1)
    await feed.number()
    told = await run("urql.mjs", url=f"{api.url}/graphql", apiKey=api.key.secret, after=before)
    json_type, stream_type = told["types"]
    assert json_type.startswith("application/graphql-response+json")
    assert stream_type.startswith("text/event-stream")
    assert told["told"]["id"].startswith("evt_")
