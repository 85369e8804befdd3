"""The few pages of the API server for people and for monitors: the front page, GraphiQL, health and readiness.

Source: stack.md section 3; issue "Two commands on a bare machine".
"""

import html
import json
import re
import time
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from strawberry.http.ides import get_graphql_ide_html

from api.server_parts import ServerParts
from domain.readiness import reason_against_database

_POLL_OVERDUE_SECONDS: Final = 15.0

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?", re.ASCII | re.IGNORECASE)

_FRONT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Relance</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:4rem auto;padding:0 1rem}}code{{font-size:.95em}}
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
        ("Readiness", f"{base}/readyz", "database, Redis and feed, with reasons"),
    ]
    cells = (
        f"<tr><td>{name}</td><td><a href='{html.escape(url, quote=True)}'><code>{html.escape(url)}</code></a></td>"
        f"<td>{words}</td></tr>"
        for name, url, words in rows
    )
    return _FRONT.format(rows="".join(cells))


def names_loopback(host: str) -> bool:
    """Return whether a Host header names this machine itself.

    A page from elsewhere whose name was made to point to 127.0.0.1 (DNS rebinding) still says its own name here.
    """
    return _LOOPBACK.fullmatch(host) is not None


def graphiql_page(demo_key: str | None) -> str:
    """Return GraphiQL; with a demo key its headers and its subscriptions carry that key from the start."""
    page = get_graphql_ide_html("graphiql").replace("Strawberry GraphiQL", "Relance GraphiQL")
    if demo_key is None:
        return page
    headers = json.dumps({"Authorization": f"Bearer {demo_key}"})
    # "<" is written so that no key, whatever it holds, can end the script element.
    as_object = headers.replace("<", "\\u003c")
    as_text = json.dumps(json.dumps(json.loads(headers), indent=2)).replace("<", "\\u003c")
    changes = (
        ("const defaultHeaders = {};", f"const defaultHeaders = {as_object};"),
        ("React.useState(parameters.headers)", f"React.useState(parameters.headers || {as_text})"),
        ("subscriptionUrl,\n", f"subscriptionUrl,\n        wsConnectionParams: {as_object},\n"),
    )
    for before, after in changes:
        if before not in page:
            raise AssertionError(f"the GraphiQL page has changed: {before!r} is gone")
        page = page.replace(before, after)
    return page


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
        return PlainTextResponse("ok\n")

    async def readiness(self, request: Request) -> Response:
        """200 when the database with its tables, Redis and the feed work, else 503; each with `ok` or a reason."""
        late = "not connected; changes arrive late, by the poll every 2 s"
        parts = {
            "database": await reason_against_database(),
            "redis": None if self._process.hub.redis_connected else late,
            "feed": self._reason_against_feed(),
        }
        ready = not any(parts.values())
        told = {name: {"ok": reason is None, "reason": reason} for name, reason in parts.items()}
        body = orjson.dumps({"ready": ready, "parts": told})
        headers = {"cache-control": "no-store"}
        return Response(body, 200 if ready else 503, headers, media_type="application/json")

    def _reason_against_feed(self) -> str | None:
        polled_at = self._process.hub.polled_at
        if polled_at is None:
            return "not polled yet"
        late = time.monotonic() - polled_at
        return None if late < _POLL_OVERDUE_SECONDS else f"last polled {late:.0f} s ago"
