"""The children of `relance up`: started together, started again when they die, ended in order."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from cli.console import CannotGoOn
from cli.private import private_log

_ROOT: Final = Path(__file__).parents[1]
_STOP_SECONDS: Final = 15.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_SETTLED_AFTER_SECONDS: Final = 60.0
_LOG_BYTES: Final = 20_000_000


class Child:
    """One program that is to run until it is told to stop.

    `launch` starts the process, which only imports then; `begin` gives it its settings. From then on it is watched:
    when it ends by itself it is started again, after a pause that grows from half a second to half a minute.
    """

    def __init__(self, program: str, log: Path, say: Callable[[str], None]) -> None:
        self.program = program
        self.log = log
        self._say = say
        self._settings = b""
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._log_start = 0
        self._stopping = False
        self.ready = False  # set by whoever found out; a child that ends before ends the start

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def launch(self) -> None:
        """Start the process. It waits for its settings."""
        self.log.parent.mkdir(exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        with private_log(self.log) as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "cli.child",
                self.program,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), _python_path()]))},
                start_new_session=True,
            )

    async def begin(self, settings: Mapping[str, str]) -> None:
        """Give the process its settings and watch over it."""
        self._settings = json.dumps(dict(settings)).encode() + b"\n"
        await self._give_settings()
        self._watching = asyncio.create_task(self._watch(), name=f"watch-{self.program}")

    async def wait_until(self, answers: Callable[[], Awaitable[bool]], *, timeout_seconds: float = 60.0) -> None:
        """Wait until `answers()` is true.

        Raises:
            CannotGoOn: the process ended first, with what it said last, or time ran out.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while not await answers():
                    if self._process is None or self._process.returncode is not None:
                        raise CannotGoOn(f"The {self.program} could not start: {self.last_words()} (see {self.log}).")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise CannotGoOn(
                f"The {self.program} did not answer within {timeout_seconds:.0f} seconds (see {self.log})."
            ) from None
        self.ready = True

    async def stop(self) -> None:
        """Tell the process to end and wait for it, 15 seconds at most; then end it. Harmless to repeat."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self.kill()
                await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._process = None

    def kill(self) -> None:
        """End the process at once, as it stands."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    def last_words(self) -> str:
        """Return the last line this run has written to its log."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read()[-4000:].decode(errors="replace").strip().splitlines()
        return lines[-1].rstrip(".") if lines else "it said nothing"

    async def _give_settings(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # ended already: the watch finds out
            self._process.stdin.write(self._settings)
            await self._process.stdin.drain()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        pause_seconds = _FIRST_PAUSE_SECONDS
        while self._process is not None:
            begun_at = loop.time()
            code = await self._process.wait()
            if self._stopping or not self.ready:
                return
            if loop.time() - begun_at > _SETTLED_AFTER_SECONDS:
                pause_seconds = _FIRST_PAUSE_SECONDS
            self._say(
                f"The {self.program} ended unexpectedly ({_how(code)}); it is started again "
                f"in {pause_seconds:g} s. See {self.log}."
            )
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
            await self.launch()
            await self._give_settings()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _python_path() -> str:
    return os.environ.get("PYTHONPATH", "")
