"""The one place where what went wrong becomes what a client is told.

In mutations a refusal is an entry of the payload (`api/mutations/refusals.py`); everywhere else, and for everything
that is not a refusal, it is a top-level error with a code of Apollo's vocabulary. What nobody foresaw is masked:
the client gets an id, and the log the same id with the traceback.

Source: api.md "Top-level errors"; architecture.md "Habits".
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphql import GraphQLError, GraphQLSyntaxError

from domain.feed import CursorForeign, ResyncRequired
from domain.log_context import about
from domain.metrics import API_ERRORS
from domain.refusals import DatabaseUnreachable, NotFound, Refusal, WorkspaceUnknown
from domain.rules.ids import IdMalformed

log = logging.getLogger("relance.api")

PARSE_FAILED: Final = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED: Final = "GRAPHQL_VALIDATION_FAILED"
BAD_REQUEST: Final = "BAD_REQUEST"
BAD_USER_INPUT: Final = "BAD_USER_INPUT"
UNAUTHENTICATED: Final = "UNAUTHENTICATED"
INTERNAL: Final = "INTERNAL_SERVER_ERROR"

MASKED_REFUSALS: Final = (DatabaseUnreachable,)  # about our own machines; not a client's business

_CODES: Mapping[type[Refusal], str] = {
    NotFound: "NOT_FOUND",
    WorkspaceUnknown: "NOT_FOUND",
    CursorForeign: BAD_USER_INPUT,
    ResyncRequired: "RESYNC_REQUIRED",
}


class RequestRefused(Exception):
    """A request that is not carried out at all: its HTTP status, and the code and sentence its one error has."""

    def __init__(self, status: int, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.facts = facts


def new_request_id() -> str:
    """Return an id for one operation, 20 letters, for the response and the log."""
    return "req_" + secrets.token_hex(8)


def code_of(refusal: Refusal) -> str:
    """Return the code of Apollo's vocabulary for a refusal outside a mutation's payload."""
    return next((code for kind, code in _CODES.items() if isinstance(refusal, kind)), BAD_USER_INPUT)


def formatted(
    errors: Sequence[GraphQLError | Exception], request_id: str, *, document: bool = False
) -> list[dict[str, Any]]:
    """Return errors as a response carries them, each with `extensions.code`; log those that are our own fault.

    `document` says that they were found in the document itself, before its variables were looked at.
    """
    return [_formatted(error, request_id, VALIDATION_FAILED if document else BAD_USER_INPUT) for error in errors]


def _formatted(error: GraphQLError | Exception, request_id: str, own_code: str) -> dict[str, Any]:
    cause = error.original_error if isinstance(error, GraphQLError) else error
    message, extensions = _told(error, cause, request_id, own_code)
    API_ERRORS.labels(extensions["code"], _limit(extensions)).inc()
    told: dict[str, Any] = {"message": message}
    if isinstance(error, GraphQLError):
        if error.locations:
            told["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
        if error.path is not None:
            told["path"] = list(error.path)
    return told | {"extensions": extensions}


def _told(error: Exception, cause: Exception | None, request_id: str, own_code: str) -> tuple[str, dict[str, Any]]:
    if isinstance(cause, Refusal) and not isinstance(cause, MASKED_REFUSALS):
        return cause.message, _of_refusal(cause)
    if isinstance(cause, RequestRefused):
        return cause.message, {"code": cause.code, **cause.facts}
    if isinstance(cause, IdMalformed):
        return str(cause), {"code": BAD_USER_INPUT}
    if isinstance(error, GraphQLError) and (cause is None or isinstance(cause, GraphQLError)):
        code = PARSE_FAILED if isinstance(error, GraphQLSyntaxError) else own_code
        return error.message, {"code": code} | (error.extensions or {})
    return _masked(cause or error, request_id)


def _limit(extensions: Mapping[str, Any]) -> str:
    """Return the name of the limit an error is about, as it is counted; the budget's own is a number."""
    limit = extensions.get("limit", "")
    return limit if isinstance(limit, str) else "budget"


def _of_refusal(refusal: Refusal) -> dict[str, Any]:
    extensions: dict[str, Any] = {"code": code_of(refusal)}
    if refusal.code != extensions["code"]:
        extensions["reason"] = refusal.code
    if refusal.field:
        extensions["field"] = list(refusal.field)
    if isinstance(refusal, ResyncRequired):
        extensions["cursor"] = refusal.cursor
    return extensions


def _masked(problem: Exception, request_id: str) -> tuple[str, dict[str, Any]]:
    error_id = "int_" + secrets.token_hex(6)
    with about(request_id=request_id):
        log.error("something unforeseen was masked as %s", error_id, exc_info=problem)
    message = f"Something went wrong on our side. Try again; if it fails again, tell support the number {error_id}."
    return message, {"code": INTERNAL, "errorId": error_id}
