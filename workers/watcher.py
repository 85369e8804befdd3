"""Watching mailboxes: many of them in one worker, each in bounded turns, so that none keeps the others waiting.

A turn reads a bounded number of new mails in a mailbox's folders and gives each to the intake. Then the server is let
tell of more (IDLE); beside that every folder is looked at every two minutes, because IDLE may die without a word.
Between turns a mailbox costs one open socket and no thread.

Source: reliability.md 2.14; RFC 2177.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from domain import watching
from domain.connections import is_an_outage
from domain.mailbox_sign_in import imap_sign_in
from domain.rules.network import PUBLIC_ONLY, Reach
from domain.rules.step_errors import StepErrorCode
from domain.secrets import SecretUnreadable, Vault
from domain.watching import Watch
from workers.folder_reading import LARGE_MAILS_AT_ONCE, FolderReading, Intake
from workers.imap import Folder, ImapAccount, ImapFailed, ImapSession, ImapTimeouts

log = logging.getLogger("relance.watcher")

_THREADS: Final = 32
# Of those threads: what one server may hold, so that some that hang leave enough for the others.
_AT_ONE_SERVER: Final = 8
# Of those threads: servers that do not answer must not hold them all, nor those that failed last time the others up.
_SIGNING_IN_AT_ONCE: Final = 12
_SIGNING_IN_AGAIN_AT_ONCE: Final = 4
_SIGN_IN_SECONDS: Final = 40.0
_CALL_SECONDS: Final = 180.0  # one question to a server, whatever it drips
_TURN_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 120.0
_PAUSES_SECONDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0)
_LOST_IN_A_ROW: Final = 3  # connections lost one after the other, until it is worth a word


@dataclass(slots=True)
class _Watched:
    """One mailbox of ours."""

    watch: Watch
    next_at: float = 0.0  # monotonic: when its next turn is due
    session: ImapSession | None = None
    folders: Sequence[Folder] = ()
    reading: FolderReading | None = None
    task: "asyncio.Task[None] | None" = None
    idle_on: socket.socket | None = None
    failures: int = 0
    gone: bool = False  # given up: another's, disconnected, or signed in to otherwise
    attempts: dict[tuple[str, int, int], int] = field(default_factory=dict)


class Watcher:
    """Watches up to `most` mailboxes. One for each worker process.

    `intake` takes in one mail; what it raises for a mail three times makes that mail recorded as failed.
    """

    def __init__(
        self,
        vault: Vault,
        intake: Intake,
        *,
        reach: Reach = PUBLIC_ONLY,
        most: int = 200,
        lease: timedelta = watching.LEASE,
        poll_seconds: float = _POLL_SECONDS,
        pauses_seconds: Sequence[float] = _PAUSES_SECONDS,
        timeouts: ImapTimeouts | None = None,
        tls_context: ssl.SSLContext | None = None,
        on_due: Callable[[], None] = lambda: None,
    ) -> None:
        self._vault = vault
        self._intake = intake
        self._reach = reach
        self._most = most
        self._lease = lease
        self._poll_seconds = poll_seconds
        self._pauses_seconds = pauses_seconds  # after one failure, two in a row, …
        self._timeouts = timeouts or ImapTimeouts()
        self._tls_context = tls_context
        self._on_due = on_due  # called when a mailbox's turn has come before its time
        self._watched: dict[UUID, _Watched] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="imap")
        self._at_server: dict[tuple[str, int], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_AT_ONE_SERVER)
        )
        self._large_mails = asyncio.Semaphore(LARGE_MAILS_AT_ONCE)
        self._signing_in = asyncio.Semaphore(_SIGNING_IN_AT_ONCE)
        self._signing_in_again = asyncio.Semaphore(_SIGNING_IN_AGAIN_AT_ONCE)
        self._stopping = False

    async def take(self) -> bool:
        """Keep what is watched, let go of what is not ours any more, and take what nobody watches."""
        ours = [one for one in self._watched.values() if not one.gone]
        kept = await watching.renew([one.watch for one in ours], lease=self._lease) if ours else set()
        for one in ours:
            if one.watch.mailbox_id not in kept:
                await self._drop(one)
                await watching.let_go(one.watch)  # signed in to otherwise: taken anew at once
        free = self._most - len(self._watched)
        if free > 0 and not self._stopping:
            for watch in await watching.take(free, lease=self._lease):
                await self._take(watch)
        return False

    async def _take(self, watch: Watch) -> None:
        if self._stopping:  # since it was asked for
            await watching.let_go(watch)
            return
        self._watched[watch.mailbox_id] = _Watched(watch)
        self._on_due()

    async def turns(self) -> bool:
        """Start a turn for each mailbox that is due; they go on by themselves."""
        now = time.monotonic()
        for one in list(self._watched.values()):
            if one.task is None and not one.gone and not self._stopping and one.next_at <= now:
                self._start(one)
        return False

    async def stop(self) -> None:
        """End all turns and give every mailbox up, so that another worker takes it at once."""
        self._stopping = True
        watched = list(self._watched.values())
        for one in watched:
            if one.task is not None:
                one.task.cancel()
        await asyncio.gather(*(one.task for one in watched if one.task), return_exceptions=True)
        for one in watched:
            await self._drop(one)
            try:
                await watching.let_go(one.watch)
            except Exception:  # its lease runs out by itself
                log.warning("mailbox %s was not given up", one.watch.mailbox_id, exc_info=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, one: _Watched) -> None:
        self._end_waiting(one)
        # A fresh task for each turn: what a broken database connection leaves in a task's context dies with it.
        one.task = asyncio.get_running_loop().create_task(self._turn(one), name=f"watch-{one.watch.mailbox_id}")

        def ended(_: "asyncio.Task[None]") -> None:
            one.task = None
            if one.next_at <= time.monotonic():
                self._on_due()

        one.task.add_done_callback(ended)

    async def _turn(self, one: _Watched) -> None:
        try:
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    more = await self._read(one)
            except TimeoutError as problem:
                raise ImapFailed(None, "Reading took too long.") from problem
            one.failures = 0
            one.next_at = time.monotonic() if more else time.monotonic() + self._poll_seconds
        except ImapFailed as failed:
            await self._failed(one, failed)
        except Exception as problem:
            # The database is away, or a mail that the intake cannot take is tried again.
            log.warning("reading mailbox %s failed", one.watch.mailbox_id, exc_info=not is_an_outage(problem))
            self._close(one)
            self._pause(one)

    async def _read(self, one: _Watched) -> bool:
        """Read a bounded piece; return whether there is more. At the end, let the server tell of new mail."""
        session = one.session or await self._open(one)
        reading = one.reading
        assert reading is not None
        await self._call(session, session.end_idle)
        if await reading.read(one.folders):
            return True
        await watching.found_well(one.watch)
        if session.can_idle:
            await self._call(session, session.open_folder, one.folders[0].name)
            self._wait_for_mail(one, await self._call(session, session.start_idle))
        return False

    async def _open(self, one: _Watched) -> ImapSession:
        try:
            asked = await imap_sign_in(one.watch.workspace_id, self._vault, one.watch.mailbox_id, self._reach)
        except SecretUnreadable as problem:
            raise ImapFailed(StepErrorCode.MAILBOX_CREDENTIALS_REFUSED, str(problem)) from problem
        if asked is None:
            raise ImapFailed(None, "The mailbox is not read any more.")
        account = ImapAccount(asked.host, asked.port, asked.security, asked.username, asked.password or "", asked.reach)
        session = ImapSession(account, self._timeouts, self._tls_context)
        failed_last = one.failures > 0 or one.watch.failed_last
        async with self._signing_in_again if failed_last else self._signing_in:
            await self._call(session, session.open, seconds=_SIGN_IN_SECONDS)
        one.session = session
        one.folders = await self._call(session, session.folders)

        async def ask(question: Callable[..., Any], *args: Any) -> Any:
            return await self._call(session, question, *args)

        one.reading = FolderReading(one.watch, session, ask, self._intake, one.attempts, self._large_mails)
        return session

    async def _call(
        self, session: ImapSession, question: Callable[..., Any], *args: Any, seconds: float = _CALL_SECONDS
    ) -> Any:
        """Ask in a thread, and cut the connection when the answer takes too long or nobody waits any more."""
        async with self._at_server[session.server]:
            return await self._call_now(session, question, *args, seconds=seconds)

    async def _call_now(self, session: ImapSession, question: Callable[..., Any], *args: Any, seconds: float) -> Any:
        asking = asyncio.get_running_loop().run_in_executor(self._threads, question, *args)
        try:
            return await asyncio.wait_for(asyncio.shield(asking), seconds)
        except (TimeoutError, asyncio.CancelledError) as problem:
            session.abort()
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())
            if isinstance(problem, TimeoutError):
                raise ImapFailed(None, "The server took too long to answer.") from problem
            raise

    def _wait_for_mail(self, one: _Watched, connection: socket.socket) -> None:
        def told() -> None:
            self._end_waiting(one)
            one.next_at = 0.0
            if one.task is None:
                self._on_due()

        asyncio.get_running_loop().add_reader(connection.fileno(), told)
        one.idle_on = connection

    def _end_waiting(self, one: _Watched) -> None:
        connection, one.idle_on = one.idle_on, None
        if connection is not None and connection.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(connection.fileno())

    async def _failed(self, one: _Watched, failed: ImapFailed) -> None:
        if one.reading is not None and one.reading.progressed:
            one.failures = 0  # a line that breaks again and again but carries something is not a dead server
        self._close(one)
        code = failed.code
        if code is None and one.failures >= _LOST_IN_A_ROW:
            code = StepErrorCode.MAILBOX_SERVER_UNREACHABLE
        log.info("mailbox %s cannot be read: %s", one.watch.mailbox_id, code or "the connection was lost")
        self._pause(one)
        if code is not None:
            try:
                await watching.found_failing(one.watch, code, failed.words)
            except Exception:  # said again after the next try
                log.warning("the trouble of mailbox %s is not shown yet", one.watch.mailbox_id, exc_info=True)

    def _pause(self, one: _Watched) -> None:
        one.next_at = time.monotonic() + self._pauses_seconds[min(one.failures, len(self._pauses_seconds) - 1)]
        one.failures += 1

    def _close(self, one: _Watched) -> None:
        self._end_waiting(one)
        session, one.session, one.reading = one.session, None, None
        if session is not None:
            session.abort()

    async def _drop(self, one: _Watched) -> None:
        one.gone = True
        if one.task is not None:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)
        self._close(one)
        self._watched.pop(one.watch.mailbox_id, None)
