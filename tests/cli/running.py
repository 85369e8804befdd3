"""Running the command line as people run it: as processes, with nothing but the settings they gave."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

from cli.main import main

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Workspace:
    id: UUID
    name: str
    key: str


def bare_environment() -> dict[str, str]:
    """Return the environment without any setting of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RELANCE_") and name not in ("DATABASE_URL", "REDIS_URL")
    }
    return {**kept, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def relance(*arguments: str, environment: dict[str, str] | None = None, cwd: Path = ROOT) -> Answer:
    """Run one command to its end, in this process, and return what it said."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    surroundings = {**bare_environment(), **(environment or {})}
    with (
        mock.patch.dict(os.environ, surroundings, clear=True),
        mock.patch.object(sys, "argv", ["relance", *arguments]),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return Answer(code, out.getvalue(), err.getvalue())


def relance_process(
    *arguments: str, environment: dict[str, str] | None = None, timeout_seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """The same as a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        env={**bare_environment(), **(environment or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Program:
    """A long-running command, with what it has said so far."""

    def __init__(self, *arguments: str, said: Path, environment: dict[str, str] | None = None) -> None:
        self._said = said
        with said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cli", *arguments],
                env={**bare_environment(), **(environment or {})},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def words(self) -> str:
        return self._said.read_text()

    def wait_until(self, fact: Callable[[], Any], what: str, *, timeout_seconds: float = 30) -> None:
        """Wait until the fact holds; fail when the program ends first or time runs out."""
        deadline = time.monotonic() + timeout_seconds
        while not fact():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.words}"
            assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}\n{self.words}"
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT, timeout_seconds: float = 30) -> int:
        """Send a signal, wait for the end and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def descendants(self) -> set[int]:
        """Return the ids of all processes below this one."""
        lines = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
        parents = {int(pid): int(parent) for pid, parent in zip(lines[::2], lines[1::2], strict=True)}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return {pid for pid in found - {self.process.pid} if is_running(pid)}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def still_running(pids: set[int], timeout_seconds: float) -> set[int]:
    """Return those that have not ended within the time."""
    deadline = time.monotonic() + timeout_seconds
    while (left := {pid for pid in pids if is_running(pid)}) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


class Up(Program):
    """`relance up` on a directory."""

    def __init__(
        self, data: Path, *more: str, port: int | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self.data = data
        self.port = port or free_port()
        data.parent.mkdir(parents=True, exist_ok=True)
        arguments = ("up", "--data", str(data), "--port", str(self.port), *more)
        super().__init__(*arguments, said=data.parent / f"{data.name}.said", environment=environment)

    def begin(self) -> "Up":
        """Wait until it is ready."""
        self.wait_until(lambda: "Stop with Ctrl-C" in self.words, "it was ready", timeout_seconds=60)
        return self

    @property
    def connection(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.data / "connection.json").read_text())
        return found

    def ask(self, query: str) -> dict[str, Any]:
        """Return what the API answers to a query."""
        request = urllib.request.Request(
            self.connection["graphql"],
            json.dumps({"query": query}).encode(),
            {"Authorization": f"Bearer {self.connection['apiKey']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found
        result: dict[str, Any] = found["data"]
        return result

    def statuses(self) -> dict[str, int]:
        """Return how many recipients the API shows in each status."""
        counts: dict[str, int] = {}
        for node in self.ask("{ recipients(first: 100) { nodes { status } } }")["recipients"]["nodes"]:
            counts[node["status"]] = counts.get(node["status"], 0) + 1
        return counts


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Return status and text of a page; 0 when nothing answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""
