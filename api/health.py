"""What an API process says about itself: whether it turns, and whether it can answer requests.

Source: docs/operations.md.
"""

import asyncio
import time
from typing import Final

from api.server_parts import ServerParts
from domain.readiness import ENDING, WITHOUT_REDIS, Part, reason_against_database, reason_against_workers

_POLL_OVERDUE_SECONDS: Final = 15.0


class ApiHealth:
    """The health of one API process."""

    def __init__(self, process: ServerParts) -> None:
        self._process = process

    async def live(self) -> list[Part]:
        return [Part("process", None)]  # who answers turns

    async def ready(self) -> list[Part]:
        database, workers = await asyncio.gather(reason_against_database(), reason_against_workers())
        return [
            Part("ending", ENDING if self._process.draining.is_set() else None),
            Part("database", database),
            Part("feed", self._reason_against_feed()),
            Part("redis", None if self._process.hub.redis_connected else WITHOUT_REDIS, needed=False),
            Part("worker", workers, needed=False),
        ]

    def _reason_against_feed(self) -> str | None:
        polled_at = self._process.hub.polled_at
        if polled_at is None:
            return "The feed of changes has not been read yet."
        late = time.monotonic() - polled_at
        return None if late < _POLL_OVERDUE_SECONDS else f"The feed of changes was last read {late:.0f} seconds ago."
