"""Whether a process lives and can do its work: a finding for each part, with a reason that an operator understands.

Source: docs/operations.md.
"""

import asyncio
import pkgutil
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncpg

from domain.connections import opened
from domain.database import fetch
from domain.figures import workers_seen
from domain.tables import migrations

_PATIENCE_SECONDS: Final = 3.0
ENDING: Final = "This process is ending and takes no new work. Another one goes on."


@dataclass(frozen=True, slots=True)
class Part:
    """One part: why it does not work, None when it does, and whether the process can do without it."""

    name: str
    reason: str | None
    needed: bool = True

    @property
    def stands_in_the_way(self) -> bool:
        return self.needed and self.reason is not None


class Health(Protocol):
    """What a process says about itself when it is asked. Both answer within a few seconds and never raise."""

    async def live(self) -> list[Part]:
        """Return whether it turns: a process that says no is to be started anew."""

    async def ready(self) -> list[Part]:
        """Return whether it can do its work: one that says no is left in peace until it can."""


def answer(word: str, parts: Sequence[Part]) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status, 200 or 503, and the answer: `word` says whether nothing stands in the way."""
    fine = not any(part.stands_in_the_way for part in parts)
    told = {part.name: {"ok": part.reason is None, "needed": part.needed, "reason": part.reason} for part in parts}
    return (200 if fine else 503), {word: fine, "parts": told}


async def reason_against_database() -> str | None:
    """Return why the database cannot be used, in one sentence for an operator; None when it can. Within 3 seconds."""
    if not opened:
        return "PostgreSQL has not been reached yet."
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


async def reason_against_workers() -> str | None:
    """Return why nothing is sent: no worker is connected to the database. None when one is, or it cannot be known."""
    if not opened:
        return None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            if await workers_seen():
                return None
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None  # the database says so itself
    return "No worker is connected to the database: nothing is sent until one is started with `relance worker`."


async def reason_against_redis(ping: Awaitable[Any]) -> str | None:
    """Return that Redis does not answer, and what that means; None when it does. Within 3 seconds."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await ping
    except Exception:
        return WITHOUT_REDIS
    return None


WITHOUT_REDIS: Final = (
    "Redis is not connected. All works without it, but changes arrive late, by a poll every 2 seconds."
)


async def missing_migrations() -> list[str]:
    """Return the names of this version's migrations that the database has not had, oldest first."""
    expected = sorted(module.name for module in pkgutil.iter_modules(migrations.__path__) if module.name[0].isdigit())
    exists = await fetch("SELECT to_regclass('tortoise_migrations') IS NOT NULL AS yes")
    if not exists[0]["yes"]:
        return expected
    applied = {row["name"] for row in await fetch("SELECT name FROM tortoise_migrations")}
    return [name for name in expected if name not in applied]
