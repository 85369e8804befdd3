"""The connections of this process to PostgreSQL: their settings, the pool, and what it means when one breaks.

Source: architecture.md "Habits"; reliability.md 2.4.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from domain.refusals import DatabaseUnreachable

ATTEMPTS: Final = 8

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    OSError,
)


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


def pool_settings(url: str, *, pool_size: int, application: str) -> dict[str, Any]:
    """Return what a pool of this engine's connections is opened with.

    Raises:
        ValueError: the address is none of a PostgreSQL database.
    """
    return credentials(url) | {
        "minsize": 1,
        "maxsize": pool_size,
        "reset": _light_reset,
        "command_timeout": 60,
        "server_settings": {
            "application_name": application,
            "statement_timeout": "10s",
            "lock_timeout": "2s",
            # A process that is frozen with a row in its hand keeps the others waiting for no longer than this.
            "idle_in_transaction_session_timeout": "10s",
            "timezone": "UTC",
            "jit": "off",
            # Our joins stand in the order they are to be done in. Looking for a better one cost the claim 50 ms of
            # planning, and on young statistics found one that took seconds.
            "join_collapse_limit": "1",
        },
    }


async def _light_reset(connection: Any) -> None:
    """Return a connection to the pool. Our sessions hold no state: asyncpg's own reset costs a round trip each time."""
    if connection.is_in_transaction():
        await connection.reset()


@dataclass(frozen=True, slots=True)
class Opened:
    """The database that this process has open, with its pool."""

    url: str
    client: Any
    pepper: bytes | None


opened: list[Opened] = []  # the last is in use: tests open another one inside


def acquire() -> Any:
    """Return a connection of the pool, as a block to use it in."""
    return opened[-1].client.acquire_connection()


async def fetch_alone(sql: str, *args: Any) -> list[asyncpg.Record]:
    """Run one reading statement outside any transaction; once more when the connection turns out to be dead."""
    for attempt in range(ATTEMPTS):
        try:
            async with acquire() as connection:
                rows: list[asyncpg.Record] = await connection.fetch(sql, *args)
                return rows
        except Exception as problem:
            if not lost(problem) or attempt + 1 == ATTEMPTS:
                raise
            await asyncio.sleep(pause_seconds(attempt))
    raise AssertionError("unreachable")


def lost(problem: BaseException) -> bool:
    """Return whether the connection is dead, rather than what was asked of it wrong."""
    # InterfaceError also means a mistake of the caller; only these texts speak of a dead connection.
    if isinstance(problem, asyncpg.InterfaceError):
        return "closed" in str(problem) or "released" in str(problem) or "closing" in str(problem)
    return isinstance(problem, _LOST)


def is_an_outage(problem: BaseException) -> bool:
    """Return whether the database or the network failed, rather than what was asked of it."""
    if isinstance(problem, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError):
        return False
    return isinstance(problem, OSError | asyncpg.PostgresError | asyncpg.InterfaceError | DatabaseUnreachable)


def pause_seconds(attempt: int) -> float:
    """Return how long to wait before the next attempt."""
    return float(min(0.01 * 3**attempt, 2.0))
