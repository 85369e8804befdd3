"""The API server: its parts wired together, its routes, and how it is run.

Source: api.md "Transport"; stack.md sections 0, 3 and 4.
"""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute

from api.auth import KeyRing
from api.budget import Budgets
from api.budget_settling import BudgetSettling
from api.charges import Places
from api.exports import EXPORT_PATH, Exports
from api.http import GraphQLOverHttp
from api.imports import UPLOAD_PATH, Imports
from api.inbound_door import INBOUND_PATH, InboundDoor
from api.limits import BODY_LIMIT_BYTES
from api.opt_out_page import OptOutPages
from api.request_ids import REQUEST_ID, RequestIds
from api.ring import Hub
from api.rounds import endlessly
from api.schema import schema, sdl
from api.server_pages import Pages
from api.server_parts import ServerParts, TryMailbox
from api.socket_protocol import PING_EVERY_SECONDS, PONG_WITHIN_SECONDS, SocketProtocol
from api.text_door import TEXT_PATH, TextDoor
from api.tokens import Tokens
from api.websocket import GraphQLOverWebSocket
from domain.database import database
from domain.opting_out import PATH as OPT_OUT_PATH
from domain.opting_out import OptOutLinks
from domain.secrets import Vault
from domain.settings import Settings

_KEYS_CHECKED_EVERY_SECONDS: Final = 2.0
_GRACEFUL_SECONDS: Final = 10
_LOOKED_EVERY_SECONDS: Final = 0.02
# Longer than proxies and clients keep an idle connection (60 seconds as a rule): whoever closes first while the other
# is sending loses that request.
KEPT_IDLE_SECONDS: Final = 75


def create_app(settings: Settings, *, try_mailbox: TryMailbox | None = None) -> Starlette:
    """Return the API as an ASGI application. Its lifespan opens the database, listens to Redis and polls the feed.

    `try_mailbox` signs in to a mailbox's servers for `mailboxConnect`; without it that mutation says that it cannot.
    """
    budgets = Budgets(settings.budget_points, settings.budget_points_per_second)
    operations, subscriptions = (
        Places("operations", of_each=settings.operations_per_key, in_all=settings.operations_per_process),
        Places("subscriptions", of_each=settings.subscriptions_per_key, in_all=settings.subscriptions_per_process),
    )
    process = ServerParts(
        settings=settings,
        schema=schema,
        hub=Hub(settings.redis_url),
        keys=KeyRing(Tokens(settings.sign_in) if settings.sign_in else None),
        vault=Vault(settings.secret_key, settings.previous_keys),
        budgets=budgets,
        operations=operations,
        subscriptions=subscriptions,
        uploads=Places("uploads", of_each=settings.uploads_per_key, in_all=settings.uploads_per_process),
        exports=Places("exports", of_each=settings.exports_per_key, in_all=settings.exports_per_process),
        try_mailbox=try_mailbox,
    )
    over_http, over_websocket = GraphQLOverHttp(process), GraphQLOverWebSocket(process)
    pages = Pages(process, sdl())
    door, text_door = InboundDoor(process), TextDoor(process)
    opting_out = OptOutPages(OptOutLinks(process.vault, settings.links_url))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                database(
                    settings.database_url,
                    pool_size=settings.database_pool_size,
                    application="relance-api",
                    pepper=process.vault.pepper,
                )
            )
            await stack.enter_async_context(process.hub.running())
            await stack.enter_async_context(process.tails.running())
            await stack.enter_async_context(BudgetSettling(settings.redis_url, budgets).running())
            checking = asyncio.create_task(
                endlessly(
                    "checking the keys of sockets",
                    over_websocket.close_revoked,
                    pause_seconds=_KEYS_CHECKED_EVERY_SECONDS,
                    most_seconds=10,
                )
            )
            try:
                yield
            finally:
                checking.cancel()
                await asyncio.gather(checking, return_exceptions=True)

    app = Starlette(
        routes=[
            Route("/", pages.front, methods=["GET"]),
            Route("/healthz", pages.health, methods=["GET"]),
            Route("/readyz", pages.readiness, methods=["GET"]),
            Route("/schema.graphql", pages.schema, methods=["GET"]),
            Route(f"{OPT_OUT_PATH}{{token}}", opting_out.show, methods=["GET"]),
            Route(f"{OPT_OUT_PATH}{{token}}", opting_out.submit, methods=["POST"]),
            Route(f"{INBOUND_PATH}{{workspace}}", door.take, methods=["POST"]),
            Route(f"{TEXT_PATH}{{number}}", text_door.take, methods=["POST"]),
            Route(f"{TEXT_PATH}{{number}}/{{message}}", text_door.take, methods=["POST"]),
            Route(f"{EXPORT_PATH}{{name}}", Exports(process).download, methods=["GET"]),
            Route(UPLOAD_PATH, Imports(process).upload, methods=["POST"]),
            Route("/graphql", over_http.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            WebSocketRoute("/graphql", over_websocket),
        ],
        middleware=[
            Middleware(RequestIds),
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.allowed_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "accept", "idempotency-key", REQUEST_ID],
                allow_credentials=False,  # keys travel in a header that pages set themselves, never in cookies
                expose_headers=[REQUEST_ID, "retry-after"],
                max_age=600,
            ),
        ],
        lifespan=lifespan,
    )
    app.state.process = process
    return app


class ApiServer(uvicorn.Server):
    """The server, which tells its streams and sockets to come again elsewhere before it ends."""

    @property
    def process(self) -> ServerParts:
        assert isinstance(self.config.app, Starlette)
        parts: ServerParts = self.config.app.state.process
        return parts

    def tell_to_end(self) -> None:
        """End: first as what is not ready any more, so that nobody sends new requests here, then altogether.

        Told a second time, without the first of the two; told a third time, without finishing what is going on.
        """
        if not self.process.draining.is_set() and (seconds := self.process.settings.drain_seconds):
            self.process.draining.set()
            asyncio.get_running_loop().call_later(seconds, setattr, self, "should_exit", True)
            return
        self.process.draining.set()
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        process = self.process
        process.draining.set()
        process.closing.set()
        for listening in self.servers:
            listening.close()
        # Uvicorn lets requests finish, but closes sockets (1012) with whatever they are being answered.
        for _ in range(int(_GRACEFUL_SECONDS / 2 / _LOOKED_EVERY_SECONDS)):
            if not process.answering:
                break
            await asyncio.sleep(_LOOKED_EVERY_SECONDS)
        await super().shutdown(sockets)


def tune_garbage_collection() -> None:
    """Take what was built at the start out of the collector's sight and let it look less often (stack.md section 4)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def server(settings: Settings, *, try_mailbox: TryMailbox | None = None) -> ApiServer:
    """Return the server, not yet running; `await server.serve()` runs it until `should_exit` is set or a signal."""
    config = uvicorn.Config(
        create_app(settings, try_mailbox=try_mailbox),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws=SocketProtocol,
        ws_max_size=BODY_LIMIT_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_EVERY_SECONDS,
        ws_ping_timeout=PONG_WITHIN_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        timeout_keep_alive=KEPT_IDLE_SECONDS,
    )
    return ApiServer(config)


async def serve(settings: Settings, *, try_mailbox: TryMailbox | None = None) -> None:
    """Serve until a signal to end arrives, then let running requests finish for up to 10 seconds."""
    running = server(settings, try_mailbox=try_mailbox)
    tune_garbage_collection()
    await running.serve()
