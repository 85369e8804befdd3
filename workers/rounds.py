"""The worker's endless loops: each round in a fresh task, woken by a ring, a timer or the arq tick.

A loop that fails logs it and goes on after a growing pause; a loop is never dead for good. Source: reliability.md M12.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

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
        try:
            more = await task
        except asyncio.CancelledError:
            task.cancel()
            raise
        except Exception:
            self._failures += 1
            log.warning("the %s loop failed and goes on", self.name, exc_info=True)
            await asyncio.sleep(min(0.1 * 2**self._failures, _LONGEST_PAUSE_SECONDS))
            return False
        self._failures = 0
        return more


async def _as_coroutine(work: Callable[[], Awaitable[bool]]) -> bool:
    return await work()
