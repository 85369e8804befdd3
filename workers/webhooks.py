"""Telling endpoints: one POST each, signed, to an address that was looked up once and looked at before.

Source: the Standard Webhooks specification; reliability.md 2.20.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import httpx

from domain import webhook_attempts, webhook_delivery
from domain.metrics import WEBHOOK_ATTEMPTS, WEBHOOK_SECONDS
from domain.rules.network import AddressNotAllowed, Reach
from domain.rules.webhooks import UrlInvalid, signature, target_of
from domain.secrets import SecretUnreadable, Vault
from domain.webhook_attempts import Attempt
from domain.webhook_delivery import Delivery
from domain.webhooks import signing_keys
from workers.outgoing_http import OutgoingHttp, beginning

log = logging.getLogger("relance.webhooks")

_SLOTS: Final = 50
_DEADLINE_SECONDS: Final = 15.0
_ANSWER_LETTERS_KEPT: Final = 4_000
_AGENT: Final = "Relance-Webhooks/1"


class Deliverer:
    """Carries deliveries out, at most `slots` at once. One for each worker process."""

    def __init__(
        self,
        vault: Vault,
        reach: Reach,
        *,
        slots: int = _SLOTS,
        deadline_seconds: float = _DEADLINE_SECONDS,
        tls_context: ssl.SSLContext | None = None,
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        self._vault = vault
        self._slots = slots
        self._deadline_seconds = deadline_seconds
        self._http = OutgoingHttp(reach, connections=slots, deadline_seconds=deadline_seconds, tls_context=tls_context)
        self._on_free = on_free
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def claim_and_start(self) -> bool:
        """Read the feed for all endpoints, start what is due; return whether more may be due at once."""
        more = await webhook_delivery.fan_out()
        free = self._slots - len(self._tasks)
        if self._stopping or free <= 0:
            return False
        claimed = await webhook_delivery.claim(free)
        for delivery in claimed:
            task = asyncio.get_running_loop().create_task(self._carry(delivery), name=f"webhook-{delivery.id}")
            self._tasks.add(task)
            task.add_done_callback(self._done)
        return more or 0 < len(claimed) < free

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._on_free()
        if not task.cancelled() and task.exception() is not None:
            log.error("a delivery failed on our side; its lease will run out", exc_info=task.exception())

    async def stop(self) -> None:
        """Finish what is on its way; the rest is delivered by whoever is left."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=self._deadline_seconds + 5)
        await self._http.close()

    async def _carry(self, delivery: Delivery) -> None:
        began = time.monotonic()
        attempt = await self._attempt(delivery)
        took = timedelta(seconds=time.monotonic() - began)
        WEBHOOK_SECONDS.observe(took.total_seconds())
        WEBHOOK_ATTEMPTS.labels(_came_of(attempt)).inc()
        await webhook_attempts.record(
            Attempt(
                delivery=delivery,
                status=attempt.status,
                problem=attempt.problem,
                answer=attempt.answer,
                retry_after=attempt.retry_after,
                took=took,
            )
        )

    async def _attempt(self, delivery: Delivery) -> Attempt:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._post(delivery)
        except TimeoutError:
            problem = f"No answer within {self._deadline_seconds:g} seconds."
        except (AddressNotAllowed, UrlInvalid, SecretUnreadable) as refused:
            problem = str(refused)
        except OSError:
            problem = "The host's name cannot be looked up."
        except httpx.HTTPError as failed:
            problem = _in_words(failed)
        return Attempt(delivery=delivery, status=None, problem=problem)

    async def _post(self, delivery: Delivery) -> Attempt:
        target = target_of(delivery.url)
        address = (await self._http.addresses(target))[0]
        keys = signing_keys(
            self._vault,
            delivery.workspace_id,
            delivery.endpoint_id,
            delivery.secret,
            delivery.previous_secret,
        )
        timestamp = int(time.time())
        async with self._http.calling(
            "POST",
            target,
            address,
            content=delivery.body,
            headers={
                "content-type": "application/json",
                "user-agent": _AGENT,
                "webhook-id": delivery.webhook_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature(keys, delivery.webhook_id, timestamp, delivery.body),
            },
        ) as response:
            answer = _as_text(await beginning(response))
            redirected = response.status_code in range(300, 400)
            return Attempt(
                delivery=delivery,
                status=response.status_code,
                problem="It answered with a redirect, which is not followed." if redirected else None,
                answer=answer,
                retry_after=_retry_after(response.headers.get("retry-after")),
            )


def _came_of(attempt: Attempt) -> str:
    """Return what came of an attempt, as it is counted."""
    if attempt.status is None:
        return "unreachable"
    return "delivered" if 200 <= attempt.status < 300 else "refused"


def _as_text(answer: bytes) -> str:
    return answer.decode("utf-8", "replace").replace("\0", "")[:_ANSWER_LETTERS_KEPT]


def _retry_after(value: str | None) -> timedelta | None:
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 9:
        return None
    return timedelta(seconds=int(value))


def _in_words(failed: httpx.HTTPError) -> str:
    if isinstance(failed, httpx.ConnectError):
        if "CERTIFICATE_VERIFY_FAILED" in str(failed):
            return "The host could not prove who it is: its certificate is not valid."
        return "The host does not take connections."
    if isinstance(failed, httpx.TimeoutException):
        return "The host did not answer in time."
    return "The connection broke before the answer."
