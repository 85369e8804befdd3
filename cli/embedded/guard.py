"""The guard: a small process between Relance and its embedded servers, so that they never outlive it.

The servers are the guard's children. Its standard input is a pipe whose other end only the parent holds: when the
parent closes it, or ends in any way (kill -9 included), the guard reads the end of the pipe and stops the servers in
order. A server that ends by itself is started again at the same address; one that keeps ending, or does not come back,
ends the others too. The guard lives in a session of its own, so Ctrl-C in a terminal reaches the parent alone, which
decides what ends when.

It speaks in lines of JSON on its standard output: one line `ready` or `refused`, later a line `again` for each server
that had ended and runs again, and one line `ended` when one is given up.
Only the standard library is imported here, because every start waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from cli.embedded import datadir
from cli.embedded.postgres import Postgres
from cli.embedded.refusals import EmbeddedServersCannotStart
from cli.embedded.valkey import Valkey

_LOOK_AROUND_SECONDS = 0.5
_DEATHS = 5  # of one server within _DEATHS_WITHIN_SECONDS: more is no accident any more
_DEATHS_WITHIN_SECONDS = 60.0


class Guard:
    """Starts the servers that were asked for, watches over them, and stops them."""

    def __init__(self, request: dict[str, Any], parent_pid: int) -> None:
        directory, durable = Path(request["directory"]), bool(request["durable"])
        self._lock_descriptor = int(request["lock"])
        self._parent_pid = parent_pid
        self._postgres = Postgres(directory, durable=durable) if request["postgres"] else None
        self._valkey = Valkey(directory, durable=durable) if request["valkey"] else None
        self._servers = [server for server in (self._postgres, self._valkey) if server]
        self._deaths: dict[str, deque[float]] = {server.name: deque(maxlen=_DEATHS) for server in self._servers}

    def run(self) -> int:
        """Live through start, watch and stop; return the exit status."""
        try:
            return self._start_and_watch()
        finally:
            signal.signal(signal.SIGTERM, lambda *_: None)
            datadir.mark_stopping(self._lock_descriptor)
            for server in self._servers:
                server.ask_to_stop()
            for server in self._servers:
                server.stop()

    def _start_and_watch(self) -> int:
        try:
            # Valkey comes up by itself while PostgreSQL takes its longer way.
            if self._valkey:
                self._valkey.launch()
            if self._postgres:
                self._postgres.start()
            if self._valkey:
                self._valkey.wait_until_ready()
        except EmbeddedServersCannotStart as refusal:
            _say(refused=type(refusal).__name__, facts=refusal.facts)
            return 1
        except OSError as problem:
            _say(
                refused="EmbeddedServersCannotStart", facts={"reason": f"The embedded servers cannot start: {problem}."}
            )
            return 1
        _say(
            ready=True,
            database_url=self._postgres.url if self._postgres else None,
            redis_url=self._valkey.url if self._valkey else None,
        )
        while not self._parent_has_gone():
            for server in self._servers:
                if server.child is None or server.child.has_ended():
                    if reason := self._obstacle_to_starting_again(server):
                        _say(ended=server.name, reason=reason, log=str(server.log))
                        return 1
                    _say(again=server.name, log=str(server.log))
        return 0

    def _obstacle_to_starting_again(self, server: Postgres | Valkey) -> str:
        """Start the server that has ended again; return why it is given up, empty when it runs."""
        deaths = self._deaths[server.name]
        if len(deaths) == _DEATHS and time.monotonic() - deaths[0] < _DEATHS_WITHIN_SECONDS:
            return f"it ended {_DEATHS + 1} times within {_DEATHS_WITHIN_SECONDS:.0f} seconds"
        deaths.append(time.monotonic())
        try:
            server.start_again()
        except EmbeddedServersCannotStart as refusal:
            return str(refusal.facts.get("reason", refusal))
        except OSError as problem:
            return str(problem)
        return ""

    def _parent_has_gone(self) -> bool:
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], _LOOK_AROUND_SECONDS)
        # A forked child of the parent may hold the pipe open after the parent's end: the parent's id tells then.
        return bool(readable) or os.getppid() != self._parent_pid


def main() -> int:
    """Read the request, a line of JSON on standard input, and serve it until the parent goes."""
    parent_pid = os.getppid()
    # Functions and not SIG_IGN, which the servers would inherit.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    line = sys.stdin.buffer.readline()
    return Guard(json.loads(line), parent_pid).run() if line else 0


def _say(**words: object) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
