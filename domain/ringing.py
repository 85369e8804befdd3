"""The ring: one NOTIFY that says "there is something new", to whoever listens in any process.

It carries nothing: what is new is read from the tables. A lost ring costs one slow poll.

Source: architecture.md "The flow of one change".
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import asyncpg

from domain.connections import credentials, fetch_alone

log = logging.getLogger("relance.database")

EVENTS_CHANNEL: Final = "relance_events"
LISTENER: Final = "relance-worker-ring"  # how PostgreSQL knows it: one for each worker that lives
_RING_EVERY_SECONDS: Final = 0.002


class Bell:
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
                await fetch_alone(f"NOTIFY {EVENTS_CHANNEL}")
            except Exception:  # a lost ring costs one slow poll
                log.info("a ring was lost", exc_info=True)

    async def stop(self) -> None:
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError, RuntimeError):
                await asyncio.wait_for(self._task, 2)
            self._task = None


bell = Bell()


async def listen(url: str, on_ring: Callable[[], None]) -> asyncpg.Connection:
    """Return a direct connection that calls `on_ring` at each ring. Never through a pooler; the caller closes it."""
    named = {"application_name": LISTENER}
    connection: asyncpg.Connection = await asyncpg.connect(**credentials(url), timeout=10, server_settings=named)
    await connection.add_listener(EVENTS_CHANNEL, lambda *_: on_ring())
    return connection
