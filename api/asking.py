"""What a client asks for, whatever the transport: the parameters of one operation, checked before anything is parsed.

Source: the GraphQL-over-HTTP specification; api.md "Limits".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from graphql import DocumentNode, OperationDefinitionNode, get_operation_ast

from api.documents import is_storable
from api.errors import BAD_REQUEST, BAD_USER_INPUT, VALIDATION_FAILED, RequestRefused
from api.limits import BATCH_LIMIT, VARIABLE_DEPTH_LIMIT, VARIABLE_VALUE_LIMIT, refused

PERSISTED_QUERY_NOT_SUPPORTED: Final = "PERSISTED_QUERY_NOT_SUPPORTED"
_JSON_DEPTH: Final = 1_024  # as deep as orjson reads


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one operation, checked for their kinds."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


def operation_of(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """Return the operation that is meant.

    Raises:
        RequestRefused: there is none of this name, or several and no name.
    """
    operation = get_operation_ast(document, name)
    if operation is None:
        message = f"The document has no operation “{name[:60]}”." if name else "Name the operation: there are several."
        raise RequestRefused(400, VALIDATION_FAILED, message)
    return operation


def checked(parameters: object) -> Asked:
    """Return the parameters of an operation.

    Raises:
        RequestRefused: they are missing, or not of their kinds.
    """
    if isinstance(parameters, list):
        message = f"{len(parameters):,} operations in one request; at most {BATCH_LIMIT} is allowed. Send one each."
        raise refused(400, BAD_REQUEST, "batch", message, found=len(parameters), allowed=BATCH_LIMIT)
    if not isinstance(parameters, Mapping):
        raise RequestRefused(400, BAD_REQUEST, "The request must be a JSON object with “query”.")
    query = parameters.get("query")
    extensions = parameters.get("extensions")
    if query is None and isinstance(extensions, Mapping) and "persistedQuery" in extensions:
        raise RequestRefused(
            400, PERSISTED_QUERY_NOT_SUPPORTED, "PersistedQueryNotSupported"
        )  # Apollo's link sends all
    if not isinstance(query, str) or not query.strip():
        raise RequestRefused(400, BAD_REQUEST, "The request has no “query” with a GraphQL document.")
    for name, kind, words in (
        ("variables", dict, "an object"),
        ("extensions", dict, "an object"),
        ("operationName", str, "a text"),
    ):
        if not isinstance(parameters.get(name), kind | None):
            raise RequestRefused(400, BAD_REQUEST, f"“{name}” must be {words} or null.")
    variables = parameters.get("variables")
    _look_through(variables)
    return Asked(query, variables, parameters.get("operationName") or None)


def _look_through(variables: Mapping[str, Any] | None) -> None:
    """Return when the variables are neither too deep nor too many, and every text in them can be stored.

    Raises:
        RequestRefused
    """
    level: list[Any] = [variables or {}]
    depth = seen = 0
    while level:
        depth += 1
        if depth > VARIABLE_DEPTH_LIMIT:
            raise too_deep(depth)
        below: list[Any] = []
        for one in level:
            if isinstance(one, Mapping):
                if not all(map(is_storable, one)):
                    raise _unstorable()
                inner = list(one.values())
            else:
                inner = one
            seen += len(inner)
            if seen > VARIABLE_VALUE_LIMIT:
                message = (
                    f"The variables have more than {VARIABLE_VALUE_LIMIT:,} values. Send them in several requests."
                )
                raise refused(400, BAD_USER_INPUT, "values", message, found=seen, allowed=VARIABLE_VALUE_LIMIT)
            for value in inner:
                if isinstance(value, str):
                    if not is_storable(value):
                        raise _unstorable()
                elif isinstance(value, Mapping | list):
                    below.append(value)
        level = below


def _unstorable() -> RequestRefused:
    return RequestRefused(400, BAD_USER_INPUT, "A text in the variables has a character that cannot be stored.")


def too_deep(depth: int) -> RequestRefused:
    """Return the refusal of JSON that has at least so many levels."""
    message = f"The variables are nested {depth:,} levels deep or more; at most {VARIABLE_DEPTH_LIMIT} are allowed."
    return refused(400, BAD_USER_INPUT, "variablesDepth", message, found=depth, allowed=VARIABLE_DEPTH_LIMIT)


def decoded(text: str | bytes, what: str) -> Any:
    """Return what JSON says.

    Raises:
        RequestRefused: it is not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        if "depth limit" in str(problem):
            raise too_deep(_JSON_DEPTH + 1) from None
        raise RequestRefused(400, BAD_REQUEST, f"{what} is not valid JSON.") from None
