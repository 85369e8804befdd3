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
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from tortoise import Tortoise
from tortoise.context import TortoiseContext

from domain.commit_fate import fate_of
from domain.connections import ATTEMPTS, Opened, acquire, fetch_alone, lost, opened, pause_seconds, pool_settings
from domain.log_context import about
from domain.refusals import DatabaseUnreachable, WorkspaceUnknown
from domain.ringing import bell
from domain.secrets import hashed_address
from domain.tables.config import tortoise_config

T = TypeVar("T")
log = logging.getLogger("relance.database")

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

    @asynccontextmanager
    async def taken_back(self) -> AsyncIterator[None]:
        """Undo what is done inside the block at its end, however it ends: a dry run."""
        with contextlib.suppress(_TakenBack):
            async with self.savepoint():
                yield
                raise _TakenBack


class _TakenBack(Exception):
    pass


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


@asynccontextmanager
async def database(
    url: str, *, pool_size: int = 10, application: str = "relance", pepper: bytes | None = None
) -> AsyncIterator[None]:
    """Open the database for this process while the block runs. `tx()` and Tortoise's models then work in any task.

    `pepper` is the vault's; without it no contact can be written.

    Raises:
        DatabaseUnreachable: no connection could be opened; the sentence says why.
    """
    settings = pool_settings(url, pool_size=pool_size, application=application)
    if opened and opened[-1].url == url:  # opened by this process already: tests run a worker beside themselves
        yield
        return
    context: TortoiseContext = await Tortoise.init(config=tortoise_config(settings), _enable_global_fallback=True)
    opened.append(Opened(url, context.connections.get("default"), pepper))
    try:
        try:
            await fetch("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as problem:
            raise DatabaseUnreachable(url, problem) from problem
        yield
    finally:
        await bell.stop()
        opened.pop()
        with contextlib.suppress(Exception):
            await context.close_connections()


async def fetch(sql: str, *args: Any) -> list[asyncpg.Record]:
    """Run one reading statement, in the transaction that is open here or outside any; outside, once more when the
    connection turns out to be dead."""
    if (shared := _open_here()) is not None:
        return await shared.tx.fetch(sql, *args)
    return await fetch_alone(sql, *args)


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
    if workspace_id is None:
        return await _alone(None, work, rings=rings)
    with about(workspace_id=workspace_id):
        return await _alone(workspace_id, work, rings=rings)


async def _alone(workspace_id: UUID | None, work: Callable[[Tx], Awaitable[T]], *, rings: bool) -> T:
    for attempt in range(ATTEMPTS):
        clock: asyncpg.Record | None = None
        committing = False
        try:
            async with acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    clock = await _read_clock(connection, workspace_id)
                    shared = _Shared(
                        Tx(connection, workspace_id, clock["now"], opened[-1].pepper), asyncio.current_task(), rings
                    )
                    result = await _working(shared, work)
                    committing = True
                except BaseException:
                    await _roll_back(transaction, connection)
                    raise
                await transaction.commit()
        except Exception as problem:
            broken = lost(problem)
            if not (broken or isinstance(problem, _AGAIN)) or attempt + 1 == ATTEMPTS:
                raise
            log.info("transaction is tried again after %s", type(problem).__name__)
            await asyncio.sleep(pause_seconds(attempt))
            if not (broken and committing and clock is not None):
                continue
            fate = await fate_of(clock)
            if fate == "in progress":  # a guess would be the one way to do it twice
                raise
            if fate != "committed":
                continue
        if shared.rings:
            bell.ring()
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
