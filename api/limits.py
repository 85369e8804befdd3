"""What one request may ask for at most, and how a refusal says so: which limit, the number found, the number allowed.

docs/limits.md lists all of them, and those that are settings (`domain/settings.Limits`).

Source: api.md "Limits"; reliability.md 2.26.
"""

from typing import Any, Final

from graphql import GraphQLError

from api.errors import VALIDATION_FAILED, RequestRefused

BODY_LIMIT_BYTES: Final = 256 * 1024
BATCH_LIMIT: Final = 1
DOCUMENT_LIMIT: Final = 60_000  # characters: to read them takes longer than what they say is worth
DIGIT_LIMIT: Final = 1_000  # of one number: Python reads no longer ones than 4,300
TOKEN_LIMIT: Final = 2_000
DEPTH_LIMIT: Final = 12
ALIAS_LIMIT: Final = 30
DIRECTIVE_LIMIT: Final = 20
ROOT_FIELD_LIMIT: Final = 20
MERGE_LIMIT: Final = 1_000  # pairs of fields that answer under one name, which validation compares one by one
SELECTION_LIMIT: Final = 5_000  # fields, those of a fragment once for each place that it is spread in
ROW_LIMIT: Final = 20_000
EVENT_ROW_LIMIT: Final = 500  # of one event of a subscription: how many events come is not the subscriber's choice
COUNTED_AT_MOST: Final = 1_000_000_000  # what exceeds it is told as this: fragments in fragments double numbers
ERRORS_SHOWN: Final = 5
INTROSPECTION_DEPTH_LIMIT: Final = 2  # lists in lists, as graphql-core's rule counts
VARIABLE_DEPTH_LIMIT: Final = 64
VARIABLE_VALUE_LIMIT: Final = 20_000


def exceeded(limit: str, **numbers: int) -> dict[str, Any]:
    """Return the extensions of an error about one limit; `numbers` are `found`, where it is known, and `allowed`."""
    return {"code": VALIDATION_FAILED, "reason": "LIMIT_EXCEEDED", "limit": limit, **numbers}


def too_much(limit: str, message: str, *, found: int, allowed: int) -> GraphQLError:
    """Return the error of a document that exceeds a limit."""
    return GraphQLError(message, extensions=exceeded(limit, found=found, allowed=allowed))


def refused(status: int, code: str, limit: str, message: str, **numbers: int) -> RequestRefused:
    """Return the refusal of a request that exceeds a limit."""
    return RequestRefused(status, code, message, reason="LIMIT_EXCEEDED", limit=limit, **numbers)
