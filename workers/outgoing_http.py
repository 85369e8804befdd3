"""Calling URLs that a workspace gave: at an address that was looked up once and looked at before.

The name is resolved once and the connection goes to that very address, so that a name which answers differently the
second time leads nowhere else. Redirects are not followed, proxies of the environment not used, no connection is kept,
and of the answer only the beginning is read.

Source: reliability.md 2.20.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import httpx

from domain.rules.network import AddressNotAllowed, Reach
from domain.rules.webhooks import PORTS, Target
from workers.smtp_wire import system_roots

ANSWER_BYTES_READ: Final = 64 * 1024


class OutgoingHttp:
    """Calls URLs, at most `connections` at once."""

    def __init__(
        self, reach: Reach, *, connections: int, deadline_seconds: float, tls_context: ssl.SSLContext | None = None
    ) -> None:
        self._reach = reach
        self._connections = connections
        self._deadline_seconds = deadline_seconds
        self._tls_context = tls_context
        self._client: httpx.AsyncClient | None = None

    @contextlib.asynccontextmanager
    async def calling(
        self,
        method: str,
        target: Target,
        address: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Call a target at one of its addresses; the answer's head has arrived inside the block.

        Raises:
            httpx.HTTPError
        """
        host = f"[{address}]" if ":" in address else address
        client = await self._opened()
        async with client.stream(
            method,
            f"{target.scheme}://{host}:{target.port}{target.path}",
            content=content,
            headers={"host": target.host_header, **headers},
            extensions={"sni_hostname": target.host},
        ) as response:
            yield response

    async def addresses(self, target: Target) -> Sequence[str]:
        """Return the addresses of a name, each of which may be called.

        Raises:
            AddressNotAllowed
            OSError: the name cannot be looked up.
        """
        found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = self._reach.chosen(str(entry[4][0]) for entry in found)
        own = all(self._reach.names(address) for address in addresses)
        if not own and (target.scheme != "https" or target.port not in PORTS):
            raise AddressNotAllowed
        return addresses

    async def close(self) -> None:
        """End what is open."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            # No connection is kept: one that was proved to be of one name must not serve another at the same address.
            self._client = httpx.AsyncClient(
                verify=self._tls_context or await system_roots(),
                trust_env=False,
                follow_redirects=False,
                timeout=self._deadline_seconds,
                limits=httpx.Limits(max_connections=self._connections, max_keepalive_connections=0),
            )
        return self._client


async def beginning(response: httpx.Response) -> bytes:
    """Return the beginning of an answer's body, as far as it arrives."""
    read = bytearray()
    with contextlib.suppress(httpx.HTTPError):  # the status has arrived, and it is what counts
        async for piece in response.aiter_raw():
            read += piece
            if len(read) >= ANSWER_BYTES_READ:
                break
    return bytes(read[:ANSWER_BYTES_READ])
