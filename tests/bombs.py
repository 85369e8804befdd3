"""Requests made to cost much: each a body as it comes over the wire, with the limit that refuses it and the number."""

import json
from dataclasses import dataclass
from typing import Any

from api.limits import (
    ALIAS_LIMIT,
    BATCH_LIMIT,
    BODY_LIMIT_BYTES,
    COUNTED_AT_MOST,
    DEPTH_LIMIT,
    DIGIT_LIMIT,
    DIRECTIVE_LIMIT,
    DOCUMENT_LIMIT,
    INTROSPECTION_DEPTH_LIMIT,
    MERGE_LIMIT,
    ROOT_FIELD_LIMIT,
    ROW_LIMIT,
    TOKEN_LIMIT,
    VARIABLE_DEPTH_LIMIT,
    VARIABLE_VALUE_LIMIT,
)


@dataclass(frozen=True)
class Bomb:
    """One request. `limit` None: what it is refused for has no number of ours, such as a fragment cycle."""

    name: str
    body: bytes
    limit: str | None = None
    found: int | None = None
    allowed: int | None = None
    code: str = "GRAPHQL_VALIDATION_FAILED"

    def __str__(self) -> str:
        return self.name


def _asking(query: str, variables: Any = None) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


def _deep(levels: int) -> str:
    return "{ sequences " + "{ nodes { recipients " * levels + "{ totalCount }" + "} }" * levels + "}"


def _growing(count: int) -> str:
    """Fragments that each read two lists of the next: 2 to the power of `count` lists."""
    steps = " ".join(
        f"fragment f{n} on Contact {{ recipients(first: 1) {{ nodes {{ a{n}: contact {{ ...f{n + 1} }} }} "
        f"edges {{ node {{ b{n}: contact {{ ...f{n + 1} }} }} }} }} }}"
        for n in range(count)
    )
    return f"{{ contacts {{ nodes {{ ...f0 }} }} }} {steps} fragment f{count} on Contact {{ id }}"


_NESTED = "[" * 100_000 + "]" * 100_000
_LISTS = (
    "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }",
    {"ids": ["rcp_0"] * (VARIABLE_VALUE_LIMIT + 5)},
)
_BY_65 = json.loads('{"a":' * (VARIABLE_DEPTH_LIMIT + 5) + "1" + "}" * (VARIABLE_DEPTH_LIMIT + 5))
_INTROSPECTION = "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"

