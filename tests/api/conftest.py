"""A running API server on a database of the test's own, and two clients of it: HTTP and graphql-transport-ws."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from api.app import server
from api.server_parts import ImapSignIn, ServerParts, SignInRefused, SmtpSignIn, TextSignIn, TryMailbox
from domain import keys
from domain.rules.actor import Actor, ActorKind
from domain.rules.ids import Prefix, to_public
from domain.rules.step_errors import StepErrorCode
from domain.secrets import Vault
from domain.settings import Settings
from tests.world import HERE, World, make_world

PATIENCE_SECONDS = 15.0
SECRET_KEY = bytes(range(32))


async def try_mailbox(sending: SmtpSignIn | TextSignIn, reading: ImapSignIn | None) -> SignInRefused | None:
    """The edge of the process: mail servers that only know the password “right”."""
    for asked in (sending, reading):
        if isinstance(asked, SmtpSignIn | ImapSignIn) and asked.password not in (None, "right"):
            words = "535 Authentication failed"
            return SignInRefused(StepErrorCode.MAILBOX_CREDENTIALS_REFUSED, words, reading=asked is reading)
    return None


@dataclass
class Api:
    """A server that runs, and a client with a key of a fresh workspace."""

    url: str
    process: ServerParts
    workspace_id: UUID
    key: keys.NewKey
    http: httpx.AsyncClient
    vault: Vault = field(default_factory=lambda: Vault(SECRET_KEY))

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.API_KEY, self.key.id)

    async def post(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key.secret}"} | headers
        return await self.http.post("/graphql", json={"query": query, "variables": variables or {}}, headers=headers)

    async def ask(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return `data` of an answer without errors."""
        answer = (await self.post(query, variables)).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def change(self, mutation: str, input: dict[str, Any], selection: str) -> dict[str, Any]:
        """Return the payload of one mutation, errors included."""
        name = mutation[0].upper() + mutation[1:]
        query = f"""mutation ($input: {name}Input!) {{ {mutation}(input: $input) {{ {selection}
            errors {{ __typename code message field suggestedFix {{ code message targetId }} }} }} }}"""
        payload: dict[str, Any] = (await self.ask(query, {"input": input}))[mutation]
        return payload

    @asynccontextmanager
    async def socket(self, **payload: Any) -> AsyncIterator["Socket"]:
        """A WebSocket that has been acknowledged."""
        async with self.raw_socket() as raw:
            given = payload or {"Authorization": f"Bearer {self.key.secret}"}
            await raw.send(json.dumps({"type": "connection_init", "payload": given}))
            assert json.loads(await asyncio.wait_for(raw.recv(), PATIENCE_SECONDS))["type"] == "connection_ack"
            yield Socket(raw)

    @asynccontextmanager
    async def raw_socket(
        self, protocol: str = "graphql-transport-ws", **options: Any
    ) -> AsyncIterator[ClientConnection]:
        address = f"ws{self.url.removeprefix('http')}/graphql"
        async with websockets.connect(address, subprotocols=[Subprotocol(protocol)], **options) as raw:
            yield raw

    async def world(self, **options: Any) -> World:
        return await make_world(self.workspace_id, self.actor, self.vault, **options)


@dataclass
class Socket:
    """A client of graphql-transport-ws."""

    raw: ClientConnection
    _id: int = 0

    async def start(self, query: str, variables: dict[str, Any] | None = None) -> str:
        self._id += 1
        payload = {"query": query, "variables": variables or {}}
        await self.raw.send(json.dumps({"id": str(self._id), "type": "subscribe", "payload": payload}))
        return str(self._id)

    async def message(self) -> dict[str, Any]:
        """The next message that is no ping."""
        while True:
            message = await self.any_message()
            if message["type"] != "ping":
                return message

    async def any_message(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.raw.recv(), PATIENCE_SECONDS)
        assert isinstance(text, str)
        message: dict[str, Any] = json.loads(text)
        if message["type"] == "ping":
            await self.raw.send(json.dumps({"type": "pong", "payload": message.get("payload")}))
        return message

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next events of `recipientEvents`; nothing else may come between."""
        found = []
        for _ in range(count):
            message = await self.message()
            assert message["type"] == "next", message
            assert "errors" not in message["payload"], message["payload"]
            found.append(message["payload"]["data"]["recipientEvents"])
        return found


@asynccontextmanager
async def serving(settings: Settings, *, try_mailbox: TryMailbox = try_mailbox) -> AsyncIterator[uvicorn.Server]:
    """Run the server on a free port of loopback."""
    # With its protocol named: asyncio then sends small answers at once instead of waiting for more (Nagle).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    running = server(settings, try_mailbox=try_mailbox)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not running.started:
                assert not task.done(), "the server ended at once"
                await asyncio.sleep(0.01)
        running.config.port = listener.getsockname()[1]
        yield running
    finally:
        running.should_exit = True
        await asyncio.wait_for(task, 20)
        listener.close()


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    """No worker runs here: one database does for all, with a workspace for each test."""
    return shared_database_url


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret_key=SECRET_KEY,
        allowed_origins=("https://app.example",),
        reach=HERE,
        graphiql=True,
        demo_key="rel_demo</script>_key",
    )


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with serving(settings) as running:
        process: ServerParts = running.config.app.state.process  # type: ignore[union-attr]
        workspace_id = await keys.create_workspace("Acme")
        key = await keys.create(workspace_id, "tests")
        url = f"http://127.0.0.1:{running.config.port}"
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http:
            yield Api(url, process, workspace_id, key, http)


def rcp(key: UUID) -> str:
    return to_public(Prefix.RECIPIENT, key)


def seq(key: UUID) -> str:
    return to_public(Prefix.SEQUENCE, key)


def stp(key: UUID) -> str:
    return to_public(Prefix.STEP, key)


def mbx(key: UUID) -> str:
    return to_public(Prefix.MAILBOX, key)
