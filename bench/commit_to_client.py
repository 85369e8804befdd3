"""How long a committed change takes to 100 subscribers: API, worker, PostgreSQL with fsync and Redis as in production.

Each round pauses and resumes recipients at a steady rate and notes, for each change, when the mutation was sent and
when its answer came. The commit lies between the two, so the time since sending is more than what is asked for, and
the time since the answer is less: both are shown.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import connect

from bench.surroundings import (
    PEPPER,
    ROOT,
    cpu_seconds,
    embedded,
    environment,
    free_port,
    listens,
    median,
    percentile,
    running,
    table,
    wait_for,
)
from cli.embedded import Servers
from domain import authoring, enrolment, keys, sequences
from domain.contacts import ContactFields
from domain.database import database
from domain.enrolment import Candidate, Enrolment
from domain.migrating import migrate
from domain.plans import SequenceSettings
from domain.rules.actor import ENGINE
from domain.rules.ids import Prefix, to_public
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.steps import NewStep

SUBSCRIBERS = 100
CHANGES_PER_SECOND = 20
SECONDS = 10
ROUNDS = 3
PEOPLE = 100

_SUBSCRIPTION = "subscription { recipientEvents { cursor recipientId version type previousStatus status occurredAt } }"
PAUSE = "mutation($id: ID!) { change: recipientPause(input: {id: $id}) { recipient { version } errors { code } } }"
RESUME = "mutation($id: ID!) { change: recipientResume(input: {id: $id}) { recipient { version } errors { code } } }"

Change = Callable[[str, bool], Awaitable[int]]  # recipient, whether to pause; returns the version it made


@dataclass(frozen=True)
class Run:
    since_sending_ms: list[float]
    since_answer_ms: list[float]
    missing: int
    server_ms: float  # of CPU of the server that pushes, for a change


def main() -> None:
    ours, naive = [], []
    with embedded() as servers:
        url = asyncio.run(servers.create_database("bench_feed"))
        secret, people = asyncio.run(prepare(url))
        port = free_port()
        env = environment(url, servers.redis_url or "", RELANCE_PORT=str(port))
        with running("cli", "worker", env=env), running("cli", "api", env=env) as api, _naive_server(servers) as other:
            wait_for(lambda: ready(port), "the API is ready")
            for _ in range(ROUNDS):
                ours.append(asyncio.run(_ours(port, api.pid, secret, people)))
                naive.append(asyncio.run(_naive(*other)))
    rows = [_row("Relance: since sending the mutation", ours, "since_sending_ms")]
    rows.append(_row("Relance: since its answer", ours, "since_answer_ms"))
    rows.append(_row("naive: since sending", naive, "since_sending_ms"))
    rows.append(_row("naive: since the answer", naive, "since_answer_ms"))
    table(
        f"Commit to client, {SUBSCRIBERS} subscribers, {CHANGES_PER_SECOND} changes a second for {SECONDS} s",
        ["milliseconds", "p50", "p95", "p99", "max", "worst p99", "not arrived", "server CPU ms/change"],
        rows,
        [
            f"Medians of {ROUNDS} alternating rounds, each over all arrivals; “worst p99”: of the worst round.",
            "The commit lies between sending and answer. Below zero: the event was there before the answer.",
            "naive: NOTIFY in the transaction, a SELECT for each subscriber and event, bare WebSockets, no GraphQL.",
        ],
    )


def _row(name: str, runs: list[Run], field: str) -> list[str]:
    values = [getattr(run, field) for run in runs]
    figures = [median([percentile(one, percent) for one in values]) for percent in (50, 95, 99, 100)]
    worst = max(percentile(one, 99) for one in values)
    missing = sum(run.missing for run in runs)
    cpu = median([run.server_ms for run in runs])
    return [name, *(f"{figure:.1f}" for figure in [*figures, worst]), str(missing), f"{cpu:.1f}"]


async def prepare(url: str) -> tuple[str, list[str]]:
    """Return a key, and the ids of people who wait a day for their first step."""
    await migrate(url)
    async with database(url, pepper=PEPPER):
        workspace_id = await keys.create_workspace("Bench")
        made = await keys.create(workspace_id, "bench")
        call = NewStep(kind=StepKind.TASK, wait=Wait(1, WaitUnit.DAYS), task_kind="CALL", task_title="Call")
        sequence_id = await authoring.create(workspace_id, "Bench", [call], settings=SequenceSettings())
        await sequences.activate(workspace_id, sequence_id)
        people = [Candidate(ContactFields(values={"email": f"p{n}@people.example"})) for n in range(PEOPLE)]
        answers = await enrolment.enroll(workspace_id, ENGINE, Enrolment(sequence_id=sequence_id, candidates=people))
    return made.secret, [to_public(Prefix.RECIPIENT, one.recipient_id) for one in answers if one.recipient_id]


def ready(port: int) -> bool:
    """Return whether the API on this port says that it is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def _naive_server(servers: Servers) -> Iterator[tuple[int, int]]:
    """Run the baseline's server and yield its port and process id."""
    url, port = asyncio.run(servers.create_database("bench_naive_feed")), free_port()
    with running("bench.naive_feed", str(port), env=environment(url, servers.redis_url or "")) as server:
        wait_for(lambda: listens(port), "the baseline listens")
        yield port, server.pid


