"""A worker in this process and a mail catcher for it to send to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from cli.catcher import RunningCatcher, running_catcher
from domain.settings import Settings
from tests.conftest import SECRET_KEY
from tests.world import HERE
from workers.main import run


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url, secret_key=SECRET_KEY, reach=HERE)


@pytest.fixture
async def catcher() -> AsyncIterator[RunningCatcher]:
    async with running_catcher(0, 0) as caught:
        yield caught


@contextlib.asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker process's work, inside this process, while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 20) -> None:
    """Wait until the condition holds; fail when it does not within the time."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  the condition is asked of a server
            await asyncio.sleep(0.02)
