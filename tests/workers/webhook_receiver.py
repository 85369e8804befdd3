"""A receiver of webhooks that checks each signature with the standard's own library, and answers as it is told."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Heard:
    """One request that arrived, with a signature that one of the receiver's secrets explains."""

    id: str
    headers: dict[str, str]
    payload: dict[str, Any]
    path: str


@dataclass
class Receiver:
    """`answers` gives status and headers for a request; 204 for all by default."""

    secrets: list[str] = field(default_factory=list)
    answers: Callable[[Heard], tuple[int, dict[str, str]]] = lambda heard: (204, {})
    heard: list[Heard] = field(default_factory=list)
    unsigned: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    words: str = "words"  # the body of each answer
    mute: bool = False  # takes the request and never answers

    @property
    def ids(self) -> Counter[str]:
        return Counter(one.id for one in self.heard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, more = self._take(line.split()[1], headers, body)
            if self.mute:
                await reader.read()  # until the other side has had enough
                return
            lines = [f"HTTP/1.1 {status} x", f"content-length: {len(self.words.encode())}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in more.items()]
            writer.write("\r\n".join([*lines, "", self.words]).encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body.decode(), headers)
            except WebhookVerificationError:
                continue
            one = Heard(headers["webhook-id"], headers, json.loads(body), path)
            self.heard.append(one)
            return self.answers(one)
        self.unsigned.append(headers)
        return 401, {}


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
