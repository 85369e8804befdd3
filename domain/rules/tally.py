"""What a recipient counts as in reports: one set of entries, a function of its facts and nothing else.

A change adds the entries that it has after and had not before, and takes away those that it had and has no more. So the
counters are never told what happened, only what is; a test compares them with a scan of all rows.

    entry               is there while
    REACHED, step       it has done the step, is at it, ended at it, or bounced by it
    WAITING, step       it is at the step, without an open error
    FAILED, step        it is at the step, with an open error
    CARRIED_OUT, step   the step was carried out: sent, or completed by a person; with the time
    SKIPPED, step       the step was skipped
    REPLIED, step       it replied; the step is the last that was carried out before the reply
    BOUNCED, step       it bounced; the step whose message did
    ENROLLED            always; with the time of enrolment
    CONTACTED           a message was sent; with the time of the first
    REPLIED             it replied; with the time
    COMPLETED, BOUNCED, STOPPED, UNSUBSCRIBED
                        it ended so; with the time

Who was deleted counts as nothing.

Source: product.md section 7.
"""

from collections.abc import Mapping, Set
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from domain.rules.lifecycle import Status
from domain.rules.recipient import Recipient

# Every offset of a time zone is a multiple of it: a day of any zone is made of whole quarters.
QUARTER: Final = timedelta(minutes=15)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NOBODY: Final = UUID(int=0)  # stands for "no mailbox" and "no step" in the key of a tally
ENDS_COUNTED: Final = (Status.COMPLETED, Status.BOUNCED, Status.STOPPED, Status.UNSUBSCRIBED)


class StepOutcome(StrEnum):
    """What a step can have been for a recipient. One can be several: sent, and replied to."""

    REACHED = "REACHED"
    WAITING = "WAITING"
    FAILED = "FAILED"
    CARRIED_OUT = "CARRIED_OUT"
    SKIPPED = "SKIPPED"
    REPLIED = "REPLIED"
    BOUNCED = "BOUNCED"


class Measure(StrEnum):
    """What is counted of a sequence and a mailbox, each with its time."""

    ENROLLED = "ENROLLED"
    CONTACTED = "CONTACTED"
    REPLIED = "REPLIED"
    COMPLETED = "COMPLETED"
    BOUNCED = "BOUNCED"
    STOPPED = "STOPPED"
    UNSUBSCRIBED = "UNSUBSCRIBED"


class Entry(NamedTuple):
    measure: str
    step_id: UUID | None
    quarter: int | None  # the number of the quarter of an hour since 1970, where it has a time


Outcomes = Mapping[UUID, tuple[str, datetime]]  # of the done steps: "CARRIED_OUT" or "SKIPPED", and when


def quarter_of(at: datetime) -> int:
    return (at - _EPOCH) // QUARTER


def entries(recipient: Recipient, outcomes: Outcomes) -> Set[Entry]:
    """Return all that this recipient counts as."""
    if recipient.deleted_at is not None:
        return frozenset()
    found = {
        Entry(measure, None, quarter_of(at))
        for measure, at in (
            (Measure.ENROLLED, recipient.enrolled_at),
            (Measure.CONTACTED, recipient.contacted_at),
            (Measure.REPLIED, recipient.replied_at),
            (recipient.status, recipient.ended_at if recipient.status in ENDS_COUNTED else None),
        )
        if at is not None
    }
    reached = set(outcomes) | {recipient.current_step_id, recipient.left_step_id, recipient.bounced_step_id}
    found |= {Entry(StepOutcome.REACHED, step_id, None) for step_id in reached if step_id is not None}
    for step_id, (outcome, done_at) in outcomes.items():
        found.add(Entry(outcome, step_id, quarter_of(done_at) if outcome == StepOutcome.CARRIED_OUT else None))
    if recipient.current_step_id is not None:
        place = StepOutcome.WAITING if recipient.error_id is None else StepOutcome.FAILED
        found.add(Entry(place, recipient.current_step_id, None))
    if recipient.bounced_step_id is not None:
        found.add(Entry(StepOutcome.BOUNCED, recipient.bounced_step_id, None))
    replied_to = last_carried_out(outcomes, recipient.replied_at) if recipient.replied_at else None
    if replied_to is not None:
        found.add(Entry(StepOutcome.REPLIED, replied_to, None))
    return found


def last_carried_out(outcomes: Outcomes, until: datetime | None = None) -> UUID | None:
    """Return the step carried out last, or last before a time; of two at one moment the greater id."""
    sent = (
        (at, step_id)
        for step_id, (outcome, at) in outcomes.items()
        if outcome == StepOutcome.CARRIED_OUT and (until is None or at <= until)
    )
    return max(sent, default=(None, None))[1]


def difference(before: Recipient, had: Outcomes, after: Recipient, has: Outcomes) -> str | None:
    """Return what a change adds to the counters and takes from them, as JSON for its event: a list of
    [measure, +1 or -1, step, quarter, mailbox where it is not the event's]. None: nothing."""
    lost, gained = entries(before, had), entries(after, has)
    if before.mailbox_id == after.mailbox_id:
        lost, gained = lost - gained, gained - lost
        told = [_told(entry, -1) for entry in lost] + [_told(entry, 1) for entry in gained]
    else:
        old, new = before.mailbox_id or NOBODY, after.mailbox_id or NOBODY
        told = [[*_told(entry, -1), old] for entry in lost] + [[*_told(entry, 1), new] for entry in gained]
    return _json(told) if told else None


def newborn(recipient: Recipient) -> str:
    """Return what one who was just enrolled adds, in the same form."""
    return _json([_told(entry, 1) for entry in entries(recipient, {})])


def _told(entry: Entry, delta: int) -> list[object]:
    return [entry.measure, delta, entry.step_id, entry.quarter]


def _json(told: list[list[object]]) -> str:
    return orjson.dumps(told, default=str).decode()
