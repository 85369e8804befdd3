"""When a step comes due: its wait, then the sending window of its sequence.

Every function takes the instant it speaks of; none reads a clock. Instants are aware and returned in UTC.

How the nights with a change of clocks are read, everywhere on this page:

- a wall time that does not exist (the gap in spring) means the first instant after the gap;
- a wall time that exists twice (the fold in autumn) means the first of the two;
- a window is open whenever the wall clock shows a time inside it, so an hour that is shown twice is open twice.

Source: product.md 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from domain.rules.addresses import TimeZoneUnknown, check_time_zone
from domain.rules.holidays import PublicHolidays

LOOK_AHEAD_DAYS: Final = 731
BLACKOUT_DATES_LIMIT: Final = 1_000
END_OF_DAY: Final = time(0)
"""As the closing time of a window: 24:00, the midnight that ends the day."""

_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5


class WaitUnit(StrEnum):
    """What the amount of a wait counts."""

    MINUTES = "MINUTES"
    HOURS = "HOURS"
    DAYS = "DAYS"
    BUSINESS_DAYS = "BUSINESS_DAYS"


_LONGEST: Final = {
    WaitUnit.MINUTES: 365 * 24 * 60,
    WaitUnit.HOURS: 365 * 24,
    WaitUnit.DAYS: 365,
    WaitUnit.BUSINESS_DAYS: 365,
}


class ClosedBecause(StrEnum):
    """Why nothing goes out at an instant; two of the waiting reasons of product.md 3. A public holiday is a blackout
    date, too."""

    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    BLACKOUT_DATE = "BLACKOUT_DATE"


class WaitInvalid(ValueError):
    """A wait is shorter than nothing or longer than 365 days."""

    def __init__(self, amount: int, unit: WaitUnit) -> None:
        words = unit.value.lower().replace("_", " ")
        super().__init__(f"A wait of {amount} {words} is not possible: use 0 to {_LONGEST[unit]} {words}.")
        self.amount = amount
        self.unit = unit
        self.longest = _LONGEST[unit]


class WindowInvalid(ValueError):
    """A sending window contradicts itself; the message says what to change."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Wait:
    """The time between a step and the one before it.

    Raises:
        WaitInvalid: the amount is negative or more than 365 days.
    """

    amount: int
    unit: WaitUnit

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= _LONGEST[self.unit]:
            raise WaitInvalid(self.amount, self.unit)


