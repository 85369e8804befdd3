"""Telling endpoints: one POST each, signed, to an address that was looked up once and looked at before.

The name is resolved once and the connection goes to that very address, so that a name which answers differently the
second time leads nowhere else. Redirects are not followed, proxies of the environment not used, and of the answer
only the beginning is read.

Source: the Standard Webhooks specification; reliability.md 2.20.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import httpx

from domain import webhook_delivery
from domain.rules.network import AddressNotAllowed, Reach
from domain.rules.webhooks import PORTS, Target, UrlInvalid, signature, target_of
from domain.secrets import SecretUnreadable, Vault
from domain.webhook_delivery import Attempt, Delivery
from domain.webhooks import signing_keys
from workers.smtp_wire import system_roots

log = logging.getLogger("relance.webhooks")

_SLOTS: Final = 50
_DEADLINE_SECONDS: Final = 15.0
_ANSWER_BYTES_READ: Final = 64 * 1024
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
        self._reach = reach
        self._slots = slots
        self._deadline_seconds = deadline_seconds
        self._tls_context = tls_context
        self._on_free = on_free
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
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
        if self._client is not None:
            await self._client.aclose()

    async def _carry(self, delivery: Delivery) -> None:
        began = time.monotonic()
        attempt = await self._attempt(delivery)
        took = timedelta(seconds=time.monotonic() - began)
        await webhook_delivery.record(
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
        address = (await self._addresses(target))[0]
        keys = signing_keys(
            self._vault,
            delivery.workspace_id,
            delivery.endpoint_id,
            delivery.secret,
            delivery.previous_secret,
        )
        timestamp = int(time.time())
        host = f"[{address}]" if ":" in address else address
        client = await self._opened()
        async with client.stream(
            "POST",
            f"{target.scheme}://{host}:{target.port}{target.path}",
            content=delivery.body,
            headers={
                "host": target.host_header,
                "content-type": "application/json",
                "user-agent": _AGENT,
                "webhook-id": delivery.webhook_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature(keys, delivery.webhook_id, timestamp, delivery.body),
            },
            extensions={"sni_hostname": target.host},
        ) as response:
            answer = await _beginning(response)
            redirected = response.status_code in range(300, 400)
            return Attempt(
                delivery=delivery,
                status=response.status_code,
                problem="It answered with a redirect, which is not followed." if redirected else None,
                answer=answer,
                retry_after=_retry_after(response.headers.get("retry-after")),
            )

    async def _addresses(self, target: Target) -> Sequence[str]:
        """Return the addresses of a name, each of which may be called.

        Raises:
            AddressNotAllowed, OSError
        """
        found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = self._reach.chosen(str(entry[4][0]) for entry in found)
        own = all(self._reach.names(address) for address in addresses)
        if not own and (target.scheme != "https" or target.port not in PORTS):
            raise AddressNotAllowed
        return addresses

    async def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            # No connection is kept: one that was proved to be of one name must not serve another at the same address.
            self._client = httpx.AsyncClient(
                verify=self._tls_context or await system_roots(),
                trust_env=False,
                follow_redirects=False,
                timeout=self._deadline_seconds,
                limits=httpx.Limits(max_connections=self._slots, max_keepalive_connections=0),
            )
        return self._client


async def _beginning(response: httpx.Response) -> str:
    """Return the beginning of an answer, as text."""
    read = bytearray()
    with contextlib.suppress(httpx.HTTPError):  # the status has arrived, and it is what counts
        async for piece in response.aiter_raw():
            read += piece
            if len(read) >= _ANSWER_BYTES_READ:
                break
    return bytes(read[:_ANSWER_BYTES_READ]).decode("utf-8", "replace").replace("\0", "")[:_ANSWER_LETTERS_KEPT]


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
