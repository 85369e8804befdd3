"""Pausing, resuming and stopping a sequence of 100,000: until the answer, until all rows have followed, until each
change has its number; and how long a page takes for others meanwhile.

Beside it what one writes first: one recipient after the other through the ORM, row and event, 500 in a transaction.
And the least that PostgreSQL can do with these tables and indexes: the same rows and events in batches of 1,000, by a
statement that decides nothing. Both do a part of it only, and are told for as many rows.
"""

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson
from tortoise.transactions import in_transaction

from bench.commit_to_client import ready
from bench.crowd import multiply
from bench.page import request
from bench.surroundings import (
    HERE,
    PEPPER,
    SECRET_KEY,
    cpu_seconds,
    embedded,
    environment,
    free_port,
    percentile,
    postgres_seconds,
    running,
    table,
    until,
    wait_for,
)
from domain import authoring, enrolment, keys, mailboxes, sequences
from domain.contacts import ContactFields
from domain.database import database, fetch
from domain.migrating import migrate
from domain.plans import SequenceSettings
from domain.rules.actor import ENGINE
from domain.rules.ids import Prefix, to_public
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.secrets import Vault, read_key
from domain.steps import NewStep
from domain.tables import Recipient

PEOPLE = int(os.environ.get("RELANCE_BENCH_PEOPLE", "100000"))
NAIVE = 2_000
FLOOR = 10_000
_STATEMENT_OF_FLOOR = """
    WITH chosen AS MATERIALIZED (
        SELECT ctid AS place FROM recipients WHERE sequence_id = $1 AND status = 'SCHEDULED' AND deleted_at IS NULL
        ORDER BY enrolled_at DESC, id DESC LIMIT 1000 FOR NO KEY UPDATE
    ), changed AS (
        UPDATE recipients r SET sequence_paused_at = $2, status = 'PAUSED', wait_left_seconds = 60, wait_ends_at = NULL,
            due_at = NULL, due_kind = NULL, version = version + 1, updated_at = $2, status_changed_at = $2
        WHERE r.ctid = ANY(ARRAY(SELECT place FROM chosen)) RETURNING id, version, workspace_id, sequence_id, mailbox_id
    ), told AS (
        INSERT INTO events (recipient_id, version, workspace_id, sequence_id, mailbox_id, type, previous_status, status,
            previous_stage, stage, actor_kind, occurred_at)
        SELECT id, version, workspace_id, sequence_id, mailbox_id, 'recipient.status_changed', 'SCHEDULED', 'PAUSED',
            'SCHEDULED', 'SCHEDULED', 'ENGINE', $2 FROM changed
    ) SELECT count(*) AS n FROM changed
"""
_NUMBERED = "SELECT NOT EXISTS (SELECT FROM events WHERE seq IS NULL) AS holds"
_AND_STOP = ", stopOpenRecipients: true"
_PAGE = "query ($sequence: ID!) { recipients(first: 50, filter: {sequenceId: $sequence}) { nodes { id status } } }"


@dataclass(frozen=True)
class Cost:
    answer_ms: float
    settled_s: float
    numbered_s: float
    worker_cpu_s: float
    postgres_cpu_s: float
    page_p99_ms: float


@dataclass(frozen=True)
class Place:
    """Where the change is asked for, and who does it."""

    port: int
    secret: str
    sequence_id: UUID
    others: UUID
    worker_pid: int


def main() -> None:
    with embedded() as servers:
        url = asyncio.run(servers.create_database("bench_sequence_wide"))
        rows = asyncio.run(_measured(url, servers.redis_url or ""))
    table(
        f"Changes of a sequence of {PEOPLE:,} recipients",
        ["", "answer ms", "settled s", "numbered s", "Python CPU s", "PostgreSQL CPU s", "others' page p99 ms"],
        rows,
        [
            "Settled and numbered are counted from when the change was asked for. CPU until numbered.",
            f"The ORM did {NAIVE:,} and the bare statement {FLOOR:,}: their figures are for {PEOPLE:,} at that speed.",
        ],
    )


async def _measured(url: str, redis_url: str) -> list[list[str]]:
    port = free_port()
    env = environment(url, redis_url, RELANCE_PORT=str(port))
    await migrate(url)
    async with database(url, pepper=PEPPER):
        workspace_id = await keys.create_workspace("Bench")
        secret = (await keys.create(workspace_id, "bench")).secret
        ours, others, naive, floor = [
            await a_sequence(workspace_id, n, count) for n, count in enumerate([PEOPLE, 500, NAIVE, FLOOR])
        ]
        await fetch("ANALYZE")
        rows = [await _naive(naive), await _floor(floor)]
        with running("cli", "api", env=env), running("cli", "worker", env=env) as worker:
            await asyncio.to_thread(wait_for, lambda: ready(port), "the API is ready")
            await until(_NUMBERED)
            place = Place(port, secret, ours, others, worker.pid)
            for name, given in (("sequencePause", ""), ("sequenceResume", ""), ("sequenceArchive", _AND_STOP)):
                cost = await _cost(place, name, given)
                rows.append(
                    [
                        name,
                        f"{cost.answer_ms:,.0f}",
                        f"{cost.settled_s:.1f}",
                        f"{cost.numbered_s:.1f}",
                        f"{cost.worker_cpu_s:.1f}",
                        f"{cost.postgres_cpu_s:.1f}",
                        f"{cost.page_p99_ms:.0f}",
                    ]
                )
    return rows


