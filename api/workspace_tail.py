"""Who waits for events of a workspace's other things, and one look a second at each workspace that someone waits for.

What is new wakes all who wait; each reads what is its own after its own cursor, a few at a time. So a subscriber costs
nothing while nothing happens, and nothing is kept for a slow one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from api.ring import QUIET_SECONDS, Batch
from api.rounds import endlessly, once_reachable
from domain import workspace_feed
from domain.feed import ResyncRequired
from domain.workspace_feed import Found, WorkspaceEventRow

_LOOK_EVERY_SECONDS: Final = 0.5
_READING_AT_ONCE: Final = 4
_READ_AT_ONCE: Final = 500
BEHIND_AT_MOST: Final = 5_000  # events a reader may have before it when it comes


class _Waiting:
    """Those who wait for news of one workspace."""

    def __init__(self) -> None:
        self.readers = 0
        self.cursor: str | None = None
        self.news = asyncio.Event()  # set, and replaced, when there is something new


class WorkspaceTails:
    """All that is waited for in this process."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, _Waiting] = {}
        self._reading = asyncio.Semaphore(_READING_AT_ONCE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for news while the block runs; the database must be open."""
        looking = asyncio.create_task(
            endlessly(
                "looking for events of workspaces", self._look, pause_seconds=_LOOK_EVERY_SECONDS, most_seconds=10
            )
        )
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def read(
        self, workspace_id: UUID, after: str | None, types: Sequence[str] | None
    ) -> AsyncGenerator[Batch[WorkspaceEventRow], None]:
        """Yield what comes after a cursor in batches: first what was missed, then live, without end.

        A complete one follows on what was missed, and on each QUIET_SECONDS in which nothing came. None starts with
        what comes from now on. The caller closes the iterator.

        Raises:
            CursorForeign, ResyncRequired
        """

        async def after_cursor() -> Found:
            async with self._reading:
                return await workspace_feed.after(workspace_id, cursor, types=types, limit=_READ_AT_ONCE)

        waiting = self._waiting.setdefault(workspace_id, _Waiting())
        waiting.readers += 1
        try:
            cursor, missed, quiet = after, 0, True
            while True:
                news = waiting.news  # taken before looking, so that nothing is missed
                found = await once_reachable(after_cursor)
                waiting.cursor = waiting.cursor or found.cursor
                cursor = found.cursor
                complete = len(found.events) < _READ_AT_ONCE
                missed = 0 if complete else missed + len(found.events)
                if missed >= BEHIND_AT_MOST:
                    raise ResyncRequired((await workspace_feed.after(workspace_id, None)).cursor)
                if found.events or quiet:
                    yield Batch(found.events, cursor, complete and quiet)
                if complete:
                    quiet = False
                    try:
                        await asyncio.wait_for(news.wait(), QUIET_SECONDS)
                    except TimeoutError:
                        quiet = True
        finally:
            waiting.readers -= 1
            if not waiting.readers and self._waiting.get(workspace_id) is waiting:
                del self._waiting[workspace_id]

    async def _look(self) -> None:
        for workspace_id, waiting in list(self._waiting.items()):
            if waiting.cursor is None:  # its first reader is about to say
                continue
            try:
                found = await workspace_feed.after(workspace_id, waiting.cursor, limit=1)
                news = bool(found.events)
                if news:
                    found = await workspace_feed.after(workspace_id, None)
            except ResyncRequired as lost:  # restored: every reader finds out by itself
                news, found = True, Found([], lost.cursor)
            waiting.cursor = found.cursor
            if news:
                waiting.news.set()
                waiting.news = asyncio.Event()
