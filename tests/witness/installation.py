"""A Relance of our own, started as an operator starts it, and asked as a partner asks it: over HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.witness.outside import end, free_port, wait_until

ROOT = Path(__file__).parents[2]
_START_SECONDS = 90.0
_NOT_OURS = ("DATABASE_URL", "REDIS_URL")


@dataclass
class Installation:
    """A running `relance up`, and further workers beside it."""

    directory: Path
    connection: Mapping[str, str]
    pid: int
    environment: Mapping[str, str]
    more_workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Return the data of an operation.

        Raises:
            AssertionError: it has errors, at the top or of its mutations.
        """
        answer = httpx.post(
            self.connection["graphql"],
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {self.connection['apiKey']}"},
            timeout=30,
        ).json()
        assert "errors" not in answer, f"{answer['errors']}\n{self.log_of('api')}"
        data: dict[str, Any] = answer["data"]
        for payload in data.values():
            assert not (isinstance(payload, dict) and payload.get("errors")), payload["errors"]
        return data

    def pages(self, document: str, path: str, **variables: Any) -> Iterator[dict[str, Any]]:
        """Yield the nodes of all pages of a connection; the document takes `$after` and asks for pageInfo."""
        after: str | None = None
        while True:
            page = self.ask(document, **variables, after=after)[path]
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def command(self, *words: str) -> dict[str, Any]:
        """Run one of our commands on this installation and return the JSON it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words, "--data", str(self.directory), "--json"],
            cwd=ROOT,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def log_of(self, program: str) -> str:
        """Return the end of what one of its programs has logged."""
        return (self.directory / "logs" / f"{program}.log").read_text(errors="replace")[-4000:]

    def add_worker(self) -> None:
        """Start one more worker."""
        log = (self.directory / "logs" / f"worker-{len(self.more_workers) + 2}.log").open("ab")
        with log:
            self.more_workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "cli", "worker", "--data", str(self.directory)],
                    cwd=ROOT,
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def worker_pids(self) -> list[int]:
        """Return the process ids of all workers, of `relance up`'s own first."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
        own = [
            int(pid)
            for pid, parent, command in (line.split(None, 2) for line in listed.stdout.splitlines())
            if int(parent) == self.pid and command.rstrip().endswith(" worker")
        ]
        return own + [worker.pid for worker in self.more_workers if worker.poll() is None]

    def kill(self, pid: int) -> None:
        """Kill a worker with SIGKILL; one that `relance up` does not watch over is started again here."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        for worker in list(self.more_workers):
            if worker.pid == pid:
                worker.wait()
                self.more_workers.remove(worker)
                self.add_worker()


@contextmanager
def installed(directory: Path, **settings: str) -> Iterator[Installation]:
    """Run `relance up --no-demo` on a directory while the block runs, with settings of the environment."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS} | settings
    directory.mkdir(parents=True, exist_ok=True)
    log = directory.with_suffix(".log")
    with log.open("wb") as words:
        child = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--no-demo", "--data", str(directory), "--port", str(free_port())],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )
    connection_file = directory / "connection.json"
    installation: Installation | None = None
    try:
        wait_until(
            lambda: connection_file.exists() or child.poll() is not None, "relance up is ready", seconds=_START_SECONDS
        )
        assert child.poll() is None, log.read_text(errors="replace")
        connection = json.loads(connection_file.read_text(encoding="utf-8"))
        installation = Installation(directory, connection, child.pid, environment)
        yield installation
    finally:
        for worker in installation.more_workers if installation else []:
            end(worker)
        end(child)
