"""Steps carried out a second: claim, render, MIME, SMTP, record, event, next due.

Beside it, in turn with it, what one writes first: a job of arq for each step, rows through the ORM one at a time,
the standard library's mails, a connection for each mail.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from bench.surroundings import (
    HERE,
    PEPPER,
    ROOT,
    SECRET_KEY,
    Sink,
    below,
    cpu_seconds,
    embedded,
    environment,
    mail_sink,
    median,
    running,
    table,
    wait_for,
)
from cli.embedded import Servers
from domain import authoring, enrolment, keys, mailboxes, sequences
from domain.connections import credentials
from domain.contacts import ContactFields
from domain.database import database, fetch
from domain.enrolment import Candidate, Enrolment
from domain.mailbox_fields import MailboxFields
from domain.migrating import migrate
from domain.plans import SequenceSettings
from domain.ringing import EVENTS_CHANNEL
from domain.rules.actor import ENGINE
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.secrets import Vault, read_key
from domain.steps import NewStep

STEPS = 5_000
NAIVE_STEPS = 500
MAILBOXES = 200
WARMING_MAILBOXES = 20  # with their 500 steps, not counted: connections are opened and statements planned
ROUNDS = 3
SLOTS = (20, 100)  # the default, and one for throughput
_WARMING_STEPS = STEPS * WARMING_MAILBOXES // MAILBOXES
BODY = """Dear {{ first_name }},

{{ company }} was named to us as a place where people like their work. We look for someone who does what you do
as {{ fields.role }}, and we would rather ask you than an agency.

Is there a quarter of an hour in the next days?

{{ sender.name }}
https://sender.example/jobs/{{ fields.role | url_encode }}
"""


@dataclass(frozen=True)
class Run:
    steps_per_second: float
    worker_ms: float  # of CPU, for a step
    postgres_ms: float


def main() -> None:
    with embedded() as servers, mail_sink() as sink:
        asyncio.run(_prepare(servers, sink))
        found: dict[str, list[Run]] = {}
        for number in range(ROUNDS):
            for slots in SLOTS:
                with _copy(servers, f"bench_ours_{slots}_{number}") as url:
                    run = _ours(servers, url, slots)
                found.setdefault(f"Relance, one worker of {slots} slots", []).append(run)
            with _copy(servers, f"bench_naive_{number}") as url:
                run = _naive(servers, url)
            found.setdefault("naive: arq, ORM, aiosmtplib.send", []).append(run)
    rows = [
        [
            name,
            f"{median([run.steps_per_second for run in runs]):,.0f}",
            f"{min(run.steps_per_second for run in runs):,.0f}–{max(run.steps_per_second for run in runs):,.0f}",
            f"{median([run.worker_ms for run in runs]):.2f}",
            f"{median([run.postgres_ms for run in runs]):.2f}",
        ]
        for name, runs in found.items()
    ]
    table(
        f"Steps carried out, {MAILBOXES} mailboxes without a gap, into {sink.name}",
        ["", "steps/s", "range", "worker CPU ms/step", "PostgreSQL CPU ms/step"],
        rows,
        [
            f"Medians of {ROUNDS} alternating rounds on fresh copies; {STEPS:,} steps, the naive one {NAIVE_STEPS}.",
            "Ours: both marks durable, events and the next step in the time. The naive one has no marks and no events.",
        ],
    )


async def _prepare(servers: Servers, sink: Sink) -> None:
    """Make the database that each round copies: everyone due, no mailbox's turn come."""
    url = await servers.create_database("bench_steps")
    await migrate(url)
    async with database(url, pepper=PEPPER):
        workspace_id = await keys.create_workspace("Bench")
        vault = Vault(read_key(SECRET_KEY))
        mailbox_ids = [
            await mailboxes.create(
                workspace_id,
                vault,
                MailboxFields(
                    address=f"jobs{number}@sender{number % 20}.example",
                    display_name="Jo Recruiter",
                    smtp_host="127.0.0.1",
                    smtp_port=sink.port,
                    smtp_security="NONE",
                    minimum_gap_seconds=0,
                    daily_limit=100_000,
                ),
                HERE,
            )
            for number in range(MAILBOXES + WARMING_MAILBOXES)
        ]
        await fetch("UPDATE mailboxes SET next_send_at = now() + interval '1 day'")
        waits = Wait(0, WaitUnit.MINUTES), Wait(1, WaitUnit.DAYS)
        steps = [
            NewStep(kind=StepKind.AUTOMATED_EMAIL, wait=wait, subject="A word, {{ first_name }}", body=BODY)
            for wait in waits
        ]
        sequence_id = await authoring.create(
            workspace_id, "Bench", steps, settings=SequenceSettings(), mailbox_ids=mailbox_ids
        )
        await sequences.activate(workspace_id, sequence_id)
        for start in range(0, STEPS + _WARMING_STEPS, 500):
            people = [Candidate(_person(number)) for number in range(start, start + 500)]
            await enrolment.enroll(workspace_id, ENGINE, Enrolment(sequence_id=sequence_id, candidates=people))
        await fetch("ANALYZE contacts, mailboxes, recipients")


