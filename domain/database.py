"""The two ways to the database: `tx()` for verbs, plain Tortoise for settings-like rows. There is no third.

`tx()` runs a function in one transaction on a connection of its own and hands it the time, read with the same
snapshot. When the connection breaks, it finds out what became of the transaction before it does anything again:
a commit whose answer was lost is looked up by its transaction id, never guessed. So a verb is never carried out twice.

A `tx()` inside another of the same workspace joins it: what calls verbs can put a transaction around them.

Source: architecture.md "Habits"; reliability.md M11, M12 and 2.4.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import asyncpg
from tortoise import Tortoise
from tortoise.context import TortoiseContext
from tortoise.migrations.api.migrate import migrate as apply_migrations

from domain.refusals import DatabaseUnreachable, WorkspaceUnknown
from domain.secrets import hashed_address
from domain.tables.config import tortoise_config

T = TypeVar("T")
log = logging.getLogger("relance.database")

EVENTS_CHANNEL: Final = "relance_events"
_RING_EVERY_SECONDS: Final = 0.002
_ATTEMPTS: Final = 8
_MIGRATION_LOCK: Final = 7_205_118  # any number, the same in every process

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    OSError,
)
_AGAIN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,  # someone was faster: read again, and decide against what they wrote
)

# Reads the time with the rows: business time carries the workspace's offset. The id answers "did it commit?".
_CLOCK = """
SELECT now() + make_interval(secs => clock_offset_seconds) AS now, pg_current_xact_id()::text AS xid,
    now() AS begun_at
FROM workspaces WHERE id = $1
"""
_MACHINE_CLOCK = "SELECT now() AS now, pg_current_xact_id()::text AS xid, now() AS begun_at"

# After a crash the ids of transactions that never reached the disk are given out again: what the status then says is
# about another transaction. So, when the server has recovered since ours began, only ids below the point that the
# recovery reached are believed.
_FATE = """
SELECT CASE
    WHEN (pg_postmaster_start_time() > $2 OR c.checkpoint_time > $2)
        AND $1::text::numeric >= split_part(c.next_xid, ':', 1)::numeric * 4294967296
            + split_part(c.next_xid, ':', 2)::numeric
    THEN 'aborted' ELSE pg_xact_status($1::text::xid8) END AS status
