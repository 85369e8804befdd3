"""Downloads: `GET /exports/contacts.csv` and `GET /exports/recipients.csv`, streamed.

With `?filter=` the JSON of a ContactFilter or a RecipientFilter, as a query's variable would hold it; without it all.
They need the scope `read`, as the lists do, and leave an entry in the audit trail: who took what away, and when.

Source: api.md "Bulk".
"""

from collections.abc import AsyncIterator
from typing import Any, Final, cast
from uuid import UUID

import orjson
from graphql import GraphQLInputType
from graphql.utilities import coerce_input_value, validate_input_value
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from strawberry.types.arguments import convert_argument

from api.auth import secret_of_header
from api.context import Caller
from api.declaring import FORBIDDEN
from api.errors import BAD_USER_INPUT, RequestRefused, formatted, new_request_id
from api.filters import contact_filter, recipient_filter
from api.schema import schema
from api.server_parts import ServerParts
from api.types.inputs import ContactFilter, RecipientFilter
from domain import deeds
from domain.deeds import Deed, Outcome
from domain.exporting import contacts_as_csv, recipients_as_csv
from domain.rules.access import Scope, allows

EXPORT_PATH: Final = "/exports/"
_ACTIONS: Final = {"contacts.csv": "contactsExport", "recipients.csv": "recipientsExport"}


class Exports:
    """The endpoints below `/exports/`."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def download(self, request: Request) -> Response:
        """Answer one request: the file, or errors in the shape that `/graphql` gives them; never raises."""
        request_id = new_request_id()
        headers = {"x-request-id": request_id, "cache-control": "no-store"}
        try:
            return await self._download(request, request_id, headers)
        except RequestRefused as refused:
            status, errors = refused.status, formatted([refused], request_id)
            if status == 401:
                headers["www-authenticate"] = "Bearer"
        except Exception as problem:
            status, errors = 400, formatted([problem], request_id)
            if any(error["extensions"]["code"] == "INTERNAL_SERVER_ERROR" for error in errors):
                status = 500
        answer = {"errors": errors, "extensions": {"requestId": request_id}}
        return Response(orjson.dumps(answer), status, headers, media_type="application/json")

    async def _download(self, request: Request, request_id: str, headers: dict[str, str]) -> Response:
        caller = await self._process.keys.caller(secret_of_header(request.headers.get("authorization")))
        if not allows(caller.scopes, Scope.READ):
            message = f"This needs the scope “{Scope.READ}”, which you do not have. Use a key that has it."
            raise RequestRefused(403, FORBIDDEN, message, requiredScopes=[str(Scope.READ)])
        name = request.path_params["name"]
        given = request.query_params.get("filter")
        if name == "contacts.csv":
            rows = contacts_as_csv(caller.workspace_id, contact_filter(_filter(given, ContactFilter)))
        elif name == "recipients.csv":
            rows = recipients_as_csv(caller.workspace_id, recipient_filter(_filter(given, RecipientFilter)))
        else:
            raise RequestRefused(404, BAD_USER_INPUT, "There are contacts.csv and recipients.csv to download.")
        first = await anext(rows)  # a filter that is out of bounds is refused before the answer begins
        await _audited(caller, _ACTIONS[name], request_id)
        headers["content-disposition"] = f'attachment; filename="{name}"'
        return StreamingResponse(_all(first, rows), headers=headers, media_type="text/csv; charset=utf-8")


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
