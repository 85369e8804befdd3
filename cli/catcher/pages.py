"""The web side of the catcher: pages to read the mails and the same as JSON. Nothing is loaded from elsewhere."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli.catcher import page_html
from cli.catcher.mails import CaughtMail, MailCatcher
from cli.catcher.reading import open_mail

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_LIMIT_MAX = 500
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The mail itself: no scripts, no forms, nothing from elsewhere. A click on a link may open a new tab.
_MAIL_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_MAIL_POLICY = (
    f"sandbox {_MAIL_SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)

Endpoint = Callable[[Request], Awaitable[Response]]


def catcher_app(catcher: MailCatcher, allowed_hosts: tuple[str, ...] = LOCAL_HOSTS) -> Starlette:
    """The pages of one catcher, to be served or mounted under any path.

    Only requests whose Host is one of `allowed_hosts` are answered ("*" allows all): a page elsewhere could
    otherwise point its own name at this machine and read the mails.
    """
    pages = _Pages(catcher)
    return Starlette(
        routes=[
            Route("/", pages.list_mails),
            Route("/mails/{mail_id:int}", pages.show_mail),
            Route("/mails/{mail_id:int}/html", pages.html_of_mail),
            Route("/mails/{mail_id:int}/raw", pages.source_of_mail),
            Route("/api/mails", pages.api_mails),
            Route("/api/mails/{mail_id:int}", pages.api_mail),
            Route("/api/count", pages.api_count),
            Route("/delete-all", pages.delete_all, methods=["POST"]),
            Route("/page.css", _file("page.css", "text/css")),
            Route("/page.js", _file("page.js", "text/javascript")),
        ],
        middleware=[Middleware(_Guard, allowed_hosts=allowed_hosts)],
        exception_handlers={HTTPException: _refusal},
    )


class _Pages:
    def __init__(self, catcher: MailCatcher) -> None:
        self._catcher = catcher

    async def list_mails(self, request: Request) -> Response:
        query = request.query_params.get("q", "")
        after = _number(request, "after")
        page = self._catcher.page(anywhere=query, limit=50, after=after)
        threads = self._catcher.thread_sizes(page.mails)
        return HTMLResponse(
            page_html.list_page(
                _base(request), page, threads, query, after, len(self._catcher), self._catcher.newest_id
            )
        )

    async def show_mail(self, request: Request) -> Response:
        mail = self._mail(request)
        return HTMLResponse(
            page_html.mail_page(
                _base(request), mail, open_mail(mail.raw), self._catcher.thread(mail), request.query_params.get("view")
            )
        )

    async def html_of_mail(self, request: Request) -> Response:
        html = open_mail(self._mail(request).raw).html or ""
        return HTMLResponse(
            '<!doctype html><meta charset="utf-8"><base target="_blank">' + html,
            headers={"Content-Security-Policy": _MAIL_POLICY, "X-DNS-Prefetch-Control": "off"},
        )

    async def source_of_mail(self, request: Request) -> Response:
        mail = self._mail(request)
        return Response(
            mail.raw,
            media_type="message/rfc822",
            headers={"Content-Disposition": f'attachment; filename="mail-{mail.id}.eml"'},
        )

    async def api_mails(self, request: Request) -> Response:
        limit = _number(request, "limit")
        if limit is not None and not 1 <= limit <= _LIMIT_MAX:
            raise HTTPException(400, f"limit must be between 1 and {_LIMIT_MAX}.")
        words = request.query_params
        page = self._catcher.page(
            to=words.get("to", ""),
            subject=words.get("subject", ""),
            anywhere=words.get("q", ""),
            limit=limit or 50,
            after=_number(request, "after"),
        )
        found = [_mail_json(mail) for mail in page.mails]
        return JSONResponse({"mails": found, "total": page.total, "nextAfter": page.next_after})

    async def api_mail(self, request: Request) -> Response:
        mail = self._mail(request)
        opened = open_mail(mail.raw)
        return JSONResponse(
            _mail_json(mail)
            | {
                "headers": [{"name": name, "value": value} for name, value in opened.headers],
                "text": opened.text,
                "html": opened.html,
                "attachments": [
                    {"name": part.name, "mediaType": part.media_type, "sizeBytes": part.size_bytes}
                    for part in opened.attachments
                ],
                "thread": [other.id for other in self._catcher.thread(mail)],
            }
        )

    async def api_count(self, request: Request) -> Response:
        return JSONResponse({"count": len(self._catcher), "newest": self._catcher.newest_id})

    async def delete_all(self, request: Request) -> Response:
        if not _from_this_page(request.headers):
            raise HTTPException(403, "Mails can only be deleted from the catcher's own page.")
        self._catcher.clear()
        return RedirectResponse(_base(request) + "/", status_code=303)

    def _mail(self, request: Request) -> CaughtMail:
        mail = self._catcher.mail(request.path_params["mail_id"])
        if mail is None:
            raise HTTPException(404, "This mail is not here: it was deleted, or newer ones took its place.")
        return mail


class _Guard:
    """Answers known hosts only, and puts the headers of a careful page on every answer."""

    def __init__(self, app: ASGIApp, allowed_hosts: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cache-Control"] = "no-store"
            await send(message)

        host = _host_name(Headers(scope=scope).get("host", ""))
        if host in self._allowed or "*" in self._allowed:
            await self._app(scope, receive, guarded_send)
            return
        told = f"The mail catcher does not answer to the name {host[:80]!r}. Open it as http://127.0.0.1:<port>/.\n"
        await PlainTextResponse(told, status_code=421)(scope, receive, guarded_send)


def _host_name(host: str) -> str:
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def _from_this_page(headers: Headers) -> bool:
    """Browsers always tell where a POST comes from; a script that says nothing is no other site's page."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _base(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise HTTPException(400, f"{name} must be a whole number.")
    return int(text)


def _mail_json(mail: CaughtMail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "receivedAt": mail.received_at.isoformat(),
        "from": mail.sender,
        "to": list(mail.recipients),
        "subject": mail.headings.subject,
        "messageId": mail.headings.message_id,
        "inReplyTo": mail.headings.in_reply_to,
        "references": list(mail.headings.references),
        "sizeBytes": mail.size_bytes,
    }


def _file(name: str, media_type: str) -> Endpoint:
    content = files("cli.catcher").joinpath(name).read_bytes()

    async def serve_file(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return serve_file


async def _refusal(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    if request.url.path.removeprefix(_base(request)).startswith("/api/"):
        return JSONResponse({"error": refusal.detail}, status_code=refusal.status_code)
    return HTMLResponse(page_html.refusal_page(_base(request), refusal.detail), status_code=refusal.status_code)
