"""The worker's endless loops: each round in a fresh task, woken by a ring, a timer or the arq tick.

A loop that fails logs it and goes on after a growing pause; a loop is never dead for good. Source: reliability.md M12.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from time import monotonic
from typing import Final

from domain.metrics import ROUND_FAILURES, ROUND_SECONDS

log = logging.getLogger("relance.worker")

_LONGEST_PAUSE_SECONDS: Final = 5.0


class Round:
    """One endless loop.

    `work` does a bounded piece and returns whether there may be more at once. Between pieces the loop waits for
    `wake()`, at most `every_seconds`.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[bool]], *, every_seconds: float) -> None:
        self.name = name
        self._work = work
        self._every_seconds = every_seconds
        self._woken = asyncio.Event()
        self._failures = 0
        self.begun_at: float | None = None  # of the monotonic clock, while a round is going on

    def wake(self) -> None:
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until `stop` is set."""
        while not stop.is_set():
            self._woken.clear()
            more = await self._once()
            if not more and not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._every_seconds)

    async def _once(self) -> bool:
        # A fresh task for each round: state that a broken connection leaves in a task's context dies with it.
        task = asyncio.get_running_loop().create_task(_as_coroutine(self._work), name=f"round-{self.name}")
        self.begun_at = began = monotonic()
        try:
            more = await task
        except asyncio.CancelledError:
            task.cancel()
            raise
        except Exception:
            self._failures += 1
            ROUND_FAILURES.labels(self.name).inc()
            log.warning("the %s loop failed and goes on", self.name, exc_info=True)
            await asyncio.sleep(min(0.1 * 2**self._failures, _LONGEST_PAUSE_SECONDS))
            return False
        finally:
            self.begun_at = None
            ROUND_SECONDS.labels(self.name).observe(monotonic() - began)
        self._failures = 0
        return more


async def _as_coroutine(work: Callable[[], Awaitable[bool]]) -> bool:
    return await work()


async def still_going(
    tasks: Collection[asyncio.Task[None]], patience_seconds: float, hurry: asyncio.Event | None = None
) -> set[asyncio.Task[None]]:
    """Wait until all have ended, for so long at most, or until `hurry` is set; return those that have not."""
    all_ended = asyncio.ensure_future(asyncio.wait(tasks))
    hurried = asyncio.ensure_future((hurry or asyncio.Event()).wait())
    try:
        await asyncio.wait({all_ended, hurried}, timeout=patience_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (all_ended, hurried):
            each.cancel()
        await asyncio.gather(all_ended, hurried, return_exceptions=True)
    return {task for task in tasks if not task.done()}
