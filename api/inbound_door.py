"""The door for mail providers: POST a raw mail, signed, and it is taken in.

`POST /inbound/{workspace}` with the mail as the body and the headers `webhook-id`, `webhook-timestamp` and
`webhook-signature` of Standard Webhooks, signed with the secret that `inboundSecretRotate` returned. A repeat of a mail
changes nothing more. A wrong signature and an unknown workspace get the same answer.

It costs no budget: it is the workspace's own post, and refusing some of it saves nothing. But whoever knows the address
may send bytes, signed or not, so that there is a bound to all that a process holds in its hands, and a time for a body.

Source: api.md "Events"; product.md section 6.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.server_parts import ServerParts
from domain import inbound, inbound_secrets
from domain.log_context import bind
from domain.rules.ids import IdMalformed, Prefix, from_public, to_public
from domain.rules.inbound.intake import InboundSource
from domain.rules.inbound.mail import BYTES_AT_MOST

log = logging.getLogger("relance.inbound")

INBOUND_PATH: Final = "/inbound/"
_UNSIGNED: Final = "The request is not signed with this workspace's secret, or its time is not now. See the guide."
BYTES_IN_HAND_AT_MOST: Final = 4 * BYTES_AT_MOST
BODY_SECONDS: Final = 60
_AGAIN_AFTER_SECONDS: Final = 10


class HandsFull(Exception):
    """This process holds as many bytes of mails as it may."""


class BodyTooSlow(Exception):
    """A body was not complete in time."""


class Hands:
    """How many bytes of mails this process holds. What counts is what has come, not what was announced: a sender that
    takes its time holds little."""

    def __init__(self, at_most: int = BYTES_IN_HAND_AT_MOST) -> None:
        self._at_most = at_most
        self.held = 0

    @contextmanager
    def holding(self) -> Iterator[bytearray]:
        """Yield an empty body, to be filled by `take`; it is let go at the end of the block."""
        body = bytearray()
        try:
            yield body
        finally:
            self.held -= len(body)

    def take(self, body: bytearray, chunk: bytes) -> None:
        """Put what has come to its body.

        Raises:
            HandsFull
        """
        if self.held + len(chunk) > self._at_most:
            raise HandsFull
        self.held += len(chunk)
        body += chunk


class InboundDoor:
    """The endpoint `/inbound/{workspace}`."""

    def __init__(self, process: ServerParts, hands: Hands | None = None) -> None:
        self._process = process
        self.hands = hands or Hands()

    async def take(self, request: Request) -> Response:
        """Answer one request: 200 with what became of the mail, or why it was not looked at; never raises."""
        try:
            with self.hands.holding() as body:
                return await self._take(request, body)
        except ClientDisconnect:
            return _answer(400, {"error": "The request broke off."})
        except BodyTooSlow:
            return _answer(408, {"error": f"The mail did not come within {BODY_SECONDS} seconds. Send it again."})
        except HandsFull:
            answer = _answer(503, {"error": "Too much mail is being handed in at once. Send it again in a moment."})
            answer.headers["retry-after"] = str(_AGAIN_AFTER_SECONDS)
            return answer
        except Exception:
            log.exception("a mail handed in by a provider was not taken in")
            return _answer(500, {"error": "It was not taken in, and it is our fault. Send it again."})

    async def _take(self, request: Request, body: bytearray) -> Response:
        if not await self._filled(request, body):
            return _answer(413, {"error": f"A mail may have {BYTES_AT_MOST:,} bytes at most."})
        mail = bytes(body)
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
            mail,
        )
        if not signed:
            return _answer(401, {"error": _UNSIGNED})
        bind(workspace_id=workspace_id)
        found = await inbound.ingest(workspace_id, None, mail, InboundSource.PROVIDER)
        told = {
            "outcome": found.outcome,
            "again": found.again,
            "classification": found.classification,
            "messageId": to_public(Prefix.MESSAGE, found.message_id) if found.message_id else None,
            "reason": found.reason,
        }
        return _answer(200, told)

    async def _filled(self, request: Request, body: bytearray) -> bool:
        """Read the body; return whether it is small enough.

        Raises:
            HandsFull, BodyTooSlow, ClientDisconnect
        """
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > BYTES_AT_MOST:
            return False
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    self.hands.take(body, chunk)
                    if len(body) > BYTES_AT_MOST:
                        return False
        except TimeoutError:
            raise BodyTooSlow from None
        return True


def _answer(status: int, told: dict[str, object]) -> Response:
    return Response(orjson.dumps(told), status, {"cache-control": "no-store"}, media_type="application/json")
