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


class BulkKind(StrEnum):
    """What an operation on many does: an action on recipients, or something with contacts."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    SKIP_STEP = "SKIP_STEP"
    STOP = "STOP"
    DELETE = "DELETE"
    RETRY = "RETRY"
    ENROLL = "ENROLL"
    SUPPRESS = "SUPPRESS"
    IMPORT = "IMPORT"


ACTION_MEANING: Final[Mapping[BulkAction, str]] = {
    BulkAction.PAUSE: "As recipientPause.",
    BulkAction.RESUME: "As recipientResume.",
    BulkAction.SKIP_STEP: "As recipientSkipStep, with one `stepId` for all: those who are not at it are refused.",
    BulkAction.STOP: "As recipientStop.",
    BulkAction.DELETE: "As recipientDelete.",
    BulkAction.RETRY: "As recipientRetry.",
}


KIND_MEANING: Final[Mapping[BulkKind, str]] = {
    **{BulkKind(action): meaning for action, meaning in ACTION_MEANING.items()},
    BulkKind.ENROLL: "Contacts are enrolled in a sequence.",
    BulkKind.SUPPRESS: "Contacts are put on the suppression list.",
    BulkKind.IMPORT: "The rows of a file become contacts and, where that was asked for, are enrolled.",
}


class BulkStatus(StrEnum):
    """How far an operation is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


STATUS_MEANING: Final[Mapping[BulkStatus, str]] = {
    BulkStatus.PENDING: "Whom it means is chosen, or its file is there; a worker is about to begin.",
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


def summary(
    kind: BulkKind, *, dry_run: bool, changed: int, refused: int, alike: Sequence[RefusedAlike], unchanged: int = 0
) -> str:
    """Return one sentence for a person: “Would change 812, refuse 31: 29 have ended, 2 are paused.”"""
    change, leave, refuse = _VERBS[dry_run][kind], "leave" if dry_run else "left", "refuse" if dry_run else "refused"
    begun = f"{change} {changed:,}, {leave} {unchanged:,} as they are" if unchanged else f"{change} {changed:,}"
    if not refused:
        return f"{begun}, {refuse} none."
    counts: dict[tuple[str, str], int] = {}
    for one in alike:
        words = _words(kind, one)
        counts[words] = counts.get(words, 0) + one.count
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{count:,} {words[count != 1]}" for words, count in ordered)
    return f"{begun}, {refuse} {refused:,}: {reasons}."


_VERBS: Final[Mapping[bool, Mapping[BulkKind, str]]] = {
    dry_run: {
        **dict.fromkeys(BulkKind, changed),
        BulkKind.ENROLL: enrolled,
        BulkKind.SUPPRESS: suppressed,
        BulkKind.IMPORT: imported,
    }
    for dry_run, changed, enrolled, suppressed, imported in (
        (False, "Changed", "Enrolled", "Suppressed", "Imported"),
        (True, "Would change", "Would enrol", "Would suppress", "Would import"),
    )
}
_GONE: Final = ("is gone", "are gone")
_BY_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "NOT_FOUND": _GONE,
    "STEP_BEING_SENT": ("is being sent", "are being sent"),
    "RETRY_NOT_AVAILABLE": ("offers no retry", "offer no retry"),
    "INVALID": ("has a mistake", "have a mistake"),
    "DUPLICATE_IN_BATCH": ("stands there before", "stand there before"),
    "CONTACT_AMBIGUOUS": ("names different contacts", "name different contacts"),
    "SUPPRESSED": ("is suppressed", "are suppressed"),
    "ALREADY_ENROLLED": ("is in the sequence already", "are in the sequence already"),
    "REENROLMENT_NOT_ALLOWED": ("was in the sequence before", "were in the sequence before"),
    "EXCLUSIVE_ELSEWHERE": ("is kept by another sequence", "are kept by another sequence"),
    "EMAIL_BOUNCED_BEFORE": ("has an address that bounced", "have an address that bounced"),
    "EMAIL_MISSING": ("has no address", "have no address"),
    "PHONE_MISSING": ("has no phone number", "have no phone number"),
    "SEQUENCE_ARCHIVED": ("met an archived sequence", "met an archived sequence"),
    "SEQUENCE_EMPTY": ("met a sequence without steps", "met a sequence without steps"),
}


def _words(kind: BulkKind, one: RefusedAlike) -> tuple[str, str]:
    """Return why, of one and of many."""
    if one.code in _BY_CODE:
        return _BY_CODE[one.code]
    if one.status is None:
        return _GONE
    if one.status in ENDED:
        return "has ended", "have ended"
    if kind is BulkKind.SKIP_STEP and one.status is not Status.PAUSED:
        return "is not at this step", "are not at this step"
    state = {
        Status.PAUSED: "paused",
        Status.ERROR: "in error",
        Status.PENDING_ACTION: "waiting for a person",
        Status.IN_PROGRESS: "in progress",
    }.get(one.status, "scheduled")
    return f"is {state}", f"are {state}"
