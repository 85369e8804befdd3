"""The public face of the embedded servers: start them, know their addresses, stop them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from cli.embedded import datadir
from cli.embedded.datadir import DirectoryLock
from cli.embedded.refusals import ServerDidNotStart, refusal_named
from cli.private import private_log

_START_SECONDS = 150.0
_STOP_SECONDS = 25.0
_PACKAGE_ROOT = Path(__file__).parents[2]


@dataclass
class Servers:
    """Running embedded servers; the addresses are None for those that were not asked for."""

    directory: Path
    database_url: str | None
    redis_url: str | None
    _guard: subprocess.Popen[bytes] | None
    _lock: DirectoryLock
    _trouble: str | None = None
    _news: list[str] = field(default_factory=list)

    @property
    def guard_pid(self) -> int | None:
        """The process id of the guard, which started the servers; None when none was asked for, or all is stopped."""
        return self._guard.pid if self._guard else None

    def trouble(self) -> str | None:
        """Return a sentence about a server that ended and could not be started again, or None; returns at once."""
        self._hear()
        return self._trouble

    def news(self) -> list[str]:
        """Return a sentence for each server that ended and runs again since the last call; returns at once."""
        self._hear()
        told, self._news = self._news, []
        return told

    def _hear(self) -> None:
        guard = self._guard
        while guard and not self._trouble and (guard.poll() is not None or _is_readable(guard, 0.0)):
            words = _next_words(guard, 1.0)
            if again := words.get("again"):
                self._news.append(
                    f"The embedded {again} ended unexpectedly and was started again (see {words['log']})."
                )
            elif ended := words.get("ended"):
                self._trouble = (
                    f"The embedded {ended} ended and cannot be started again: {words['reason']} (see {words['log']})."
                )
            else:
                log = self.directory / "guard.log"
                self._trouble = f"The embedded servers' guard has ended unexpectedly (see {log})."

    def stop(self) -> None:
        """Stop the servers in order, wait for their end (25 seconds at most) and give the directory back."""
        if self._guard is not None:
            _dismiss(self._guard)
            self._guard = None
        self._lock.release()

    async def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database, empty or as a copy of `template`, and return its address.

        Nobody may be connected to the template; PostgreSQL waits up to 5 seconds for the last one to go.
        """
        await self._execute(f"CREATE DATABASE {_quoted(name)} TEMPLATE {_quoted(template)}")
        return self._address_of(name)

    async def drop_database(self, name: str) -> None:
        """Drop a database if it exists, with everybody connected to it."""
        await self._execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        import asyncpg  # Here, because the guard imports this package and must start fast.

        # From template1, so that the product's own database can be a template too.
        connection = await asyncpg.connect(self._address_of("template1"), timeout=10)
        try:
            await connection.execute(statement, timeout=60)
        finally:
            await connection.close()

    def _address_of(self, name: str) -> str:
        assert self.database_url is not None, "PostgreSQL was not started"
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))


def start_servers(
    data_directory: Path | str, *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Servers:
    """Lock the data directory, start the servers that are wanted and return them, ready to be connected to.

    Blocks; use `embedded_servers` in asynchronous code. With `durable=False` nothing is forced to the disk or
    cleaned up in the background: for tests.
    The servers end with this process, in whatever way it ends.

    Raises:
        EmbeddedServersCannotStart: one of its subclasses, whose text is one sentence for people.
    """
    lock = datadir.lock(Path(data_directory))
    if not (postgres or valkey):
        return Servers(lock.directory, None, None, None, lock)
    guard: subprocess.Popen[bytes] | None = None
    try:
        guard = _start_guard(lock)
        request = {"directory": str(lock.directory), "lock": lock.descriptor, "durable": durable}
        assert guard.stdin is not None
        guard.stdin.write(json.dumps({**request, "postgres": postgres, "valkey": valkey}).encode() + b"\n")
        guard.stdin.flush()
        words = _next_words(guard, _START_SECONDS)
        if "refused" in words:
            raise refusal_named(words["refused"], words["facts"])
        if "ready" not in words:
            log = str(lock.directory / "guard.log")
            raise ServerDidNotStart(server="servers' guard", reason="it ended or did not answer in time", log=log)
    except BaseException:
        if guard is not None:
            _dismiss(guard)
        lock.release()
        raise
    # From here on the guard alone holds the lock: it is free when, and only when, the servers have ended.
    lock.release()
    return Servers(lock.directory, words["database_url"], words["redis_url"], guard, lock)


@contextlib.asynccontextmanager
async def embedded_servers(
    data_directory: Path | str, *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> AsyncIterator[Servers]:
    """Run the servers for the span of an `async with`; the event loop is never blocked. Raises as `start_servers`."""
    import asyncio  # Here, because the guard imports this package and must start fast.

    starting = asyncio.ensure_future(
        asyncio.to_thread(start_servers, data_directory, postgres=postgres, valkey=valkey, durable=durable)
    )
    try:
        servers = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread cannot be cancelled; what it starts must not be left behind.
        with contextlib.suppress(Exception):
            await asyncio.to_thread((await starting).stop)
        raise
    try:
        yield servers
    finally:
        await asyncio.shield(asyncio.to_thread(servers.stop))


def _start_guard(lock: DirectoryLock) -> subprocess.Popen[bytes]:
    search_path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]))
    with private_log(lock.directory / "guard.log") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "cli.embedded.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,  # a line read ahead would be one that poll() does not see
            env={**os.environ, "PYTHONPATH": search_path},
            pass_fds=(lock.descriptor,),
            start_new_session=True,
        )


def _next_words(guard: subprocess.Popen[bytes], timeout_seconds: float) -> dict[str, Any]:
    """Return the guard's next line; an empty dict when it ended, or said nothing in time."""
    assert guard.stdout is not None
    line = guard.stdout.readline() if _is_readable(guard, timeout_seconds) else b""
    words: dict[str, Any] = json.loads(line) if line else {}
    return words


def _is_readable(guard: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
    # Not select(), which knows no descriptor above 1023.
    assert guard.stdout is not None
    poll = select.poll()
    poll.register(guard.stdout, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(timeout_seconds * 1000))


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    """Close the guard's pipe, upon which it stops the servers, and wait for its end."""
    assert guard.stdin is not None
    assert guard.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        guard.stdin.close()
    try:
        guard.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
    guard.stdout.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
