"""`relance up`: everything from one command. Servers, migrations, mail catcher, API, worker and demo data.

The processes are children of this one. Ctrl-C ends them in order: worker and API, mail catcher, servers. When this
process is killed they read the end of a pipe and end by themselves.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from cli import instance
from cli.children import Child
from cli.console import CannotGoOn, logging_to, say, say_aside
from cli.embedded import DataDirectoryNotWritable, Servers, embedded_servers
from cli.embedded.datadir import prepare
from cli.embedded.ports import choose
from cli.listening import Place
from cli.welcome import welcome

if TYPE_CHECKING:
    from cli.catcher import RunningCatcher
    from cli.demo import Demo

log = logging.getLogger("relance.up")

_LOOK_AROUND_SECONDS: Final = 0.5
_OWN_SERVERS: Final = {"DATABASE_URL", "REDIS_URL"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for."""

    directory: Path
    host: str = "127.0.0.1"
    port: int = 8000
    demo: bool = True


def up(wanted: Wanted) -> int:
    """Run until told to stop; return the exit code.

    Raises:
        CannotGoOn, EmbeddedServersCannotStart, PortTaken, Refusal: something cannot start; nothing is left running.
    """
    return asyncio.run(_Up(wanted).until_told())


class _Up:
    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._place = Place(wanted.host, wanted.port)
        self._began_at = monotonic()
        self._told = False
        self._children: list[Child] = []

    async def until_told(self) -> int:
        running = asyncio.current_task()
        assert running is not None
        # What a cancelled driver says behind our back belongs into a log, not among the lines for people.
        asyncio.get_running_loop().set_exception_handler(lambda _, said: log.debug("%s", said))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._tell, running)
        try:
            await self._run()
        except asyncio.CancelledError:
            if not self._told:
                raise
            say("Stopped.")
        return 0

    def _tell(self, running: "asyncio.Task[Any]") -> None:
        if self._told:
            for child in self._children:
                child.kill()
            return
        self._told = True
        say("\nStopping. Press Ctrl-C again to hurry.")
        running.cancel()

    async def _run(self) -> None:
        directory = prepare(self._wanted.directory)
        self._place.refuse_if_taken()
        _refuse_wrong_settings()
        try:
            with logging_to(instance.log_file(directory, "up")):
                await self._run_in(directory)
        except PermissionError as problem:
            raise DataDirectoryNotWritable(
                directory=str(problem.filename or directory), reason="it belongs to another user"
            ) from problem

    async def _run_in(self, directory: Path) -> None:
        api, worker = (
            Child(program, instance.log_file(directory, program), say_aside) for program in ("api", "worker")
        )
        self._children = [worker, api]
        # It imports while the servers start, and so do we. The worker can wait: pages are answered without it.
        await api.launch()
        try:
            loading = asyncio.create_task(asyncio.to_thread(_load))
            self._progress("starting PostgreSQL and Redis" if _embeds_any() else "opening the data directory")
            async with embedded_servers(
                directory, postgres="DATABASE_URL" not in os.environ, valkey="REDIS_URL" not in os.environ
            ) as servers:
                await loading
                await self._run_on(directory, servers, api, worker)
        finally:
            await self._stop_children()

    async def _run_on(self, directory: Path, servers: Servers, api: Child, worker: Child) -> None:
        from cli.reaching import reach_redis, reaching_database
        from domain.migrating import migrate

        _forget(directory)  # what a start that was killed left behind
        await worker.launch()
        environment = {
            "DATABASE_URL": servers.database_url or os.environ["DATABASE_URL"],
            "REDIS_URL": servers.redis_url or os.environ["REDIS_URL"],
            "RELANCE_SECRET_KEY": instance.secret_key(directory, os.environ),
            "RELANCE_HOST": self._wanted.host,
            "RELANCE_PORT": str(self._wanted.port),
            # On one's own machine a webhook usually leads to the next window.
            "RELANCE_PRIVATE_NETWORKS": os.environ.get("RELANCE_PRIVATE_NETWORKS", "127.0.0.0/8, ::1/128"),
            "RELANCE_PUBLIC_URL": os.environ.get("RELANCE_PUBLIC_URL") or f"http://localhost:{self._wanted.port}",
        }
        _check(environment)
        await reach_redis(environment["REDIS_URL"])
        self._progress("bringing the tables up to date")
        async with reaching_database(environment["DATABASE_URL"]):
            await migrate(environment["DATABASE_URL"])
        async with _catcher(directory) as catcher, _database(environment):
            try:
                await self._serve(directory, servers, environment, catcher, api, worker)
            finally:
                _forget(directory)
                await self._stop_children()

    async def _serve(
        self,
        directory: Path,
        servers: Servers,
        environment: dict[str, str],
        catcher: "RunningCatcher",
        api: Child,
        worker: Child,
    ) -> None:
        from cli.first_key import first_key

        key = await first_key(directory, "Demo" if self._wanted.demo else "Main")
        self._progress("starting API and worker")
        lines = {"RELANCE_LOG_LEVEL": _log_level(), "RELANCE_LOG_FORMAT": os.environ.get("RELANCE_LOG_FORMAT", "text")}
        shown = {"RELANCE_GRAPHIQL": "on", **lines}
        if self._fills_in_key:
            shown["RELANCE_DEMO_KEY"] = key.secret
        await asyncio.gather(
            api.begin({**shown, **_own("RELANCE_GRAPHIQL"), **environment}),
            worker.begin({**lines, **environment}),
        )
        await asyncio.to_thread(import_module, "cli.demo")
        from cli.demo import Demo

        demo = Demo(key.workspace_id, environment["RELANCE_SECRET_KEY"], "127.0.0.1", catcher.smtp_port)
        waited_for = [api.wait_until(self._place.answers), worker.wait_until(_worker_works)]
        await _together(*waited_for, *([demo.set_up()] if self._wanted.demo else []))
        place = self._place.address
        connection = {
            "graphql": f"http://{place}/graphql",
            "websocket": f"ws://{place}/graphql",
            "apiKey": key.secret,
            "smtp": f"127.0.0.1:{catcher.smtp_port}",
            "mail": catcher.url,
        }
        instance.write_private_json(
            instance.instance_file(directory), {"pid": os.getpid(), **instance.shared_settings(environment)}
        )
        instance.write_private_json(instance.connection_file(directory), connection)
        say(
            welcome(
                connection,
                scripts=instance.connection_file(directory),
                after_seconds=monotonic() - self._began_at,
                key_is_filled_in=self._fills_in_key,
            )
        )
        await self._watch(servers, demo if self._wanted.demo else None)

    async def _watch(self, servers: Servers, demo: "Demo | None") -> None:
        keeping = asyncio.create_task(_keep_going(demo)) if demo else None
        try:
            while True:
                for news in servers.news():
                    say_aside(news)
                if trouble := servers.trouble():
                    raise CannotGoOn(f"{trouble} Relance stops.")
                await asyncio.sleep(_LOOK_AROUND_SECONDS)
        finally:
            if keeping:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    async def _stop_children(self) -> None:
        await asyncio.shield(asyncio.gather(*(child.stop() for child in self._children)))

    @property
    def _fills_in_key(self) -> bool:
        """Return whether GraphiQL carries the key: it opens everything, so only for a demo nobody else can reach."""
        return self._wanted.demo and self._place.is_loopback

    def _progress(self, words: str) -> None:
        say(f"  {monotonic() - self._began_at:4.1f} s  {words}")


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once; the first that fails ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _keep_going(demo: "Demo") -> None:
    """Let the demo go on, each round in a task of its own. A round that fails is left out."""
    while True:
        await asyncio.sleep(demo.round_seconds)
        await asyncio.gather(asyncio.create_task(demo.go_on()), return_exceptions=True)


