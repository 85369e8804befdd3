"""Enrolling contacts in a sequence, many at a time, with an answer for each.

Contacts are matched and written, the rules are asked, and recipients and their first events are inserted: a fixed
number of statements for any number of contacts. Enrolling reads the sequence FOR SHARE, so that a pause or an
archiving is either seen or waits.

Source: product.md section 3 "Enrolment"; architecture.md "Facts, not memories".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.contacts import ContactFields, Matched, write_contacts
from domain.database import Tx, tx
from domain.plans import SequenceSettings, load_plan
from domain.refusals import (
    AlreadyEnrolled,
    DuplicateInBatch,
    EmailBouncedBefore,
    EmailMissing,
    Invalid,
    NotFound,
    ReenrolmentNotAllowed,
    Refusal,
    SequenceArchived,
    SequenceEmpty,
    Suppressed,
)
from domain.rules.actor import Actor
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.lifecycle import EndReason
from domain.rules.plan import EMAIL_KINDS, Plan, Step
from domain.rules.recipient import Recipient
from domain.rules.timers import settle
from domain.suppression import suppressed_contacts

_START_WITHIN: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One contact to enrol."""

    contact: ContactFields
    external_id: str | None = None  # the partner's name for the new recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Who is to be enrolled where. The order of answers is the order of `candidates`."""

    sequence_id: UUID
    candidates: Sequence[Candidate]
    mailbox_id: UUID | None = None  # None: the sequence's mailboxes in turn
    start_step_id: UUID | None = None  # None: the first
    start_at: datetime | None = None  # no wait begins before


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one candidate: exactly one of the two. In a dry run `recipient_id` names nothing."""

    recipient_id: UUID | None = None
    refusal: Refusal | None = None


class _DryRun(Exception):
    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers


@dataclass(slots=True)
class _Batch:
    enrolment: Enrolment
    plan: Plan
    settings: SequenceSettings
    first: Step
    mailbox_ids: Sequence[UUID]
    actor: Actor
    answers: dict[int, Answer] = field(default_factory=dict)


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
        _check_start(enrolment.start_at, t.now)
        batch = await _prepare(t, actor, enrolment)
        contacts = await write_contacts(t, [candidate.contact for candidate in enrolment.candidates])
        await _decide(t, batch, contacts)
        answers = [batch.answers[index] for index in range(len(contacts))]
        if dry_run:
            raise _DryRun(answers)
        return answers

    try:
        return await tx(workspace_id, work)
    except _DryRun as rolled_back:
        return rolled_back.answers


def _check_start(start_at: datetime | None, now: datetime) -> None:
    if start_at is None:
        return
    if start_at.tzinfo is None:
        raise Invalid("The start needs a time zone: write it with an offset, such as Z.", field=["startAt"])
    if abs(start_at - now) > _START_WITHIN:
        raise Invalid("The start must lie within ten years of now.", field=["startAt"])


async def _prepare(t: Tx, actor: Actor, enrolment: Enrolment) -> _Batch:
    row = await t.fetchrow(
        "SELECT status, settings FROM sequences WHERE workspace_id = $1 AND id = $2 FOR SHARE",
        t.workspace_id,
        enrolment.sequence_id,
    )
    if row is None:
        raise NotFound("sequence", field=["sequenceId"])
    if row["status"] == "ARCHIVED":
        raise SequenceArchived
    plan = await load_plan(t, enrolment.sequence_id)
    first = plan.first()
    if first is None:
        raise SequenceEmpty
    if enrolment.start_step_id is not None:
        found = plan.step(enrolment.start_step_id)
        if found is None or found.removed:
            raise NotFound("step", field=["startStepId"])
        first = found
    mailbox_ids = await _mailboxes(t, enrolment)
    return _Batch(enrolment, plan, SequenceSettings.from_json(row["settings"]), first, mailbox_ids, actor)


async def _mailboxes(t: Tx, enrolment: Enrolment) -> list[UUID]:
    if enrolment.mailbox_id is None:
        rows = await t.fetch(
            "SELECT mailbox_id AS id FROM sequence_mailboxes WHERE workspace_id = $1 AND sequence_id = $2 "
            "ORDER BY position",
            t.workspace_id,
            enrolment.sequence_id,
        )
        return [row["id"] for row in rows]
    rows = await t.fetch(
        "SELECT id FROM mailboxes WHERE workspace_id = $1 AND id = $2", t.workspace_id, enrolment.mailbox_id
    )
    if not rows:
        raise NotFound("mailbox", field=["mailboxId"])
    return [enrolment.mailbox_id]


async def _decide(t: Tx, batch: _Batch, contacts: Sequence[Matched | Refusal]) -> None:
    matched = {index: found.row for index, found in enumerate(contacts) if isinstance(found, Matched)}
    batch.answers.update(
        {index: Answer(refusal=found) for index, found in enumerate(contacts) if isinstance(found, Refusal)}
    )
    contact_ids = [row["id"] for row in matched.values()]
    history = await _history(t, batch.enrolment.sequence_id, contact_ids)
    suppressed = await suppressed_contacts(t, contact_ids)
    external_ids = await _taken_external_ids(t, batch)
    admitted: dict[int, Mapping[str, Any]] = {}
    for index, contact in matched.items():
        refusal = _refusal(t, batch, contact, history.get(contact["id"], ()), contact["id"] in suppressed)
        own_id = batch.enrolment.candidates[index].external_id
        if refusal is None and own_id is not None:
            if own_id in external_ids:
                refusal = _external_id_taken()
            external_ids.add(own_id)
        if refusal is None:
            admitted[index] = contact
        else:
            batch.answers[index] = Answer(refusal=refusal)
    await _insert(t, batch, admitted)


def _external_id_taken() -> Invalid:
    return Invalid("Another recipient has this external id already.", field=["recipientExternalId"])


def _refusal(
    t: Tx, batch: _Batch, contact: Mapping[str, Any], runs: Sequence[asyncpg.Record], suppressed: bool
) -> Refusal | None:
    """Return why this contact is not enrolled; the first reason that holds. None: it is."""
    open_run = next((run for run in runs if run["end_reason"] is None), None)
    if open_run is not None:
        return AlreadyEnrolled(open_run["id"])
    if suppressed:
        return Suppressed()
    if batch.first.kind in EMAIL_KINDS:
        if not contact["email"]:
            return EmailMissing()
        if contact["email_bounced_at"] is not None:
            return EmailBouncedBefore()
    last = max(runs, key=lambda run: run["ended_at"], default=None)
    if last is not None and last["end_reason"] == EndReason.BOUNCED:
        # Whatever the first step is: the address that bounced must have been replaced.
        return EmailBouncedBefore() if contact["email_bounced_at"] is not None else None
    if last is None:
        return None
    pause = batch.settings.reenrolment_pause
    if pause is None:
        return ReenrolmentNotAllowed("This person was in the sequence before, and the sequence takes nobody twice.")
    if last["ended_at"] + pause > t.now:
        day = (last["ended_at"] + pause).date().isoformat()
        return ReenrolmentNotAllowed(f"This person was in the sequence before and can be enrolled again from {day}.")
    return None


async def _history(t: Tx, sequence_id: UUID, contact_ids: Sequence[UUID]) -> dict[UUID, list[asyncpg.Record]]:
    rows = await t.fetch(
        "SELECT id, contact_id, end_reason, ended_at FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 "
        "AND contact_id = ANY($3::uuid[]) AND deleted_at IS NULL",
        t.workspace_id,
        sequence_id,
        list(contact_ids),
    )
    runs: dict[UUID, list[asyncpg.Record]] = {}
    for row in rows:
        runs.setdefault(row["contact_id"], []).append(row)
    return runs


async def _taken_external_ids(t: Tx, batch: _Batch) -> set[str]:
    wanted = [candidate.external_id for candidate in batch.enrolment.candidates if candidate.external_id]
    rows = await t.fetch(
        "SELECT external_id FROM recipients WHERE workspace_id = $1 AND external_id = ANY($2::text[]) "
        "AND deleted_at IS NULL",
        t.workspace_id,
        wanted,
    )
    return {row["external_id"] for row in rows}


async def _first_turn(t: Tx, batch: _Batch) -> int:
    """Return where in the sequence's mailboxes the turn goes on: after that of whoever was enrolled last."""
    if len(batch.mailbox_ids) < 2:
        return 0
    last = await t.fetchval(
        "SELECT mailbox_id FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND deleted_at IS NULL "
        "ORDER BY enrolled_at DESC, id DESC LIMIT 1",
        t.workspace_id,
        batch.enrolment.sequence_id,
    )
    return batch.mailbox_ids.index(last) + 1 if last in batch.mailbox_ids else 0


