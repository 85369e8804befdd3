"""A worker as a process of its own: the settings come from the environment, SIGTERM ends it well.

The fault tests kill, stop and restart it. `python -m tests.faults.worker_process`.
"""

import asyncio
import logging
import os
import signal

from domain.settings import read_settings
from workers.main import run


async def work() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run(read_settings(os.environ), stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(work())
