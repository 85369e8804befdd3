"""A recipient's life as one table of data. Everything that speaks of statuses reads this file.

`availableActions`, the guards of the mutations, the conditions of bulk changes, the CHECK constraints, the
descriptions in the SDL and the generated page docs/lifecycle.md all come from here. The table is partial in
actions (absent = not available) and total in signals (every status says what each does to it).

Source: product.md section 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum


class Status(StrEnum):
    """Where a recipient stands. Stored for filters, computed only by `status_of`."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    PENDING_ACTION = "PENDING_ACTION"
    PAUSED = "PAUSED"
    ERROR = "ERROR"
    BOUNCED = "BOUNCED"
    COMPLETED = "COMPLETED"
    REPLIED = "REPLIED"
    STOPPED = "STOPPED"
    UNSUBSCRIBED = "UNSUBSCRIBED"


MEANING: Mapping[Status, str] = {
    Status.SCHEDULED: "Enrolled; no step has been carried out, skipped or put before a person yet; also while the "
    "first message is being handed over.",
    Status.IN_PROGRESS: "At least one step has been; waiting for the next, or a message is being handed over now.",
    Status.PENDING_ACTION: "A manual email or a task has come due; nothing happens until a person acts.",
    Status.PAUSED: "Held, by a person for this recipient or by the pause of the whole sequence.",
    Status.ERROR: "A step could not be carried out; the error says what happened and how to fix it.",
    Status.BOUNCED: "Ended: the address is permanently undeliverable.",
    Status.COMPLETED: "Ended: every step was carried out or skipped.",
    Status.REPLIED: "Ended: the person answered, so the sequence stopped.",
    Status.STOPPED: "Ended: a person stopped it for good. It stays in reports.",
    Status.UNSUBSCRIBED: "Ended: opted out, complained, or put on the suppression list.",
}


class Stage(StrEnum):
    """A coarser word for the status, derived and never stored with the recipient."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    FINISHED = "FINISHED"
    ERROR = "ERROR"


class EndReason(StrEnum):
    """Why an ended recipient ended."""

    COMPLETED = "COMPLETED"
    REPLIED = "REPLIED"
    COMPANY_REPLIED = "COMPANY_REPLIED"
    STOPPED = "STOPPED"
    UNSUBSCRIBED = "UNSUBSCRIBED"
    SUPPRESSED = "SUPPRESSED"
    COMPLAINED = "COMPLAINED"
    BOUNCED = "BOUNCED"


ENDS: Mapping[EndReason, Status] = {
    EndReason.COMPLETED: Status.COMPLETED,
    EndReason.REPLIED: Status.REPLIED,
    EndReason.COMPANY_REPLIED: Status.STOPPED,
    EndReason.STOPPED: Status.STOPPED,
    EndReason.UNSUBSCRIBED: Status.UNSUBSCRIBED,
    EndReason.SUPPRESSED: Status.UNSUBSCRIBED,
    EndReason.COMPLAINED: Status.UNSUBSCRIBED,
    EndReason.BOUNCED: Status.BOUNCED,
}

ENDED = frozenset(ENDS.values())
OPEN = frozenset(Status) - ENDED


class Action(StrEnum):
    """What a person may do about one recipient."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    SKIP_STEP = "SKIP_STEP"
    EDIT_CONTENT = "EDIT_CONTENT"
    STOP = "STOP"
    DELETE = "DELETE"


_ALL_BUT_RESUME = frozenset({Action.PAUSE, Action.SKIP_STEP, Action.EDIT_CONTENT, Action.STOP, Action.DELETE})
_ONLY_DELETE = frozenset({Action.DELETE})

ACTIONS: Mapping[Status, frozenset[Action]] = {
    Status.SCHEDULED: _ALL_BUT_RESUME,
    Status.IN_PROGRESS: _ALL_BUT_RESUME,
    Status.PENDING_ACTION: _ALL_BUT_RESUME,
    Status.PAUSED: frozenset({Action.RESUME, Action.STOP, Action.DELETE}),
    Status.ERROR: _ALL_BUT_RESUME,
    Status.BOUNCED: _ONLY_DELETE,
    Status.COMPLETED: _ONLY_DELETE,
    Status.REPLIED: _ONLY_DELETE,
    Status.STOPPED: _ONLY_DELETE,
    Status.UNSUBSCRIBED: _ONLY_DELETE,
}

# While the sequence is paused, an open recipient can only be given up: RESUME needs the sequence first.
ACTIONS_WHILE_SEQUENCE_PAUSED = frozenset({Action.STOP, Action.DELETE})


class Signal(StrEnum):
    """What the world does to a recipient. A signal is never refused."""

    HUMAN_REPLY = "HUMAN_REPLY"
    HARD_BOUNCE = "HARD_BOUNCE"
    OPT_OUT = "OPT_OUT"
    COMPLAINT = "COMPLAINT"
    SUPPRESSION_ELSEWHERE = "SUPPRESSION_ELSEWHERE"
    AUTOMATIC_ANSWER = "AUTOMATIC_ANSWER"
    TEMPORARY_REFUSAL = "TEMPORARY_REFUSAL"
    DELIVERY_DELAYED = "DELIVERY_DELAYED"
    DELIVERY_FAILED = "DELIVERY_FAILED"
    SENT_LATE = "SENT_LATE"
    FAILED_LATE = "FAILED_LATE"


