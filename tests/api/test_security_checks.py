"""The thirteen checks of graphql-cop (github.com/dolevf/graphql-cop), made here because it is in no package registry:
with no key it finds nothing at all; with one, it finds what is meant to be there, and nothing else."""

from collections.abc import Mapping
from typing import Any

from tests.api.conftest import Api

# What it may find, and why that stays.
MEANT = {
    "introspection": "the schema is public: /schema.graphql gives it to everybody",
    "field suggestions": "the same; a typo is answered with what was meant",
    "GET queries": "GET reads and never changes, and a key is a header that no other page can set",
}


async def _findings(api: Api, key: str | None) -> set[str]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    url = "/graphql"

    async def post(query: str) -> Any:
        return (await api.http.post(url, json={"query": query}, headers=headers)).json()

    async def get(query: str) -> Any:
        return (await api.http.get(url, params={"query": query}, headers=headers)).json()

    def named(answer: Any) -> Any:
        return isinstance(answer, Mapping) and (answer.get("data") or {}).get("__typename")

    aliases = "query cop {" + "".join(f"alias{n}:__typename \n" for n in range(101)) + "}"
    inner = "type { fields { type { fields { type { fields { type { name } } } } } } }"
    batch = await api.http.post(url, json=[{"query": "query cop { __typename }"}] * 10, headers=headers)
    form = await api.http.post(url, data={"query": "query cop { __typename }"}, headers=headers)
    page = await api.http.get(url, headers=headers | {"accept": "application/json"})
    unhandled = await post("qwerty cop { abc }")
    checks = {
        "alias overloading": ((await post(aliases)).get("data") or {}).get("alias100"),
        "batch": isinstance(batch.json(), list),
        "circular introspection": (await post(f"query cop {{ __schema {{ types {{ fields {{ {inner} }} }} }} }}")).get(
            "data"
        ),
        "directive overloading": len((await post("query cop { __typename " + "@aa" * 10 + " }"))["errors"]) == 10,
        "field duplication": named(await post("query cop {" + "__typename \n" * 500 + "}")),
        "field suggestions": "Did you mean" in str(await post("query cop { __schema { directive } }")),
        "GET mutation": named(await get("mutation cop {__typename}")),
        "GET queries": named(await get("query cop {__typename}")),
        "GraphiQL": "graphiql" in page.text.lower(),
        "introspection": (await post("query cop { __schema { types { name fields { name } } } }")).get("data"),
        "form post": named(form.json()),
        "trace": "tracing" in str(await post("query cop { __typename }")).lower(),
        "unhandled error": "exception" in str(unhandled).lower(),
    }
    assert len(checks) == 13
    return {name for name, found in checks.items() if found}


async def test_without_a_key_graphql_cop_finds_nothing(api: Api) -> None:
    assert await _findings(api, None) == set()


async def test_with_a_key_graphql_cop_finds_only_what_is_meant_to_be_there(api: Api) -> None:
    found = await _findings(api, api.key.secret)
    assert found == MEANT.keys()