def _newborn(t: Tx, batch: _Batch, contact: Mapping[str, Any], number: int) -> Recipient:
    assert t.workspace_id is not None
    mailboxes = batch.mailbox_ids
    before = batch.plan.preceding(batch.first.id)
    newborn = Recipient(
        id=new_id(),
        workspace_id=t.workspace_id,
        sequence_id=batch.enrolment.sequence_id,
        contact_id=contact["id"],
        version=1,
        time_zone=contact["time_zone"],
        mailbox_id=mailboxes[number % len(mailboxes)] if mailboxes else None,
        sequence_paused_at=t.now if batch.plan.paused else None,
        current_step_id=batch.first.id,
        last_step_id=before.id if before else None,
        plan_revision=batch.plan.revision,
        start_at=batch.enrolment.start_at,
    )
    return settle(newborn, batch.plan, t.now)


_INSERT = """
    WITH u AS (
        SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::timestamptz[],
            $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::timestamptz[])
        AS u (id, contact_id, mailbox_id, external_id, sort_name, status, sequence_paused_at, anchor_at, wait_ends_at,
            due_at, due_kind, start_at)
    ), born AS (
        INSERT INTO recipients (id, workspace_id, sequence_id, contact_id, mailbox_id, external_id, sort_name, version,
            status, sequence_paused_at, begun, current_step_id, last_step_id, plan_revision, step_run, start_at,
            anchor_at, wait_ends_at, due_at, due_kind, enrolled_by_kind, enrolled_by_id, enrolled_at,
            status_changed_at, updated_at)
        SELECT u.id, $1, $15, u.contact_id, u.mailbox_id, u.external_id, u.sort_name, 1, u.status, u.sequence_paused_at,
            false, $16, $20, $21, 1, u.start_at, u.anchor_at, u.wait_ends_at, u.due_at, u.due_kind, $17, $18, $2, $2, $2
        FROM u ON CONFLICT DO NOTHING
        RETURNING id, sequence_id, mailbox_id, status
    ), told AS (
        INSERT INTO events (recipient_id, version, workspace_id, sequence_id, type, status, stage, actor_kind, actor_id,
            step_id, mailbox_id, occurred_at)
        SELECT id, 1, $1, sequence_id, $19, status, 'SCHEDULED', $17, $18, $16, mailbox_id, $2 FROM born
    )
    SELECT id FROM born
"""


