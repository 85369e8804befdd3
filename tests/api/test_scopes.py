"""Scopes: each root field names the one it needs, and is refused without it, over every transport."""

from collections.abc import Collection
from typing import Any

import pytest

from api.schema import sdl
from domain import keys
from domain.keys import NewKey
from domain.rules.access import EVERYTHING, Scope
from tests.api.conftest import Api
from tests.api.whole_schema import RootField, root_fields

FREE = {"viewer", "rateLimit"}  # who is calling, and what is left to them, may always be asked
FIELDS = list(root_fields())
OVER_HTTP = [field for field in FIELDS if field.operation != "subscription"]


async def _key(api: Api, scopes: Collection[Scope]) -> NewKey:
    return await keys.create(api.workspace_id, "narrow", scopes=scopes)


async def _answer(api: Api, key: NewKey, field: RootField) -> dict[str, Any]:
    response = await api.post(field.document(), field.variables(), authorization=f"Bearer {key.secret}")
    answer: dict[str, Any] = response.json()
    assert not any(error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED" for error in answer.get("errors", ()))
    return answer


def _is_refusal(errors: Any, scope: Scope) -> bool:
    (error,) = errors
    extensions = error["extensions"]
    return (
        extensions["code"] == "FORBIDDEN"
        and extensions["requiredScopes"] == [scope]
        and f"--scope {scope}" in error["message"]
        and "“narrow”" in error["message"]
    )


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_the_scope_of_each_root_field_stands_in_its_description(field: RootField) -> None:
    said = f"Needs the scope `{field.scope}`." if field.scope else "Needs no scope."
    assert (field.field.description or "").endswith(said)
    assert (field.scope is None) == (field.name in FREE)
    assert said in sdl()


async def test_without_its_scope_each_field_is_refused_and_with_it_alone_it_is_not(api: Api) -> None:
    everything_but = {scope: await _key(api, frozenset(Scope) - EVERYTHING - {scope}) for scope in Scope}
    only = {scope: await _key(api, {scope}) for scope in Scope}
    for field in OVER_HTTP:
        if field.scope is None:
            assert "errors" not in await _answer(api, only[Scope.CONTACTS_WRITE], field)
            continue
        refused = await _answer(api, everything_but[field.scope], field)
        assert _is_refusal(refused["errors"], field.scope), (str(field), refused)
        assert "data" not in refused
        for key in (only[field.scope], only[Scope.ADMIN]):
            answer = await _answer(api, key, field)
            codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
            assert "FORBIDDEN" not in codes, (str(field), answer)


async def test_a_socket_asks_for_the_same_scopes(api: Api) -> None:
    writer, reader = await _key(api, {Scope.RECIPIENTS_WRITE}), await _key(api, {Scope.READ})
    for field in FIELDS:
        if field.operation == "mutation" or field.scope is not Scope.READ:
            continue
        async with api.socket(apiKey=writer.secret) as socket:
            await socket.start(field.document(), field.variables())
            message = await socket.message()
            assert message["type"] == "error", field
            assert _is_refusal(message["payload"], Scope.READ)
        async with api.socket(apiKey=reader.secret) as socket:
            await socket.start(field.document(), field.variables())
            await socket.start("{ viewer { __typename } }")  # a subscription has nothing to tell yet
            message = await socket.message()
            assert message["type"] == "next" or not _is_forbidden(message), field


def _is_forbidden(message: dict[str, Any]) -> bool:
    return any(error["extensions"]["code"] == "FORBIDDEN" for error in message["payload"])


async def test_nothing_of_an_operation_is_carried_out_when_one_of_its_fields_is_refused(api: Api) -> None:
    key = await _key(api, {Scope.CONTACTS_WRITE})
    response = await api.post(
        """mutation { ...Both }
        fragment Both on Mutation { contactUpsert(input: {email: "a@b.example"}) { contact { id } } ...Also }
        fragment Also on Mutation { ... on Mutation { sequenceCreate(input: {name: "x"}) { sequence { id } } } }""",
        authorization=f"Bearer {key.secret}",
        accept="application/graphql-response+json",
    )
    assert response.status_code == 403
    assert _is_refusal(response.json()["errors"], Scope.SEQUENCES_WRITE)
    assert (await api.ask("{ contacts { totalCount } }"))["contacts"]["totalCount"] == 0


async def test_the_viewer_names_its_scopes(api: Api) -> None:
    key = await _key(api, {Scope.RECIPIENTS_WRITE, Scope.READ})
    response = await api.post("{ viewer { scopes } }", authorization=f"Bearer {key.secret}")
    assert response.json()["data"] == {"viewer": {"scopes": ["read", "recipients:write"]}}
