"""Reaching the database from a command, with a refusal in plain words when that fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from domain.settings import Settings

if TYPE_CHECKING:
    from uuid import UUID


@asynccontextmanager
async def reaching_database(url: str) -> AsyncIterator[None]:
    """Turn what the driver raises inside the block into a sentence.

    Raises:
        DatabaseUnreachable: no connection could be opened.
    """
    import asyncpg

    from domain.refusals import DatabaseUnreachable

    try:
        yield
    except (
        OSError,
        TimeoutError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
        asyncpg.PostgresConnectionError,
    ) as problem:
        raise DatabaseUnreachable(url, problem) from problem


async def reach_redis(url: str) -> None:
    """Try Redis once, so that a start that would wait for it says so at once.

    Raises:
        CannotGoOn: it cannot be reached; the sentence says where and why.
    """
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    from cli.console import CannotGoOn

    client = Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
    try:
        await client.ping()
    except (RedisError, OSError) as problem:
        place = url.rpartition("@")[2].removeprefix("redis://")
        raise CannotGoOn(
            f"Redis at {place} cannot be reached: {str(problem).rstrip('.')}. "
            "Check that it runs and that REDIS_URL is right."
        ) from problem
    finally:
        await client.aclose()


async def reach(url: str) -> None:
    """Return when the database can be reached: tried once, so that a wrong address is told at once.

    Raises:
        DatabaseUnreachable
    """
    import asyncpg

    from domain.connections import credentials

    async with reaching_database(url):
        connection = await asyncpg.connect(**credentials(url), timeout=10)
        await connection.close()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[None]:
    """The database of an installation whose tables are up to date, for the length of the block.

    Raises:
        DatabaseUnreachable: no connection could be opened.
        CannotGoOn: there are no tables yet.
    """
    from cli.console import CannotGoOn
    from domain.database import database, fetch
    from domain.secrets import Vault

    await reach(settings.database_url)
    pepper = Vault(settings.secret_key, settings.previous_keys).pepper
    async with database(settings.database_url, pool_size=3, application="relance-command", pepper=pepper):
        if not (await fetch("SELECT to_regclass('workspaces') IS NOT NULL AS there"))[0]["there"]:
            raise CannotGoOn("The database has no tables of Relance yet. Run `relance migrate` first.")
        yield


async def workspace_named(words: str | None) -> "UUID":
    """Return the workspace of this name or id; without words, the only one there is.

    Raises:
        CannotGoOn: there is none, or the words do not decide.
    """
    from cli.console import CannotGoOn
    from domain.database import fetch

    rows = await fetch("SELECT id, name FROM workspaces ORDER BY created_at, id")
    found = [row for row in rows if words is None or words in (row["name"], str(row["id"]))]
    if len(found) == 1:
        found_id: UUID = found[0]["id"]
        return found_id
    there = ", ".join(f"{row['name']} ({row['id']})" for row in rows[:10])
    if len(rows) > 10:
        there += f" and {len(rows) - 10} more"
    if not rows:
        raise CannotGoOn("There is no workspace yet. Make one with: relance keys create --workspace NAME")
    if not found:
        raise CannotGoOn(f"There is no workspace “{words}”. There is: {there}.")
    raise CannotGoOn(f"Say which workspace with --workspace; there is: {there}.")
