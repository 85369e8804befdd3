"""Bringing the tables up to date, from any number of processes at once."""

from pathlib import Path
from typing import Final

import asyncpg
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as apply_migrations

from domain.connections import credentials
from domain.tables.config import tortoise_config

_LOCK: Final = 7_205_118  # any number, the same in every process

# The tables as the migrations leave them, and the names of those. Going through all of them again for each empty
# database cost seconds, most of it for states of models in between that nobody needs.
SNAPSHOT: Final = Path(__file__).parent / "tables" / "snapshot.sql"


async def migrate(url: str, *, step_by_step: bool = False) -> list[str]:
    """Bring the tables up to date and return the names of the migrations applied now, oldest first.

    An empty database is given the snapshot, unless it is to go `step_by_step`, and then the migrations that are
    younger. Two processes may do it at once: the second waits and finds nothing left to do.
    """
    lock = await asyncpg.connect(**credentials(url), timeout=10)
    applied: list[str] = []

    def note(event: str, _app: str, name: str) -> None:
        if event == "apply_done":
            applied.append(name)

    try:
        await lock.execute("SELECT pg_advisory_lock($1)", _LOCK)
        if not step_by_step:
            applied += await _lay_out(lock)
        await apply_migrations(config=tortoise_config(credentials(url)), progress=note)
    finally:
        await Tortoise.close_connections()
        await lock.close()
    return applied


async def _lay_out(connection: asyncpg.Connection) -> list[str]:
    """Give an empty database the tables of the snapshot; return the names of the migrations they come from."""
    empty = await connection.fetchval(
        "SELECT current_schema() = 'public' AND NOT EXISTS "
        "(SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm'))"
    )
    if not empty:
        return []
    async with connection.transaction():
        await connection.execute(SNAPSHOT.read_text(encoding="utf-8"))
    return [row["name"] for row in await connection.fetch("SELECT name FROM tortoise_migrations ORDER BY id")]