async def a_sequence(workspace_id: UUID, number: int, people: int) -> UUID:
    fields = mailboxes.MailboxFields(
        address=f"jobs{number}@sender.example",
        smtp_host="127.0.0.1",
        smtp_security="NONE",
        minimum_gap_seconds=0,
        daily_limit=100_000,
    )
    mailbox_id = await mailboxes.create(workspace_id, Vault(read_key(SECRET_KEY)), fields, HERE)
    step = NewStep(kind=StepKind.AUTOMATED_EMAIL, wait=Wait(2, WaitUnit.DAYS), subject="A word", body="Hello.")
    sequence_id = await authoring.create(
        workspace_id, "Bench", [step], settings=SequenceSettings(), mailbox_ids=[mailbox_id]
    )
    await sequences.activate(workspace_id, sequence_id)
    one = enrolment.Candidate(ContactFields(values={"email": f"model{number}@people.example"}))
    await enrolment.enroll(workspace_id, ENGINE, enrolment.Enrolment(sequence_id=sequence_id, candidates=[one]))
    later = "now() + interval '1 day' * (1 + (hashtext(p.id::text) & 65535) / 65536.0)"
    await multiply(sequence_id, people - 1, {"due_at": later, "wait_ends_at": later})
    return sequence_id


async def _naive(sequence_id: UUID) -> list[str]:
    cpu, postgres, begun_at = time.process_time(), postgres_seconds(), time.monotonic()
    now = datetime.now(UTC)
    found = await Recipient.filter(sequence_id=sequence_id, end_reason=None)
    for start in range(0, len(found), 500):
        async with in_transaction() as connection:
            for one in found[start : start + 500]:
                left = one.wait_ends_at - now if one.wait_ends_at else None
                one.sequence_paused_at, one.status, one.version = now, "PAUSED", one.version + 1
                one.wait_left_seconds = left.total_seconds() if left else None
                one.wait_ends_at = one.due_at = one.due_kind = None
                one.updated_at = one.status_changed_at = now
                await one.save(using_db=connection)
                await connection.execute_query(
                    "INSERT INTO events (recipient_id, version, workspace_id, sequence_id, mailbox_id, type, "
                    "previous_status, status, previous_stage, stage, actor_kind, occurred_at) VALUES ($1, $2, $3, $4, "
                    "$5, 'recipient.status_changed', 'SCHEDULED', 'PAUSED', 'SCHEDULED', 'SCHEDULED', 'ENGINE', $6)",
                    [one.id, one.version, one.workspace_id, one.sequence_id, one.mailbox_id, now],
                )
    return _told("the ORM, one by one", begun_at, cpu, postgres, len(found))


async def _floor(sequence_id: UUID) -> list[str]:
    cpu, postgres, begun_at, done = time.process_time(), postgres_seconds(), time.monotonic(), 0
    while found := (await fetch(_STATEMENT_OF_FLOOR, sequence_id, datetime.now(UTC)))[0]["n"]:
        done += found
    return _told("a bare statement", begun_at, cpu, postgres, done)


def _told(name: str, begun_at: float, cpu: float, postgres: float, done: int) -> list[str]:
    spent = time.monotonic() - begun_at, time.process_time() - cpu, postgres_seconds() - postgres
    seconds, python, server = (value * PEOPLE / done for value in spent)
    return [name, "", f"{seconds:.1f}", "", f"{python:.1f}", f"{server:.1f}", ""]


async def _cost(place: Place, name: str, given: str) -> Cost:
    id = to_public(Prefix.SEQUENCE, place.sequence_id)
    asked = f'mutation {{ {name}(input: {{id: "{id}"{given}}}) {{ errors {{ message }} }} }}'
    pages: list[float] = []
    watching = asyncio.create_task(_pages(place, pages))
    cpu, postgres, begun_at = cpu_seconds(place.worker_pid), postgres_seconds(), time.monotonic()
    answer = await _asked(place, orjson.dumps({"query": asked}))
    assert b'"errors":[]' in answer, answer
    answered = time.monotonic() - begun_at
    await until("SELECT NOT settling AS holds FROM sequences WHERE id = $1", place.sequence_id)
    settled = time.monotonic() - begun_at
    await until(_NUMBERED)
    numbered = time.monotonic() - begun_at
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    spent = cpu_seconds(place.worker_pid) - cpu, postgres_seconds() - postgres
    return Cost(answered * 1000, settled, numbered, *spent, percentile(pages, 99) * 1000)


async def _pages(place: Place, times: list[float]) -> None:
    variables = {"sequence": to_public(Prefix.SEQUENCE, place.others)}
    asked = orjson.dumps({"query": _PAGE, "variables": variables})
    while True:
        begun_at = time.monotonic()
        await _asked(place, asked)
        times.append(time.monotonic() - begun_at)
        await asyncio.sleep(0.02)


async def _asked(place: Place, asked: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(request(place.port, place.secret, asked))
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(size)
    writer.close()
    return body


if __name__ == "__main__":
    main()
