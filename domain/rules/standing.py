"""Where a recipient stands at the moment of reading: what holds it back, until when, and the sentence about it.

Nothing here is stored. The values are computed from a row, its sequence, its mailbox's turn and the time of reading.
`filters.py` of the reading package asks the same questions in SQL; a test compares the two.

Source: product.md section 2 (`statusMessage`, `pausedBy`, `opens`) and section 3 (`waitingReason`, `nextAttemptAt`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo

from domain.rules.lifecycle import Action, EndReason, Status, unavailable_reason
from domain.rules.plan import AUTOMATED_KINDS, SequenceStatus, StepKind
from domain.rules.timing import ClosedBecause, SendingWindow, closed_because


class PausedBy(StrEnum):
    RECIPIENT = "RECIPIENT"
    SEQUENCE = "SEQUENCE"


class View(StrEnum):
    EMAIL = "EMAIL"
    TASK = "TASK"
    ERRORS = "ERRORS"


class WaitingReason(StrEnum):
    WAIT = "WAIT"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    BLACKOUT_DATE = "BLACKOUT_DATE"
    DAILY_LIMIT = "DAILY_LIMIT"
    MINIMUM_GAP = "MINIMUM_GAP"
    DOMAIN_PACING = "DOMAIN_PACING"
    MAILBOX_BACKOFF = "MAILBOX_BACKOFF"
    RETRY_BACKOFF = "RETRY_BACKOFF"
    FREQUENCY_CAP = "FREQUENCY_CAP"
    GUARDRAIL = "GUARDRAIL"
    OUT_OF_OFFICE = "OUT_OF_OFFICE"
    SEND_SCHEDULED = "SEND_SCHEDULED"
    SEQUENCE_NOT_ACTIVE = "SEQUENCE_NOT_ACTIVE"
    BEING_SENT = "BEING_SENT"


PAUSED_BY_MEANING: Mapping[PausedBy, str] = {
    PausedBy.RECIPIENT: "A person paused this recipient.",
    PausedBy.SEQUENCE: "The whole sequence is paused; resume the sequence to go on.",
}

VIEW_MEANING: Mapping[View, str] = {
    View.EMAIL: "The prepared email that waits for a person.",
    View.TASK: "The task that waits for a person.",
    View.ERRORS: "The open errors.",
}

WAITING_MEANING: Mapping[WaitingReason, str] = {
    WaitingReason.WAIT: "The wait before the step is not over.",
    WaitingReason.OUTSIDE_WINDOW: "The sending window of the sequence is shut at this time of the day or week.",
    WaitingReason.BLACKOUT_DATE: "Today is one of the dates on which the sequence sends nothing.",
    WaitingReason.DAILY_LIMIT: "The mailbox has sent as much as it may within 24 hours.",
    WaitingReason.MINIMUM_GAP: "The mailbox keeps its gap between two messages.",
    WaitingReason.DOMAIN_PACING: "Messages to the same domain are spread out.",
    WaitingReason.MAILBOX_BACKOFF: "The mail provider asked the whole mailbox to slow down, or could not be reached.",
    WaitingReason.RETRY_BACKOFF: "The other side asked to try this message again later.",
    WaitingReason.FREQUENCY_CAP: "The person has been written to often enough for now.",
    WaitingReason.GUARDRAIL: "Sending from the mailbox or in the sequence is held because too many messages bounced "
    "or were reported as spam; a person must release it.",
    WaitingReason.OUT_OF_OFFICE: "The person is away; automated messages wait for the return.",
    WaitingReason.SEND_SCHEDULED: "A person chose a later time for this email.",
    WaitingReason.SEQUENCE_NOT_ACTIVE: "The sequence is a draft or archived; waits start when it is activated.",
    WaitingReason.BEING_SENT: "The message is being handed over right now.",
}


@dataclass(frozen=True, slots=True)
class ActionAvailability:
    """One action: available or not, and why not."""

    action: Action
    available: bool
    unavailable_reason: str | None


@cache
def actions_of(status: Status, sequence_paused: bool) -> tuple[ActionAvailability, ...]:
    """Return all six actions in the enum's order."""
    found = []
    for action in Action:
        reason = unavailable_reason(action, status, sequence_paused=sequence_paused)
        found.append(ActionAvailability(action, reason is None, reason))
    return tuple(found)


def paused_by(status: Status, *, by_sequence: bool) -> PausedBy | None:
    """Return whose pause holds a recipient: the sequence's while that is up, else the recipient's own."""
    if status is not Status.PAUSED:
        return None
    return PausedBy.SEQUENCE if by_sequence else PausedBy.RECIPIENT


