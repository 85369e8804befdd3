"""Endless loops of this process, each round in a task of its own.

A task that spoke to the database when it went away can stay broken for good; a fresh one is not.

Source: architecture.md "Habits".
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import NoReturn, TypeVar

from domain.connections import lost
from domain.metrics import ROUND_FAILURES, ROUND_SECONDS

log = logging.getLogger("relance.rounds")

T = TypeVar("T")

_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 2.0


async def endlessly(
    what: str, work: Callable[[], Awaitable[None]], *, pause_seconds: float, most_seconds: float | None = None
) -> NoReturn:
    """Do `work` again and again until cancelled, with a pause after each round and a growing one after failures.

    A round longer than `most_seconds` is cancelled and counts as failed. The first failure of a row is logged.
    """

    async def one_round() -> None:
        async with asyncio.timeout(most_seconds):
            await work()

    failures = 0
    while True:
        round_ = asyncio.create_task(one_round())
        pause, began = pause_seconds, monotonic()
        try:
            await round_
            failures = 0
        except asyncio.CancelledError:
            round_.cancel()
            await asyncio.gather(round_, return_exceptions=True)
            raise
        except Exception as problem:
            if not failures:
                log.warning("%s failed and is tried again", what, exc_info=problem)
            failures += 1
            ROUND_FAILURES.labels(what).inc()
            pause = min(_FIRST_BACKOFF_SECONDS * 2 ** min(failures, 10), _LAST_BACKOFF_SECONDS)
        ROUND_SECONDS.labels(what).observe(monotonic() - began)
        if _told_to_end():  # the round swallowed it: it ended, or failed, instead of being cancelled
            raise asyncio.CancelledError
        await asyncio.sleep(pause)


async def once_reachable(work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` returns, tried again for as long as the database cannot be reached: who listens is not sent
    away for that."""
    pause = _FIRST_BACKOFF_SECONDS
    while True:
        try:
            return await work()
        except Exception as problem:
            if not lost(problem):
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LAST_BACKOFF_SECONDS)


def _told_to_end() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
