"""Whether the database can be worked with: reachable, and with the tables this version of Relance expects."""

import asyncio
import pkgutil
from typing import Final

import asyncpg

from domain.database import fetch
from domain.tables import migrations

_PATIENCE_SECONDS: Final = 3.0


async def reason_against_database() -> str | None:
    """Return why the database cannot be used, in one sentence for an operator; None when it can. Within 3 seconds."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            missing = await missing_migrations()
    except TimeoutError:
        return "PostgreSQL does not answer."
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
        return f"PostgreSQL cannot be used: {type(problem).__name__}."
    if missing:
        return f"The tables are not up to date ({', '.join(missing)}). Run: relance migrate"
    return None


async def missing_migrations() -> list[str]:
    """Return the names of this version's migrations that the database has not had, oldest first."""
    expected = sorted(module.name for module in pkgutil.iter_modules(migrations.__path__) if module.name[0].isdigit())
    exists = await fetch("SELECT to_regclass('tortoise_migrations') IS NOT NULL AS yes")
    if not exists[0]["yes"]:
        return expected
    applied = {row["name"] for row in await fetch("SELECT name FROM tortoise_migrations")}
    return [name for name in expected if name not in applied]
