"""The public pages of opt-out links. Looking at one changes nothing; its button, and a mail program's POST, opt out.

A scanner may open a link, follow everything on the page and run its scripts: there is nothing there but a form that
a person has to send. Nothing is read from the database to show it, so the page says the same of everybody.

Source: product.md section 5; RFC 8058; reliability.md 2.13, R22.
"""

import base64
import hashlib
import logging
from email.parser import BytesParser
from email.policy import HTTP
from html import escape
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from api.opt_out_words import WORDS, language_for
from domain.opting_out import OptOutLinks, opt_out

log = logging.getLogger("relance.opt_out")

_BODY_LIMIT_BYTES: Final = 16 * 1024
_FIELD: Final = "List-Unsubscribe"
_ONE_CLICK: Final = "One-Click"

_STYLE: Final = """
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;
font:1.0625rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;background:#f5f6f8;color:#1b1f27}
main{width:100%;max-width:30rem;padding:2rem 1.5rem;background:#fff;border:1px solid #d9dde4;border-radius:.75rem}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}
p{margin:0}
form{margin:1.75rem 0 0}
button{width:100%;min-height:3rem;padding:.75rem 1rem;font:inherit;font-weight:600;color:#fff;background:#1d4ed8;
border:0;border-radius:.5rem;cursor:pointer}
button:hover{background:#1e40af}
button:focus-visible{outline:3px solid #1b1f27;outline-offset:3px}
@media(prefers-color-scheme:dark){body{background:#12151b;color:#e8eaef}
main{background:#1b1f27;border-color:#343a46}button:focus-visible{outline-color:#e8eaef}}
"""

_PAGE: Final = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main{live}>
<h1>{heading}</h1>
<p>{words}</p>{form}
</main>
</body>
</html>
"""

_FORM: Final = """
<form method="post">
<input type="hidden" name="{field}" value="{value}">
<button type="submit">{button}</button>
</form>"""

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'sha256-"
        + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
    "vary": "Accept-Language",
}


class OptOutPages:
    """The route `/u/{token}`."""

    def __init__(self, links: OptOutLinks) -> None:
        self._links = links

    async def show(self, request: Request) -> Response:
        """Answer GET and HEAD: the page with its button. Changes nothing."""
        link = self._links.read(request.path_params["token"])
        language = language_for(request.headers.get("accept-language", ""), link.language if link else None)
        words = WORDS[language]
        if link is None:
            return _page(language, words.damaged, words.damaged_explanation, status=400)
        form = _FORM.format(field=_FIELD, value=_ONE_CLICK, button=escape(words.button))
        return _page(language, words.question, words.explanation, form=form)

    async def submit(self, request: Request) -> Response:
        """Answer POST: opt out, and say so. No cookie, no sign-in, no redirect, and again the same for a repetition."""
        link = self._links.read(request.path_params["token"])
        language = language_for(request.headers.get("accept-language", ""), link.language if link else None)
        words = WORDS[language]
        if link is None or not await _asks_to_opt_out(request):
            return _page(language, words.damaged, words.damaged_explanation, status=400)
        try:
            await opt_out(link)
        except Exception:  # whatever it is, the sender of the POST must know that it has to come again
            log.exception("an opt-out could not be recorded")
            return _page(language, words.later, words.later_explanation, status=503, retry_after_seconds=60)
        return _page(language, words.done, words.done_explanation, live=True)


async def _asks_to_opt_out(request: Request) -> bool:
    """Return whether the body is the form of RFC 8058 section 3.1, in either of its encodings."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > _BODY_LIMIT_BYTES:
                return False
    except ClientDisconnect:
        return False
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _asks_in_parts(content_type, bytes(body))
    if kind not in ("application/x-www-form-urlencoded", ""):
        return False
    try:
        fields = parse_qs(body.decode(), max_num_fields=50)
    except ValueError:
        return False
    return _ONE_CLICK in fields.get(_FIELD, ())


def _asks_in_parts(content_type: str, body: bytes) -> bool:
    if not content_type.isascii():
        return False
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    for part in message.iter_parts() if message.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == _FIELD:
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes) and payload.strip() == _ONE_CLICK.encode():
                return True
    return False


def _page(
    language: str,
    heading: str,
    words: str,
    *,
    form: str = "",
    status: int = 200,
    live: bool = False,
    retry_after_seconds: int | None = None,
) -> Response:
    body = _PAGE.format(
        language=language,
        title=escape(heading),
        style=_STYLE,
        live=' role="status"' if live else "",
        heading=escape(heading),
        words=escape(words),
        form=form,
    )
    headers = {**_HEADERS, "content-language": language}
    if retry_after_seconds is not None:
        headers["retry-after"] = str(retry_after_seconds)
    return HTMLResponse(body, status, headers)
