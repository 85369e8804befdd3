"""A port beside API and worker for the monitoring of whoever operates them: metrics, health and readiness.

    /metrics   what Prometheus reads
    /healthz   200 while the process turns, 503 when it is to be started anew
    /readyz    200 while it can do its work, 503 with the reasons while it cannot, or is ending

Off unless RELANCE_MONITOR_PORT is set, and on loopback unless RELANCE_MONITOR_HOST says more: it asks for no key, and
what it tells is no customer's business. A small server of its own answers while the API's has stopped listening, too.

Source: docs/adr/0020.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from cli.console import CannotGoOn
from domain import figures
from domain.readiness import Health, answer
from domain.settings import Settings

log = logging.getLogger("relance.monitoring")

_HEAD_AT_MOST_BYTES: Final = 16_384
_PATIENCE_SECONDS: Final = 10.0
_WORDS: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_JSON: Final = "application/json"


@asynccontextmanager
async def monitored(settings: Settings, health: Health) -> AsyncIterator[None]:
    """Answer on the monitoring port while the block runs; the database is opened inside of it.

    Raises:
        CannotGoOn: the port cannot be listened on.
    """
    if settings.monitor_port is None:
        yield
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await _answer(head, health)
                lines = (
                    f"HTTP/1.1 {status} {_WORDS[status]}",
                    f"content-type: {kind}",
                    f"content-length: {len(body)}",
                    "cache-control: no-store",
                    "connection: close",
                )
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head.startswith(b"HEAD ") else body))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or asked for nothing
        except Exception as problem:
            log.error("a question of the monitoring was not answered", exc_info=problem)
        finally:
            with suppress(OSError):
                writer.close()

    host, port = settings.monitor_host, settings.monitor_port
    try:
        server = await asyncio.start_server(serve, host, port, limit=_HEAD_AT_MOST_BYTES)
    except OSError:
        raise CannotGoOn(f"The monitoring cannot listen on {host}:{port}; set another RELANCE_MONITOR_PORT.") from None
    try:
        yield
    finally:
        server.close()


async def _answer(head: bytes, health: Health) -> tuple[int, str, bytes]:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path not in (b"/metrics", b"/healthz", b"/readyz"):
        return 404, _JSON, b'{"error":"There are /metrics, /healthz and /readyz."}'
    if method not in (b"GET", b"HEAD"):
        return 405, _JSON, b'{"error":"Only GET is answered here."}'
    if path == b"/metrics":
        await figures.refresh()
        return 200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
    if path == b"/healthz":
        status, told = answer("alive", await health.live())
    else:
        status, told = answer("ready", await health.ready())
    return status, _JSON, orjson.dumps(told)
