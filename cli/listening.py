"""Where the API listens: whether it can, how it is called from this machine, and what it says about itself."""

import asyncio
import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from cli.console import CannotGoOn

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What /readyz answered: the HTTP status, its line, and the body."""

    code: int
    line: str
    body: str


@dataclass(frozen=True, slots=True)
class Place:
    """A host and port to listen on."""

    host: str
    port: int

    @property
    def address(self) -> str:
        """Return host:port as it is called from this machine."""
        return f"[{self._near}]:{self.port}" if ":" in self._near else f"{self._near}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can call here."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def _near(self) -> str:
        return _EVERYWHERE.get(self.host, self.host)

    def refuse_if_taken(self) -> None:
        """Return when a server could listen here now.

        Raises:
            CannotGoOn: something else does, or it is not allowed.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as problem:
                reason = (problem.strerror or str(problem)).lower()
                is_the_port = problem.errno in (errno.EADDRINUSE, errno.EACCES)
                way_out = "--port, or PORT=… with make" if is_the_port else "--host"
                raise CannotGoOn(
                    f"Port {self.port} on {self.host} cannot be used ({reason}); choose another one with {way_out}."
                ) from None

    async def readiness(self) -> Readiness | None:
        """Return what /readyz answers within five seconds; None when nothing does."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection(self._near, self.port)
                try:
                    head = f"GET /readyz HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n\r\n"
                    writer.write(head.encode())
                    answer = (await reader.read(65_536)).decode(errors="replace")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return None
        head, _, body = answer.partition("\r\n\r\n")
        line = head.partition("\r\n")[0]
        code = line.split(" ")[1:2]
        return Readiness(int(code[0]) if code and code[0].isdigit() else 0, line, body.strip())

    async def answers(self) -> bool:
        """Return whether the API here says that it is ready."""
        found = await self.readiness()
        return found is not None and found.code == 200
