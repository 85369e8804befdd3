"""A small world for tests of the engine: a mailbox, a sequence and people in it, made through the verbs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from domain import authoring, enrolment, mailboxes, sequences, text_mailboxes
from domain.contacts import ContactFields
from domain.database import fetch
from domain.mailbox_fields import MailboxFields
from domain.plans import SequenceSettings
from domain.rules.actor import Actor
from domain.rules.guardrails import GuardrailCause, Hold
from domain.rules.network import Reach
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.secrets import Vault
from domain.steps import NewStep
from domain.text_mailboxes import TextMailboxFields

HOLD = Hold(
    since=datetime(2026, 11, 20, 9, tzinfo=UTC), cause=GuardrailCause.BOUNCES, count=4, sent=60, limit_percent=5.0
)
HERE = Reach.of("127.0.0.1")  # where the tests' servers listen
NOW = Wait(0, WaitUnit.MINUTES)
IN_AN_HOUR = Wait(1, WaitUnit.HOURS)


def email(
    subject: str = "Hello {{ first_name }}",
    body: str = "Dear {{ first_name }},\n\na word about your work.",
    *,
    wait: Wait = NOW,
    send_as_reply: bool = False,
) -> NewStep:
    return NewStep(kind=StepKind.AUTOMATED_EMAIL, wait=wait, subject=subject, body=body, send_as_reply=send_as_reply)


def manual_email(
    subject: str | None = "A word, {{ first_name }}",
    body: str = "<p>Dear {{ first_name }},</p><p>may I call you?</p>",
    *,
    wait: Wait = NOW,
    send_as_reply: bool = False,
) -> NewStep:
    return NewStep(kind=StepKind.MANUAL_EMAIL, wait=wait, subject=subject, body=body, send_as_reply=send_as_reply)


def task(title: str = "Call", *, wait: Wait = NOW) -> NewStep:
    return NewStep(kind=StepKind.TASK, wait=wait, task_kind="CALL", task_title=title)


def text(body: str = "Hi {{ first_name }}, a word about your work?", *, wait: Wait = NOW) -> NewStep:
    return NewStep(kind=StepKind.SMS, wait=wait, body=body)


@dataclass(frozen=True)
class World:
    workspace_id: UUID
    mailbox_id: UUID
    sequence_id: UUID
    step_ids: Sequence[UUID]
    recipient_ids: Sequence[UUID]


async def make_mailbox(workspace_id: UUID, vault: Vault, port: int = 2525, **fields: object) -> UUID:
    """A mailbox without a gap on a local SMTP server without encryption."""
    given: dict[str, object] = {
        "address": "jobs@sender.example",
        "display_name": "Jo Recruiter",
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_security": "NONE",
        "minimum_gap_seconds": 0,
        "daily_limit": 100_000,
    } | fields
    return await mailboxes.create(workspace_id, vault, MailboxFields(**given), HERE)  # type: ignore[arg-type]


async def make_number(workspace_id: UUID, vault: Vault, url: str, **fields: object) -> UUID:
    """A number for text messages without a gap, with the account of `tests/workers/twilio_server.py`."""
    given: dict[str, object] = {
        "number": "+14155550100",
        "account": "AC" + "0123456789abcdef" * 2,
        "token": "a-token-of-32-letters-and-digits",
        "api_url": url,
        "minimum_gap_seconds": 0,
        "daily_limit": 100_000,
    } | fields
    return await text_mailboxes.create(workspace_id, vault, TextMailboxFields(**given))  # type: ignore[arg-type]


async def make_text_world(
    workspace_id: UUID,
    actor: Actor,
    vault: Vault,
    url: str,
    *,
    steps: Sequence[NewStep] = (text(),),
    people: int = 1,
    settings: SequenceSettings | None = None,
) -> World:
    """People with the numbers +4917012345000 … enrolled in an active sequence that sends them text messages."""
    mailbox_id = await make_mailbox(workspace_id, vault)
    number_id = await make_number(workspace_id, vault, url)
    sequence_id = await authoring.create(
        workspace_id, "Texts", steps, settings=settings or SequenceSettings(), mailbox_ids=[mailbox_id, number_id]
    )
    await sequences.activate(workspace_id, sequence_id)
    values = [
        {"email": f"p{n}@people.example", "first_name": f"Person {n}", "phone": f"+49170123450{n:02}"}
        for n in range(people)
    ]
    batch = enrolment.Enrolment(
        sequence_id=sequence_id, candidates=[enrolment.Candidate(ContactFields(values=one)) for one in values]
    )
    answers = await enrolment.enroll(workspace_id, actor, batch)
    rows = await fetch("SELECT id FROM steps WHERE sequence_id = $1 ORDER BY position", sequence_id)
    recipient_ids = [answer.recipient_id for answer in answers if answer.recipient_id is not None]
    return World(workspace_id, number_id, sequence_id, [row["id"] for row in rows], recipient_ids)


async def make_world(
    workspace_id: UUID,
    actor: Actor,
    vault: Vault,
    *,
    steps: Sequence[NewStep] = (email(), email(wait=IN_AN_HOUR)),
    people: int = 1,
    port: int = 2525,
    activate: bool = True,
    settings: SequenceSettings | None = None,
) -> World:
    """People p0@people.example … enrolled in an active sequence of these steps."""
    mailbox_id = await make_mailbox(workspace_id, vault, port)
    sequence_id = await authoring.create(
        workspace_id, "Outreach", steps, settings=settings or SequenceSettings(), mailbox_ids=[mailbox_id]
    )
    if activate:
        await sequences.activate(workspace_id, sequence_id)
    candidates = [
        enrolment.Candidate(ContactFields(values={"email": f"p{n}@people.example", "first_name": f"Person {n}"}))
        for n in range(people)
    ]
    recipient_ids: list[UUID] = []
    for start in range(0, people, 500):
        batch = enrolment.Enrolment(sequence_id=sequence_id, candidates=candidates[start : start + 500])
        for answer in await enrolment.enroll(workspace_id, actor, batch):
            assert answer.recipient_id is not None, answer.refusal
            recipient_ids.append(answer.recipient_id)
    rows = await fetch("SELECT id FROM steps WHERE sequence_id = $1 ORDER BY position", sequence_id)
    return World(workspace_id, mailbox_id, sequence_id, [row["id"] for row in rows], recipient_ids)


async def statuses(workspace_id: UUID) -> dict[str, int]:
    """How many recipients of the workspace have each status; deleted ones not counted."""
    rows = await fetch(
        "SELECT status, count(*) AS n FROM recipients WHERE workspace_id = $1 AND deleted_at IS NULL GROUP BY status",
        workspace_id,
    )
    return {row["status"]: row["n"] for row in rows}