@dataclass(frozen=True, slots=True)
class SendingWindow:
    """When automated messages of a sequence may go out: from `opens` until just before `closes`, on some weekdays.

    Weekdays count from 0 = Monday. Times are whole minutes of the wall clock in `time_zone`, or in the recipient's
    own zone where that is asked for and known. `closes` may be END_OF_DAY. A window does not run across midnight.

    Raises:
        WindowInvalid: no weekday, or closing not after opening, or times that are not whole minutes.
        TimeZoneUnknown: the zone is not in the IANA database.
    """

    weekdays: frozenset[int]
    opens: time
    closes: time
    time_zone: str
    use_recipient_time_zone: bool = False
    blackout_dates: frozenset[date] = frozenset()
    public_holidays: PublicHolidays | None = None

    def __post_init__(self) -> None:
        if not self.weekdays:
            raise WindowInvalid("weekdays", "The sending window has no weekday: choose at least one.")
        if not self.weekdays <= set(range(7)):
            raise WindowInvalid("weekdays", "Weekdays are numbers from 0 (Monday) to 6 (Sunday).")
        for name, at in (("opens", self.opens), ("closes", self.closes)):
            if at.second or at.microsecond or at.tzinfo:
                raise WindowInvalid(name, "The sending window opens and closes at whole minutes, such as 09:00.")
        if self.closes != END_OF_DAY and self.closes <= self.opens:
            reason = f"The sending window closes at {self.closes:%H:%M}, which is not after {self.opens:%H:%M}."
            raise WindowInvalid("closes", f"{reason} For the end of the day use 24:00.")
        if len(self.blackout_dates) > BLACKOUT_DATES_LIMIT:
            raise WindowInvalid("blackout_dates", f"There are more than {BLACKOUT_DATES_LIMIT} blackout dates.")
        check_time_zone(self.time_zone)

    def is_blackout_date(self, day: date) -> bool:
        return day in self.blackout_dates or self.holiday_on(day) is not None

    def holiday_on(self, day: date) -> str | None:
        """The name of the public holiday on a day."""
        return self.public_holidays.names.get(day) if self.public_holidays is not None else None

    def zone_for(self, recipient_time_zone: str | None) -> ZoneInfo:
        """The zone whose wall clock counts for a recipient; the window's own where theirs is not wanted or unknown."""
        if self.use_recipient_time_zone and recipient_time_zone:
            try:
                return check_time_zone(recipient_time_zone)
            except TimeZoneUnknown:
                pass
        return ZoneInfo(self.time_zone)

    def as_json(self) -> dict[str, object]:
        """A value that JSON can hold and `from_json` reads back: times as HH:MM (24:00 for the end of the day)."""
        return {
            "weekdays": sorted(self.weekdays),
            "opens": f"{self.opens:%H:%M}",
            "closes": "24:00" if self.closes == END_OF_DAY else f"{self.closes:%H:%M}",
            "time_zone": self.time_zone,
            "use_recipient_time_zone": self.use_recipient_time_zone,
            "blackout_dates": sorted(day.isoformat() for day in self.blackout_dates),
            "public_holidays": self.public_holidays.as_json() if self.public_holidays is not None else None,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """The window that `as_json` wrote."""
        weekdays, blackouts = stored["weekdays"], stored.get("blackout_dates", [])
        holidays = stored.get("public_holidays")
        if not isinstance(weekdays, list) or not isinstance(blackouts, list):
            raise WindowInvalid("weekdays", "Weekdays and blackout dates are lists.")
        return cls(
            weekdays=frozenset(weekdays),
            opens=parse_wall_time("opens", str(stored["opens"])),
            closes=parse_wall_time("closes", str(stored["closes"])),
            time_zone=str(stored["time_zone"]),
            use_recipient_time_zone=bool(stored.get("use_recipient_time_zone", False)),
            blackout_dates=frozenset(date.fromisoformat(day) for day in blackouts),
            public_holidays=PublicHolidays.from_json(holidays) if holidays is not None else None,
        )


def parse_wall_time(field: str, text: str) -> time:
    """A time of the wall clock written as HH:MM; as `closes`, 24:00 is END_OF_DAY.

    Raises:
        WindowInvalid: it is written in another way.
    """
    if field == "closes" and text == "24:00":
        return END_OF_DAY
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a wall time has no zone
    except ValueError:
        raise WindowInvalid(field, f"{text[:20]!r} is not a time of day: write it as 09:00.") from None


def after_wait(anchor_at: datetime, wait: Wait, zone: ZoneInfo) -> datetime:
    """The instant at which a wait that began at `anchor_at` is over, never before `anchor_at`.

    Minutes and hours are elapsed time. Days and business days keep the wall time of `zone`; Saturdays and Sundays
    do not count as business days, public holidays do: what falls on one moves with the window.
    """
    anchor_at = _in_utc(anchor_at)
    match wait.unit:
        case WaitUnit.MINUTES:
            return anchor_at + timedelta(minutes=wait.amount)
        case WaitUnit.HOURS:
            return anchor_at + timedelta(hours=wait.amount)
        case _ if wait.amount == 0:
            return anchor_at
        case WaitUnit.DAYS:
            local = anchor_at.astimezone(zone).replace(tzinfo=None)
            return instant_of(local + timedelta(days=wait.amount), zone)
        case _:
            local = anchor_at.astimezone(zone).replace(tzinfo=None)
            return instant_of(_plus_business_days(local, wait.amount), zone)


def next_opening(at: datetime, window: SendingWindow, zone: ZoneInfo) -> datetime | None:
    """The first instant, not before `at`, at which the window is open; None when it stays shut for two years."""
    at = _in_utc(at)
    if closed_because(at, window, zone) is None:
        return at
    today = at.astimezone(zone).date()
    for offset in range(-1, LOOK_AHEAD_DAYS):
        day = today + timedelta(days=offset)
        if day.weekday() not in window.weekdays or window.is_blackout_date(day):
            continue
        for opening in _possible_openings(day, window, zone):
            if opening >= at and closed_because(opening, window, zone) is None:
                return opening
    return None


def closed_because(at: datetime, window: SendingWindow, zone: ZoneInfo) -> ClosedBecause | None:
    """Why the window is shut at `at`; None when it is open.

    BLACKOUT_DATE on every minute of a blackout date that falls on a weekday of the window.
    """
    local = at.astimezone(zone)
    if local.weekday() not in window.weekdays:
        return ClosedBecause.OUTSIDE_WINDOW
    if window.is_blackout_date(local.date()):
        return ClosedBecause.BLACKOUT_DATE
    shown = local.time()
    if shown < window.opens or (window.closes != END_OF_DAY and shown >= window.closes):
        return ClosedBecause.OUTSIDE_WINDOW
    return None


def due_at(anchor_at: datetime, wait: Wait, window: SendingWindow | None, zone: ZoneInfo) -> datetime | None:
    """When a step may be carried out: its wait over and its window open; None when the window never opens.

    A step without a window (a manual one) comes due when its wait ends.
    """
    over_at = after_wait(anchor_at, wait, zone)
    return over_at if window is None else next_opening(over_at, window, zone)


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the wall clock of `zone` shows this naive time: gaps and folds as the page's head says."""
    early = local.replace(tzinfo=zone, fold=0)
    found = early.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    return _change_of_clocks(local.replace(tzinfo=zone, fold=1).astimezone(UTC), found, zone)


def _possible_openings(day: date, window: SendingWindow, zone: ZoneInfo) -> Iterator[datetime]:
    """Instants at which the window may open on a day, the earliest first."""
    opening = datetime.combine(day, window.opens)
    yield instant_of(opening, zone)
    begins, ends = datetime.combine(day, time.min, zone), datetime.combine(day, time.max, zone).replace(fold=1)
    if begins.utcoffset() == ends.utcoffset():
        return
    # The clocks change: they may show the opening, or a time after it, once more.
    again = [
        opening.replace(tzinfo=zone, fold=1).astimezone(UTC),
        _change_of_clocks(begins.astimezone(UTC), ends.astimezone(UTC), zone),
    ]
    yield from sorted(again)


def _change_of_clocks(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant of the offset that holds at `after`, which differs from the one at `before`."""
    new = after.astimezone(zone).utcoffset()
    before, after = before.replace(microsecond=0), after.replace(microsecond=0)
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == new:
            after = middle
        else:
            before = middle
    return after


def _plus_business_days(local: datetime, amount: int) -> datetime:
    weeks, rest = divmod(amount, 5)
    if local.weekday() >= _SATURDAY:
        # From a weekend, counting starts as if it were still Friday.
        local -= timedelta(days=local.weekday() - 4)
    local += timedelta(weeks=weeks)
    for _ in range(rest):
        local += _DAY
        while local.weekday() >= _SATURDAY:
            local += _DAY
    return local


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("an instant needs its zone")
    return at.astimezone(UTC)
