"""Enrolling 100,000 people from a file through the API: until the upload is answered, until all are enrolled with each
row checked and progress told, until each event has its number; then the same file again, and a preflight of them all.

Beside it what one writes first: the file row by row through the ORM, contact, recipient and event, 500 in a
transaction, without any check. It does a part of the rows, and is told for as many.
"""

import asyncio
import csv
import io
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from tortoise.transactions import in_transaction

from bench.commit_to_client import ready
from bench.surroundings import (
    HERE,
    PEPPER,
    SECRET_KEY,
    cpu_seconds,
    embedded,
    environment,
    free_port,
    median,
    postgres_seconds,
    running,
    table,
    until,
    wait_for,
)
from domain import authoring, keys, mailboxes, sequences
from domain.database import database, fetch
from domain.migrating import migrate
from domain.plans import SequenceSettings
from domain.rules.ids import Prefix, to_public
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.secrets import Vault, read_key
from domain.steps import NewStep
from domain.tables import Contact, Recipient

PEOPLE = int(os.environ.get("RELANCE_BENCH_PEOPLE", "100000"))
ROUNDS = int(os.environ.get("RELANCE_BENCH_ROUNDS", "3"))
NAIVE = 2_000
_IMPORT = """
    mutation ($input: ContactsImportInput!) {
        contactsImport(input: $input) { bulkOperation { id } errors { message } } }
"""
_PROGRESS = """
    query ($id: ID!) { node(id: $id) { ... on BulkOperation {
        status matched done refused summary importCounts { created enrolled alreadyEnrolled } } } }
"""
_PREFLIGHT = "query ($id: ID!) { sequencePreflight(sequenceId: $id) { checkedRecipients canActivate } }"
_NUMBERED = "SELECT NOT EXISTS (SELECT FROM events WHERE seq IS NULL) AS holds"


@dataclass(frozen=True)
class Cost:
    wall_s: float
    python_s: float
    postgres_s: float


@dataclass(frozen=True)
class Place:
    """Where it is asked for, and who does it."""

    http: httpx.AsyncClient
    api_pid: int
    worker_pid: int


def main() -> None:
    with embedded() as servers:
        url = asyncio.run(servers.create_database("bench_imports"))
        rows = asyncio.run(_measured(url, servers.redis_url or ""))
    table(
        f"Enrolling {PEOPLE:,} people from a file",
        ["", "s", "Python CPU s", "PostgreSQL CPU s"],
        rows,
        [
            f"Medians of {ROUNDS} rounds in turn. Python is API and worker together, numbering included; CPU of",
            "PostgreSQL is that of all its processes meanwhile.",
            f"The ORM did {NAIVE:,}: its figures are for {PEOPLE:,} at that speed.",
        ],
    )


