"""Enrolling contacts in a sequence, many at a time, with an answer for each.

Contacts are matched and written, the rules are asked (admission.py), and recipients and their first events are
inserted (newborns.py): a fixed number of statements for any number of contacts. Enrolling reads the sequence FOR SHARE,
so that a pause or an archiving is either seen or waits.

Source: product.md section 3 "Enrolment"; architecture.md "Facts, not memories".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain import admission, newborns
from domain.contacts import ContactFields, Matched, write_contacts
from domain.database import Tx, tx
from domain.plans import SequenceSettings, load_plan
from domain.refusals import (
    AlreadyEnrolled,
    DuplicateInBatch,
    Invalid,
    NotFound,
    ReenrolmentNotAllowed,
    Refusal,
    SequenceArchived,
    SequenceEmpty,
)
from domain.rules.actor import Actor
from domain.rules.plan import Plan, Step

_START_WITHIN: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One contact to enrol."""

    contact: ContactFields
    external_id: str | None = None  # the partner's name for the new recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Into:
    """Where somebody is to be enrolled."""

    sequence_id: UUID
    mailbox_id: UUID | None = None  # of its channel the only one; None: the sequence's mailboxes in turn
    start_step_id: UUID | None = None  # None: the first
    start_at: datetime | None = None  # no wait begins before


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment(Into):
    """Who is to be enrolled where. The order of answers is the order of `candidates`."""

    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one candidate: exactly one of the two. In a dry run `recipient_id` names nothing."""

    recipient_id: UUID | None = None
    refusal: Refusal | None = None


class _DryRun(Exception):
    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers


@dataclass(slots=True)
class Opened:
    """A sequence that people may be enrolled in, read FOR SHARE, and where they begin."""

    into: Into
    plan: Plan
    settings: SequenceSettings
    first: Step
    mailbox_ids: Sequence[UUID]
    sms_mailbox_ids: Sequence[UUID]


async def enroll(workspace_id: UUID, actor: Actor, enrolment: Enrolment, *, dry_run: bool = False) -> list[Answer]:
    """Enrol the candidates and return an answer for each. With `dry_run` nothing is changed.

    Raises:
        NotFound: no such sequence, mailbox or step.
        SequenceArchived, SequenceEmpty: nobody can be enrolled in it.
        Invalid: the list is empty, or the start is out of bounds.
    """
    if not enrolment.candidates:
        raise Invalid("The list of contacts is empty. Give at least one.", field=["contacts"])

    async def work(t: Tx) -> list[Answer]:
        sequence = await opened(t, enrolment)
        contacts = await write_contacts(t, [candidate.contact for candidate in enrolment.candidates])
        own_ids = [candidate.external_id for candidate in enrolment.candidates]
        answers = await admit(t, actor, sequence, contacts, own_ids)
        if dry_run:
            raise _DryRun(answers)
        return answers

    try:
        return await tx(workspace_id, work)
    except _DryRun as rolled_back:
        return rolled_back.answers


async def check(workspace_id: UUID, into: Into) -> None:
    """Return when people can be enrolled so.

    Raises:
        NotFound, SequenceArchived, SequenceEmpty, Invalid: see `opened`.
    """
    await tx(workspace_id, lambda t: opened(t, into), rings=False)


async def opened_or_why_not(t: Tx, into: Into) -> Opened | Refusal:
    """Return the sequence, or why nobody can be enrolled in it any more."""
    try:
        return await opened(t, into)
    except Refusal as refusal:
        return refusal


def _check_start(start_at: datetime | None, now: datetime) -> None:
    if start_at is None:
        return
    if start_at.tzinfo is None:
        raise Invalid("The start needs a time zone: write it with an offset, such as Z.", field=["startAt"])
    if abs(start_at - now) > _START_WITHIN:
        raise Invalid("The start must lie within ten years of now.", field=["startAt"])


async def opened(t: Tx, into: Into) -> Opened:
    """Return the sequence, which stays as it is until the end of the transaction.

    Raises:
        NotFound: no such sequence, mailbox or step.
        SequenceArchived, SequenceEmpty: nobody can be enrolled in it.
        Invalid: the start is out of bounds.
    """
    _check_start(into.start_at, t.now)
    row = await t.fetchrow(
        "SELECT status, settings FROM sequences WHERE workspace_id = $1 AND id = $2 FOR SHARE",
        t.workspace_id,
        into.sequence_id,
    )
    if row is None:
        raise NotFound("sequence", field=["sequenceId"])
    if row["status"] == "ARCHIVED":
        raise SequenceArchived
    plan = await load_plan(t, into.sequence_id)
    first = plan.first()
    if first is None:
        raise SequenceEmpty
    if into.start_step_id is not None:
        found = plan.step(into.start_step_id)
        if found is None or found.removed:
            raise NotFound("step", field=["startStepId"])
        first = found
    by_channel = await _mailboxes(t, into)
    settings = SequenceSettings.from_json(row["settings"])
    return Opened(into, plan, settings, first, by_channel["EMAIL"], by_channel["SMS"])


async def _mailboxes(t: Tx, into: Into) -> dict[str, list[UUID]]:
    """Return what is sent from, by channel: the sequence's, and of its channel the one that was named alone."""
    rows = await t.fetch(
        "SELECT m.id, m.channel FROM sequence_mailboxes l JOIN mailboxes m ON m.workspace_id = l.workspace_id "
        "AND m.id = l.mailbox_id WHERE l.workspace_id = $1 AND l.sequence_id = $2 ORDER BY l.position",
        t.workspace_id,
        into.sequence_id,
    )
    found = {channel: [row["id"] for row in rows if row["channel"] == channel] for channel in ("EMAIL", "SMS")}
    if into.mailbox_id is not None:
        channel = await t.fetchval(
            "SELECT channel FROM mailboxes WHERE workspace_id = $1 AND id = $2", t.workspace_id, into.mailbox_id
        )
        if channel is None:
            raise NotFound("mailbox", field=["mailboxId"])
        found[channel] = [into.mailbox_id]
    return found


