"""The whole future schedule of a recipient: each step that lies before it, and when it may be carried out.

Nothing here decides anything of its own: the recipient is taken through its sequence by the engine's own moves, each at
the time for which they ask. What cannot be foreseen is left out: limits, gaps, pacing and caps beyond the mailbox's
next turn, replies, edits. So the times are the earliest ones: nothing happens before, as long as nothing else happens.

Source: product.md section 3 ("the exact future is the preview's business").
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from types import MappingProxyType
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.rules.following import follow
from domain.rules.holds import resume
from domain.rules.moves import leave_step, try_again
from domain.rules.plan import AUTOMATED_KINDS, Plan, SequenceStatus, Step, StepKind
from domain.rules.recipient import Recipient
from domain.rules.standing import WaitingReason
from domain.rules.timers import put_off, settle, zone_of
from domain.rules.timing import LOOK_AHEAD_DAYS, ClosedBecause, SendingWindow, closed_because

DAYS_OFF_AT_MOST: Final = 31


class Assumption(StrEnum):
    """What has to happen first for the schedule to hold."""

    ACTIVATED_NOW = "ACTIVATED_NOW"
    RESUMED_NOW = "RESUMED_NOW"
    RETRIED_NOW = "RETRIED_NOW"
    MAILBOX_SENDS = "MAILBOX_SENDS"
    PERSON_ACTS_AT_ONCE = "PERSON_ACTS_AT_ONCE"


ASSUMPTION_MEANING: Mapping[Assumption, str] = {
    Assumption.ACTIVATED_NOW: "As if the sequence were activated now: before that no wait begins.",
    Assumption.RESUMED_NOW: "As if what is paused, the recipient or its sequence, were resumed now.",
    Assumption.RETRIED_NOW: "As if the failed step were tried again now.",
    Assumption.MAILBOX_SENDS: "As if its mailbox could send: it is missing or disconnected, or sending is held.",
    Assumption.PERSON_ACTS_AT_ONCE: "As if people carried out their emails and tasks the moment they come due.",
}


class DayOffReason(StrEnum):
    """Why the sending window does not open on a day."""

    WEEKDAY = "WEEKDAY"
    BLACKOUT_DATE = "BLACKOUT_DATE"
    PUBLIC_HOLIDAY = "PUBLIC_HOLIDAY"


DAY_OFF_MEANING: Mapping[DayOffReason, str] = {
    DayOffReason.WEEKDAY: "The window is not open on this weekday, such as a Sunday.",
    DayOffReason.BLACKOUT_DATE: "The sequence leaves this date out.",
    DayOffReason.PUBLIC_HOLIDAY: "It is a public holiday.",
}


@dataclass(frozen=True, slots=True)
class DayOff:
    """A day on which a step would have gone out, had the window opened."""

    date: date
    reason: DayOffReason
    name: str | None  # the holiday's


@dataclass(frozen=True, slots=True)
class Expected:
    """One step to come. Its wait is over at `wait_ends_at`, and it may be carried out at `at`, which is None when the
    window never opens. `moved_by` says what lies between the two, in the order in which it holds the step."""

    step_id: UUID
    wait_ends_at: datetime
    at: datetime | None
    moved_by: tuple[WaitingReason, ...]
    days_off: tuple[DayOff, ...]  # the first 31


@dataclass(frozen=True, slots=True)
class Forecast:
    """The steps to come, in the order in which they come. Days and windows are those of `zone`."""

    steps: tuple[Expected, ...]
    assumptions: tuple[Assumption, ...]
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Turn:
    """When a mailbox may send next, and what holds it back until then."""

    at: datetime
    held_back_by: WaitingReason


def forecast(
    recipient: Recipient,
    plan: Plan,
    now: datetime,
    turns: Mapping[UUID, Turn] = MappingProxyType({}),
    silent: Collection[UUID | None] = (),
) -> Forecast:
    """Return what lies before a recipient; nothing when it has ended. `turns` are those of its mailboxes, each for the
    next message that goes out from it; the `silent` ones (None: where it has none) cannot send at the moment."""
    zone = zone_of(recipient, plan)
    if recipient.ended or recipient.deleted_at is not None or plan.status is SequenceStatus.ARCHIVED:
        return Forecast((), (), zone)
    going, assumed = _set_going(recipient, plan, now)
    active = replace(plan, status=SequenceStatus.ACTIVE)
    steps: list[Expected] = []
    to_come = dict(turns)
    while (step := active.step(going.current_step_id)) is not None and not going.ended:
        mailbox_id = going.sms_mailbox_id if step.kind is StepKind.SMS else going.mailbox_id
        by_itself = _goes_out_by_itself(going, step)
        turn = to_come.pop(mailbox_id, None) if by_itself and mailbox_id is not None else None
        expected = _expected(going, step, active, now, turn)
        steps.append(expected)
        if not by_itself:
            assumed.add(Assumption.PERSON_ACTS_AT_ONCE)
        elif mailbox_id in silent:
            assumed.add(Assumption.MAILBOX_SENDS)
        if expected.at is None:
            break
        now = expected.at
        going = leave_step(going, active, now, now)
    return Forecast(tuple(steps), tuple(each for each in Assumption if each in assumed), zone)


def _set_going(recipient: Recipient, plan: Plan, now: datetime) -> tuple[Recipient, set[Assumption]]:
    """Let whatever stands still go on at this moment, and say what that assumes."""
    assumed = set()
    if plan.status is SequenceStatus.DRAFT:
        assumed.add(Assumption.ACTIVATED_NOW)
    if plan.paused or recipient.held:
        assumed.add(Assumption.RESUMED_NOW)
    active = replace(plan, status=SequenceStatus.ACTIVE)
    going = settle(follow(recipient, active, now), active, now)  # it may not have followed the last edit yet
    if going.paused_at is not None:
        going = resume(going, active, now)
    if going.error_id is not None:
        assumed.add(Assumption.RETRIED_NOW)
        going = try_again(going, active, now)
    return going, assumed


def _expected(recipient: Recipient, step: Step, plan: Plan, now: datetime, turn: Turn | None) -> Expected:
    """Return when this step is carried out, if nothing but what is known now holds it."""
    over_at = max(at for at in (now, recipient.wait_ends_at, recipient.scheduled_for) if at is not None)
    if recipient.due_at is None:  # it stands before a person
        return Expected(step.id, over_at, over_at, (), ())
    away_until = recipient.out_of_office_until if step.kind in AUTOMATED_KINDS else None
    holds = {
        WaitingReason.RETRY_BACKOFF: recipient.retry_at,
        WaitingReason.OUT_OF_OFFICE: away_until,
        WaitingReason.FREQUENCY_CAP if recipient.frequency_capped else WaitingReason.DOMAIN_PACING: (
            recipient.paced_until
        ),
    }
    lasting = {reason: until for reason, until in holds.items() if until is not None and until > over_at}
    moved_by = list(lasting)
    ready_at = max([over_at, *lasting.values()])
    at = _looked_at(recipient, plan, max(recipient.due_at, ready_at))
    days_off: tuple[DayOff, ...] = ()
    if at != ready_at and plan.window is not None:
        zone = zone_of(recipient, plan)
        closed = closed_because(ready_at, plan.window, zone) or ClosedBecause.OUTSIDE_WINDOW
        moved_by.append(WaitingReason(closed))
        days_off = tuple(islice(_days_off(ready_at, at, plan.window, zone), DAYS_OFF_AT_MOST))
    if at is not None and turn is not None and turn.at > at:
        moved_by.append(turn.held_back_by)
        at = _looked_at(recipient, plan, turn.at)
    return Expected(step.id, over_at, at, tuple(moved_by), days_off)


def _looked_at(recipient: Recipient, plan: Plan, at: datetime) -> datetime | None:
    """Return when what is due goes out, should the engine look at it at this time; None: never."""
    due_at = put_off(recipient, plan, at).due_at
    return max(due_at, at) if due_at is not None else None


def _goes_out_by_itself(recipient: Recipient, step: Step) -> bool:
    return step.kind in AUTOMATED_KINDS or recipient.scheduled_for is not None


def _days_off(since: datetime, until: datetime | None, window: SendingWindow, zone: ZoneInfo) -> Iterator[DayOff]:
    """Yield the days that are passed over on the way to the opening, the earliest first; of two years if none."""
    first = since.astimezone(zone).date()
    days = LOOK_AHEAD_DAYS if until is None else (until.astimezone(zone).date() - first).days
    for day in (first + timedelta(days=n) for n in range(days)):
        holiday = window.holiday_on(day)
        if day.weekday() not in window.weekdays:
            yield DayOff(day, DayOffReason.WEEKDAY, holiday)
        elif holiday is not None:
            yield DayOff(day, DayOffReason.PUBLIC_HOLIDAY, holiday)
        elif day in window.blackout_dates:
            yield DayOff(day, DayOffReason.BLACKOUT_DATE, None)
