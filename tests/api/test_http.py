"""GraphQL over HTTP: status codes, media types, limits, keys."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from domain import keys
from domain.settings import Settings
from tests.api.conftest import Api, serving

RESPONSE_JSON = "application/graphql-response+json"


def _code(answer: dict[str, Any]) -> str:
    (error,) = answer["errors"]
    code: str = error["extensions"]["code"]
    return code


async def test_a_query_is_answered_with_a_request_id(api: Api) -> None:
    response = await api.post("{ __typename }")
    assert response.status_code == 200
    answer = response.json()
    assert answer["data"] == {"__typename": "Query"}
    assert answer["extensions"]["requestId"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("application/json", "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
        (f"{RESPONSE_JSON}, application/json;q=0.9", f"{RESPONSE_JSON}; charset=utf-8"),
    ],
)
async def test_the_answer_comes_in_the_media_type_asked_for(api: Api, accept: str, answered: str) -> None:
    assert (await api.post("{ __typename }", accept=accept)).headers["content-type"] == answered


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{ nonsense", "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { __typename } query B { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        ('{ node(id: "\\u0000") { id } }', "GRAPHQL_VALIDATION_FAILED"),
        ("{" * 1000 + "}" * 1000, "GRAPHQL_PARSE_FAILED"),
        ("{" + " a" * 3000 + "}", "GRAPHQL_PARSE_FAILED"),
        ("{" + " ".join(f"a{n}: __typename" for n in range(40)) + "}", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_a_broken_document_is_400_where_the_new_media_type_is_asked_for(
    api: Api, document: str, code: str
) -> None:
    response = await api.post(document, accept=RESPONSE_JSON)
    assert (response.status_code, _code(response.json())) == (400, code)
    assert "data" not in response.json()
    assert "Traceback" not in response.text


async def test_a_broken_document_is_200_for_older_clients(api: Api) -> None:
    response = await api.post("{ nonsense }")
    assert (response.status_code, _code(response.json())) == (200, "GRAPHQL_VALIDATION_FAILED")


async def test_a_variable_of_the_wrong_kind_is_bad_input(api: Api) -> None:
    response = await api.post("query ($id: ID!) { node(id: $id) { id } }", {"id": {}}, accept=RESPONSE_JSON)
    assert (response.status_code, _code(response.json())) == (400, "BAD_USER_INPUT")


async def test_limits_name_the_number_found_and_allowed(api: Api) -> None:
    deep = "{ sequences " + "{ nodes { recipients " * 7 + "{ totalCount }" + "} }" * 7 + "}"
    answer = (await api.post(deep)).json()
    assert answer["errors"][0]["extensions"] == {
        "code": "GRAPHQL_VALIDATION_FAILED",
        "reason": "LIMIT_EXCEEDED",
        "limit": "depth",
        "found": 16,
        "allowed": 12,
    }
    many = "{" + " ".join(f"a{n}: viewer {{ __typename }}" for n in range(31)) + "}"
    assert (await api.post(many)).json()["errors"][0]["extensions"]["found"] == 31


async def test_fragments_that_double_themselves_cost_nothing(api: Api) -> None:
    doubling = " ".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(100))
    answer = (await api.post(f"{{ ...f0 }} {doubling} fragment f100 on Query {{ __typename }}")).json()
    assert answer["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"query": "{ __typename }"}', "application/json; charset=utf-8", 200),
        (b'{"query": "{ __typename }"}', "text/plain", 415),  # the three that a page may post without being asked
        (b"query={__typename}", "application/x-www-form-urlencoded", 415),
        (b"--x--", "multipart/form-data; boundary=x", 415),
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"query": {"a": 1}}', "application/json", 400),
        (b'{"query": "{ __typename }", "variables": "x"}', "application/json", 400),
        (b'{"query": "{ __typename }", "operationName": {}}', "application/json", 400),
        (b'[{"query": "{ __typename }"}]', "application/json", 400),
        (
            b'{"query": "query ($a: ID!) { node(id: $a) { id } }", "variables": {"a": "\\u0000"}}',
            "application/json",
            400,
        ),
        (b'{"query": "' + b" " * 300_000 + b'{ __typename }"}', "application/json", 413),
    ],
)
async def test_a_malformed_request_has_a_code_of_its_own(api: Api, body: bytes, content_type: str, status: int) -> None:
    headers = {"authorization": f"Bearer {api.key.secret}", "content-type": content_type}
    response = await api.http.post("/graphql", content=body, headers=headers)
    assert response.status_code == status, response.text
    if status != 200:
        assert _code(response.json()) in ("BAD_REQUEST", "BAD_USER_INPUT")


async def test_a_get_reads_and_never_changes(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.key.secret}"}
    read = await api.http.get("/graphql", params={"query": "{ __typename }", "variables": "{}"}, headers=headers)
    assert read.json()["data"] == {"__typename": "Query"}
    changing = 'mutation { sequenceCreate(input: {name: "X"}) { sequence { id } } }'
    response = await api.http.get("/graphql", params={"query": changing}, headers=headers)
    assert (response.status_code, _code(response.json())) == (405, "BAD_REQUEST")
    assert (await api.ask("{ sequences { totalCount } }"))["sequences"]["totalCount"] == 0


async def test_a_subscription_over_http_is_sent_to_the_websocket(api: Api) -> None:
    response = await api.post("subscription { recipientEvents { id } }")
    assert (response.status_code, _code(response.json())) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("authorization", [None, "Bearer rel_wrong", "Bearer", "Basic abc", "Bearer x" * 50])
async def test_without_a_key_that_opens_something_nothing_is_answered(api: Api, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}
    response = await api.http.post("/graphql", json={"query": "{ __schema { types { name } } }"}, headers=headers)
    assert (response.status_code, _code(response.json())) == (401, "UNAUTHENTICATED")
    assert "data" not in response.json()
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_key_opens_nothing_seconds_later(api: Api) -> None:
    assert (await api.post("{ __typename }")).status_code == 200
    await keys.revoke(api.key.secret)
    ring = api.process.keys
    ring._seen = {digest: replace(seen, until=seen.until - 5) for digest, seen in ring._seen.items()}
    assert (await api.post("{ __typename }")).status_code == 401


async def test_the_use_of_a_key_is_noted(api: Api) -> None:
    await api.post("{ __typename }")
    (key,) = await keys.list_keys(api.workspace_id)
    assert key.last_used_at is not None


async def test_browsers_of_other_origins_are_let_in_only_where_allowed(api: Api) -> None:
    asking = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    allowed = await api.http.options("/graphql", headers=asking | {"origin": "https://app.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    refused = await api.http.options("/graphql", headers=asking | {"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers
    for answer in (allowed, refused):
        assert "access-control-allow-credentials" not in answer.headers


async def test_any_origin_may_be_let_in_but_never_with_cookies(settings: Settings) -> None:
    async with serving(replace(settings, allowed_origins=("*",))) as running, httpx.AsyncClient() as http:
        headers = {"origin": "https://any.example", "cookie": "a=b", "access-control-request-method": "POST"}
        answer = await http.options(f"http://127.0.0.1:{running.config.port}/graphql", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
