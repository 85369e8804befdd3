"""What `relance doctor` finds: one finding for each thing it looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    FINE = "fine"
    UNSURE = "unsure"  # it works, or could not be looked at; someone should know
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, and what to do about it unless it is fine."""

    part: str
    verdict: Verdict
    found: str
    fix: str | None = None


def fine(part: str, found: str) -> Finding:
    return Finding(part, Verdict.FINE, found)


def unsure(part: str, found: str, fix: str) -> Finding:
    return Finding(part, Verdict.UNSURE, found, fix)


def broken(part: str, found: str, fix: str) -> Finding:
    return Finding(part, Verdict.BROKEN, found, fix)
