"""Worker processes that can be killed and stopped, and a mail server that takes its time."""

import asyncio
import base64
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from email.policy import compat32
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from tests.conftest import SECRET_KEY

LEASE_SECONDS = 2
_ROOT = Path(__file__).parents[2]


@dataclass(eq=False)
class WorkerProcess:
    """One running worker, started by `Crew`."""

    program: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        return self.program.poll() is None

    def kill(self) -> None:
        """End it as a power cut would."""
        self.program.kill()
        self.program.wait(10)

    def go_on(self) -> None:
        self.program.send_signal(signal.SIGCONT)

    async def killed_itself(self, seconds: float = 20) -> None:
        """Wait until an armed fault point has killed it."""
        await asyncio.wait_for(asyncio.to_thread(self.program.wait), seconds)
        assert self.program.returncode == -signal.SIGKILL, self.log.read_text()

    async def stopped_itself(self, seconds: float = 20) -> None:
        """Wait until an armed fault point has stopped it."""
        async with asyncio.timeout(seconds):
            while True:
                pid, status = os.waitpid(self.program.pid, os.WNOHANG | os.WUNTRACED)  # noqa: ASYNC222  WNOHANG
                if pid:
                    assert os.WIFSTOPPED(status), self.log.read_text()
                    return
                await asyncio.sleep(0.01)

    async def finished(self, seconds: float = 30) -> None:
        """Ask it to end, and wait until it has; it must end well."""
        self.program.terminate()
        await asyncio.wait_for(asyncio.to_thread(self.program.wait), seconds)
        assert self.program.returncode == 0, self.log.read_text()


@dataclass(eq=False)
class Crew:
    """Starts worker processes and ends every one of them at the end of the test."""

    database_url: str
    redis_url: str
    folder: Path
    workers: list[WorkerProcess] = field(default_factory=list)

    def start(self, *, faults: str = "", slots: int = 10, lease_seconds: int = LEASE_SECONDS) -> WorkerProcess:
        log = self.folder / f"worker-{len(self.workers)}.log"
        environment = os.environ | {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "RELANCE_SECRET_KEY": base64.b64encode(SECRET_KEY).decode(),
            "RELANCE_WORKER_SLOTS": str(slots),
            "RELANCE_LEASE_SECONDS": str(lease_seconds),
            "RELANCE_FAULTS": faults,
            "RELANCE_PRIVATE_NETWORKS": "127.0.0.1",
        }
        with log.open("wb") as output:
            program = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker_process"],
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        worker = WorkerProcess(program, log)
        self.workers.append(worker)
        return worker

    @property
    def alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.alive]

    def end_all(self) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.kill()

    def logs(self) -> str:
        return "\n".join(f"--- {worker.log.name}\n{worker.log.read_text()[-3000:]}" for worker in self.workers)


@dataclass(frozen=True)
class Taken:
    """One mail as the mail server took it."""

    message_id: str
    to: str


class DawdlingServer:
    """Keeps each mail in the middle of a pause after the dot: a cut before loses the mail, one after it the answer."""

    def __init__(self, pause_seconds: float) -> None:
        self.pause_seconds = pause_seconds
        self.mails: list[Taken] = []
        self.port = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.pause_seconds / 2)
        headers = BytesHeaderParser(policy=compat32).parsebytes(envelope.content)
        self.mails.append(Taken(str(headers["Message-ID"]), envelope.rcpt_tos[0]))
        await asyncio.sleep(self.pause_seconds / 2)
        return "250 2.0.0 taken"

    @property
    def by_message_id(self) -> Counter[str]:
        return Counter(mail.message_id for mail in self.mails)


@contextlib.asynccontextmanager
async def dawdling_server(pause_seconds: float = 0.0) -> AsyncIterator[DawdlingServer]:
    dawdling = DawdlingServer(pause_seconds)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(dawdling, hostname="dawdling.test", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    dawdling.port = server.sockets[0].getsockname()[1]
    try:
        yield dawdling
    finally:
        server.close()
