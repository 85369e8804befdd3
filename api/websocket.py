"""GraphQL over WebSockets: `graphql-transport-ws` only, each operation with surroundings of its own.

Source: the graphql-transport-ws protocol; stack.md section 4; api.md "Transport".
"""

import logging
import random
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any, Final, cast

import orjson
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import Message, SubscribeMessage
from strawberry.types.unset import UnsetType

from api.admission import Admitted, admitted, carried_out
from api.asking import checked
from api.auth import secret_of_connection
from api.errors import BAD_REQUEST, RequestRefused, formatted, new_request_id
from api.key_set import KeySetUnreachable
from api.ring import QUIET_SECONDS, Batch
from api.server_parts import ServerParts
from api.telling import NotExecuted, subscribed
from domain.log_context import bind
from domain.metrics import SOCKETS_OPEN

log = logging.getLogger("relance.websocket")

INIT_TIMEOUT: Final = timedelta(seconds=10)
OPERATIONS_AT_MOST: Final = 100  # of one connection at once
FORBIDDEN: Final = 4403
TRY_AGAIN_LATER: Final = 1013
RETURNS_PER_SECOND: Final = 50  # that all who are connected would make, if all lost their connection at once
_RETURN_WITHIN_SECONDS: Final = (1.0, 30.0)
_TOLD_AT_ONCE: Final = 100


