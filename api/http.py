"""GraphQL over HTTP: POST with JSON, GET for queries, and one shape for every answer, errors included.

`application/graphql-response+json` is answered where it is asked for, with 4xx for what was never executed; else
`application/json` with 200 for documents that are wrong, as older clients expect.

Source: the GraphQL-over-HTTP specification; api.md "Transport".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from graphql import DocumentNode, OperationDefinitionNode, OperationType, get_operation_ast
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.auth import secret_of_header
from api.declaring import refuse_without_scope
from api.documents import is_storable, prepare
from api.errors import BAD_REQUEST, BAD_USER_INPUT, VALIDATION_FAILED, RequestRefused, formatted, new_request_id
from api.event_stream import EVENT_STREAM, EventStream, subscription_stream, wants_events, whole
from api.graphiql import graphiql_page
from api.server_pages import names_loopback
from api.server_parts import ServerParts

BODY_LIMIT_BYTES: Final = 256 * 1024
PERSISTED_QUERY_NOT_SUPPORTED: Final = "PERSISTED_QUERY_NOT_SUPPORTED"
_JSON: Final = "application/json"
_RESPONSE_JSON: Final = "application/graphql-response+json"


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one operation, checked for their kinds."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


class GraphQLOverHttp:
    """The endpoint `/graphql` for HTTP."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def answer(self, request: Request) -> Response:
        """Answer one request, whatever it is; never raises."""
        if self._wants_page(request):
            key = self._process.settings.demo_key if names_loopback(request.headers.get("host", "")) else None
            return HTMLResponse(graphiql_page(key), headers={"cache-control": "no-store"})
        request_id = new_request_id()
        media_type = _answered_in(request.headers.get("accept", ""))
        try:
            status, answer = await self._answer(request, request_id, strict=media_type == _RESPONSE_JSON)
            if isinstance(answer, EventStream):
                return answer
        except RequestRefused as refused:
            status, answer = refused.status, {"errors": formatted([refused], request_id)}
        except Exception as problem:
            status, answer = 500, {"errors": formatted([problem], request_id)}
        answer["extensions"] = answer.get("extensions", {}) | {"requestId": request_id}
        streamed = media_type == EVENT_STREAM and status == 200
        headers = {"x-request-id": request_id, "cache-control": "no-store"}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status == 405:
            headers["allow"] = "GET, POST" if request.method not in ("GET", "HEAD") else "POST"
        if media_type == EVENT_STREAM and not streamed:
            media_type = _JSON
        body = whole(answer) if streamed else orjson.dumps(answer)
        return Response(body, status, headers, media_type=f"{media_type}; charset=utf-8")

    def _wants_page(self, request: Request) -> bool:
        return (
            self._process.settings.graphiql
            and request.method == "GET"
            and "query" not in request.query_params
            and "text/html" in request.headers.get("accept", "")
        )

    async def _answer(
        self, request: Request, request_id: str, *, strict: bool
    ) -> tuple[int, dict[str, Any]] | tuple[int, EventStream]:
        if request.method not in ("GET", "POST"):
            raise RequestRefused(405, BAD_REQUEST, "GraphQL is asked with POST, or with GET for queries.")
        secret = secret_of_header(request.headers.get("authorization"))
        caller = await self._process.keys.caller(secret)
        asked = await _read(request)
        prepared = prepare(self._process.schema._schema, asked.query, asked.variables)
        if prepared.document is None:
            return (400 if strict else 200), {"errors": formatted(prepared.errors, request_id, document=True)}
        operation = operation_of(prepared.document, asked.operation_name)
        streamed = operation.operation is OperationType.SUBSCRIPTION
        if streamed and not wants_events(request.headers.get("accept", "")):
            raise RequestRefused(
                400,
                BAD_REQUEST,
                "A subscription needs a WebSocket with the protocol graphql-transport-ws, or the header "
                f"“Accept: {EVENT_STREAM}”.",
            )
        if operation.operation is OperationType.MUTATION and request.method == "GET":
            raise RequestRefused(405, BAD_REQUEST, "A GET never changes anything. Send mutations with POST.")
        refuse_without_scope(self._process.schema._schema, prepared.document, operation, caller)
        if streamed:
            return 200, await subscription_stream(
                self._process,
                caller,
                secret,
                asked.query,
                prepared.document,
                operation,
                asked.variables or {},
                request_id,
            )
        result = await self._process.schema.execute(
            asked.query,
            variable_values=asked.variables,
            operation_name=asked.operation_name,
            context_value=self._process.context(caller, request_id),
        )
        answer: dict[str, Any] = {}
        if result.errors:
            answer["errors"] = formatted(result.errors, request_id)
        never_executed = bool(result.errors) and result.data is None and all(not e.path for e in result.errors or ())
        if never_executed:
            return (400 if strict else 200), answer
        return 200, answer | {"data": result.data}


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
        raise RequestRefused(400, BAD_REQUEST, "Several operations in one request are not supported. Send one each.")
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
    if not _storable(variables):
        raise RequestRefused(400, BAD_USER_INPUT, "A text in the variables has a character that cannot be stored.")
    return Asked(query, variables, parameters.get("operationName") or None)


def _storable(value: object) -> bool:
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, Mapping):
        return all(_storable(key) and _storable(inner) for key, inner in value.items())
    return all(_storable(inner) for inner in value) if isinstance(value, list) else True


async def _read(request: Request) -> Asked:
    if request.method == "GET":
        parameters: dict[str, Any] = dict(request.query_params)
        for name in ("variables", "extensions"):
            if text := parameters.get(name):
                parameters[name] = _decoded(text.encode(), f"“{name}”")
            else:
                parameters.pop(name, None)
        return checked(parameters)
    content_type, _, options = request.headers.get("content-type", "").partition(";")
    if content_type.strip().lower() != _JSON or not _is_utf8(options):
        raise RequestRefused(415, BAD_REQUEST, "Send the request as application/json in UTF-8.")
    return checked(_decoded(await _body(request), "The body"))


def _is_utf8(options: str) -> bool:
    found = [value for name, _, value in (o.strip().partition("=") for o in options.split(";")) if name == "charset"]
    return all(value.strip('" ').lower().replace("_", "-") in ("utf-8", "utf8") for value in found)


async def _body(request: Request) -> bytes:
    too_large = RequestRefused(
        413,
        BAD_REQUEST,
        f"The request is larger than {BODY_LIMIT_BYTES:,} bytes. Send less at once.",
        allowed=BODY_LIMIT_BYTES,
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BODY_LIMIT_BYTES:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise too_large
    return bytes(body)


def _decoded(text: bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise RequestRefused(400, BAD_REQUEST, f"{what} is not valid JSON.") from None


def _answered_in(accept: str) -> str:
    """Return the media type of the answer: the one of the three that is named first, else `application/json`."""
    for wanted in accept.lower().split(","):
        name = wanted.split(";")[0].strip()
        if name in (_JSON, _RESPONSE_JSON, EVENT_STREAM):
            return name
    return _JSON
