"""Sequences and steps as a caller writes them, read into the words of the engine.

Source: product.md section 3.
"""

import re
from dataclasses import replace
from datetime import date, time
from typing import Any

import strawberry
from strawberry import UNSET

from api.types import enums as enums
from api.types.enums import ReenrolmentPolicy, TaskKind, UnconfirmedDeliveryPolicy, Weekday
from domain.plans import SequenceSettings
from domain.refusals import Invalid
from domain.rules.addresses import TimeZoneUnknown
from domain.rules.holidays import PublicHolidays
from domain.rules.plan import StepKind
from domain.rules.timing import SendingWindow, Wait, WaitInvalid, WaitUnit, WindowInvalid
from domain.steps import NewStep

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_KEEPS = "Left out: kept, or {} for a new sequence."


@strawberry.input(description="The time between a step and the one before it.")
class WaitInput:
    amount: int = strawberry.field(description="How many units: 0 to 365 days.")
    unit: WaitUnit = strawberry.field(description="What the amount counts.")


@strawberry.input(
    description="A step. What it needs depends on its kind: an email or a text message a body, a task a title."
)
class StepInput:
    kind: StepKind = strawberry.field(description="What it does.")
    wait: WaitInput | None = strawberry.field(default=None, description="The wait before it. Left out or null: none.")
    subject: str | None = strawberry.field(default=None, description="Liquid template of an email's subject.")
    body: str | None = strawberry.field(
        default=None, description="Liquid template of an email's text, in HTML, or of a text message, in plain words."
    )
    task_kind: TaskKind | None = strawberry.field(default=None, description="What a task asks for; OTHER if not said.")
    task_title: str | None = strawberry.field(default=None, description="Liquid template of a task's title.")
    task_notes: str | None = strawberry.field(default=None, description="Liquid template of a task's notes.")
    send_as_reply: bool = strawberry.field(
        default=False, description="Whether an email goes out in the thread of the one before it."
    )


@strawberry.input(description="The public holidays on which a sequence sends nothing.")
class PublicHolidaysInput:
    country: str = strawberry.field(description="The country, two letters of ISO 3166-1, such as FR.")
    subdivision: str | None = strawberry.field(
        default=None,
        description="A part of the country whose own holidays count, too, as ISO 3166-2 calls it without the country, "
        "such as BY for Bavaria. Left out or null: only the holidays of the whole country.",
    )


@strawberry.input(description="When automated messages may go out.")
class SendingWindowInput:
    weekdays: list[Weekday] = strawberry.field(description="On which days; at least one.")
    opens: str = strawberry.field(description="From this time of the day, HH:MM.")
    closes: str = strawberry.field(description="Until just before this time, HH:MM; 24:00 is the end of the day.")
    time_zone: str = strawberry.field(description="The zone the times are meant in, an IANA name.")
    use_recipient_time_zone: bool = strawberry.field(
        default=False, description="Whether the contact's own zone counts instead, where it is known."
    )
    blackout_dates: list[str] = strawberry.field(
        default_factory=list, description="Dates on which nothing goes out, YYYY-MM-DD."
    )
    public_holidays: PublicHolidaysInput | None = strawberry.field(
        default=None,
        description="Public holidays on which nothing goes out either. Left out or null: holidays do not count.",
    )


@strawberry.input(description="What a sequence is told beside its steps.")
class SequenceSettingsInput:
    time_zone: str | None = strawberry.field(
        default=None, description=f"The zone in which days are counted, an IANA name. {_KEEPS.format('UTC')}"
    )
    window: SendingWindowInput | None = strawberry.field(
        default=UNSET, description="The sending window. Left out: kept. Null: always open."
    )
    stop_on_reply: bool | None = strawberry.field(
        default=None, description=f"Whether a reply ends the recipient. {_KEEPS.format('true')}"
    )
    stop_on_company_reply: bool | None = strawberry.field(
        default=None,
        description="Whether one reply from a company's domain ends the others of that company in this sequence. "
        "Left out or null: no, or as it was.",
    )
    reenrolment: ReenrolmentPolicy | None = strawberry.field(
        default=None, description=f"Whether a person can be enrolled again. {_KEEPS.format('AFTER_END')}"
    )
    reenrolment_days: int | None = strawberry.field(
        default=None, description=f"With AFTER_END_PLUS_DAYS: how many days. {_KEEPS.format('0')}"
    )
    exclusive: bool | None = strawberry.field(
        default=None,
        description="Whether it shares nobody: enrolling is refused with EXCLUSIVE_ELSEWHERE while the person is open "
        "in another sequence, and enrolling elsewhere while the person is open in this one. Who is in both already "
        f"stays. {_KEEPS.format('false')}",
    )
    on_unconfirmed_delivery: UnconfirmedDeliveryPolicy | None = strawberry.field(
        default=None,
        description="What becomes of a message of which nobody knows whether it was delivered. " + _KEEPS.format("ASK"),
    )