class Connection:
    """One socket: what it said in `connection_init`, and the key it came with once that was accepted."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.connection_params: Mapping[str, Any] = {}
        self.secret: str | None = None


class SocketHandler(BaseGraphQLTransportWSHandler[Connection, None]):
    """The protocol of one socket."""

    view: "GraphQLOverWebSocket"
    websocket: "TextAdapter"

    async def handle_message(self, message: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            await self.handle_invalid_message("A message is a JSON object with a type")
        elif message["type"] in ("subscribe", "complete") and not _names_operation(message):
            await self.handle_invalid_message("The message has no id, or no payload")
        else:
            await super().handle_message(cast(Message, message))

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        full = self.connection_acknowledged and len(self.operations) >= OPERATIONS_AT_MOST
        if not full or message["id"] in self.operations:
            await super().handle_subscribe(message)
            return
        told: Any = formatted([_too_many_operations()], request_id := new_request_id())
        told[0]["extensions"]["requestId"] = request_id
        await self.send_message({"id": message["id"], "type": "error", "payload": told})

    async def run_operation(self, operation: Operation[Connection, None]) -> None:
        bind(request_id=(request_id := new_request_id()))  # each operation is a task of its own
        try:
            await self._run(operation, request_id)
            if self._wants(operation):
                await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except WebSocketDisconnected:
            return
        except Exception as problem:
            if isinstance(problem, NotExecuted):
                told: Any = formatted(problem.errors, request_id, document=problem.document)
            else:
                told = formatted([problem], request_id)
            for error in told:
                error["extensions"]["requestId"] = request_id
            with suppress(WebSocketDisconnected):
                if self._wants(operation):
                    await operation.send_operation_message({"id": operation.id, "type": "error", "payload": told})

    def _wants(self, operation: Operation[Connection, None]) -> bool:
        """Return whether the client still waits for this operation: it may have said `complete` meanwhile."""
        return self.operations.get(operation.id) is operation

    async def _run(self, operation: Operation[Connection, None], request_id: str) -> None:
        asked = checked(
            {
                "query": operation.query,
                "variables": operation.variables,
                "operationName": operation.operation_name,
            }
        )
        process = self.view.process
        caller = await process.keys.caller(self.context.secret)
        one = admitted(process, caller, asked)
        if one.kind is OperationType.SUBSCRIPTION:
            one.charge.settle(one.base_cost)
            with process.subscriptions.taken(caller):
                await self._tell(operation, one)
            return
        process.answering += 1
        try:
            await self._answer(operation, one, request_id)
        finally:
            process.answering -= 1

    async def _answer(self, operation: Operation[Connection, None], one: Admitted, request_id: str) -> None:
        result = await carried_out(self.view.process, one, request_id)
        if result.errors and result.data is None and all(not error.path for error in result.errors):
            raise NotExecuted(result.errors)
        extensions = {"requestId": request_id, "cost": one.charge.told()}
        payload: dict[str, Any] = {"data": result.data, "extensions": extensions}
        if result.errors:
            payload["errors"] = formatted(result.errors, request_id)
        next_: Any = {"id": operation.id, "type": "next", "payload": payload}
        await operation.send_operation_message(next_)

    async def _tell(self, operation: Operation[Connection, None], one: Admitted) -> None:
        """Send this subscriber its events until the operation is cancelled, or the hub ends it."""
        process = self.view.process
        told, joined = await subscribed(
            process, one.caller, one.asked.query, one.document, one.operation, one.asked.variables or {}
        )
        head = f'{{"id":{orjson.dumps(operation.id).decode()},"type":"next","payload":'
        with joined as selection:
            async with aclosing(told) as batches:
                told_at = time.monotonic()
                async for batch in batches:
                    for start in range(0, len(batch.events), _TOLD_AT_ONCE):
                        if not self._wants(operation):
                            return
                        for payload in await selection.payloads(batch.events[start : start + _TOLD_AT_ONCE]):
                            await self.websocket.send_text(f"{head}{payload.decode()}}}")
                    now = time.monotonic()
                    if batch.complete or (not batch.events and now - told_at > QUIET_SECONDS):
                        await self._say_where(operation, batch)
                    elif not batch.events:
                        continue
                    told_at = now

    async def _say_where(self, operation: Operation[Connection, None], batch: Batch[Any]) -> None:
        """Tell in a ping up to which cursor the subscriber has everything: nothing may be for it for long."""
        if self._wants(operation):
            where = {"id": operation.id, "cursor": batch.cursor, "live": batch.complete}
            await self.websocket.send_json({"type": "ping", "payload": where})


def return_within_seconds(open_sockets: int) -> float:
    """Return over how many seconds this many lost connections are spread when they are made anew."""
    least, most = _RETURN_WITHIN_SECONDS
    return min(most, max(least, open_sockets / RETURNS_PER_SECOND))


def _too_many_operations() -> RequestRefused:
    message = (
        f"This connection has {OPERATIONS_AT_MOST} operations open, and takes no more at once. "
        "Complete one first, or open another connection."
    )
    return RequestRefused(429, BAD_REQUEST, message, reason="TOO_MANY_OPERATIONS", allowed=OPERATIONS_AT_MOST)


def _names_operation(message: Mapping[str, Any]) -> bool:
    if not isinstance(message.get("id"), str) or not message["id"]:
        return False
    payload = message.get("payload")
    return message["type"] == "complete" or (isinstance(payload, dict) and isinstance(payload.get("query"), str))


class TextAdapter(ASGIWebSocketAdapter):
    """A socket that also takes text that is JSON already."""

    async def send_text(self, text: str) -> None:
        try:
            await self.ws.send_text(text)
        except (WebSocketDisconnect, RuntimeError) as gone:  # RuntimeError: starlette's word for closed meanwhile
            raise WebSocketDisconnected from gone

    async def send_json(self, message: Mapping[str, object]) -> None:
        await self.send_text(orjson.dumps(message).decode())


class GraphQLOverWebSocket(GraphQL[Connection, None]):
    """The endpoint `/graphql` for WebSockets."""

    graphql_transport_ws_handler_class = SocketHandler
    websocket_adapter_class = TextAdapter

    def __init__(self, process: ServerParts) -> None:
        super().__init__(
            process.schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=INIT_TIMEOUT,
            max_subscriptions_per_connection=OPERATIONS_AT_MOST,
            allowed_origins=process.settings.allowed_origins,
        )
        self.process = process
        self._open: set[Connection] = set()

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(WebSocketDisconnected, WebSocketDisconnect), SOCKETS_OPEN.track_inprogress():
            await super().__call__(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Connection:
        assert isinstance(request, WebSocket)
        return Connection(request)

    async def on_ws_connect(self, context: Connection) -> UnsetType | dict[str, object] | None:
        """Accept the key, and say when to come again after a lost connection: each at another moment."""
        secret = secret_of_connection(context.connection_params)
        try:
            await self.process.keys.caller(secret)
        except RequestRefused as refused:
            raise ConnectionRejectionError from refused
        except Exception as problem:  # clients try again after this code; 4403 they take as final
            formatted([problem], new_request_id())
            await context.websocket.close(TRY_AGAIN_LATER, "Try again later")
            raise WebSocketDisconnected from problem
        context.secret = secret
        self._open.add(context)
        return {"retryAfterSeconds": round(random.uniform(0.0, return_within_seconds(len(self._open))), 3)}

    async def close_revoked(self) -> None:
        """Close the sockets whose key or token has expired or was revoked."""
        self._open = {one for one in self._open if one.websocket.application_state is WebSocketState.CONNECTED}
        by_secret: dict[str | None, list[Connection]] = {}
        for connection in self._open:
            by_secret.setdefault(connection.secret, []).append(connection)
        for secret, connections in by_secret.items():
            try:
                await self.process.keys.caller(secret)
            except RequestRefused:
                for connection in connections:
                    self._open.discard(connection)
                    with suppress(RuntimeError, WebSocketDisconnect):
                        await connection.websocket.close(FORBIDDEN, "Forbidden")
            except KeySetUnreachable:  # whose key it is cannot be known now; the others are still looked at
                continue