FROM pg_control_checkpoint() c
"""


@dataclass(frozen=True, slots=True)
class Tx:
    """One open transaction: its connection, its workspace (None for the engine's own work) and its time."""

    connection: Any  # an asyncpg connection; typed loosely because the pool's proxy has no usable stubs
    workspace_id: UUID | None
    now: datetime  # business time where there is a workspace, else machine time
    pepper: bytes | None = None  # of this installation, for hashing addresses

    def hashed(self, key: str | None) -> str | None:
        """Return the keyed hash of an address or number in this workspace; None of None.

        `key` is what is compared: `addresses.address_key` or `addresses.phone_key`.
        """
        if key is None:
            return None
        assert self.pepper is not None, "the database was opened without the pepper: contacts cannot be written"
        assert self.workspace_id is not None
        return hashed_address(self.pepper, self.workspace_id, key).hex()

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self.connection.fetch(sql, *args)
        return rows

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        row: asyncpg.Record | None = await self.connection.fetchrow(sql, *args)
        return row

    async def fetchval(self, sql: str, *args: Any) -> Any:
        return await self.connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> None:
        await self.connection.execute(sql, *args)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what is done inside the block, and only that, when the block raises."""
        async with self.connection.transaction():
            try:
                yield
            except BaseException:
                if (shared := _shared.get()) is not None and shared.tx is self:
                    shared.spoilt = False
                raise


@dataclass(slots=True, eq=False)
class _Shared:
    """The transaction that a task has open, for the verbs that join it."""

    tx: Tx
    task: asyncio.Task[Any] | None
    rings: bool
    spoilt: bool = False  # a verb in it failed, and may have written before


_shared: ContextVar[_Shared | None] = ContextVar("shared_transaction", default=None)


def _open_here() -> _Shared | None:
    """Return the transaction this task has open. One that a task inherited is another's."""
    shared = _shared.get()
    return shared if shared is not None and shared.task is asyncio.current_task() else None


def credentials(url: str) -> dict[str, Any]:
    """Return what asyncpg needs from a `postgresql://user:password@host:port/database?…` address.

    Raises:
        ValueError: it is not such an address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise ValueError("expected postgresql://user:password@host:port/database")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    found: dict[str, Any] = {
        "host": query.get("host") or parts.hostname or "localhost",
        "port": parts.port or int(query.get("port", 5432)),
        "user": unquote(parts.username or query.get("user", "postgres")),
        "password": unquote(parts.password or query.get("password", "")) or None,
        "database": parts.path.strip("/"),
    }
    if "sslmode" in query:
        found["ssl"] = query["sslmode"]
    return found


async def _light_reset(connection: Any) -> None:
    """Return a connection to the pool. Our sessions hold no state: asyncpg's own reset costs a round trip each time."""
    if connection.is_in_transaction():
        await connection.reset()


@asynccontextmanager
async def database(
    url: str, *, pool_size: int = 10, application: str = "relance", pepper: bytes | None = None
) -> AsyncIterator[None]:
    """Open the database for this process while the block runs. `tx()` and Tortoise's models then work in any task.

    `pepper` is the vault's; without it no contact can be written.

    Raises:
        DatabaseUnreachable: no connection could be opened; the sentence says why.
    """
    options = credentials(url) | {
        "minsize": 1,
        "maxsize": pool_size,
        "reset": _light_reset,
        "command_timeout": 60,
        "server_settings": {
            "application_name": application,
            "statement_timeout": "10s",
            "lock_timeout": "2s",
            "idle_in_transaction_session_timeout": "30s",
            "timezone": "UTC",
            "jit": "off",
            # Our joins stand in the order they are to be done in. Looking for a better one cost the claim 50 ms of
            # planning, and on young statistics found one that took seconds.
            "join_collapse_limit": "1",
        },
    }
    if _open and _open[-1].url == url:  # opened by this process already: tests run a worker beside themselves
        yield
        return
    context: TortoiseContext = await Tortoise.init(config=tortoise_config(options), _enable_global_fallback=True)
    _open.append(_Opened(url, context.connections.get("default"), pepper))
    try:
        try:
            await fetch("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as problem:
            raise DatabaseUnreachable(url, problem) from problem
        yield
    finally:
        await _bell.stop()
        _open.pop()
        with contextlib.suppress(Exception):
            await context.close_connections()


@dataclass(frozen=True, slots=True)
class _Opened:
    url: str
    client: Any
    pepper: bytes | None


_open: list[_Opened] = []


def _acquire() -> Any:
    return _open[-1].client.acquire_connection()


async def fetch(sql: str, *args: Any) -> list[asyncpg.Record]:
    """Run one reading statement, in the transaction that is open here or outside any; outside, once more when the
    connection turns out to be dead."""
    if (shared := _open_here()) is not None:
        return await shared.tx.fetch(sql, *args)
    for attempt in range(_ATTEMPTS):
        try:
            async with _acquire() as connection:
                rows: list[asyncpg.Record] = await connection.fetch(sql, *args)
                return rows
        except Exception as problem:
            if not _lost(problem) or attempt + 1 == _ATTEMPTS:
                raise
            await asyncio.sleep(_pause_seconds(attempt))
    raise AssertionError("unreachable")


async def tx(workspace_id: UUID | None, work: Callable[[Tx], Awaitable[T]], *, rings: bool = True) -> T:
    """Return what `work` returns, once its transaction has committed; then ring for its events unless told not to.

    `work` may run more than once: its reads and guarded writes are done again after a deadlock or a lost connection,
    never after a commit. It must not start tasks, and must do nothing that cannot be rolled back. Inside another
    transaction of the workspace it becomes a part of that one; where it fails, that one must fail too, unless a
    `savepoint` is around it.

    Raises:
        WorkspaceUnknown: there is no such workspace.
        Exception: whatever `work` raised; the transaction was rolled back.
    """
    if (around := _open_here()) is not None and around.tx.workspace_id == workspace_id:
        around.rings = around.rings or rings
        try:
            return await work(around.tx)
        except BaseException:
            around.spoilt = True
            raise
    for attempt in range(_ATTEMPTS):
        clock: asyncpg.Record | None = None
        committing = False
        try:
            async with _acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    clock = await _read_clock(connection, workspace_id)
                    shared = _Shared(
                        Tx(connection, workspace_id, clock["now"], _open[-1].pepper), asyncio.current_task(), rings
                    )
                    result = await _working(shared, work)
                    committing = True
                except BaseException:
                    await _roll_back(transaction, connection)
                    raise
                await transaction.commit()
        except Exception as problem:
            lost = _lost(problem)
            if not (lost or isinstance(problem, _AGAIN)) or attempt + 1 == _ATTEMPTS:
                raise
            log.info("transaction is tried again after %s", type(problem).__name__)
            await asyncio.sleep(_pause_seconds(attempt))
            if not (lost and committing and clock is not None):
                continue
            fate = await _fate(clock)
            if fate == "in progress":  # a guess would be the one way to do it twice
                raise
            if fate != "committed":
                continue
        if shared.rings:
            _bell.ring()
        return result
    raise AssertionError("unreachable")


async def _working(shared: _Shared, work: Callable[[Tx], Awaitable[T]]) -> T:
    before = _shared.set(shared)
    try:
        result = await work(shared.tx)
    finally:
        _shared.reset(before)
    if shared.spoilt:
        raise AssertionError("a verb failed inside a transaction that went on: put Tx.savepoint() around each")
    return result


async def _read_clock(connection: Any, workspace_id: UUID | None) -> asyncpg.Record:
    if workspace_id is None:
        clock = await connection.fetchrow(_MACHINE_CLOCK)
    else:
        clock = await connection.fetchrow(_CLOCK, workspace_id)
    if clock is None:
        raise WorkspaceUnknown
    found: asyncpg.Record = clock
    return found


async def _roll_back(transaction: Any, connection: Any) -> None:
    if not connection.is_closed():
        with contextlib.suppress(Exception):  # a connection that broke has rolled back by itself
            await transaction.rollback()


def _lost(problem: BaseException) -> bool:
    # InterfaceError also means a mistake of the caller; only these texts speak of a dead connection.
    if isinstance(problem, asyncpg.InterfaceError):
        return "closed" in str(problem) or "released" in str(problem) or "closing" in str(problem)
    return isinstance(problem, _LOST)


def is_an_outage(problem: BaseException) -> bool:
    """Return whether the database or the network failed, rather than what was asked of it."""
    if isinstance(problem, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError):
        return False
    return isinstance(problem, OSError | asyncpg.PostgresError | asyncpg.InterfaceError | DatabaseUnreachable)


async def _fate(clock: asyncpg.Record) -> str:
    """Return what became of a transaction: committed, aborted, or after seconds of waiting still "in progress"."""
    fate = "in progress"
    for attempt in range(_ATTEMPTS):
        try:
            fate = (await fetch(_FATE, clock["xid"], clock["begun_at"]))[0]["status"]
        except asyncpg.InvalidParameterValueError:
            return "aborted"  # "in the future": the server crashed before it wrote anything of it to the disk
        if fate != "in progress":
            break
        await asyncio.sleep(_pause_seconds(attempt))
    return fate


def _pause_seconds(attempt: int) -> float:
    return float(min(0.01 * 3**attempt, 2.0))


class _Bell:
    """One NOTIFY for all the commits of the last two milliseconds, outside any transaction: a NOTIFY inside one
    would make all commits of the database queue behind a global lock."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._wanted = False

    def ring(self) -> None:
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._ringing())

    async def _ringing(self) -> None:
        while self._wanted:
            await asyncio.sleep(_RING_EVERY_SECONDS)
            self._wanted = False
            try:
                await fetch(f"NOTIFY {EVENTS_CHANNEL}")
            except Exception:  # a lost ring costs one slow poll
                log.info("a ring was lost", exc_info=True)

    async def stop(self) -> None:
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError, RuntimeError):
                await asyncio.wait_for(self._task, 2)
            self._task = None


_bell = _Bell()


async def listen(url: str, on_ring: Callable[[], None]) -> asyncpg.Connection:
    """Return a direct connection that calls `on_ring` at each ring. Never through a pooler; the caller closes it."""
    connection: asyncpg.Connection = await asyncpg.connect(**credentials(url), timeout=10)
    await connection.add_listener(EVENTS_CHANNEL, lambda *_: on_ring())
    return connection


async def migrate(url: str) -> list[str]:
    """Bring the tables up to date and return the names of the migrations applied now, oldest first.

    Two processes may do it at once: the second waits and finds nothing left to do.
    """
    lock = await asyncpg.connect(**credentials(url), timeout=10)
    applied: list[str] = []

    def note(event: str, _app: str, name: str) -> None:
        if event == "apply_done":
            applied.append(name)

    try:
        await lock.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        await apply_migrations(config=tortoise_config(credentials(url)), progress=note)
    finally:
        await Tortoise.close_connections()
        await lock.close()
    return applied


async def outlast_running(*, seconds: float = 10.0) -> bool:
    """Wait until every transaction that is open now has ended; return whether they did within the time.

    What was committed before this call is then seen by every statement that goes on. All transactions of `tx()` count:
    they have an id from their first statement.
    """
    begun = (await fetch("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric AS until"))[0]["until"]
    loop = asyncio.get_running_loop()
    end_at = loop.time() + seconds
    while loop.time() < end_at:
        (row,) = await fetch("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric AS oldest")
        if row["oldest"] >= begun:
            return True
        await asyncio.sleep(0.01)
    return False
