"""What a claim costs beside 60,000 due recipients that cannot be written to now.

Four times the same mailbox with 20 people due: alone; beside a sequence that was paused this moment and whose rows
have not followed; beside people who are away; beside a sequence whose window has shut since.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as wall_time
from uuid import UUID

import orjson

from bench.crowd import multiply
from bench.surroundings import HERE, PEPPER, SECRET_KEY, embedded, median, table
from cli.embedded import Servers
from domain import authoring, enrolment, keys, mailboxes, sending, sequences
from domain.contacts import ContactFields
from domain.database import database, fetch
from domain.mailbox_fields import MailboxFields
from domain.migrating import migrate
from domain.plans import SequenceSettings
from domain.rules.actor import ENGINE
from domain.rules.plan import StepKind
from domain.rules.timing import SendingWindow, Wait, WaitUnit
from domain.secrets import Vault, read_key
from domain.steps import NewStep

BLOCKED = 60_000
READY = 20
ROUNDS = 15
SITUATIONS = ("nobody else", "a sequence paused just now", "people who are away", "a window that has shut")
_KEY = bytes(32)


@dataclass(frozen=True)
class Cost:
    first_ms: float
    median_ms: float
    claims_until_steady: int


def main() -> None:
    with embedded() as servers:
        found = {what: asyncio.run(_measured(servers, number, what)) for number, what in enumerate(SITUATIONS)}
    table(
        f"One claim of {READY}, beside {BLOCKED:,} due that cannot go out",
        ["beside", "first, ms", "median, ms", "until steady"],
        [
            [what, f"{cost.first_ms:,.1f}", f"{cost.median_ms:,.1f}", str(cost.claims_until_steady)]
            for what, cost in found.items()
        ],
        [
            f"Median of {ROUNDS} claims once nothing is put off any more; each takes {READY} and gives them back.",
            "Until steady: claims that met something to put off; each moves up to 500 beside it.",
        ],
    )


async def _measured(servers: Servers, number: int, what: str) -> Cost:
    url = await servers.create_database(f"bench_claims_{number}")
    await migrate(url)
    async with database(url, pepper=PEPPER):
        await _prepare(what)
        costs: list[float] = []
        steady, put_off = 0, 0
        while len(costs) - steady < ROUNDS:
            began = time.perf_counter()
            claims = await sending.claim(READY, _KEY)
            costs.append((time.perf_counter() - began) * 1000)
            await sending.release(claims)
            (row,) = await fetch("SELECT count(*) AS n FROM recipients WHERE due_at > now() + interval '1 minute'")
            if row["n"] != put_off:
                steady, put_off = len(costs), row["n"]
    await servers.drop_database(f"bench_claims_{number}")
    return Cost(costs[0], median(costs[steady:]), steady)


async def _prepare(what: str) -> None:
    workspace_id = await keys.create_workspace("Bench")
    fields = MailboxFields(
        address="jobs@sender.example",
        smtp_host="127.0.0.1",
        smtp_security="NONE",
        minimum_gap_seconds=0,
        daily_limit=100_000,
    )
    mailbox_id = await mailboxes.create(workspace_id, Vault(read_key(SECRET_KEY)), fields, HERE)
    ready = await _sequence(workspace_id, mailbox_id, SequenceSettings())
    await _enrol(workspace_id, ready, "ready", READY)
    if what != SITUATIONS[0]:
        blocked = await _sequence(workspace_id, mailbox_id, SequenceSettings(window=_window(shut=False)))
        await _enrol(workspace_id, blocked, "blocked", 1)
        await multiply(blocked, BLOCKED, {"due_at": "now() - interval '2 days'"})
        await _block(what, blocked)
    await fetch("ANALYZE")


async def _block(what: str, sequence_id: UUID) -> None:
    if what == SITUATIONS[1]:
        await fetch(
            "UPDATE sequences SET status = 'PAUSED', settling = true, paused_at = now() WHERE id = $1", sequence_id
        )
    elif what == SITUATIONS[2]:
        await fetch(
            "UPDATE contacts SET out_of_office_until = now() + interval '3 days' WHERE id IN "
            "(SELECT contact_id FROM recipients WHERE sequence_id = $1)",
            sequence_id,
        )
    else:
        await fetch(
            "UPDATE sequences SET settings = jsonb_set(settings, '{window}', $2::jsonb) WHERE id = $1",
            sequence_id,
            orjson.dumps(_window(shut=True).as_json()).decode(),
        )


def _window(*, shut: bool) -> SendingWindow:
    every_day = frozenset(range(7))
    if not shut:
        return SendingWindow(weekdays=every_day, opens=wall_time(0), closes=wall_time(0), time_zone="UTC")
    hour = (datetime.now(UTC) + timedelta(hours=12)).hour
    return SendingWindow(weekdays=every_day, opens=wall_time(hour), closes=wall_time(hour, 30), time_zone="UTC")


async def _sequence(workspace_id: UUID, mailbox_id: UUID, settings: SequenceSettings) -> UUID:
    step = NewStep(kind=StepKind.AUTOMATED_EMAIL, wait=Wait(0, WaitUnit.MINUTES), subject="A word", body="Hello.")
    sequence_id = await authoring.create(workspace_id, "Bench", [step], settings=settings, mailbox_ids=[mailbox_id])
    await sequences.activate(workspace_id, sequence_id)
    return sequence_id


async def _enrol(workspace_id: UUID, sequence_id: UUID, word: str, count: int) -> None:
    people = [
        enrolment.Candidate(ContactFields(values={"email": f"{word}{number}@people.example"}))
        for number in range(count)
    ]
    await enrolment.enroll(workspace_id, ENGINE, enrolment.Enrolment(sequence_id=sequence_id, candidates=people))


if __name__ == "__main__":
    main()
