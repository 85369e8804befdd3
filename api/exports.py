"""Downloads: `GET /exports/contacts.csv`, `/exports/recipients.csv` and `/exports/refusals.csv`, streamed.

With `?filter=` the JSON of a ContactFilter or a RecipientFilter, as a query's variable would hold it; without it all.
With `?operation=` the operation whose refusals are meant.
They need the scope `read`, as the lists do, and leave an entry in the audit trail: who took what away, and when.

Source: api.md "Bulk".
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any, Final, cast
from uuid import UUID

import orjson
from graphql import GraphQLInputType
from graphql.utilities import coerce_input_value, validate_input_value
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as StarletteScope
from strawberry.types.arguments import convert_argument

from api.context import Caller
from api.errors import BAD_USER_INPUT, RequestRefused
from api.filters import contact_filter, recipient_filter
from api.ids import key_of
from api.plain_http import Called, answered
from api.schema import schema
from api.server_parts import ServerParts
from api.types.inputs import ContactFilter, RecipientFilter
from domain import deeds
from domain.deeds import Deed, Outcome
from domain.exporting import contacts_as_csv, recipients_as_csv, refusals_as_csv
from domain.rules.access import Scope
from domain.rules.ids import Prefix

EXPORT_PATH: Final = "/exports/"
_ACTIONS: Final = {
    "contacts.csv": "contactsExport",
    "recipients.csv": "recipientsExport",
    "refusals.csv": "refusalsExport",
}


class Exports:
    """The endpoints below `/exports/`."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def download(self, request: Request) -> Response:
        """Answer one request: the file, or errors; never raises."""
        return await answered(self._process, request, Scope.READ, self._download)

    async def _download(self, called: Called) -> Response:
        name = called.request.path_params["name"]
        with ExitStack() as places:
            places.enter_context(self._process.exports.taken(called.caller))
            rows = _rows(called.caller.workspace_id, name, called.request.query_params)
            first = await anext(rows)  # a filter that is out of bounds is refused before the answer begins
            await _audited(called.caller, _ACTIONS[name], called.request_id)
            headers = {"content-disposition": f'attachment; filename="{name}"'}
            return _Download(_all(first, rows), places.pop_all(), headers)


class _Download(StreamingResponse):
    """A file that is streamed, and its place among those at once."""

    def __init__(self, rows: AsyncIterator[bytes], places: ExitStack, headers: dict[str, str]) -> None:
        super().__init__(rows, headers=headers, media_type="text/csv; charset=utf-8")
        self._places = places

    async def __call__(self, scope: StarletteScope, receive: Receive, send: Send) -> None:
        with self._places:
            await super().__call__(scope, receive, send)


def _rows(workspace_id: UUID, name: str, given: QueryParams) -> AsyncIterator[bytes]:
    """Return what an export yields.

    Raises:
        RequestRefused, Refusal
    """
    match name:
        case "contacts.csv":
            return contacts_as_csv(workspace_id, contact_filter(_filter(given.get("filter"), ContactFilter)))
        case "recipients.csv":
            return recipients_as_csv(workspace_id, recipient_filter(_filter(given.get("filter"), RecipientFilter)))
        case "refusals.csv":
            operation_id = key_of(Prefix.BULK_OPERATION, given.get("operation", ""), ["operation"])
            return refusals_as_csv(workspace_id, operation_id)
    raise RequestRefused(404, BAD_USER_INPUT, f"There are {', '.join(_ACTIONS)} to download.")


async def _all(first: bytes, rows: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rows:
        yield part


def _filter(text: str | None, type_: type[Any]) -> Any:
    """Return the filter that a URL holds, checked as a query's variable is; None where it holds none.

    Raises:
        RequestRefused
    """
    if text is None:
        return None
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise RequestRefused(400, BAD_USER_INPUT, "`filter` is not JSON.") from None
    graphql_type = cast(GraphQLInputType, schema._schema.type_map[type_.__name__])
    problems: list[str] = []
    validate_input_value(given, graphql_type, lambda problem, _: problems.append(problem.message))
    if problems:
        raise RequestRefused(400, BAD_USER_INPUT, f"`filter` is not a {type_.__name__}: {problems[0]}")
    value = coerce_input_value(given, graphql_type)
    return convert_argument(value, type_, schema.schema_converter.scalar_registry, schema.config)


async def _audited(caller: Caller, action: str, request_id: str) -> None:
    deed = Deed(workspace_id=caller.workspace_id, actor=caller.actor, action=action, request_id=request_id)

    async def nothing_more() -> Outcome[UUID]:
        return Outcome(caller.workspace_id, b"", [])

    await deeds.carry_out(deed, nothing_more, lambda _: caller.workspace_id)