def _person(number: int) -> ContactFields:
    values = {"email": f"person{number}@people.example", "first_name": f"Jörg {number}", "last_name": "Müller"}
    return ContactFields(
        values={**values, "company": f"Firma {number % 50}"}, custom={"role": f"Engineer {number % 9}"}
    )


@contextmanager
def _copy(servers: Servers, name: str) -> Iterator[str]:
    """A database of one round's own, as `_prepare` left it."""
    url = asyncio.run(servers.create_database(name, template="bench_steps"))
    try:
        yield url
    finally:
        asyncio.run(servers.drop_database(name))


def _ours(servers: Servers, url: str, slots: int) -> Run:
    env = environment(url, servers.redis_url or "", RELANCE_WORKER_SLOTS=str(slots), RELANCE_LOG_LEVEL="INFO")
    with tempfile.NamedTemporaryFile() as log, running("cli", "worker", env=env, stderr=log) as worker:
        wait_for(lambda: b"the worker is ready" in Path(log.name).read_bytes(), "the worker is ready")
        asyncio.run(_release(url, WARMING_MAILBOXES))
        wait_for(lambda: asyncio.run(_is_idle(url, _WARMING_STEPS)), "the warming steps")
        postgres = below(servers.guard_pid, "postgres")
        before = cpu_seconds(worker.pid), cpu_seconds(*postgres)
        asyncio.run(_release(url, MAILBOXES + WARMING_MAILBOXES))
        wait_for(lambda: asyncio.run(_is_idle(url, STEPS + _WARMING_STEPS)), "all steps", seconds=300)
        after = cpu_seconds(worker.pid), cpu_seconds(*postgres)
        seconds = asyncio.run(_span_seconds(url))
    worker_seconds, postgres_seconds = after[0] - before[0], after[1] - before[1]
    return Run(STEPS / seconds, worker_seconds * 1000 / STEPS, postgres_seconds * 1000 / STEPS)


def _naive(servers: Servers, url: str) -> Run:
    postgres = below(servers.guard_pid, "postgres")
    before = cpu_seconds(*postgres)
    said = subprocess.run(
        [sys.executable, "-m", "bench.naive_steps", str(NAIVE_STEPS)],
        cwd=ROOT,
        env=environment(url, servers.redis_url or ""),
        stdout=subprocess.PIPE,
        check=True,
    )
    found = orjson.loads(said.stdout)
    postgres_seconds = cpu_seconds(*postgres) - before
    assert found["steps"] == NAIVE_STEPS, found
    return Run(
        NAIVE_STEPS / found["seconds"],
        found["cpu_seconds"] * 1000 / NAIVE_STEPS,
        postgres_seconds * 1000 / NAIVE_STEPS,
    )


async def _fetch(url: str, sql: str, *args: object) -> Any:
    connection = await asyncpg.connect(**credentials(url))
    try:
        return await connection.fetchval(sql, *args)
    finally:
        await connection.close()


async def _release(url: str, count: int) -> None:
    """Let the turn of so many mailboxes come, and ring."""
    await _fetch(
        url,
        "UPDATE mailboxes SET next_send_at = now() WHERE id IN (SELECT id FROM mailboxes ORDER BY id LIMIT $1)",
        count,
    )
    await _fetch(url, f"NOTIFY {EVENTS_CHANNEL}")


async def _is_idle(url: str, sent: int) -> bool:
    """Return whether so many messages are sent, and every event has its number."""
    await asyncio.sleep(0.2)
    return bool(
        await _fetch(
            url,
            "SELECT (SELECT count(*) FROM messages WHERE state = 'SENT') >= $1 "
            "AND NOT EXISTS (SELECT FROM events WHERE seq IS NULL)",
            sent,
        )
    )


async def _span_seconds(url: str) -> float:
    """Return the time from the first claim that counts to the last record, by the database's clock."""
    return float(
        await _fetch(
            url,
            "SELECT extract(epoch FROM (SELECT max(recorded_at) FROM events) - min(m.created_at)) FROM ("
            "SELECT created_at FROM messages ORDER BY created_at OFFSET $1) m",
            _WARMING_STEPS,
        )
    )


if __name__ == "__main__":
    main()