async def _ours(port: int, pid: int, secret: str, people: list[str]) -> Run:
    authorization = {"Authorization": f"Bearer {secret}"}
    greeting: list[Mapping[str, Any]] = [
        {"type": "connection_init", "payload": authorization},
        {"type": "subscribe", "id": "1", "payload": {"query": _SUBSCRIPTION}},
    ]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=authorization, timeout=20) as client:

        async def change(recipient_id: str, pause: bool) -> int:
            asked = {"query": PAUSE if pause else RESUME, "variables": {"id": recipient_id}}
            told = (await client.post("/graphql", json=asked)).json()["data"]["change"]
            assert not told["errors"], told
            return int(told["recipient"]["version"])

        order = {"url": f"ws://127.0.0.1:{port}/graphql", "subprotocol": "graphql-transport-ws", "greeting": greeting}
        return await _measure(order, change, people, pid)


async def _naive(port: int, pid: int) -> Run:
    url = f"ws://127.0.0.1:{port}/"
    async with connect(url, compression=None) as socket:
        turn = asyncio.Lock()

        async def change(recipient_id: str, pause: bool) -> int:
            async with turn:
                await socket.send(
                    orjson.dumps({"pause": recipient_id, "status": "PAUSED" if pause else "SCHEDULED"}).decode()
                )
                return int(orjson.loads(await socket.recv())["version"])

        order = {"url": url, "subprotocol": None, "greeting": [{"type": "subscribe"}]}
        return await _measure(order, change, [f"r{number}" for number in range(PEOPLE)], pid)


async def _measure(order: Mapping[str, Any], change: Change, people: list[str], pid: int) -> Run:
    """Let the subscribers listen, make the changes at their rate, and compare the times."""
    changed: dict[tuple[str, int], tuple[float, float]] = {}

    async def one(number: int) -> None:
        recipient_id = people[number % PEOPLE]
        sent_at = time.monotonic()
        version = await change(recipient_id, number // PEOPLE % 2 == 0)
        changed[recipient_id, version] = sent_at, time.monotonic()

    with tempfile.TemporaryFile() as out:
        child = _start_subscribers(out)
        assert child.stdin is not None
        child.stdin.write(orjson.dumps({**order, "count": SUBSCRIBERS}) + b"\n")
        child.stdin.flush()
        while not _said(out).startswith(b"ready"):
            assert child.poll() is None
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)  # subscribing has no acknowledgement
        before, begun_at = cpu_seconds(pid), time.monotonic()
        tasks = []
        for number in range(CHANGES_PER_SECOND * SECONDS):
            await asyncio.sleep(max(0.0, begun_at + number / CHANGES_PER_SECOND - time.monotonic()))
            tasks.append(asyncio.create_task(one(number)))
        await asyncio.gather(*tasks)
        await asyncio.sleep(3)  # what is later than this counts as not arrived
        server_seconds = cpu_seconds(pid) - before
        child.stdin.close()
        await asyncio.to_thread(child.wait, 30)
        arrived = {(one[0], one[1]): one[2] for one in orjson.loads(_said(out).partition(b"\n")[2])}
    since_sending, since_answer = [], []
    for key, (sent_at, answered_at) in changed.items():
        for at in arrived.get(key, []):
            since_sending.append((at - sent_at) * 1000)
            since_answer.append((at - answered_at) * 1000)
    missing = len(changed) * SUBSCRIBERS - len(since_sending)
    return Run(since_sending, since_answer, missing, server_seconds * 1000 / len(changed))


def _start_subscribers(out: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "bench.subscribers"], cwd=ROOT, stdin=subprocess.PIPE, stdout=out)


def _said(out: Any) -> bytes:
    out.seek(0)
    found: bytes = out.read()
    return found


if __name__ == "__main__":
    main()