async def _insert(t: Tx, batch: _Batch, admitted: Mapping[int, Mapping[str, Any]]) -> None:
    offset = await _first_turn(t, batch)
    born = {index: _newborn(t, batch, contact, n) for n, (index, contact) in enumerate(admitted.items(), start=offset)}
    if not born:
        return
    made = list(born.values())
    rows = await t.fetch(
        _INSERT,
        t.workspace_id,
        t.now,
        [r.id for r in made],
        [r.contact_id for r in made],
        [r.mailbox_id for r in made],
        [batch.enrolment.candidates[index].external_id for index in born],
        [admitted[index]["sort_name"] for index in born],
        [r.status for r in made],
        [r.sequence_paused_at for r in made],
        [r.anchor_at for r in made],
        [r.wait_ends_at for r in made],
        [r.due_at for r in made],
        [r.due_kind for r in made],
        [r.start_at for r in made],
        batch.enrolment.sequence_id,
        batch.first.id,
        batch.actor.kind,
        batch.actor.id,
        EventType.ENROLLED,
        made[0].last_step_id,
        made[0].plan_revision,
    )
    inserted = {row["id"] for row in rows}
    late = {index: r for index, r in born.items() if r.id not in inserted}
    winners = await _history(t, batch.enrolment.sequence_id, [r.contact_id for r in late.values()])
    for index, recipient in born.items():
        if recipient.id in inserted:
            batch.answers[index] = Answer(recipient_id=recipient.id)
            continue
        winner = next((run["id"] for run in winners.get(recipient.contact_id, ()) if run["end_reason"] is None), None)
        twin = next((i for i, other in born.items() if other.id == winner), None)
        refusal: Refusal
        if winner is not None:
            refusal = DuplicateInBatch(twin) if twin is not None else AlreadyEnrolled(winner)
        elif batch.enrolment.candidates[index].external_id is not None:
            refusal = _external_id_taken()
        else:
            refusal = ReenrolmentNotAllowed("This person's earlier run ended at this very moment. Try again.")
        batch.answers[index] = Answer(refusal=refusal)
