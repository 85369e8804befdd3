"""Doing the same to many recipients: what can be done, how far it is, and what is said of the outcome.

Source: api.md "Bulk".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.rules.lifecycle import ENDED, Status


class BulkAction(StrEnum):
    """What can be done to many recipients at once."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    SKIP_STEP = "SKIP_STEP"
    STOP = "STOP"
    DELETE = "DELETE"
    RETRY = "RETRY"


ACTION_MEANING: Final[Mapping[BulkAction, str]] = {
    BulkAction.PAUSE: "As recipientPause.",
    BulkAction.RESUME: "As recipientResume.",
    BulkAction.SKIP_STEP: "As recipientSkipStep, with one `stepId` for all: those who are not at it are refused.",
    BulkAction.STOP: "As recipientStop.",
    BulkAction.DELETE: "As recipientDelete.",
    BulkAction.RETRY: "As recipientRetry.",
}


class BulkStatus(StrEnum):
    """How far an operation is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


STATUS_MEANING: Final[Mapping[BulkStatus, str]] = {
    BulkStatus.PENDING: "Its recipients are chosen; a worker is about to begin.",
    BulkStatus.RUNNING: "A worker goes through them.",
    BulkStatus.COMPLETED: "All were looked at.",
    BulkStatus.CANCELLED: "Somebody cancelled it; what was done until then stays done.",
}


@dataclass(frozen=True, slots=True)
class RefusedAlike:
    """How many were refused with this code while they had this status (None: it does not matter, or they are gone)."""

    code: str
    status: Status | None
    count: int


def summary(action: BulkAction, *, dry_run: bool, changed: int, refused: int, alike: Sequence[RefusedAlike]) -> str:
    """Return one sentence for a person: “Would change 812, refuse 31: 29 have ended, 2 are paused.”"""
    change, refuse = ("Would change", "refuse") if dry_run else ("Changed", "refused")
    if not refused:
        return f"{change} {changed:,}, {refuse} none."
    counts: dict[tuple[str, str], int] = {}
    for one in alike:
        words = _words(action, one)
        counts[words] = counts.get(words, 0) + one.count
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{count:,} {words[count != 1]}" for words, count in ordered)
    return f"{change} {changed:,}, {refuse} {refused:,}: {reasons}."


_GONE: Final = ("is gone", "are gone")
_BY_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "NOT_FOUND": _GONE,
    "STEP_BEING_SENT": ("is being sent", "are being sent"),
    "RETRY_NOT_AVAILABLE": ("offers no retry", "offer no retry"),
}


def _words(action: BulkAction, one: RefusedAlike) -> tuple[str, str]:
    """Return why, of one and of many."""
    if one.code in _BY_CODE:
        return _BY_CODE[one.code]
    if one.status is None:
        return _GONE
    if one.status in ENDED:
        return "has ended", "have ended"
    if action is BulkAction.SKIP_STEP and one.status is not Status.PAUSED:
        return "is not at this step", "are not at this step"
    state = {
        Status.PAUSED: "paused",
        Status.ERROR: "in error",
        Status.PENDING_ACTION: "waiting for a person",
        Status.IN_PROGRESS: "in progress",
    }.get(one.status, "scheduled")
    return f"is {state}", f"are {state}"
