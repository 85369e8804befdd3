"""A provider of text messages on this machine: it answers as Twilio documents its Message, Account and
IncomingPhoneNumber resources, and can lose its answers on purpose.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

SID = "AC" + "0123456789abcdef" * 2
TOKEN = "a-token-of-32-letters-and-digits"
NUMBER = "+14155550100"


def said_no(status: int, code: int, message: str = "No.") -> tuple[int, dict[str, Any]]:
    """A refusal as Twilio writes it."""
    return status, {"code": code, "message": message, "more_info": f"https://provider.example/{code}", "status": status}


@dataclass
class Provider:
    """`refuses` gives an answer in the place of taking a message; None takes it."""

    refuses: Callable[[dict[str, str]], tuple[int, dict[str, Any]] | None] = lambda fields: None
    taken: list[dict[str, str]] = field(default_factory=list)  # the form of each message taken, with its sid
    posts: int = 0
    loses_answers: bool = False  # takes a message and cuts the connection
    cuts_posts: bool = False  # cuts the connection without taking it
    lists: bool = True
    account_state: str = "active"
    numbers: tuple[str, ...] = (NUMBER,)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def to(self) -> list[str]:
        return [one["To"] for one in self.taken]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            method, path, _ = line.split()
            answer = self._answer(method, path, headers, dict(parse_qsl(body.decode(), keep_blank_values=True)))
            if answer is None:
                return
            status, told = answer
            written = json.dumps(told).encode()
            lines = [f"HTTP/1.1 {status} x", f"content-length: {len(written)}", "content-type: application/json"]
            writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + written)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(
        self, method: str, path: str, headers: dict[str, str], fields: dict[str, str]
    ) -> tuple[int, dict[str, Any]] | None:
        signed = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if headers.get("authorization") != f"Basic {signed}":
            return said_no(401, 20003, "Authenticate")
        parts = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        prefix = f"/2010-04-01/Accounts/{SID}"
        if (method, parts.path) == ("POST", f"{prefix}/Messages.json"):
            return self._post(fields)
        if parts.path == f"{prefix}.json":
            return 200, {"sid": SID, "status": self.account_state}
        if parts.path == f"{prefix}/IncomingPhoneNumbers.json":
            own = [one for one in self.numbers if one == asked.get("PhoneNumber")]
            numbers = [{"phone_number": one, "capabilities": {"sms": True, "voice": True}} for one in own]
            return 200, {"incoming_phone_numbers": numbers}
        if parts.path == f"{prefix}/Messages.json" and self.lists:
            return 200, {"messages": [self._listed(one) for one in reversed(self.taken) if one["To"] == asked["To"]]}
        return said_no(404, 20404, "Not found")

    def _post(self, fields: dict[str, str]) -> tuple[int, dict[str, Any]] | None:
        self.posts += 1
        if self.cuts_posts:
            return None
        refusal = self.refuses(fields)
        if refusal is not None:
            return refusal
        one = fields | {"sid": f"SM{len(self.taken):032x}", "date": format_datetime(datetime.now(UTC))}
        self.taken.append(one)
        return None if self.loses_answers else (201, self._listed(one))

    def _listed(self, one: dict[str, str]) -> dict[str, Any]:
        return {
            "sid": one["sid"],
            "to": one["To"],
            "from": one["From"],
            "body": one["Body"],
            "status": "queued",
            "direction": "outbound-api",
            "date_created": one["date"],
            "error_code": None,
        }


@asynccontextmanager
async def providing(provider: Provider | None = None) -> AsyncIterator[Provider]:
    provider = provider or Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
