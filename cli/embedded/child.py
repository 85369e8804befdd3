"""One server as a child of the guard: started with its log in a file, stopped by ever firmer signals."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.embedded.accounts import Account, end_with_parent
from cli.private import private_log

_LARGEST_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class StopPlan:
    """Signals in the order in which they are sent, each with the seconds it is given to work."""

    signals: Sequence[tuple[signal.Signals, float]]


@dataclass
class Child:
    """A running server program; `log_start` is where this run begins in its log."""

    program: subprocess.Popen[bytes]
    plan: StopPlan
    log: Path
    log_start: int
    asked_at: float | None = field(default=None)

    def has_ended(self) -> bool:
        """Return whether the program has ended; reaps it if so."""
        return self.program.poll() is not None

    def ask_to_stop(self) -> None:
        """Send the first signal and return at once, so that several servers can stop side by side."""
        if self.asked_at is None and not self.has_ended():
            self.asked_at = time.monotonic()
            self.program.send_signal(self.plan.signals[0][0])

    def stop(self) -> None:
        """Stop the program and wait for its end; bounded by the plan's seconds."""
        self.ask_to_stop()
        for position, (stop_signal, patience_seconds) in enumerate(self.plan.signals):
            if position > 0:
                self.program.send_signal(stop_signal)
            try:
                self.program.wait(patience_seconds)
                return
            except subprocess.TimeoutExpired:
                continue

    def words_of_this_run(self) -> str:
        """Return what the program has written to its log since it was started."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read(100_000).decode(errors="replace")


def start(
    arguments: Sequence[str],
    *,
    account: Account,
    log: Path,
    plan: StopPlan,
    environment: dict[str, str],
    text: str = "",
) -> Child:
    """Start a program as `account`, with `text` as its standard input and its words appended to `log`."""
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        log.rename(log.with_name(log.name + ".1"))
    first_signal = plan.signals[0][0]

    def before_exec() -> None:
        account.become()
        # After the change of account, which would clear it again.
        end_with_parent(first_signal)

    with tempfile.TemporaryFile() as standard_input, private_log(log) as output:
        standard_input.write(text.encode())
        standard_input.seek(0)
        program = subprocess.Popen(
            list(arguments),
            stdin=standard_input,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            preexec_fn=before_exec,
        )
        return Child(program, plan, log, os.fstat(output.fileno()).st_size)


def plain_environment() -> dict[str, str]:
    """Return an environment without the caller's PG… and LC_… variables, which would change what a server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
