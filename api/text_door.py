"""The door for providers of text messages: `POST /sms/{number}` for what comes in, `POST /sms/{number}/{message}` for
what became of what went out. Both are signed with the account's token (`X-Twilio-Signature`).

An unknown number and a wrong signature get the same answer. A repeat changes nothing more.

Source: product.md sections 2 and 5; Twilio's webhook requests.
"""

import logging
from typing import Final
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.server_parts import ServerParts
from domain import text_mailboxes, texts
from domain.refusals import NotFound
from domain.rules.ids import IdMalformed, Prefix, from_public
from domain.rules.text_paths import PATH
from domain.rules.text_signature import is_signed
from domain.texts import IncomingText, TextReport

log = logging.getLogger("relance.texts")

TEXT_PATH: Final = PATH
_BYTES_AT_MOST: Final = 64 * 1024
_FIELDS_AT_MOST: Final = 200
_NOTHING_TO_SAY: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'

Fields = list[tuple[str, str]]


class TextDoor:
    """The endpoints of the numbers."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def take(self, request: Request) -> Response:
        """Answer one request; never raises. 200 says that it is taken in, and no message is to be answered with."""
        try:
            return await self._take(request)
        except ClientDisconnect:
            return _answer(400, "The request broke off.")
        except Exception:
            log.exception("what a provider of text messages told was not taken in")
            return _answer(500, "It was not taken in, and it is our fault. Send it again.")

    async def _take(self, request: Request) -> Response:
        fields = await _fields(request)
        if fields is None:
            return _answer(413, f"A request may have {_BYTES_AT_MOST:,} bytes and {_FIELDS_AT_MOST} fields at most.")
        mailbox_id = _key(request, "number", Prefix.MAILBOX)
        known = await text_mailboxes.token_of(self._process.vault, mailbox_id) if mailbox_id else None
        url = self._process.settings.links_url + request.url.path
        if request.url.query:
            url += f"?{request.url.query}"
        given = request.headers.get("x-twilio-signature", "")
        if mailbox_id is None or known is None or not is_signed(given, known[1], url, fields):
            return _answer(403, "The request is not signed with this number's token. See the guide.")
        workspace_id, values = known[0], dict(fields)
        if "message" in request.path_params:
            return await self._report(workspace_id, _key(request, "message", Prefix.MESSAGE), values)
        incoming = IncomingText(
            provider_id=values.get("MessageSid") or values.get("SmsSid") or "",
            from_number=values.get("From", ""),
            to_number=values.get("To", ""),
            text=values.get("Body", ""),
            opts_out=values.get("OptOutType", "").upper() == "STOP",
        )
        if not incoming.provider_id or not incoming.from_number:
            return _answer(400, "A text message has MessageSid and From.")
        await texts.take_in(workspace_id, mailbox_id, incoming)
        return Response(_NOTHING_TO_SAY, 200, {"cache-control": "no-store"}, media_type="text/xml")

    async def _report(self, workspace_id: UUID, message_id: UUID | None, values: dict[str, str]) -> Response:
        code = values.get("ErrorCode", "")
        told = TextReport(
            provider_id=values.get("MessageSid") or values.get("SmsSid") or "",
            state=(values.get("MessageStatus") or values.get("SmsStatus") or "").lower(),
            error_code=int(code) if code.isascii() and code.isdigit() and len(code) < 9 else None,
        )
        try:
            if message_id is None:
                raise NotFound("message")
            await texts.report(workspace_id, message_id, told)
        except NotFound:
            return _answer(404, "There is no such message.")
        return Response(status_code=204)


def _key(request: Request, name: str, prefix: Prefix) -> UUID | None:
    try:
        found, key = from_public(request.path_params[name])
    except IdMalformed:
        return None
    return key if found is prefix else None


async def _fields(request: Request) -> Fields | None:
    """Return the fields of the form in the body; None when it is too large, or no form."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > _BYTES_AT_MOST:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BYTES_AT_MOST:
            return None
    try:
        return parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS_AT_MOST, errors="replace"
        )
    except ValueError:
        return None


def _answer(status: int, words: str) -> Response:
    return Response(words, status, {"cache-control": "no-store"}, media_type="text/plain")
