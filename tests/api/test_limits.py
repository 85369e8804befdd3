"""Limits: what is made to cost much is refused before anything of it is carried out, with a code and the number."""

import json

import pytest

from api.documents import prepare
from api.schema import schema
from tests.api.conftest import Api
from tests.bombs import BOMBS


async def test_each_bomb_is_refused_over_http_with_its_limit_and_the_number(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.key.secret}", "content-type": "application/json"}
    for bomb in BOMBS:
        response = await api.http.post("/graphql", content=bomb.body, headers=headers)
        answer = response.json()
        extensions = answer["errors"][0]["extensions"]
        assert "data" not in answer, bomb
        assert extensions["code"] == bomb.code, (bomb, answer["errors"][0])
        assert len(answer["errors"]) <= 6, bomb
        if bomb.limit is not None:
            assert extensions["reason"] == "LIMIT_EXCEEDED", bomb
            assert (extensions["limit"], extensions["allowed"]) == (bomb.limit, bomb.allowed), bomb
            assert extensions["found"] > extensions["allowed"], bomb
            assert bomb.found in (None, extensions["found"]), bomb
            assert f"{bomb.allowed:,}" in answer["errors"][0]["message"], bomb
    assert (await api.post("{ viewer { scopes } }")).status_code == 200


async def test_a_socket_refuses_them_with_the_same_numbers(api: Api) -> None:
    async with api.socket() as socket:
        for bomb in BOMBS:
            payload = (
                json.loads(bomb.body) if bomb.limit not in ("batch", "body") and len(bomb.body) < 190_000 else None
            )
            if payload is None:
                continue
            await socket.start(payload["query"], payload["variables"])
            told = await socket.message()
            assert told["type"] == "error", bomb
            extensions = told["payload"][0]["extensions"]
            assert extensions["code"] == bomb.code, (bomb, told)
            assert extensions.get("limit") == bomb.limit, (bomb, told)


@pytest.mark.parametrize(
    "text",
    [
        "{ "
        + " ".join(f"...f{n}" for n in range(30))
        + " } "
        + " ".join(f"fragment f{n} on Query {{ viewer {{ scopes }} }}" for n in range(30)),
        "{ " + " ".join(f"a{n}: viewer {{ scopes }}" for n in range(10)) + " }",
        "{ viewer { " + " ".join(f"a{n}: scopes @include(if: true)" for n in range(20)) + " } }",
        "{ __schema { types { fields { name type { ofType { ofType { ofType { name } } } } } } } }",
    ],
    ids=["thirty parts of one screen", "ten root fields", "twenty directives", "an introspection"],
)
def test_what_honest_clients_send_is_taken(text: str) -> None:
    assert not prepare(schema._schema, text).errors
