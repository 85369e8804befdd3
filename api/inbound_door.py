"""The door for mail providers: POST a raw mail, signed, and it is taken in.

`POST /inbound/{workspace}` with the mail as the body and the headers `webhook-id`, `webhook-timestamp` and
`webhook-signature` of Standard Webhooks, signed with the secret that `inboundSecretRotate` returned. A repeat of a mail
changes nothing more. A wrong signature and an unknown workspace get the same answer.

Source: api.md "Events"; product.md section 6.
"""

import logging
from typing import Final

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.server_parts import ServerParts
from domain import inbound, inbound_secrets
from domain.rules.ids import IdMalformed, Prefix, from_public, to_public
from domain.rules.inbound.intake import InboundSource
from domain.rules.inbound.mail import BYTES_AT_MOST

log = logging.getLogger("relance.inbound")

INBOUND_PATH: Final = "/inbound/"
_UNSIGNED: Final = "The request is not signed with this workspace's secret, or its time is not now. See the guide."


class InboundDoor:
    """The endpoint `/inbound/{workspace}`."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def take(self, request: Request) -> Response:
        """Answer one request: 200 with what became of the mail, or why it was not looked at; never raises."""
        try:
            return await self._take(request)
        except ClientDisconnect:
            return _answer(400, {"error": "The request broke off."})
        except Exception:
            log.exception("a mail handed in by a provider was not taken in")
            return _answer(500, {"error": "It was not taken in, and it is our fault. Send it again."})

    async def _take(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _answer(413, {"error": f"A mail may have {BYTES_AT_MOST:,} bytes at most."})
        try:
            prefix, workspace_id = from_public(request.path_params["workspace"])
        except IdMalformed:
            return _answer(401, {"error": _UNSIGNED})
        signed = prefix is Prefix.WORKSPACE and await inbound_secrets.is_signed(
            workspace_id,
            self._process.vault,
            request.headers.get("webhook-id", ""),
            request.headers.get("webhook-timestamp", ""),
            request.headers.get("webhook-signature", ""),
            body,
        )
        if not signed:
            return _answer(401, {"error": _UNSIGNED})
        found = await inbound.ingest(workspace_id, None, body, InboundSource.PROVIDER)
        told = {
            "outcome": found.outcome,
            "again": found.again,
            "classification": found.classification,
            "messageId": to_public(Prefix.MESSAGE, found.message_id) if found.message_id else None,
            "reason": found.reason,
        }
        return _answer(200, told)


async def _body(request: Request) -> bytes | None:
    """Return the body; None when it is too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BYTES_AT_MOST:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BYTES_AT_MOST:
            return None
    return bytes(body)


def _answer(status: int, told: dict[str, object]) -> Response:
    return Response(orjson.dumps(told), status, {"cache-control": "no-store"}, media_type="application/json")
