"""The recent events of each workspace in this process, and everyone who reads them as they come.

Redis brings numbered events. A ring takes one when it is the next number and reads the feed from PostgreSQL when it
is not, so a lost, late or repeated message is the same harmless read. A poll numbers and catches up when Redis and
the workers are silent. A reader gets every event once and in order, or one ResyncRequired; nothing is dropped.

Source: architecture.md "The flow of one change".
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.rounds import endlessly, once_reachable
from domain import feed
from domain.feed import Event, Head, ResyncRequired, from_cursor, to_cursor

log = logging.getLogger("relance.ring")

HELD_AT_MOST: Final = 10_000  # events in one ring
BEHIND_AT_MOST: Final = 5_000  # events a reader may have before it
BEHIND_AT_MOST_SECONDS: Final = 60.0
POLL_SECONDS: Final = 2.0
QUIET_SECONDS: Final = 15.0  # after which a reader to whom nothing came is told where the feed stands
_READ_AT_ONCE: Final = 1_000
_READING_AT_ONCE: Final = 4  # readers that catch up from PostgreSQL; the others wait for their turn
_IDLE_SECONDS: Final = 300.0  # a ring that nobody reads is forgotten
_POLL_AT_MOST_SECONDS: Final = 30.0


class Ring:
    """The last events of one workspace, without a gap: `first` to `last`, each with the time it came in."""

    def __init__(self, head: Head) -> None:
        self.epoch = head.epoch
        self.last = head.last_seq
        self.readers = 0
        self.read_at = time.monotonic()
        self.over = False  # the feed was restored: every reader has to read afresh
        self.catching_up: asyncio.Task[None] | None = None
        self._held: deque[tuple[float, Event]] = deque(maxlen=HELD_AT_MOST)
        self.signal = asyncio.Event()  # set, and replaced, when something is appended or the ring ends

    @property
    def first(self) -> int:
        """The number of the oldest event held; one after `last` where none is."""
        return self.last - len(self._held) + 1

    @property
    def cursor(self) -> str:
        return to_cursor(self.epoch, self.last)

    def take(self, events: Iterable[Event]) -> bool:
        """Append those that come next, pass over those that are there; return whether none is missing before them."""
        came_at = time.monotonic()
        complete = True
        before = self.last
        for event in events:
            if event.epoch != self.epoch:
                self.end()
                return True
            if event.seq == self.last + 1:
                self._held.append((came_at, event))
                self.last = event.seq
            elif event.seq > self.last:
                complete = False
                break
        if self.last != before:
            self._wake()
        return complete

    def end(self) -> None:
        """Send every reader to read afresh."""
        self.over = True
        self._wake()

    def after(self, seq: int, *, reading_since: float = 0.0) -> list[Event] | None:
        """Return the events after a number, oldest first; None when the ring does not reach back that far.

        Whoever comes back with an old cursor is not slow: what came in before `reading_since` (of the monotonic clock)
        has waited for the reader since then only.

        Raises:
            ResyncRequired: the reader is too many events, or too long, behind; or the feed was restored.
        """
        waiting = self.last - seq
        if self.over or waiting > BEHIND_AT_MOST:
            raise ResyncRequired(self.cursor)
        if waiting <= 0:
            return []
        if seq < self.first - 1:
            return None
        start = len(self._held) - waiting
        if time.monotonic() - max(self._held[start][0], reading_since) > BEHIND_AT_MOST_SECONDS:
            raise ResyncRequired(self.cursor)
        return [self._held[index][1] for index in range(start, len(self._held))]

    def _wake(self) -> None:
        self.signal.set()
        self.signal = asyncio.Event()


E = TypeVar("E")


class Batch(NamedTuple, Generic[E]):
    """What came next to a reader, and the cursor after it."""

    events: list[E]
    cursor: str
    complete: bool = False  # there is nothing more at this moment


class Hub:
    """All rings of this process and the one Redis connection that fills them."""

    def __init__(self, redis_url: str, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._redis_url = redis_url
        self._poll_seconds = poll_seconds
        self._rings: dict[UUID, Ring] = {}
        self._reading = asyncio.Semaphore(_READING_AT_ONCE)
        self._redis: Redis | None = None
        self.redis_connected = False
        self.polled_at: float | None = None  # of the monotonic clock, when the last poll succeeded

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and poll while the block runs; the database must be open."""
        self._redis = Redis.from_url(
            self._redis_url, socket_timeout=10, socket_connect_timeout=5, health_check_interval=15
        )
        loops = [
            asyncio.create_task(endlessly("listening to Redis", self._listen, pause_seconds=0.0)),
            asyncio.create_task(
                endlessly(
                    "polling the feed", self._poll, pause_seconds=self._poll_seconds, most_seconds=_POLL_AT_MOST_SECONDS
                )
            ),
        ]
        try:
            yield
        finally:
            for ring in self._rings.values():
                ring.end()
            catching_up = [ring.catching_up for ring in self._rings.values() if ring.catching_up]
            for task in [*loops, *catching_up]:
                task.cancel()
            await asyncio.gather(*loops, *catching_up, return_exceptions=True)
            with contextlib.suppress(RedisError, OSError):
                await self._redis.aclose()

    async def read(self, workspace_id: UUID, after: str | None) -> AsyncGenerator[Batch[Event], None]:
        """Yield the events after a cursor in batches: first what was missed, then live, without end.

        A complete one follows on what was missed, and on each QUIET_SECONDS in which nothing came. None starts with
        what comes from now on. The caller closes the iterator.

        Raises:
            CursorForeign: not a cursor.
            ResyncRequired: the cursor is of another epoch, of the future or too old, or the reader fell behind.
        """

        async def missed() -> list[Event]:
            async with self._reading:
                limit = min(_READ_AT_ONCE, ring.last - position)
                return await feed.after(workspace_id, to_cursor(ring.epoch, position), limit=limit)

        ring = await once_reachable(lambda: self._ring(workspace_id))
        ring.readers += 1
        since = time.monotonic()
        try:
            position = ring.last if after is None else await self._position(workspace_id, ring, after)
            told = False  # that nothing more was missed
            while True:
                signal = ring.signal  # taken before looking, so that no move is missed
                events = ring.after(position, reading_since=since)
                if events is None:
                    events = await once_reachable(missed)
                if events:
                    position = events[-1].seq
                    yield Batch(events, to_cursor(ring.epoch, position))
                elif told:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(QUIET_SECONDS):
                            await signal.wait()
                    told = signal.is_set()
                else:
                    told = True
                    yield Batch[Event]([], to_cursor(ring.epoch, position), complete=True)
        finally:
            ring.readers -= 1
            ring.read_at = time.monotonic()

    async def _position(self, workspace_id: UUID, ring: Ring, after: str) -> int:
        epoch, seq = from_cursor(after)
        if epoch == ring.epoch and seq > ring.last:  # another process saw it sooner
            async with self._reading:
                await self._catch_up(workspace_id, ring)
        if epoch != ring.epoch or not 0 <= seq <= ring.last:
            raise ResyncRequired(ring.cursor)
        return seq

    async def _ring(self, workspace_id: UUID) -> Ring:
        ring = self._rings.get(workspace_id)
        if ring is None or ring.over:
            fresh = Ring(await feed.state(workspace_id))
            ring = self._rings.get(workspace_id)  # someone may have been faster
            if ring is None or ring.over:
                ring = self._rings[workspace_id] = fresh
        return ring

    def take(self, events: Iterable[Event]) -> None:
        """Give numbered events, ordered by workspace and number, to the rings that want them."""
        for workspace_id, group in groupby(events, key=lambda event: event.workspace_id):
            ring = self._rings.get(workspace_id)
            if ring is not None and not ring.take(group):
                self._start_catching_up(workspace_id, ring)

    def _start_catching_up(self, workspace_id: UUID, ring: Ring) -> None:
        if ring.catching_up is None or ring.catching_up.done():
            ring.catching_up = asyncio.create_task(self._catch_up_or_log(workspace_id, ring))

    async def _catch_up_or_log(self, workspace_id: UUID, ring: Ring) -> None:
        try:
            await self._catch_up(workspace_id, ring)
        except Exception as problem:  # the poll tries again
            log.warning("the feed could not be read: %s", type(problem).__name__)

    async def _catch_up(self, workspace_id: UUID, ring: Ring) -> None:
        while not ring.over:
            try:
                missed = await feed.after(workspace_id, ring.cursor, limit=_READ_AT_ONCE)
            except ResyncRequired:
                ring.end()
                return
            ring.take(missed)
            if len(missed) < _READ_AT_ONCE:
                return

    async def _poll(self) -> None:
        while numbered := await feed.number():
            self.take(numbered)
            await self._publish(numbered)
        self._forget_idle()
        if self._rings:
            for workspace_id, head in (await feed.heads(list(self._rings))).items():
                self._compare(workspace_id, head)
        self.polled_at = time.monotonic()

    def _compare(self, workspace_id: UUID, head: Head) -> None:
        ring = self._rings.get(workspace_id)
        if ring is None:
            return
        if head.epoch != ring.epoch:
            ring.end()
        elif head.last_seq > ring.last:
            self._start_catching_up(workspace_id, ring)

    def _forget_idle(self) -> None:
        now = time.monotonic()
        for workspace_id, ring in list(self._rings.items()):
            if ring.over or (not ring.readers and now - ring.read_at > _IDLE_SECONDS):
                del self._rings[workspace_id]

    async def _publish(self, events: list[Event]) -> None:
        assert self._redis is not None
        try:
            for _, group in groupby(events, key=lambda event: event.workspace_id):
                await self._redis.publish(feed.WIRE_CHANNEL, feed.to_wire(list(group)))
        except (RedisError, OSError, TimeoutError):
            pass  # the other processes poll too

    async def _listen(self) -> None:
        assert self._redis is not None
        self.redis_connected = False
        async with self._redis.pubsub(ignore_subscribe_messages=False) as channel:
            await channel.subscribe(feed.WIRE_CHANNEL)
            try:
                while True:
                    message = await channel.get_message(timeout=5.0)
                    if message is None:
                        await channel.ping()
                    elif message["type"] == "subscribe":
                        self.redis_connected = True
                        for workspace_id, ring in self._rings.items():
                            self._start_catching_up(workspace_id, ring)
                    elif message["type"] == "message":
                        self.take(feed.from_wire(message["data"]))
            finally:
                self.redis_connected = False
