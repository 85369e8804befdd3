"""GraphQL over HTTP: POST with JSON, GET for queries, and one shape for every answer, errors included.

`application/graphql-response+json` is answered where it is asked for, with 4xx for what was never executed; else
`application/json` with 200 for documents that are wrong, as older clients expect.

Source: the GraphQL-over-HTTP specification; api.md "Transport".
"""

from typing import Any, Final

import orjson
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.admission import admitted, carried_out
from api.asking import Asked, checked, decoded
from api.auth import secret_of_header
from api.errors import BAD_REQUEST, RequestRefused, formatted
from api.event_stream import EVENT_STREAM, EventStream, subscription_stream, wants_events, whole
from api.graphiql import graphiql_page
from api.limits import BODY_LIMIT_BYTES, refused
from api.request_ids import request_id_of
from api.server_pages import names_loopback
from api.server_parts import ServerParts
from api.telling import NotExecuted

_JSON: Final = "application/json"
_RESPONSE_JSON: Final = "application/graphql-response+json"


class GraphQLOverHttp:
    """The endpoint `/graphql` for HTTP."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def answer(self, request: Request) -> Response:
        """Answer one request, whatever it is; never raises."""
        if self._wants_page(request):
            key = self._process.settings.demo_key if names_loopback(request.headers.get("host", "")) else None
            return HTMLResponse(graphiql_page(key), headers={"cache-control": "no-store"})
        request_id = request_id_of(request)
        media_type = _answered_in(request.headers.get("accept", ""))
        strict, retry_after = media_type == _RESPONSE_JSON, None
        try:
            status, answer = await self._answer(request, request_id, strict=strict)
            if isinstance(answer, EventStream):
                return answer
        except RequestRefused as problem:
            status, answer = problem.status, {"errors": formatted([problem], request_id)}
            retry_after = problem.facts.get("retryAfterSeconds")
        except NotExecuted as problem:
            status = 400 if strict else 200
            answer = {"errors": formatted(problem.errors, request_id, document=problem.document)}
        except Exception as problem:
            status, answer = 500, {"errors": formatted([problem], request_id)}
        answer["extensions"] = answer.get("extensions", {}) | {"requestId": request_id}
        streamed = media_type == EVENT_STREAM and status == 200
        headers = {"cache-control": "no-store"}
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
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
        one = admitted(self._process, caller, asked)
        streamed = one.kind is OperationType.SUBSCRIPTION
        if streamed and not wants_events(request.headers.get("accept", "")):
            raise RequestRefused(
                400,
                BAD_REQUEST,
                "A subscription needs a WebSocket with the protocol graphql-transport-ws, or the header "
                f"“Accept: {EVENT_STREAM}”.",
            )
        if one.kind is OperationType.MUTATION and request.method == "GET":
            raise RequestRefused(405, BAD_REQUEST, "A GET never changes anything. Send mutations with POST.")
        if streamed:
            one.charge.settle(one.base_cost)
            self._process.subscriptions.refuse_when_full(caller)
            return 200, await subscription_stream(
                self._process,
                caller,
                secret,
                asked.query,
                one.document,
                one.operation,
                asked.variables or {},
                request_id,
            )
        result = await carried_out(self._process, one, request_id)
        answer: dict[str, Any] = {"extensions": {"cost": one.charge.told()}}
        if result.errors:
            answer["errors"] = formatted(result.errors, request_id)
        never_executed = bool(result.errors) and result.data is None and all(not e.path for e in result.errors or ())
        if never_executed:
            return (400 if strict else 200), answer
        return 200, answer | {"data": result.data}


async def _read(request: Request) -> Asked:
    if request.method == "GET":
        parameters: dict[str, Any] = dict(request.query_params)
        for name in ("variables", "extensions"):
            if text := parameters.get(name):
                parameters[name] = decoded(text.encode(), f"“{name}”")
            else:
                parameters.pop(name, None)
        return checked(parameters)
    content_type, _, options = request.headers.get("content-type", "").partition(";")
    if content_type.strip().lower() != _JSON or not _is_utf8(options):
        raise RequestRefused(415, BAD_REQUEST, "Send the request as application/json in UTF-8.")
    return checked(decoded(await _body(request), "The body"))


def _is_utf8(options: str) -> bool:
    found = [value for name, _, value in (o.strip().partition("=") for o in options.split(";")) if name == "charset"]
    return all(value.strip('" ').lower().replace("_", "-") in ("utf-8", "utf8") for value in found)


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and len(declared) < 20 and int(declared) > BODY_LIMIT_BYTES:
        raise _too_large(int(declared))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise _too_large(len(body))
    return bytes(body)


def _too_large(found: int) -> RequestRefused:
    message = f"The request is larger than {BODY_LIMIT_BYTES:,} bytes. Send less at once."
    return refused(413, BAD_REQUEST, "body", message, found=found, allowed=BODY_LIMIT_BYTES)


def _answered_in(accept: str) -> str:
    """Return the media type of the answer: the one of the three that is named first, else `application/json`."""
    for wanted in accept.lower().split(","):
        name = wanted.split(";")[0].strip()
        if name in (_JSON, _RESPONSE_JSON, EVENT_STREAM):
            return name
    return _JSON
