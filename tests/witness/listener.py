"""The npm graphql-ws client beside us, and its log: what arrived, in the order and at the time it arrived."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.witness.outside import end, wait_until
from tests.witness.programs import JS, node


class Listener:
    """A running client. Its log grows while it runs."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def lines(self) -> list[dict[str, Any]]:
        # A line may be half written; the next reading has it whole.
        text = self._log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def arrivals(self) -> list[dict[str, Any]]:
        """Return what arrived: `at` in milliseconds, and `event`."""
        return [line for line in self.lines() if "event" in line]

    def events(self) -> list[dict[str, Any]]:
        return [line["event"] for line in self.arrivals()]

    def count(self) -> int:
        return self._log.read_bytes().count(b'{"at":')

    def has(self, words: bytes) -> bool:
        return words in self._log.read_bytes()


@contextmanager
def listening(folder: Path, *, url: str, api_key: str, after: str) -> Iterator[Listener]:
    """Let the client follow all events after a cursor while the block runs."""
    log = folder / f"listener-{time.monotonic_ns()}.jsonl"
    with log.open("wb") as out:
        child = subprocess.Popen([node(), str(JS / "listen.mjs")], stdin=subprocess.PIPE, stdout=out)
    listener = Listener(log)
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps({"url": url, "apiKey": api_key, "after": after}).encode() + b"\n")
        child.stdin.flush()
        wait_until(lambda: bool(listener.lines()) or child.poll() is not None, "the npm client connects")
        assert listener.lines()[:1] == [{"connected": True}], listener.lines()
        yield listener
    finally:
        child.stdin.close()
        end(child)
