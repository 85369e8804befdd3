"""The two long-running programs, the API and the worker, as a process runs them: alone or under `relance up`.

Loading comes apart from running, so that a child of `up` imports while the servers start.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from typing import Final

from cli.console import CannotGoOn, write_log

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


def load_api() -> Callable[[], None]:
    """Import the API and return what serves it until the process is told to stop.

    The returned function raises SettingsInvalid, DatabaseUnreachable, and CannotGoOn when it cannot start.
    """
    import uvloop

    from api.app import server, tune_garbage_collection
    from api.health import ApiHealth
    from cli.mailbox_sign_in import try_mailbox
    from cli.monitoring import monitored
    from cli.reaching import reach
    from domain.settings import Settings, read_settings

    async def until_told(settings: Settings) -> None:
        await reach(settings.database_url)  # what the server would only log is refused here, in one sentence
        running = server(settings, try_mailbox=try_mailbox)
        # uvicorn would raise the signal once more at its end, and a clean stop would count as a death.
        running.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
        for number in _ENDING:
            asyncio.get_running_loop().add_signal_handler(number, running.tell_to_end)
        tune_garbage_collection()
        try:
            async with monitored(settings, ApiHealth(running.process)):
                await running.serve()
        except SystemExit:
            raise CannotGoOn(f"The API cannot listen on {settings.host}:{settings.port}; set another port.") from None
        if not running.started:
            raise CannotGoOn("The API could not start; the log above says why.")

    def run() -> None:
        settings = read_settings(os.environ)
        write_log(settings.log_level, settings.log_format, "api")
        uvloop.run(until_told(settings))

    return run


def load_worker() -> Callable[[], None]:
    """Import the worker and return what runs it until the process is told to stop.

    The returned function raises SettingsInvalid, and DatabaseUnreachable when it cannot start.
    """
    import uvloop

    from cli.monitoring import monitored
    from cli.reaching import reach
    from domain.settings import Settings, SettingsInvalid, read_settings
    from workers.health import WorkerHealth
    from workers.main import run as work

    async def until_told(settings: Settings) -> None:
        await reach(settings.database_url)
        stop, hurry, health = asyncio.Event(), asyncio.Event(), WorkerHealth()

        def tell() -> None:
            (hurry if stop.is_set() else stop).set()

        for number in _ENDING:
            asyncio.get_running_loop().add_signal_handler(number, tell)
        async with monitored(settings, health):
            await work(settings, stop, hurry=hurry, health=health)

    def run() -> None:
        settings = read_settings(os.environ)
        if settings.public_url is None:  # no one could opt out of what it sends
            raise SettingsInvalid(
                ["RELANCE_PUBLIC_URL is not set: the opt-out links in mails need it. See .env.example."]
            )
        write_log(settings.log_level, settings.log_format, "worker")
        uvloop.run(until_told(settings))

    return run


def adopt(settings: Mapping[str, str]) -> None:
    """Make these settings the environment of this process."""
    os.environ.update(settings)