async def admit(
    t: Tx,
    actor: Actor,
    sequence: Opened,
    contacts: Sequence[Matched | Refusal],
    own_ids: Sequence[str | None] | None = None,
) -> list[Answer]:
    """Ask the rules for each contact, insert those who may come in, and return what became of each.

    `own_ids` are the partner's names for the new recipients."""
    own_ids = own_ids or [None] * len(contacts)
    answers = {index: Answer(refusal=found) for index, found in enumerate(contacts) if isinstance(found, Refusal)}
    matched = {index: found.row for index, found in enumerate(contacts) if isinstance(found, Matched)}
    sequence_id = sequence.into.sequence_id
    asked = await admission.look(
        t, sequence_id, sequence.settings, sequence.first, [row["id"] for row in matched.values()]
    )
    external_ids = await _taken_external_ids(t, own_ids)
    newcomers: dict[int, newborns.Newcomer] = {}
    for index, contact in matched.items():
        refusal = asked.refusal_of(contact)
        own_id = own_ids[index]
        if refusal is None and own_id is not None:
            if own_id in external_ids:
                refusal = _external_id_taken()
            external_ids.add(own_id)
        if refusal is None:
            newcomers[index] = newborns.Newcomer(contact, own_id)
        else:
            answers[index] = Answer(refusal=refusal)
    born = await newborns.insert(
        t,
        actor,
        newborns.Place(
            sequence_id,
            sequence.plan,
            sequence.first,
            sequence.mailbox_ids,
            sequence.sms_mailbox_ids,
            sequence.into.start_at,
        ),
        list(newcomers.values()),
    )
    indexes = list(newcomers)
    answers |= {index: Answer(recipient_id=made.id) for index, made in zip(indexes, born, strict=True) if made.inserted}
    late = {index: made for index, made in zip(indexes, born, strict=True) if not made.inserted}
    winners = await admission.open_runs(t, sequence_id, [made.contact_id for made in late.values()])
    for index, made in late.items():
        winner = winners.get(made.contact_id)
        twin = next((i for i, other in zip(indexes, born, strict=True) if other.id == winner), None)
        answers[index] = Answer(refusal=_lost(winner, twin, newcomers[index].external_id))
    return [answers[index] for index in range(len(contacts))]


def _lost(winner: UUID | None, twin: int | None, external_id: str | None) -> Refusal:
    """Return why somebody who might have come in was not inserted: another was faster."""
    if winner is not None:
        return DuplicateInBatch(twin) if twin is not None else AlreadyEnrolled(winner)
    if external_id is not None:
        return _external_id_taken()
    return ReenrolmentNotAllowed("This person's earlier run ended at this very moment. Try again.")


def _external_id_taken() -> Invalid:
    return Invalid("Another recipient has this external id already.", field=["recipientExternalId"])


async def _taken_external_ids(t: Tx, own_ids: Sequence[str | None]) -> set[str]:
    wanted = [own_id for own_id in own_ids if own_id]
    if not wanted:
        return set()
    rows = await t.fetch(
        "SELECT external_id FROM recipients WHERE workspace_id = $1 AND external_id = ANY($2::text[]) "
        "AND deleted_at IS NULL",
        t.workspace_id,
        wanted,
    )
    return {row["external_id"] for row in rows}
