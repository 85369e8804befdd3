"""The id of each request: the caller's own where it sent one, else a new one; in the answer and in the log.

Source: docs/operations.md; the header X-Request-ID as proxies and clients use it.
"""

import re
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import new_request_id
from domain.log_context import about

REQUEST_ID: Final = "x-request-id"
_HEADER: Final = REQUEST_ID.encode()
_TAKEN: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:=+/-]{0,99}")  # no address can be written with these


class RequestIds:
    """Names each HTTP request. A WebSocket has none: each of its operations has one of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        request_id = given.decode() if _TAKEN.fullmatch(given) else new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with about(request_id=request_id):
            await self._app(scope, receive, named)


def request_id_of(request: Request) -> str:
    """Return the id that this request is answered with."""
    found: str = request.state.request_id
    return found
