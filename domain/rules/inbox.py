"""What a person may do about a pending action: one table for the field `availableActions` and for the mutations.

Source: product.md section 2 "Pending actions", "While a message is being handed over".
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.rules.plan import StepKind


class PendingActionAction(StrEnum):
    SEND_NOW = "SEND_NOW"
    SCHEDULE = "SCHEDULE"
    CANCEL_SCHEDULE = "CANCEL_SCHEDULE"
    COMPLETE = "COMPLETE"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """All that decides what may be done about a pending action. Every time is business time."""

    kind: StepKind
    now: datetime
    closed: bool = False
    held: bool = False  # its recipient is paused, by itself or with the sequence
    failed: bool = False  # an error is open at its step
    being_sent: bool = False  # its message is being handed over
    scheduled_for: datetime | None = None

    @property
    def released(self) -> bool:
        """Whether its time has come: it goes out at the mailbox's next turn."""
        return self.scheduled_for is not None and self.scheduled_for <= self.now


_A = PendingActionAction


def available_pending_actions(w: Waiting) -> tuple[PendingActionAction, ...]:
    """Return what may be done now, in the enum's order.

    A closed one, and one whose recipient is held, offers nothing. After a failure the retry belongs to the error, and
    what is being handed over cannot be called back: both can only be skipped.
    """
    if w.closed or w.held:
        return ()
    if w.failed or w.being_sent:
        return (_A.SKIP,)
    if w.kind is StepKind.TASK:
        return (_A.COMPLETE, _A.SKIP)
    if w.released:
        return (_A.CANCEL_SCHEDULE, _A.SKIP)
    if w.scheduled_for is not None:
        return (_A.SEND_NOW, _A.SCHEDULE, _A.CANCEL_SCHEDULE, _A.SKIP)
    return (_A.SEND_NOW, _A.SCHEDULE, _A.SKIP)


def unavailable_because(action: PendingActionAction, w: Waiting) -> str | None:
    """Return one sentence why an open action of a recipient that is not held is off; None when it is available.

    `{who}` in it stands for whoever released it.
    """
    if action in available_pending_actions(w):
        return None
    if w.failed:
        return "Its step has failed. Fix what the error says and retry, or skip it."
    if w.being_sent:
        return "It is being sent right now: {who} released it."
    if w.kind is StepKind.TASK:
        return "This is a task. Complete it or skip it."
    if action is _A.COMPLETE:
        return "This is an email. Send it or skip it."
    if action is _A.CANCEL_SCHEDULE:
        return "No time is chosen for it."
    return "{who} released it already; it goes out at its mailbox's next turn."
