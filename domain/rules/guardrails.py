"""When too much of what is sent bounces or is reported as spam, and the sentence about it.

A rate is judged over a sample: the messages handed over within the window, or since a person last released the hold.

Source: product.md section 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final


class GuardrailCause(StrEnum):
    BOUNCES = "BOUNCES"
    COMPLAINTS = "COMPLAINTS"


CAUSE_MEANING: Final[Mapping[GuardrailCause, str]] = {
    GuardrailCause.BOUNCES: "Too many messages came back because their address is dead.",
    GuardrailCause.COMPLAINTS: "Too many messages were reported as spam.",
}
FROM_MAILBOX: Final = "from the mailbox"
IN_SEQUENCE: Final = "in the sequence"
_HAPPENED: Final = {
    GuardrailCause.BOUNCES: "bounced",
    GuardrailCause.COMPLAINTS: "were reported as spam",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Above which rates sending is held. What is stored of them is only what differs from these defaults."""

    bounce_percent: float = 5.0
    complaint_percent: float = 0.1
    minimum_sends: int = 50  # below so many messages no rate is judged
    window_days: int = 7


# name: (least, most, what is said of another value)
BOUNDS: Final[Mapping[str, tuple[float, float, str]]] = {
    "bounce_percent": (0.01, 100, "The rate of bounces is 0.01 to 100 per cent; 100 never holds."),
    "complaint_percent": (0.01, 100, "The rate of complaints is 0.01 to 100 per cent; 100 never holds."),
    "minimum_sends": (1, 100_000, "The smallest sample is 1 to 100,000 messages."),
    "window_days": (1, 30, "The window is 1 to 30 days."),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """What was handed over within the window, and how much of it did harm. `sent` may stop where it is enough."""

    sent: int
    bounced: int
    complained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why sending is held: so many of so many messages, above this limit."""

    since: datetime
    cause: GuardrailCause
    count: int
    sent: int
    limit_percent: float

    @property
    def percent(self) -> float:
        return round(self.count * 100 / self.sent, 2)

    def message(self, held: str) -> str:
        """Return one sentence for a recruiter: what is held, the rate, the number, and who can release it."""
        return (
            f"Sending {held} is held: {self.count:,} of the last {self.sent:,} messages {_HAPPENED[self.cause]} "
            f"({self.percent:g} %, more than {self.limit_percent:g} %). "
            "Whoever may change mailboxes can release it (guardrailRelease)."
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "since": self.since.isoformat(),
            "cause": self.cause,
            "count": self.count,
            "sent": self.sent,
            "limitPercent": self.limit_percent,
        }

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> "Hold":
        return Hold(
            since=datetime.fromisoformat(stored["since"]),
            cause=GuardrailCause(stored["cause"]),
            count=stored["count"],
            sent=stored["sent"],
            limit_percent=stored["limitPercent"],
        )


def judged(sample: Sample, limits: Limits, now: datetime) -> Hold | None:
    """Return the hold that a sample calls for; None where it is too small, or its rates are not above the limits."""
    if sample.sent < limits.minimum_sends:
        return None
    for cause, count, percent in (
        (GuardrailCause.COMPLAINTS, sample.complained, limits.complaint_percent),
        (GuardrailCause.BOUNCES, sample.bounced, limits.bounce_percent),
    ):
        # Exact: 5 % of 60 are 3, and 3 are not more.
        if count * 100 > sample.sent * Fraction(str(percent)):
            return Hold(since=now, cause=cause, count=count, sent=sample.sent, limit_percent=percent)
    return None
