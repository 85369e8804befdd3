"""The demo data: at least one recipient in each of the ten statuses, and mails that keep going out.

It is made through the same verbs that the API calls, and sent to the local mail catcher, which bounces and refuses the
addresses that ask for it. Everything carries an external id that begins with `demo-`; what is there already is left
as it is, and only a status that nobody is in any more gets a new person.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from cli.demo_content import (
    BY_HAND,
    CALLS,
    HIRING,
    INVITATION,
    MOVING_MAILBOX,
    OUTREACH,
    SEQUENCES,
    STEADY_MAILBOX,
    DemoSequence,
    person,
)
from domain import authoring, enrolment, mailboxes, recipients, sequences, signals
from domain.database import fetch
from domain.enrolment import Candidate, Enrolment
from domain.mailbox_fields import MailboxFields
from domain.plans import SequenceSettings
from domain.refusals import Refusal
from domain.rules.actor import Actor, ActorKind
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal, Status
from domain.rules.network import Reach
from domain.secrets import Vault, read_key

_PATIENCE: Final = timedelta(minutes=2)
_OUTREACH_PEOPLE: Final = 20
_OUTREACH_POOL: Final = 60
_BY_HAND_PEOPLE: Final = range(60, 64)  # above the pool of the outreach
_QUIET_ROUND_SECONDS: Final = 20.0
_FIRST_NUMBER: Final = 100  # people below it belong to the outreach


@dataclass(frozen=True, slots=True)
class _Role:
    """How one status comes about: where a person is enrolled, and what happens once the first mail is out."""

    sequence: str
    count: int = 1
    answers: str = ""
    starts_in: timedelta | None = None
    act: Callable[["Demo", asyncpg.Record], Awaitable[object]] | None = None


async def _pause(demo: "Demo", row: asyncpg.Record) -> object:
    return await recipients.pause(demo.workspace_id, demo.person, row["id"])


async def _stop(demo: "Demo", row: asyncpg.Record) -> object:
    return await recipients.stop(demo.workspace_id, demo.person, row["id"])


async def _reply(demo: "Demo", row: asyncpg.Record) -> object:
    return await demo.hear(row, Signal.HUMAN_REPLY)


async def _opt_out(demo: "Demo", row: asyncpg.Record) -> object:
    return await demo.hear(row, Signal.OPT_OUT)


_ROLES: Final[Mapping[Status, _Role]] = {
    Status.SCHEDULED: _Role(HIRING, 3, starts_in=timedelta(days=60)),
    Status.IN_PROGRESS: _Role(HIRING, 4),
    Status.PENDING_ACTION: _Role(CALLS, 3),
    Status.PAUSED: _Role(HIRING, act=_pause),
    Status.ERROR: _Role(HIRING, answers="policy-"),
    Status.BOUNCED: _Role(HIRING, answers="bounce-"),
    Status.COMPLETED: _Role(INVITATION, 4),
    Status.REPLIED: _Role(HIRING, 2, act=_reply),
    Status.STOPPED: _Role(HIRING, act=_stop),
    Status.UNSUBSCRIBED: _Role(HIRING, act=_opt_out),
}


class Demo:
    """The demo data of one workspace. `set_up` once, then `go_on` every `round_seconds`."""

    def __init__(self, workspace_id: UUID, secret_key: str, smtp_host: str, smtp_port: int) -> None:
        self.workspace_id = workspace_id
        self.person = Actor(ActorKind.USER)
        self.round_seconds = 1.0
        self._vault = Vault(read_key(secret_key))
        self._catcher = Reach.of(smtp_host)
        self._smtp = MailboxFields(smtp_host=smtp_host, smtp_port=smtp_port, smtp_security="NONE")
        self._sequences: dict[str, UUID] = {}
        self._rounds = 0
        self._next_person = _FIRST_NUMBER

    async def set_up(self) -> None:
        """Make what is missing. A second time changes nothing, except that mail goes to the catcher's present port."""
        boxes = {
            STEADY_MAILBOX: await self._mailbox(STEADY_MAILBOX, "Nora Lindqvist", gap_seconds=0),
            MOVING_MAILBOX: await self._mailbox(MOVING_MAILBOX, "Sam Okafor", gap_seconds=4),
        }
        for wanted in SEQUENCES:
            self._sequences[wanted.external_id] = await self._sequence(wanted, boxes[wanted.mailbox])
        known = await fetch(
            "SELECT count(*) AS n FROM contacts WHERE workspace_id = $1 AND external_id LIKE 'demo-person-%'",
            self.workspace_id,
        )
        self._next_person += known[0]["n"]
        await self._fill_statuses()
        await self._begin(BY_HAND, _BY_HAND_PEOPLE)
        await self._begin(OUTREACH, range(_OUTREACH_PEOPLE))

    async def go_on(self) -> None:
        """Do one round: bring people into statuses that are empty, let another one in, now and then have one reply."""
        complete = await self._fill_statuses()
        self.round_seconds = _QUIET_ROUND_SECONDS if complete else 1.0
        if not complete:
            return
        self._rounds += 1
        await self._enrol(OUTREACH, [Candidate(person((_OUTREACH_PEOPLE + self._rounds) % _OUTREACH_POOL))])
        if self._rounds % 3 == 0:
            await self._someone_replies()

    async def hear(self, row: asyncpg.Record, signal: Signal) -> object:
        """Let a recipient answer."""
        told_by = Actor(ActorKind.CONTACT, row["contact_id"])
        return await signals.apply(self.workspace_id, Fact(signal=signal, recipient_id=row["id"], actor=told_by))

    async def _begin(self, sequence: str, numbers: range) -> None:
        """Let the first people into a sequence that nobody has been in yet."""
        begun = await fetch(
            "SELECT EXISTS (SELECT FROM recipients WHERE workspace_id = $1 AND sequence_id = $2) AS begun",
            self.workspace_id,
            self._sequences[sequence],
        )
        if not begun[0]["begun"]:
            await self._enrol(sequence, [Candidate(person(number)) for number in numbers])

    async def _fill_statuses(self) -> bool:
        """Return whether each status has someone; where not, see to it."""
        rows = await fetch(
            """
            SELECT id, contact_id, external_id, status, enrolled_at > now() - $3::interval AS young FROM recipients
            WHERE workspace_id = $1 AND sequence_id = ANY($2::uuid[]) AND deleted_at IS NULL
            """,
            self.workspace_id,
            [self._sequences[name] for name in (HIRING, INVITATION, CALLS)],
            _PATIENCE,
        )
        present = {row["status"] for row in rows}
        for status, role in _ROLES.items():
            # Only the young: one whom a visitor has resumed is the visitor's.
            own = [row for row in rows if row["young"] and (row["external_id"] or "").startswith(_mark(status))]
            for row in own:
                if role.act and row["status"] == Status.IN_PROGRESS:
                    await role.act(self, row)
            if status not in present and not own:
                await self._cast(status, role, 1 if rows else role.count)
        return present >= set(_ROLES)

    async def _cast(self, status: Status, role: _Role, count: int) -> None:
        """Enrol new people who are to come into this status."""
        numbers = range(self._next_person, self._next_person + count)
        self._next_person += count
        await self._enrol(
            role.sequence,
            [Candidate(person(number, answers=role.answers), f"{_mark(status)}{number}") for number in numbers],
            start_in=role.starts_in,
        )

    async def _enrol(self, sequence: str, candidates: list[Candidate], start_in: timedelta | None = None) -> None:
        start_at = datetime.now(UTC) + start_in if start_in else None
        wanted = Enrolment(sequence_id=self._sequences[sequence], candidates=candidates, start_at=start_at)
        with contextlib.suppress(Refusal):  # a visitor may have archived the sequence, which is the visitor's to decide
            await enrolment.enroll(self.workspace_id, self.person, wanted)

    async def _someone_replies(self) -> None:
        rows = await fetch(
            "SELECT id, contact_id FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND deleted_at IS NULL "
            "AND status = 'IN_PROGRESS' ORDER BY enrolled_at LIMIT 1",
            self.workspace_id,
            self._sequences[OUTREACH],
        )
        for row in rows:
            await self.hear(row, Signal.HUMAN_REPLY)

    async def _mailbox(self, address: str, name: str, *, gap_seconds: int) -> UUID:
        """Return the mailbox of this address, which sends to the catcher's present port."""
        rows = await fetch(
            "SELECT id, state, smtp_port FROM mailboxes WHERE workspace_id = $1 AND address_key = $2",
            self.workspace_id,
            address,
        )
        if not rows:
            fields = replace(
                self._smtp,
                address=address,
                display_name=name,
                daily_limit=100_000,
                minimum_gap_seconds=gap_seconds,
            )
            return await mailboxes.create(self.workspace_id, self._vault, fields, self._catcher)
        mailbox_id: UUID = rows[0]["id"]
        if rows[0]["smtp_port"] != self._smtp.smtp_port:
            await mailboxes.update(self.workspace_id, self._vault, mailbox_id, self._smtp, self._catcher)
        if rows[0]["state"] != "CONNECTED":
            await mailboxes.connected(self.workspace_id, mailbox_id)
        return mailbox_id

    async def _sequence(self, wanted: DemoSequence, mailbox_id: UUID) -> UUID:
        rows = await fetch(
            "SELECT id, status FROM sequences WHERE workspace_id = $1 AND external_id = $2",
            self.workspace_id,
            wanted.external_id,
        )
        if rows:
            sequence_id: UUID = rows[0]["id"]
        else:
            sequence_id = await authoring.create(
                self.workspace_id,
                wanted.name,
                wanted.steps,
                settings=SequenceSettings(time_zone="Europe/Berlin"),
                mailbox_ids=[mailbox_id],
                external_id=wanted.external_id,
            )
        if not rows or rows[0]["status"] == "DRAFT":  # a start may have been killed in between
            await sequences.activate(self.workspace_id, sequence_id)
        return sequence_id


def _mark(status: Status) -> str:
    return f"demo-{status.lower()}-"