def step_of(given: StepInput, path: list[str]) -> NewStep:
    """Return a step to add; whether it is complete is the engine's to say.

    Raises:
        Invalid: the wait is out of bounds.
    """
    task_kind = given.task_kind or (TaskKind.OTHER if given.kind is StepKind.TASK else None)
    return NewStep(
        kind=StepKind(given.kind),
        wait=wait_of(given.wait, path),
        subject=given.subject,
        body=given.body,
        task_kind=task_kind.value if task_kind else None,
        task_title=given.task_title,
        task_notes=given.task_notes,
        send_as_reply=given.send_as_reply,
    )


def wait_of(given: WaitInput | None, path: list[str]) -> Wait:
    """Return a wait; None is none.

    Raises:
        Invalid: it is out of bounds.
    """
    if given is None:
        return Wait(0, WaitUnit.MINUTES)
    try:
        return Wait(given.amount, WaitUnit(given.unit))
    except WaitInvalid as problem:
        raise Invalid(str(problem), field=[*path, "wait", "amount"]) from None


def settings_of(given: SequenceSettingsInput | None, before: SequenceSettings) -> SequenceSettings:
    """Return the settings as they will be.

    Raises:
        Invalid: the window contradicts itself, or names an unknown time zone.
    """
    if given is None:
        return before
    changes: dict[str, Any] = {
        name: value
        for name in ("time_zone", "stop_on_reply", "stop_on_company_reply", "reenrolment_days", "exclusive")
        if (value := getattr(given, name)) is not None
    }
    if given.reenrolment is not None:
        changes["reenrolment"] = given.reenrolment.value
    if given.on_unconfirmed_delivery is not None:
        changes["on_unconfirmed_delivery"] = given.on_unconfirmed_delivery.value
    if given.window is not UNSET:
        changes["window"] = _window(given.window) if given.window is not None else None
    return replace(before, **changes)


def _window(given: SendingWindowInput) -> SendingWindow:
    path = ["settings", "window"]
    try:
        return SendingWindow(
            weekdays=frozenset(list(Weekday).index(day) for day in given.weekdays),
            opens=_clock(given.opens, [*path, "opens"]),
            closes=time(0) if given.closes == "24:00" else _clock(given.closes, [*path, "closes"]),
            time_zone=given.time_zone,
            use_recipient_time_zone=given.use_recipient_time_zone,
            blackout_dates=frozenset(_date(text, [*path, "blackoutDates"]) for text in given.blackout_dates),
            public_holidays=_holidays(given.public_holidays),
        )
    except WindowInvalid as problem:
        name = "blackoutDates" if problem.field == "blackout_dates" else problem.field
        raise Invalid(problem.reason, field=[*path, name]) from None
    except TimeZoneUnknown as problem:
        raise Invalid(str(problem), field=[*path, "timeZone"]) from None


def _holidays(given: PublicHolidaysInput | None) -> PublicHolidays | None:
    return PublicHolidays(given.country.strip().upper(), given.subdivision or None) if given is not None else None


def _clock(text: str, path: list[str]) -> time:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise Invalid(f"“{text[:20]}” is not a time of the day. Write it as 09:00.", field=path)
    return time(int(found[1]), int(found[2]))


def _date(text: str, path: list[str]) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"“{text[:20]}” is not a date. Write it as 2027-01-31.", field=path) from None