async def _measured(url: str, redis_url: str) -> list[list[str]]:
    port = free_port()
    env = environment(url, redis_url, RELANCE_PORT=str(port), RELANCE_QUERY_SECONDS="300")
    await migrate(url)
    costs: dict[str, list[Cost]] = {}
    async with database(url, pepper=PEPPER):
        workspace_id = await keys.create_workspace("Bench")
        secret = (await keys.create(workspace_id, "bench")).secret
        mailbox_id = await _mailbox(workspace_id)
        with running("cli", "api", env=env) as api, running("cli", "worker", env=env) as worker:
            await asyncio.to_thread(wait_for, lambda: ready(port), "the API is ready")
            headers = {"authorization": f"Bearer {secret}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300) as http:
                place = Place(http, api.pid, worker.pid)
                for number in range(ROUNDS):
                    naive = await _sequence(workspace_id, mailbox_id)
                    costs.setdefault("the ORM, row by row", []).append(
                        await _naive(workspace_id, naive, mailbox_id, written_file(f"n{number}", NAIVE))
                    )
                    sequence_id = await _sequence(workspace_id, mailbox_id)
                    for name, cost in (await _imported(place, sequence_id, written_file(f"r{number}", PEOPLE))).items():
                        costs.setdefault(name, []).append(cost)
    return [
        [name, *(f"{median([getattr(one, field) for one in told]):,.1f}" for field in Cost.__dataclass_fields__)]
        for name, told in costs.items()
    ]


def written_file(mark: str, people: int) -> bytes:
    """Return a file of so many people, with seven columns."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["Email", "First name", "Last name", "Company", "Phone", "Time zone", "Score"])
    zones = ("Europe/Paris", "America/New_York", "Asia/Tokyo", "")
    for number in range(people):
        company = f"Company {number % 5_000}"
        phone = f"+4930{number:07}" if number % 3 else ""
        address = f"{mark}.person{number}@company{number % 5_000}.example"
        rows.writerow(
            [address, f"First{number % 977}", f"Läst{number}", company, phone, zones[number % 4], number % 100]
        )
    return text.getvalue().encode()


async def _mailbox(workspace_id: UUID) -> UUID:
    fields = mailboxes.MailboxFields(address="jobs@sender.example", smtp_host="127.0.0.1", smtp_security="NONE")
    return await mailboxes.create(workspace_id, Vault(read_key(SECRET_KEY)), fields, HERE)


async def _sequence(workspace_id: UUID, mailbox_id: UUID) -> UUID:
    step = NewStep(
        kind=StepKind.AUTOMATED_EMAIL,
        wait=Wait(2, WaitUnit.DAYS),
        subject="A word, {{ first_name }}",
        body="Hello {{ first_name }} of {{ company }}, {{ fields.Score }}.",
    )
    sequence_id = await authoring.create(
        workspace_id, "Bench", [step], settings=SequenceSettings(), mailbox_ids=[mailbox_id]
    )
    await sequences.activate(workspace_id, sequence_id)
    return sequence_id


async def _imported(place: Place, sequence_id: UUID, file: bytes) -> dict[str, Cost]:
    told: dict[str, Cost] = {}
    for again in ("", ", again"):
        watch = _Watch(place)
        answer = await place.http.post("/imports", params={"name": "people.csv"}, content=file)
        assert answer.status_code == 201, answer.text
        if not again:
            told["the file is uploaded"] = watch.cost()
        order = {"fileId": answer.json()["fileId"], "enroll": {"sequenceId": to_public(Prefix.SEQUENCE, sequence_id)}}
        made = (await _asked(place, _IMPORT, {"input": order}))["contactsImport"]
        assert not made["errors"], made
        progress: dict[str, Any] = {"status": "PENDING"}
        while progress["status"] in ("PENDING", "RUNNING"):
            await asyncio.sleep(0.1)
            progress = (await _asked(place, _PROGRESS, {"id": made["bulkOperation"]["id"]}))["node"]
        assert (progress["matched"], progress["refused"]) == (PEOPLE, 0), progress
        told[f"all are enrolled{again}"] = watch.cost()
        if not again:
            await until(_NUMBERED)
            told["each event has its number"] = watch.cost()
    watch = _Watch(place)
    found = await _asked(place, _PREFLIGHT, {"id": to_public(Prefix.SEQUENCE, sequence_id)})
    assert found["sequencePreflight"]["checkedRecipients"] == min(PEOPLE, 100_000), found
    told["a preflight of them"] = watch.cost()
    return told


class _Watch:
    """What has been used since it was made."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._begun = time.monotonic(), self._python(), postgres_seconds()

    def _python(self) -> float:
        return cpu_seconds(self._place.api_pid, self._place.worker_pid)

    def cost(self) -> Cost:
        at, python, postgres = self._begun
        return Cost(time.monotonic() - at, self._python() - python, postgres_seconds() - postgres)


async def _asked(place: Place, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    answer = (await place.http.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer["errors"]
    found: dict[str, Any] = answer["data"]
    return found


async def _naive(workspace_id: UUID, sequence_id: UUID, mailbox_id: UUID, file: bytes) -> Cost:
    cpu, postgres, begun_at = time.process_time(), postgres_seconds(), time.monotonic()
    (step,) = await fetch("SELECT id FROM steps WHERE sequence_id = $1", sequence_id)
    rows = list(csv.DictReader(io.StringIO(file.decode(), newline="")))
    for start in range(0, len(rows), 500):
        async with in_transaction() as connection:
            for row in rows[start : start + 500]:
                await _naive_row(connection, workspace_id, sequence_id, mailbox_id, step["id"], row)
    times = PEOPLE / len(rows)
    return Cost(
        (time.monotonic() - begun_at) * times,
        (time.process_time() - cpu) * times,
        (postgres_seconds() - postgres) * times,
    )


async def _naive_row(
    connection: Any, workspace_id: UUID, sequence_id: UUID, mailbox_id: UUID, step_id: UUID, row: dict[str, str]
) -> None:
    now, address = datetime.now(UTC), row["Email"].lower()
    contact = await Contact.filter(workspace_id=workspace_id, email_key=address).using_db(connection).first()
    if contact is None:
        contact = await Contact.create(
            id=uuid4(),
            workspace_id=workspace_id,
            email=row["Email"],
            email_key=address,
            first_name=row["First name"],
            last_name=row["Last name"],
            company=row["Company"],
            phone=row["Phone"] or None,
            time_zone=row["Time zone"] or None,
            custom_fields={"Score": row["Score"]},
            sort_name=row["Last name"].lower(),
            created_at=now,
            updated_at=now,
            using_db=connection,
        )
    recipient = await Recipient.create(
        id=uuid4(),
        workspace_id=workspace_id,
        sequence_id=sequence_id,
        contact_id=contact.id,
        mailbox_id=mailbox_id,
        sort_name=contact.sort_name,
        version=1,
        status="SCHEDULED",
        begun=False,
        current_step_id=step_id,
        step_run=1,
        plan_revision=1,
        enrolled_by_kind="ENGINE",
        enrolled_at=now,
        status_changed_at=now,
        updated_at=now,
        using_db=connection,
    )
    await connection.execute_query(
        "INSERT INTO events (recipient_id, version, workspace_id, sequence_id, mailbox_id, type, status, stage, "
        "actor_kind, occurred_at) "
        "VALUES ($1, 1, $2, $3, $4, 'recipient.enrolled', 'SCHEDULED', 'SCHEDULED', 'ENGINE', $5)",
        [recipient.id, workspace_id, sequence_id, mailbox_id, now],
    )


if __name__ == "__main__":
    main()
