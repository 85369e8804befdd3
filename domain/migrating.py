"""Bringing the tables up to date, from any number of processes at once."""

from typing import Final

import asyncpg
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as apply_migrations

from domain.connections import credentials
from domain.tables.config import tortoise_config

_LOCK: Final = 7_205_118  # any number, the same in every process


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
        await lock.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await apply_migrations(config=tortoise_config(credentials(url)), progress=note)
    finally:
        await Tortoise.close_connections()
        await lock.close()
    return applied
