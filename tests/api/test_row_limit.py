"""A document that asks for more rows than a process can answer is refused before anything of it is read."""

import time
from typing import Any

import pytest

from api.documents import prepare
from api.limits import ROW_LIMIT
from api.schema import schema
from tests.api.conftest import Api

BOMB = """
query {
  recipients(first: 200) { nodes { sequence { recipients(first: 200) { nodes {
    contact { recipients(first: 200) { nodes { id } } } } } } } }
}
"""
PAGED = """
query ($outer: Int = 200, $inner: Int) {
  recipients(first: $outer) { nodes { contact { recipients(first: $inner) { nodes { id } } } } }
}
"""
SCREEN = """
query ($first: Int!) { recipients(first: $first) { totalCount nodes { id ...Row ...Trouble } } }
fragment Row on Recipient { status steps { state message { id } } openErrors(first: 50) { nodes { code } } }
fragment Trouble on Recipient { openErrors(first: 50) { nodes { message } } contact { email } }
"""


def _rows(text: str, variables: dict[str, Any] | None = None) -> int:
    (shape,) = prepare(schema._schema, text, {"outer": 1, "inner": 1, "first": 1}).shapes.values()
    return shape.rows(variables)


async def test_lists_in_lists_are_refused_at_once(api: Api) -> None:
    started = time.perf_counter()
    (error,) = (await api.post(BOMB)).json()["errors"]
    assert time.perf_counter() - started < 2
    assert error["extensions"] == {
        "code": "GRAPHQL_VALIDATION_FAILED",
        "reason": "LIMIT_EXCEEDED",
        "limit": "rows",
        "found": 200 + 200**2 + 200**3,
        "allowed": ROW_LIMIT,
    }
    assert "smaller `first`" in error["message"]


async def test_a_socket_refuses_them_too(api: Api) -> None:
    async with api.socket() as socket:
        await socket.start(BOMB)
        told = await socket.message()
        assert (told["type"], told["payload"][0]["extensions"]["limit"]) == ("error", "rows")
        await socket.start(PAGED, {"inner": 200})
        told = await socket.message()
        assert (told["type"], told["payload"][0]["extensions"]["found"]) == ("error", 40_200)
        await socket.start(PAGED, {"inner": 99})
        assert (await socket.message())["type"] == "next"


async def test_the_size_counts_through_a_variable(api: Api) -> None:
    (error,) = (await api.post(PAGED, {"inner": 100})).json()["errors"]
    assert error["extensions"]["found"] == 200 + 200 * 100
    assert await api.ask(PAGED, {"inner": 99}) == {"recipients": {"nodes": []}}
    assert await api.ask(PAGED, {"outer": 10}) == {"recipients": {"nodes": []}}


async def test_a_page_of_200_with_its_errors_is_allowed_and_parts_of_a_screen_that_select_the_same_count_once(
    api: Api,
) -> None:
    assert await api.ask(SCREEN, {"first": 200}) == {"recipients": {"totalCount": 0, "nodes": []}}
    assert _rows(SCREEN) == 200 + 200 * 50
    assert not prepare(schema._schema, SCREEN).rows_vary  # so that it is never counted again


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("{ viewer { __typename } }", 0),
        ("{ recipients { nodes { id } } }", 50),
        ("{ recipients(first: null) { nodes { id } } }", 50),
        ("{ recipients(last: 7) { nodes { id } } }", 7),
        ("{ recipients(first: 0) { nodes { events { nodes { id } } } } }", 0),
        ("{ recipientEvents { nodes { id } } }", 100),
        ("{ a: recipients { totalCount } b: recipients { totalCount } }", 100),
        ("{ recipients { totalCount } recipients { totalCount } }", 50),
        ("{ recipients(first: 2) { nodes { events(first: 3) { totalCount } } edges { node { id } } } }", 8),
        (
            "{ recipients(first: 2) { nodes { ...F } } } fragment F on Recipient { events(first: 3) { totalCount } }",
            8,
        ),
        ('{ nodes(ids: ["a", "b"]) { ... on Recipient { events(first: 5) { totalCount } } } }', 12),
        (
            '{ node(id: "a") { ... on Recipient { steps { message { recipient { events(first: 5) { totalCount }}}}}}}',
            50,
        ),
    ],
)
def test_rows_are_counted_down_each_path(text: str, rows: int) -> None:
    assert _rows(text) == rows


def test_a_size_that_is_not_known_yet_counts_as_the_largest() -> None:
    assert _rows(PAGED) == 200 + 200 * 200
    assert _rows(PAGED, {"outer": 3}) == 3 + 3 * 50


def test_fragments_that_double_themselves_are_counted_quickly() -> None:
    lists = ("messages", "openErrors", "events")
    doubling = ""
    for n in range(3):
        below = " ".join(f"{name}(first: 1) {{ nodes {{ recipient {{ ...f{n + 1} }} }} }}" for name in lists)
        doubling += f"fragment f{n} on Recipient {{ {below} }} "
    started = time.perf_counter()
    assert _rows(f'{{ node(id: "a") {{ ...f0 }} }} {doubling} fragment f3 on Recipient {{ id }}') == 3 + 3**2 + 3**3
    assert time.perf_counter() - started < 2
