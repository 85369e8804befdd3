"""The few pages of the API server for people and for monitors: the front page, health and readiness.

Source: stack.md section 3; issue "Two commands on a bare machine".
"""

import html
import re
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from api.health import ApiHealth
from api.server_parts import ServerParts
from domain.readiness import answer

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?", re.ASCII | re.IGNORECASE)

_FRONT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Relance</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:4rem auto;padding:0 1rem}}code{{font-size:.95em}}
td{{padding:.2rem 1.5rem .2rem 0;vertical-align:top}}</style></head><body>
<h1>Relance</h1>
<p>A headless engine for outreach sequences. This server speaks GraphQL.</p>
<table>{rows}</table>
<p>Every request needs an API key: <code>Authorization: Bearer rel_…</code></p>
</body></html>"""


def front_page(base: str, *, graphiql: bool) -> str:
    """Return the page that names the addresses below `base` (scheme, host and port)."""
    websocket = "ws" + base.removeprefix("http")
    rows = [
        ("GraphQL", f"{base}/graphql", "POST, with a page to try it in a browser" if graphiql else "POST"),
        ("Subscriptions", f"{websocket}/graphql", "WebSocket, graphql-transport-ws"),
        ("Schema", f"{base}/schema.graphql", "every type, field and error"),
        ("Health", f"{base}/healthz", "the process is alive"),
        ("Readiness", f"{base}/readyz", "database, feed, Redis and workers, with reasons"),
    ]
    cells = (f"<tr><td>{name}</td><td>{_link(url)}</td><td>{words}</td></tr>" for name, url, words in rows)
    return _FRONT.format(rows="".join(cells))


def _link(url: str) -> str:
    address = f"<code>{html.escape(url)}</code>"
    return address if url.startswith("ws") else f"<a href='{html.escape(url, quote=True)}'>{address}</a>"


def names_loopback(host: str) -> bool:
    """Return whether a Host header names this machine itself.

    A page from elsewhere whose name was made to point to 127.0.0.1 (DNS rebinding) still says its own name here.
    """
    return _LOOPBACK.fullmatch(host) is not None


class Pages:
    """The routes beside `/graphql`."""

    def __init__(self, process: ServerParts, sdl: str) -> None:
        self._process = process
        self._sdl = sdl

    async def front(self, request: Request) -> Response:
        base = self._process.settings.public_url or str(request.base_url)
        return HTMLResponse(front_page(base.rstrip("/"), graphiql=self._process.settings.graphiql))

    async def schema(self, request: Request) -> Response:
        return PlainTextResponse(self._sdl, media_type="text/plain; charset=utf-8")

    async def health(self, request: Request) -> Response:
        """200 while the process turns."""
        return _told(*answer("alive", await ApiHealth(self._process).live()))

    async def readiness(self, request: Request) -> Response:
        """200 while requests can be answered, else 503; each part with `ok` or a reason."""
        return _told(*answer("ready", await ApiHealth(self._process).ready()))


def _told(status: int, told: dict[str, Any]) -> Response:
    return Response(orjson.dumps(told), status, {"cache-control": "no-store"}, media_type="application/json")
