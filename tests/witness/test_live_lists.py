"""The lists of the SPA helper equal a fresh query, whatever is cut, silent or killed between it and the database."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.witness.faulty_line import Fault, FaultyLine
from tests.witness.installation import ROOT, Installation, installed
from tests.witness.outside import end, wait_until
from tests.witness.programs import JS, node, typescript

SOURCE = ROOT / "clients" / "spa" / "live-list.ts"
COMPILED_BYTES_AT_MOST = 5_000  # gzipped
PEOPLE = 40
OPEN = ["SCHEDULED", "IN_PROGRESS", "PENDING_ACTION", "ERROR"]
LISTS: dict[str, dict[str, Any]] = {
    "all": {"pageSize": 100},
    "first open ones": {"pageSize": 10, "statuses": OPEN},
}
_RECIPIENTS = """query ($first: Int!, $filter: RecipientFilter) {
  recipients(first: $first, filter: $filter) { nodes { id version status } } }"""


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """The helper, type-checked strictly and compiled."""
    done = subprocess.run(
        [node(), str(typescript()), "-p", str(SOURCE.parent), "--outDir", str(tmp_path / "spa")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    module = tmp_path / "spa" / "live-list.js"
    return module.rename(module.with_suffix(".mjs"))


class Screen:
    """The running lists, and what they show."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def shows(self, name: str) -> dict[str, Any]:
        text = self._log.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return next((line for line in reversed(lines) if line["list"] == name), {"state": "", "rows": []})

    def states(self) -> set[str]:
        return {json.loads(line)["state"] for line in self._log.read_text().splitlines()}


@contextmanager
def screen(folder: Path, module: Path, port: int, api_key: str) -> Iterator[Screen]:
    log = folder / "screen.jsonl"
    options = {"silence": 1_500, "longestPause": 200}
    order = {
        "module": str(module),
        "url": f"http://127.0.0.1:{port}/graphql",
        "apiKey": api_key,
        "lists": {name: options | own for name, own in LISTS.items()},
    }
    with log.open("wb") as out:
        child = subprocess.Popen([node(), str(JS / "live.mjs")], stdin=subprocess.PIPE, stdout=out)
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(order).encode() + b"\n")
        child.stdin.flush()
        yield Screen(log)
        assert child.poll() is None, "the lists ended by themselves"
    finally:
        child.stdin.close()
        end(child)


class People:
    """Recipients who change at random, through the API itself."""

    def __init__(self, relance: Installation, chance: random.Random) -> None:
        self._relance, self._chance = relance, chance
        step = {"kind": "TASK", "taskKind": "CALL", "taskTitle": "Call", "wait": {"amount": 1, "unit": "DAYS"}}
        made = relance.ask(
            "mutation ($input: SequenceCreateInput!) { sequenceCreate(input: $input) { sequence { id } "
            "errors { message } } }",
            input={"name": "Watched", "steps": [step]},
        )
        self._sequence_id = made["sequenceCreate"]["sequence"]["id"]
        self._count = 0
        self.enrol(PEOPLE)

    def enrol(self, count: int) -> None:
        new = range(self._count, self._count + count)
        self._count += count
        contacts = [{"contact": {"email": f"p{number}@people.example", "firstName": "P"}} for number in new]
        self._relance.ask(
            "mutation ($input: RecipientsEnrollInput!) { recipientsEnroll(input: $input) { succeeded "
            "errors { message } } }",
            input={"sequenceId": self._sequence_id, "contacts": contacts},
        )

    def change(self) -> None:
        """Change some at once: pause, resume, stop and delete as may be, and enrol one."""
        acts = self._chance.choices(["Pause", "Resume", "Stop", "Delete"], (8, 6, 1, 1), k=6)
        rows = self._chance.sample(self.fresh("all"), k=6)
        parts = [
            f'a{number}: recipient{act}(input: {{id: "{row[0]}"}}) {{ errors {{ code }} }}'
            for number, (act, row) in enumerate(zip(acts, rows, strict=True))
        ]
        answer = httpx.post(
            self._relance.connection["graphql"],
            json={"query": f"mutation {{ {' '.join(parts)} }}"},
            headers={"Authorization": f"Bearer {self._relance.connection['apiKey']}"},
            timeout=20,
        )
        answer.raise_for_status()
        self.enrol(1)

    def fresh(self, name: str, first: int = 200) -> list[list[Any]]:
        statuses = LISTS[name].get("statuses")
        where = {"status": {"in": statuses}} if statuses else None
        found = self._relance.ask(_RECIPIENTS, first=first, filter=where)["recipients"]["nodes"]
        return [[row["id"], row["version"], row["status"]] for row in found]


def _equal(shown: Screen, people: People, what: str) -> None:
    """Wait until each list is live and shows what a fresh query answers."""
    for name in LISTS:

        def right(name: str = name) -> bool:
            told = shown.shows(name)
            rows = told["rows"]
            return told["state"] == "live" and len(rows) > 0 and rows == people.fresh(name)[: len(rows)]

        try:
            wait_until(right, f"the list “{name}” after: {what}", seconds=20)
        except AssertionError:
            raise AssertionError(f"{what}: {shown.shows(name)}\n{people.fresh(name)}") from None
    assert len(shown.shows("all")["rows"]) == len(people.fresh("all"))


def _pid_of(relance: Installation, words: str) -> int:
    """Return the process below `relance up` whose command has these words."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    ours = {relance.pid}
    for _ in range(5):
        ours |= {int(pid) for pid, parent, *_ in rows if int(parent) in ours}
    (found, *_) = [int(pid) for pid, _, *command in rows if int(pid) in ours and words in f"{' '.join(command)} "]
    return found


def _again(act: Callable[[], None]) -> None:
    """Do it until the servers are there again."""
    until = time.monotonic() + 30
    while True:
        try:
            return act()
        except (httpx.HTTPError, AssertionError, ValueError):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_lists_are_right_after_every_cut_silence_and_kill(folder: Path, compiled: Path) -> None:
    seed = int(os.environ.get("RELANCE_SEED", random.randrange(10**9)))
    print(f"\nRELANCE_SEED={seed}")
    with installed(folder / "data") as relance:
        people = People(relance, random.Random(seed))
        line = FaultyLine(httpx.URL(relance.connection["graphql"]).port or 80)
        try:
            with screen(folder, compiled, line.port, relance.connection["apiKey"]) as shown:
                _equal(shown, people, "the start")
                for fault in Fault:
                    line.arm(fault)
                    if fault in (Fault.BEFORE_ACK, Fault.AFTER_ACK, Fault.BEFORE_SUBSCRIBE):
                        line.cut()
                    elif fault is Fault.IN_PAGE:
                        relance.command("feed", "new-epoch")
                    people.change()
                    assert line.struck.wait(15), f"never happened: {fault}"
                    people.change()
                    _equal(shown, people, fault)
                for words, number in (
                    (" api ", signal.SIGKILL),
                    ("valkey", signal.SIGKILL),
                    ("postgres", signal.SIGQUIT),
                ):
                    people.change()
                    with suppress(ProcessLookupError):
                        os.kill(_pid_of(relance, words), number)
                    _again(people.change)
                    _again(lambda what=words: _equal(shown, people, f"the end of{what}"))  # type: ignore[misc]
                assert {"offline", "catching-up", "live"} <= shown.states()
                assert "ended" not in shown.states()
        finally:
            line.close()
