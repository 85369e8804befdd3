"""Many callers, one statement: what arrives within two milliseconds is written together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


class Batching(Generic[In, Out]):
    """Collects items and hands them to `write` together; each caller gets the answer to its own item.

    One batch is written at a time, so that while a statement runs the next batch grows. A failing batch fails for
    each of its callers.
    """

    def __init__(
        self,
        write: Callable[[Sequence[In]], Awaitable[Sequence[Out]]],
        *,
        gather_seconds: float = 0.002,
        at_most: int = 200,
    ) -> None:
        self._write = write
        self._gather_seconds = gather_seconds
        self._at_most = at_most
        self._waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def __call__(self, item: In) -> Out:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Out] = loop.create_future()
        self._waiting.append((item, answer))
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._gather_seconds)
            batch, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
            try:
                answers = await self._write([item for item, _ in batch])
            except Exception as problem:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(problem)
                continue
            for (_, waiting), answer_value in zip(batch, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer_value)