def view_of(status: Status, pending_kind: StepKind | None) -> View | None:
    """Return where a click on the status leads."""
    if status is Status.ERROR:
        return View.ERRORS
    if status is Status.PENDING_ACTION:
        return View.TASK if pending_kind is StepKind.TASK else View.EMAIL
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that the moment depends on. Every time is business time."""

    now: datetime
    status: Status  # as shown
    end_reason: EndReason | None
    paused_by: PausedBy | None
    sequence_status: SequenceStatus
    window: SendingWindow | None
    zone: ZoneInfo
    step_number: int | None = None  # counted from 1 over the steps that are still there
    step_kind: StepKind | None = None
    wait_ends_at: datetime | None = None
    retry_at: datetime | None = None
    paced_until: datetime | None = None
    frequency_capped: bool = False
    due_at: datetime | None = None
    scheduled_for: datetime | None = None
    being_sent: bool = False
    mailbox_state: str | None = None
    mailbox_turn_at: datetime | None = None
    mailbox_held_back_by: str | None = None
    mailbox_throttled: bool = False  # its provider asked it to slow down, and has taken nothing since
    held: str | None = None  # by a guardrail: the sentence about it
    out_of_office_until: datetime | None = None
    error_message: str | None = None
    taken_back: bool = False  # paused because what had ended it was reclassified

    @property
    def goes_out_by_itself(self) -> bool:
        """Whether the step waits for its mailbox and not for a person: an automated one, or a released email."""
        return self.step_kind in AUTOMATED_KINDS or self.scheduled_for is not None

    @property
    def away_until(self) -> datetime | None:
        """Until when the person's absence holds the step; a time that a person chose is not held by it."""
        return self.out_of_office_until if self.scheduled_for is None else None


def waiting_reason(s: Situation) -> WaitingReason | None:
    """Return what holds the recipient back at this moment: the first of these that holds. None: nothing does (it is
    due and has its turn), or it is not waiting at all."""
    if s.status not in (Status.SCHEDULED, Status.IN_PROGRESS):
        return None
    if s.being_sent:
        return WaitingReason.BEING_SENT
    if s.sequence_status is not SequenceStatus.ACTIVE:
        return WaitingReason.SEQUENCE_NOT_ACTIVE
    if s.scheduled_for is not None and s.scheduled_for > s.now:
        return WaitingReason.SEND_SCHEDULED
    if s.wait_ends_at is not None and s.wait_ends_at > s.now:
        return WaitingReason.WAIT
    if s.retry_at is not None and s.retry_at > s.now:
        return WaitingReason.RETRY_BACKOFF
    if _away(s):
        return WaitingReason.OUT_OF_OFFICE
    if s.paced_until is not None and s.paced_until > s.now:
        return WaitingReason.FREQUENCY_CAP if s.frequency_capped else WaitingReason.DOMAIN_PACING
    if s.due_at is None or s.due_at > s.now:
        return _closed(s)
    return _turn(s) if s.goes_out_by_itself else None


def _away(s: Situation) -> bool:
    return s.due_at is not None and s.goes_out_by_itself and s.away_until is not None and s.away_until > s.now


def _closed(s: Situation) -> WaitingReason:
    closed = closed_because(s.now, s.window, s.zone) if s.window is not None else None
    return WaitingReason.BLACKOUT_DATE if closed is ClosedBecause.BLACKOUT_DATE else WaitingReason.OUTSIDE_WINDOW


def _turn(s: Situation) -> WaitingReason | None:
    if s.held is not None:
        return WaitingReason.GUARDRAIL
    if s.mailbox_state != "CONNECTED" or s.mailbox_turn_at is None or s.mailbox_turn_at <= s.now:
        return None
    return WaitingReason(s.mailbox_held_back_by or WaitingReason.MINIMUM_GAP)


def next_attempt_at(s: Situation) -> datetime | None:
    """Return the time before which nothing happens; None while nothing is planned: it is held, pending, in error, has
    ended, or its mailbox cannot send."""
    if s.status not in (Status.SCHEDULED, Status.IN_PROGRESS) or s.due_at is None:
        return None
    if s.sequence_status is not SequenceStatus.ACTIVE:
        return None
    if not s.goes_out_by_itself:
        return s.due_at
    if s.mailbox_state not in (None, "CONNECTED") or s.held is not None:
        return None
    return max(at for at in (s.due_at, s.mailbox_turn_at, s.away_until) if at is not None)