BOMBS: tuple[Bomb, ...] = (
    Bomb("deep", _asking(_deep(7)), "depth", 16, DEPTH_LIMIT),
    Bomb(
        "as deep as tokens allow",
        _asking("{a" * 660 + "}" * 660),
        "depth",
        660,
        DEPTH_LIMIT,
        "GRAPHQL_PARSE_FAILED",
    ),
    Bomb(
        "deep list literal",
        _asking("{nodes(ids:" + "[" * 900 + "]" * 900 + "){id}}"),
        "depth",
        902,
        DEPTH_LIMIT,
        "GRAPHQL_PARSE_FAILED",
    ),
    Bomb(
        "wide aliases",
        _asking("{" + " ".join(f"a{n}: viewer {{ actor {{ id }} }}" for n in range(220)) + "}"),
        "aliases",
        220,
        ALIAS_LIMIT,
    ),
    Bomb(
        "aliases of __typename",
        _asking("{" + " ".join(f"a{n}: __typename" for n in range(101)) + "}"),
        "aliases",
        101,
        ALIAS_LIMIT,
    ),
    Bomb("directives", _asking("{ viewer { actor { id" + " @aa" * 900 + " } } }"), "directives", 900, DIRECTIVE_LIMIT),
    Bomb(
        "root fields",
        _asking("{" + " ".join(f"x{n}" for n in range(1_900)) + "}"),
        "rootFields",
        1_900,
        ROOT_FIELD_LIMIT,
    ),
    Bomb(
        "one field again and again",
        _asking("{" + " viewer { actor { id } }" * 280 + "}"),
        "merges",
        280 * 279 // 2,
        MERGE_LIMIT,
    ),
    Bomb(
        "one leaf again and again",
        _asking("{" + " __typename" * 1_990 + "}"),
        "merges",
        1_990 * 1_989 // 2,
        MERGE_LIMIT,
    ),
    Bomb(
        "one field in many fragments",
        _asking(
            "{" + " ".join(f"...f{n}" for n in range(120)) + "}"
            "" + " ".join(f"fragment f{n} on Query {{ viewer {{ actor {{ id }} }} }}" for n in range(120))
        ),
        "merges",
        120 * 119 // 2,
        MERGE_LIMIT,
    ),
    Bomb(
        "a fragment in itself",
        _asking("{ ...a } fragment a on Query { ...b viewer { scopes } } fragment b on Query { ...a }"),
    ),
    Bomb("exponential fragments", _asking(_growing(12)), "depth", 51, DEPTH_LIMIT),
    Bomb(
        "exponential aliases",
        _asking(
            "{ ...f0 } "
            + " ".join(
                f"fragment f{n} on Query {{ a{n}: viewer {{ scopes }} ...f{n + 1} ...f{n + 1} }}" for n in range(100)
            )
            + " fragment f100 on Query { __typename }"
        ),
        "aliases",
        COUNTED_AT_MOST,
        ALIAS_LIMIT,
    ),
    Bomb(
        "lists in lists in lists",
        _asking(
            "{ recipients(first: 200) { nodes { sequence { recipients(first: 200) { nodes { contact "
            "{ recipients(first: 200) { nodes { id } } } } } } } } }"
        ),
        "rows",
        200 + 200**2 + 200**3,
        ROW_LIMIT,
    ),
    Bomb("tokens", _asking("{" + " a" * 10_000 + "}"), "tokens", TOKEN_LIMIT + 1, TOKEN_LIMIT, "GRAPHQL_PARSE_FAILED"),
    Bomb("spaces", _asking("{ viewer { scopes" + " " * 200_000 + "} }"), "document", None, DOCUMENT_LIMIT),
    Bomb("a comment", _asking("{ viewer { scopes #" + "a" * 200_000 + "\n} }"), "document", None, DOCUMENT_LIMIT),
    Bomb(
        "introspection in itself",
        _asking(_INTROSPECTION),
        "introspectionDepth",
        INTROSPECTION_DEPTH_LIMIT + 1,
        INTROSPECTION_DEPTH_LIMIT,
    ),
    Bomb(
        "unknown arguments", _asking("{ recipients(" + " ".join(f"a{n}: 1" for n in range(650)) + ") { totalCount } }")
    ),
    Bomb(
        "unused variables",
        _asking("query (" + " ".join(f"$a{n}: Int" for n in range(480)) + ") { viewer { scopes } }"),
    ),
    Bomb(
        "a batch",
        json.dumps([{"query": "{ viewer { scopes } }"}] * 1_000).encode(),
        "batch",
        1_000,
        BATCH_LIMIT,
        "BAD_REQUEST",
    ),
    Bomb(
        "a text of 1 MB",
        _asking("{ viewer { scopes } }", {"a": "x" * 1_000_000}),
        "body",
        None,
        BODY_LIMIT_BYTES,
        "BAD_REQUEST",
    ),
    Bomb(
        "variables 100,000 deep",
        f'{{"query": "{{ viewer {{ scopes }} }}", "variables": {{"a": {_NESTED}}}}}'.encode(),
        "variablesDepth",
        None,
        VARIABLE_DEPTH_LIMIT,
        "BAD_USER_INPUT",
    ),
    Bomb(
        "variables just too deep",
        _asking("{ viewer { scopes } }", _BY_65),
        "variablesDepth",
        VARIABLE_DEPTH_LIMIT + 1,
        VARIABLE_DEPTH_LIMIT,
        "BAD_USER_INPUT",
    ),
    Bomb("a list of 20,000 ids", _asking(*_LISTS), "values", None, VARIABLE_VALUE_LIMIT, "BAD_USER_INPUT"),
    Bomb(
        "an endless integer",
        _asking("{ recipients(first: " + "9" * 50_000 + ") { totalCount } }"),
        "digits",
        50_000,
        DIGIT_LIMIT,
    ),
    Bomb(
        "an integer too large",
        _asking("query ($n: Int) { recipients(first: $n) { totalCount } }", {"n": 10**40}),
        code="BAD_USER_INPUT",
    ),
)
