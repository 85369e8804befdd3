"""The sentence about a recipient: what is happening, for a recruiter.

Source: product.md section 2 (`statusMessage`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from domain.rules.lifecycle import Status
from domain.rules.meanings import END_REASON
from domain.rules.plan import StepKind
from domain.rules.standing import PausedBy, Situation, WaitingReason, next_attempt_at, waiting_reason

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# `{step}` is “step 2”, `{Step}` the same at the beginning, `{when}` a time or “later”, `{held}` what a guardrail says.
_WAITING: Mapping[WaitingReason, str] = {
    WaitingReason.WAIT: "Waiting until {when} for {step}.",
    WaitingReason.OUTSIDE_WINDOW: "Waiting for the sending window to open; {step} follows {when}.",
    WaitingReason.BLACKOUT_DATE: "Nothing goes out on this date; {step} follows {when}.",
    WaitingReason.DAILY_LIMIT: "The mailbox has reached its daily limit; {step} goes out {when} or later.",
    WaitingReason.MINIMUM_GAP: "{Step} is due; the mailbox keeps its gap between two messages.",
    WaitingReason.DOMAIN_PACING: "{Step} is due; messages to the same domain are spread out.",
    WaitingReason.MAILBOX_BACKOFF: "The mail provider asked to slow down; {step} goes out {when} or later.",
    WaitingReason.RETRY_BACKOFF: "The other side asked to try later; {step} is tried again {when}.",
    WaitingReason.FREQUENCY_CAP: "This person has been written to often enough for now; {step} follows {when}.",
    WaitingReason.GUARDRAIL: "{held}",
    WaitingReason.OUT_OF_OFFICE: "The person is away; {step} goes out {when} or later.",
    WaitingReason.SEND_SCHEDULED: "The email of {step} goes out {when}, the time a person chose.",
    WaitingReason.SEQUENCE_NOT_ACTIVE: "Waits start when the sequence is activated.",
    WaitingReason.BEING_SENT: "The message of {step} is being sent right now.",
}
_OUT_OF_REACH: Final = "The mail server cannot be reached; {step} is tried again {when} or later."
_TAKEN_BACK: Final = (
    "A person said that the message which had ended this was something else; it goes on when it is resumed."
)
_ON_A_HOLIDAY: Final = "Nothing goes out on this public holiday ({holiday}); {step} follows {when}."


def status_message(s: Situation) -> str:
    """Return one plain sentence about what is happening."""
    step = f"step {s.step_number}" if s.step_number is not None else "the next step"
    if s.status is Status.PAUSED:
        if s.paused_by is PausedBy.SEQUENCE:
            return "The sequence is paused."
        return _TAKEN_BACK if s.taken_back else "Paused by a person."
    if s.status is Status.ERROR:
        return f"{step.capitalize()} failed: {s.error_message or 'the error says why.'}"
    if s.status is Status.PENDING_ACTION:
        what = "The task" if s.step_kind is StepKind.TASK else "The email"
        return f"{what} of {step} waits for a person."
    if s.end_reason is not None:
        return END_REASON[s.end_reason]
    reason = waiting_reason(s)
    if reason is None:
        return _due(s, step.capitalize())
    at = _promised(s, reason)
    when = "later" if at is None else spoken_time(at, s.zone)
    holiday = _holiday(s) if reason is WaitingReason.BLACKOUT_DATE else None
    said = _WAITING[reason] if holiday is None else _ON_A_HOLIDAY
    if reason is WaitingReason.MAILBOX_BACKOFF and not s.mailbox_throttled:
        said = _OUT_OF_REACH
    return said.format(holiday=holiday, step=step, Step=step.capitalize(), when=when, held=s.held)


def _due(s: Situation, step: str) -> str:
    if s.step_kind in (StepKind.TASK, StepKind.MANUAL_EMAIL) and not s.goes_out_by_itself:
        return f"{step} is due and is being put before a person."
    if s.mailbox_state is None:
        return f"{step} is due, and there is no mailbox to send from."
    if s.mailbox_state == "DISCONNECTED":
        return f"{step} is due, and its mailbox is disconnected."
    return f"{step} is due and goes out at the mailbox's next turn."


def _holiday(s: Situation) -> str | None:
    return s.window.holiday_on(s.now.astimezone(s.zone).date()) if s.window is not None else None


def _promised(s: Situation, reason: WaitingReason) -> datetime | None:
    if reason is WaitingReason.WAIT:
        return max(at for at in (s.wait_ends_at, s.due_at) if at is not None)
    if reason is WaitingReason.SEND_SCHEDULED:
        return s.scheduled_for
    return next_attempt_at(s)


def spoken_time(at: datetime, zone: ZoneInfo) -> str:
    """Return a time as people say it: “Tue 24 Nov 09:00 Paris time”."""
    local = at.astimezone(zone)
    place = zone.key.rpartition("/")[2].replace("_", " ")
    named = "UTC" if place in ("UTC", "Etc", "GMT") else f"{place} time"
    return f"{_WEEKDAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local:%H:%M} {named}"
