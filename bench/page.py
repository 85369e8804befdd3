"""A page of 50 recipients with contact, step and availableActions: requests a second and the server's CPU for each.

Beside it the floor: the same people from one join, without GraphQL. It is no peer; it says how much ours adds.
"""

import asyncio
import time
from dataclasses import dataclass

import orjson

from bench.commit_to_client import ready
from bench.surroundings import (
    PEPPER,
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
from domain import authoring, enrolment, keys, sequences
from domain.contacts import ContactFields
from domain.database import database, fetch
from domain.enrolment import Candidate, Enrolment
from domain.migrating import migrate
from domain.plans import SequenceSettings
from domain.rules.actor import ENGINE
from domain.rules.ids import Prefix, to_public
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.steps import NewStep

PEOPLE = 5_000
CONNECTIONS = (1, 16)
SECONDS = 4.0
ROUNDS = 3
_QUERY = """
    query ($sequence: ID!) {
      recipients(first: 50, filter: {sequenceId: $sequence}) {
        nodes {
          id status version enrolledAt updatedAt nextAttemptAt statusChangedAt availableActions
          contact { id firstName lastName email company }
          currentStep { id position kind }
        }
      }
    }
"""


@dataclass(frozen=True)
class Run:
    pages_per_second: float
    p50_ms: float
    p99_ms: float
    server_ms: float  # of CPU, for a page
    kilobytes: float


def main() -> None:
    found: dict[tuple[str, int], list[Run]] = {}
    with embedded() as servers:
        url = asyncio.run(servers.create_database("bench_page"))
        secret, sequence_id = asyncio.run(prepare(url))
        api_port, floor_port = free_port(), free_port()
        env = environment(
            url,
            servers.redis_url or "",
            RELANCE_PORT=str(api_port),
            RELANCE_BUDGET_POINTS="1000000000",
            RELANCE_BUDGET_POINTS_PER_SECOND="1000000000",
        )
        asked = page_request(sequence_id)
        with running("cli", "api", env=env) as api, running("bench.page_floor", str(floor_port), env=env) as floor:
            wait_for(lambda: ready(api_port), "the API is ready")
            wait_for(lambda: listens(floor_port), "the floor listens")
            for _ in range(ROUNDS):
                for count in CONNECTIONS:
                    for name, port, pid in (("Relance", api_port, api.pid), ("floor", floor_port, floor.pid)):
                        run = asyncio.run(_load(port, pid, request(port, secret, asked), count))
                        found.setdefault((name, count), []).append(run)
    rows = [
        [
            f"{name}, {count} connection{'s' * (count > 1)}",
            f"{median([run.pages_per_second for run in runs]):,.0f}",
            f"{median([run.p50_ms for run in runs]):.1f}",
            f"{median([run.p99_ms for run in runs]):.1f}",
            f"{median([run.server_ms for run in runs]):.2f}",
            f"{runs[0].kilobytes:.0f}",
        ]
        for (name, count), runs in found.items()
    ]
    table(
        f"A page of 50 recipients of {PEOPLE:,}",
        ["", "pages/s", "p50 ms", "p99 ms", "server CPU ms/page", "kB"],
        rows,
        [f"Medians of {ROUNDS} alternating rounds of {SECONDS:g} s; the load comes from this machine too."],
    )


async def prepare(url: str) -> tuple[str, str]:
    """Return a key and the id of a sequence of 5,000 people."""
    await migrate(url)
    async with database(url, pepper=PEPPER):
        workspace_id = await keys.create_workspace("Bench")
        made = await keys.create(workspace_id, "bench")
        call = NewStep(kind=StepKind.TASK, wait=Wait(1, WaitUnit.DAYS), task_kind="CALL", task_title="Call")
        sequence_id = await authoring.create(workspace_id, "Bench", [call], settings=SequenceSettings())
        await sequences.activate(workspace_id, sequence_id)
        for start in range(0, PEOPLE, 500):
            people = [Candidate(_person(number)) for number in range(start, start + 500)]
            await enrolment.enroll(workspace_id, ENGINE, Enrolment(sequence_id=sequence_id, candidates=people))
        await fetch("ANALYZE contacts, recipients")
    return made.secret, to_public(Prefix.SEQUENCE, sequence_id)


def page_request(sequence_id: str) -> bytes:
    """Return the body of the request for one page."""
    return orjson.dumps({"query": _QUERY, "variables": {"sequence": sequence_id}})


def _person(number: int) -> ContactFields:
    values = {"email": f"person{number}@people.example", "first_name": f"Jörg {number}", "last_name": "Müller"}
    return ContactFields(values={**values, "company": f"Firma {number % 50}"})


def request(port: int, secret: str, asked: bytes) -> bytes:
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {secret}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(asked)}\r\n\r\n"
    )
    return head.encode() + asked


async def _load(port: int, pid: int, request: bytes, count: int) -> Run:
    """Ask over so many kept connections, each again as soon as it was answered."""
    times: list[float] = []
    sizes: set[int] = set()
    await asyncio.gather(*(_ask(port, request, time.monotonic() + 0.5, [], sizes) for _ in range(count)))
    before, begun_at = cpu_seconds(pid), time.monotonic()
    await asyncio.gather(*(_ask(port, request, begun_at + SECONDS, times, sizes) for _ in range(count)))
    seconds, server_seconds = time.monotonic() - begun_at, cpu_seconds(pid) - before
    return Run(
        len(times) / seconds,
        percentile(times, 50) * 1000,
        percentile(times, 99) * 1000,
        server_seconds * 1000 / len(times),
        max(sizes) / 1000,
    )


async def _ask(port: int, request: bytes, until: float, times: list[float], sizes: set[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (asked_at := time.monotonic()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(size)
        times.append(time.monotonic() - asked_at)
        if not sizes:
            assert b" 200 " in head.partition(b"\r\n")[0], body
            assert b'"errors"' not in body, body
        sizes.add(size)
    writer.close()


if __name__ == "__main__":
    main()