def _load() -> None:
    """Import in a thread what the next steps need."""
    for module in ("cli.catcher", "cli.first_key"):
        import_module(module)


def _embeds_any() -> bool:
    return not os.environ.keys() >= _OWN_SERVERS


def _own(name: str) -> dict[str, str]:
    return {name: os.environ[name]} if os.environ.get(name) else {}


def _log_level() -> str:
    return os.environ.get("RELANCE_LOG_LEVEL", "INFO")


def _refuse_wrong_settings() -> None:
    """Refuse what is set wrongly before anything starts; what is not set is made later."""
    given = {
        name for name, text in os.environ.items() if text and (name in _OWN_SERVERS or name.startswith("RELANCE_"))
    }
    if given:
        from domain.settings import SettingsInvalid, gather

        if problems := [line for line in gather(os.environ)[1] if line.partition(" ")[0] in given]:
            raise SettingsInvalid(problems)


def _check(environment: dict[str, str]) -> None:
    """Refuse wrong settings here, where they are seen, and not in the logs of the children."""
    from domain.settings import read_settings

    read_settings({**os.environ, **environment})


@asynccontextmanager
async def _catcher(directory: Path) -> "AsyncIterator[RunningCatcher]":
    from cli.catcher import running_catcher

    async with running_catcher(
        smtp_port=choose(directory, "smtp"), http_port=choose(directory, "mail"), directory=directory / "mails"
    ) as catcher:
        yield catcher


@asynccontextmanager
async def _database(environment: dict[str, str]) -> "AsyncIterator[None]":
    """The database, opened so that the demo can write its people."""
    from domain.database import database
    from domain.secrets import Vault
    from domain.settings import read_settings

    settings = read_settings({**os.environ, **environment})
    pepper = Vault(settings.secret_key, settings.previous_keys).pepper
    async with database(settings.database_url, pool_size=3, pepper=pepper):
        yield


async def _worker_works() -> bool:
    """Return whether a worker has opened the database: it does so when all else has begun."""
    from domain.database import fetch

    rows = await fetch(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'relance-worker' "
        "AND datname = current_database()) AS works"
    )
    return bool(rows[0]["works"])


def _forget(directory: Path) -> None:
    for file in (instance.connection_file(directory), instance.instance_file(directory)):
        file.unlink(missing_ok=True)
