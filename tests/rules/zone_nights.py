"""Every change of clocks of every time zone from 2024 to 2032, and a second reckoning to hold the rules of time to.

The reckoning is the simplest there is: it looks at the clock on the wall minute by minute.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from domain.rules import timers
from domain.rules.timing import (
    END_OF_DAY,
    SendingWindow,
    Wait,
    WaitUnit,
    after_wait,
    closed_because,
    due_at,
    next_opening,
)
from tests.rules.recipient_facts import enrolled, plan

MINUTE, DAY, WEEK = timedelta(minutes=1), timedelta(days=1), timedelta(weeks=1)
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2033, 1, 1, tzinfo=UTC)
_SCANNED = 4 * 24 * 60


@dataclass(frozen=True)
class Night:
    """One change of clocks: at `at` the offset changes by `by`."""

    zone: ZoneInfo
    at: datetime
    by: timedelta


def zones() -> list[ZoneInfo]:
    return [ZoneInfo(name) for name in sorted(available_timezones() - {"Factory", "localtime"})]


def nights(zone: ZoneInfo) -> Iterator[Night]:
    """Yield the changes of a zone. No zone changes back within a week in these years."""
    at = BEGIN
    while at < END:
        before, after = at.astimezone(zone).utcoffset(), (at + WEEK).astimezone(zone).utcoffset()
        if before is not None and after is not None and before != after:
            low, high = at, at + WEEK
            while high - low > MINUTE:
                middle = low + timedelta(minutes=(high - low) // MINUTE // 2)
                low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
            yield Night(zone, high, after - before)
        at += WEEK


def shown(at: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows."""
    return at.astimezone(zone).replace(tzinfo=None)


def is_open(at: datetime, window: SendingWindow, zone: ZoneInfo) -> bool:
    wall = shown(at, zone)
    minute, closes = wall.hour * 60 + wall.minute, window.closes.hour * 60 + window.closes.minute or 24 * 60
    opens = window.opens.hour * 60 + window.opens.minute
    return wall.weekday() in window.weekdays and wall.date() not in window.blackout_dates and opens <= minute < closes


def first_open_minute(begin: datetime, window: SendingWindow, zone: ZoneInfo) -> datetime | None:
    """The first whole minute of four days at which the window is open, by looking at each of them."""
    return next((at for n in range(_SCANNED) if is_open(at := begin + n * MINUTE, window, zone)), None)


def first_showing(wall: datetime, night: Night) -> datetime:
    """The first instant at which the clock shows this near a change; the change where it never does."""
    after = (night.at + MINUTE).astimezone(night.zone).utcoffset()
    assert after is not None
    guesses = sorted((wall - offset).replace(tzinfo=UTC) for offset in (after - night.by, after))
    return next((guess for guess in guesses if shown(guess, night.zone) == wall), night.at)


def random_window(dice: random.Random, near: datetime) -> SendingWindow:
    """A window that often opens or closes about the time of the change, on most days."""
    about = near.hour * 60 + near.minute
    opens = min(max(about + dice.randint(-90, 90), 0), 1438) if dice.random() < 0.7 else dice.randrange(1439)
    closes = min(opens + dice.choice((1, 7, 30, 90, 480, 1440)), 1440)
    return SendingWindow(
        weekdays=frozenset(dice.sample(range(7), dice.randint(4, 7))),
        opens=time(opens // 60, opens % 60),
        closes=END_OF_DAY if closes == 1440 else time(closes // 60, closes % 60),
        time_zone="UTC",
        use_recipient_time_zone=True,
        blackout_dates=frozenset(near.date() + dice.randint(-1, 2) * DAY for _ in range(dice.randrange(2))),
    )


def check_opening(dice: random.Random, night: Night) -> None:
    """Never early, inside the window, the first there is, and found once: it stays where it is."""
    zone = night.zone
    window = random_window(dice, shown(night.at, zone))
    begin = night.at + dice.randint(-1500, 600) * MINUTE
    opening = next_opening(begin, window, zone)
    assert opening is not None
    found = first_open_minute(begin, window, zone)
    assert opening == found if found is not None else opening >= begin + _SCANNED * MINUTE
    assert closed_because(opening, window, zone) is None
    assert next_opening(opening, window, zone) == opening
    later = next_opening(begin + dice.randrange(1, 2000) * MINUTE, window, zone)
    assert later is not None
    assert opening <= later


def check_days(dice: random.Random, night: Night) -> None:
    """Days keep the time on the wall, and a longer wait is never over earlier."""
    zone = night.zone
    days = dice.randint(1, 40)
    wall = shown(night.at, zone) - days * DAY + dice.randint(-180, 180) * MINUTE
    anchor = (wall - (wall.replace(tzinfo=zone).utcoffset() or timedelta())).replace(tzinfo=UTC)
    if shown(anchor, zone) != wall:
        return  # the wait would begin in another gap, where no clock shows it
    over = after_wait(anchor, Wait(days, WaitUnit.DAYS), zone)
    assert over == first_showing(wall + days * DAY, night)
    assert anchor < over < after_wait(anchor, Wait(days + 1, WaitUnit.DAYS), zone)
    hours = Wait(dice.randrange(1, 90), WaitUnit.HOURS)
    assert after_wait(anchor, hours, zone) - anchor == timedelta(hours=hours.amount)


def check_step(dice: random.Random, night: Night) -> None:
    """A step is due once: not before its wait is over, inside the window, and nothing moves it when it comes due."""
    window = random_window(dice, shown(night.at, night.zone))
    wait = Wait(dice.randrange(6), dice.choice(list(WaitUnit)))
    now = night.at - dice.randrange(6 * 24 * 60) * MINUTE
    sequence = plan(window=window, wait=wait)
    recipient = enrolled(sequence, now, time_zone=night.zone.key)
    over = after_wait(now, wait, night.zone)
    assert recipient.due_at == due_at(now, wait, window, night.zone)
    assert recipient.due_at is not None
    assert now <= over <= recipient.due_at
    assert is_open(recipient.due_at, window, night.zone)
    assert timers.put_off(recipient, sequence, recipient.due_at) == recipient
    assert timers.settle(recipient, sequence, recipient.due_at) == recipient
