"""Running the catcher: both ports in one task, alone or beside other parts of the process."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from cli.catcher.mails import MailCatcher
from cli.catcher.pages import LOCAL_HOSTS, catcher_app
from cli.catcher.receiving import catching_smtp


class PortTaken(OSError):
    """Something else listens on this port already, or it may not be used."""

    def __init__(self, port: int, purpose: str, reason: str) -> None:
        super().__init__(f"The mail catcher cannot use port {port} for {purpose}: {reason}. Choose another port.")
        self.port = port
        self.purpose = purpose


@dataclass(frozen=True, slots=True)
class RunningCatcher:
    """A catcher that answers on both ports. `url` is the page."""

    catcher: MailCatcher
    host: str
    smtp_port: int
    http_port: int

    @property
    def url(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{'127.0.0.1' if self.host in ('0.0.0.0', '::') else name}:{self.http_port}/"


class _QuietServer(uvicorn.Server):
    """Leaves the signals to whoever runs it, and tells when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def running_catcher(
    smtp_port: int = 0,
    http_port: int = 0,
    host: str = "127.0.0.1",
    directory: Path | None = None,
    capacity: int = 10_000,
    allowed_hosts: tuple[str, ...] = LOCAL_HOSTS,
) -> AsyncIterator[RunningCatcher]:
    """A catcher for the length of the block; port 0 takes a free one. Both ports answer when the block begins.

    Raises:
        PortTaken: a port cannot be used; nothing is left running.
    """
    catcher = MailCatcher(directory, capacity)
    with contextlib.ExitStack() as sockets:
        smtp_socket = sockets.enter_context(_listening(host, smtp_port, "mail (SMTP)"))
        http_socket = sockets.enter_context(_listening(host, http_port, "the page (HTTP)"))
        smtp = await asyncio.get_running_loop().create_server(lambda: catching_smtp(catcher), sock=smtp_socket)
        web = _QuietServer(
            uvicorn.Config(
                catcher_app(catcher, allowed_hosts),
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=2,
            )
        )
        serving = asyncio.create_task(web.serve(sockets=[http_socket]))
        try:
            await web.answers.wait()
            yield RunningCatcher(catcher, host, smtp_socket.getsockname()[1], http_socket.getsockname()[1])
        finally:
            smtp.close()
            web.should_exit = True
            await serving


async def serve(
    smtp_port: int,
    http_port: int,
    host: str = "127.0.0.1",
    directory: Path | None = None,
    capacity: int = 10_000,
    allowed_hosts: tuple[str, ...] = LOCAL_HOSTS,
) -> None:
    """Run the catcher until this task is cancelled.

    Raises:
        PortTaken: a port cannot be used.
    """
    async with running_catcher(smtp_port, http_port, host, directory, capacity, allowed_hosts):
        await asyncio.Event().wait()


def run_catcher(
    smtp_port: int = 1025,
    http_port: int = 8025,
    host: str = "127.0.0.1",
    directory: Path | None = None,
    capacity: int = 10_000,
    allowed_hosts: tuple[str, ...] = LOCAL_HOSTS,
) -> None:
    """The command: run until Ctrl-C or SIGTERM, and say where.

    Raises:
        PortTaken: a port cannot be used.
    """

    async def until_told() -> None:
        told = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        async with running_catcher(smtp_port, http_port, host, directory, capacity, allowed_hosts) as running:
            print(f"Mail is caught on   smtp://{running.host}:{running.smtp_port}  (any user and password)")
            print(f"Read it at          {running.url}")
            print("Stop with Ctrl-C.", flush=True)
            await told.wait()

    asyncio.run(until_told())


def _listening(host: str, port: int, purpose: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol left at 0, asyncio would not switch Nagle's algorithm off: 40 ms for each small answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(512)
        return listening
    except OSError as refused:
        listening.close()
        raise PortTaken(port, purpose, refused.strerror or str(refused)) from None