class Effect(Enum):
    """What a signal does. `END_*` ends the recipient with the reason of that name."""

    RECORD = "recorded; nothing else changes"
    NOTE_REPLY = "stays; the time of the reply is set"
    END_REPLIED = EndReason.REPLIED
    END_BOUNCED = EndReason.BOUNCED
    END_UNSUBSCRIBED = EndReason.UNSUBSCRIBED
    END_COMPLAINED = EndReason.COMPLAINED
    END_SUPPRESSED = EndReason.SUPPRESSED
    TRY_LATER = "stays; the hand-over is tried again later"
    OPEN_ERROR = "the step failed: an error opens (while paused it shows after resume)"
    CARRY_OUT = "the step counts as carried out; an error about it closes; a pause stays"

    @property
    def end_reason(self) -> EndReason | None:
        """The reason this effect ends a recipient with; None when it does not end one."""
        return self.value if isinstance(self.value, EndReason) else None


def _row(
    open_: Effect, completed: Effect = Effect.RECORD, ended: Effect = Effect.RECORD, **other: Effect
) -> Mapping[Status, Effect]:
    row = {status: open_ if status in OPEN else ended for status in Status}
    row[Status.COMPLETED] = completed
    return row | {Status(name): effect for name, effect in other.items()}


SIGNALS: Mapping[Signal, Mapping[Status, Effect]] = {
    Signal.HUMAN_REPLY: _row(Effect.END_REPLIED, Effect.NOTE_REPLY),
    Signal.HARD_BOUNCE: _row(Effect.END_BOUNCED, Effect.END_BOUNCED),
    Signal.OPT_OUT: _row(Effect.END_UNSUBSCRIBED, Effect.END_UNSUBSCRIBED, REPLIED=Effect.END_UNSUBSCRIBED),
    Signal.COMPLAINT: _row(Effect.END_COMPLAINED, Effect.END_COMPLAINED),
    Signal.SUPPRESSION_ELSEWHERE: _row(Effect.END_SUPPRESSED),
    Signal.AUTOMATIC_ANSWER: _row(Effect.RECORD),
    Signal.TEMPORARY_REFUSAL: _row(Effect.TRY_LATER),
    Signal.DELIVERY_DELAYED: _row(Effect.RECORD),
    Signal.DELIVERY_FAILED: _row(Effect.OPEN_ERROR, Effect.OPEN_ERROR),
    Signal.SENT_LATE: _row(Effect.CARRY_OUT),
    Signal.FAILED_LATE: _row(Effect.OPEN_ERROR),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the status depends on. Nothing "remembers where it came from"."""

    end_reason: EndReason | None
    paused_by_recipient: bool
    paused_by_sequence: bool
    error_open: bool
    action_pending: bool
    begun: bool  # a step was carried out, skipped or put before a person


def status_of(facts: Facts) -> Status:
    """Return the status: the first of these facts that holds decides. Source: product.md section 2."""
    if facts.end_reason is not None:
        return ENDS[facts.end_reason]
    if facts.paused_by_recipient or facts.paused_by_sequence:
        return Status.PAUSED
    if facts.error_open:
        return Status.ERROR
    if facts.action_pending:
        return Status.PENDING_ACTION
    return Status.IN_PROGRESS if facts.begun else Status.SCHEDULED


def stage_of(status: Status, *, contacted: bool) -> Stage:
    """Return the stage; `contacted` says that at least one email or SMS was sent."""
    if status in (Status.ERROR, Status.BOUNCED):
        return Stage.ERROR
    if status in ENDED:
        return Stage.FINISHED
    return Stage.IN_PROGRESS if contacted else Stage.SCHEDULED


def available_actions(status: Status, *, sequence_paused: bool) -> tuple[Action, ...]:
    """Return what may be done, in the order of `Action`. The field and the mutations both ask here."""
    allowed = ACTIONS[status]
    if sequence_paused and status in OPEN:
        allowed = allowed & ACTIONS_WHILE_SEQUENCE_PAUSED
    return tuple(action for action in Action if action in allowed)


def shown_status(status: Status, *, sequence_paused: bool) -> Status:
    """Return the status as people see it: an open recipient is PAUSED from the moment that the pause of its sequence
    was answered, whether or not its row has been rewritten yet."""
    return Status.PAUSED if sequence_paused and status in OPEN else status


def effect_of(signal: Signal, status: Status) -> Effect:
    """Return what the signal does to a recipient of this status. Total: no pair is missing."""
    return SIGNALS[signal][status]


RESUME_THE_SEQUENCE = "The sequence is paused. Resume the sequence first."
_NOT_WHEN_ENDED = "It has ended ({status}); it can only be deleted."
_WHY: Mapping[Action, Mapping[Status, str]] = {
    Action.PAUSE: {Status.PAUSED: "It is paused already."},
    Action.RESUME: dict.fromkeys(OPEN, "It is not paused, so there is nothing to resume."),
    Action.SKIP_STEP: {Status.PAUSED: "It is paused. Resume it first, then skip the step."},
    Action.EDIT_CONTENT: {Status.PAUSED: "It is paused. Resume it first, then edit the text."},
}


def unavailable_reason(action: Action, status: Status, *, sequence_paused: bool) -> str | None:
    """Return one sentence why the action is off; None when it is available."""
    if action in available_actions(status, sequence_paused=sequence_paused):
        return None
    if status in ENDED:
        return _NOT_WHEN_ENDED.format(status=status.replace("_", " ").capitalize())
    if sequence_paused:
        return RESUME_THE_SEQUENCE
    return _WHY[action][status]
