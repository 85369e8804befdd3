# ruff: noqa: DTZ001 - wall times have no zone
import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.timing import (
    END_OF_DAY,
    ClosedBecause,
    SendingWindow,
    Wait,
    WaitInvalid,
    WaitUnit,
    after_wait,
    closed_because,
    due_at,
    instant_of,
    next_opening,
    parse_wall_time,
)

PARIS = ZoneInfo("Europe/Paris")
WORKDAYS = frozenset(range(5))
EVERY_DAY = frozenset(range(7))

zones = st.sampled_from(sorted(available_timezones() - {"Factory", "localtime"})).map(ZoneInfo)
instants = st.datetimes(datetime(2024, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC))
minutes_of_day = st.integers(0, 24 * 60 - 1)


def at(text: str, zone: ZoneInfo = PARIS, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def window(opens: str = "09:00", closes: str = "17:00", **more: Any) -> SendingWindow:
    facts: dict[str, Any] = {"weekdays": WORKDAYS, "time_zone": "Europe/Paris", **more}
    return SendingWindow(opens=parse_wall_time("opens", opens), closes=parse_wall_time("closes", closes), **facts)


def wall(instant: datetime, zone: ZoneInfo = PARIS) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


@st.composite
def windows(draw: st.DrawFn) -> SendingWindow:
    opens = draw(minutes_of_day)
    closes = draw(st.integers(opens + 1, 24 * 60))
    return SendingWindow(
        weekdays=draw(st.frozensets(st.integers(0, 6), min_size=1)),
        opens=time(opens // 60, opens % 60),
        closes=END_OF_DAY if closes == 24 * 60 else time(closes // 60, closes % 60),
        time_zone="UTC",
        blackout_dates=draw(st.frozensets(st.dates(date(2024, 1, 1), date(2032, 12, 31)), max_size=3)),
    )


@st.composite
def instants_near_a_change_of_clocks(draw: st.DrawFn) -> tuple[datetime, ZoneInfo]:
    """An instant within a day of a change of clocks, where there is one in the year drawn."""
    zone = draw(zones)
    begins = datetime(draw(st.integers(2024, 2031)), 1, 1, tzinfo=UTC)
    offsets = [(begins + timedelta(days=n)).astimezone(zone).utcoffset() for n in range(367)]
    changes = [n for n in range(366) if offsets[n] != offsets[n + 1]]
    day = draw(st.sampled_from(changes)) if changes else draw(st.integers(0, 365))
    return begins + timedelta(days=day, minutes=draw(st.integers(-1440, 2880))), zone


# --- waits ---


@pytest.mark.parametrize(
    ("unit", "longest"),
    [("MINUTES", 525_600), ("HOURS", 8_760), ("DAYS", 365), ("BUSINESS_DAYS", 365)],
)
def test_a_wait_lasts_from_nothing_to_365_days(unit: str, longest: int) -> None:
    Wait(0, WaitUnit(unit))
    Wait(longest, WaitUnit(unit))
    for amount in (-1, longest + 1):
        with pytest.raises(WaitInvalid) as refusal:
            Wait(amount, WaitUnit(unit))
        assert refusal.value.longest == longest


def test_minutes_and_hours_are_elapsed_time_across_a_change_of_clocks() -> None:
    evening_before = at("2026-03-28T22:00")
    assert after_wait(evening_before, Wait(12, WaitUnit.HOURS), PARIS) == evening_before + timedelta(hours=12)
    assert wall(after_wait(evening_before, Wait(720, WaitUnit.MINUTES), PARIS)) == datetime(2026, 3, 29, 11)


def test_days_keep_the_wall_time_across_a_change_of_clocks() -> None:
    due = after_wait(at("2026-03-28T10:15"), Wait(1, WaitUnit.DAYS), PARIS)
    assert wall(due) == datetime(2026, 3, 29, 10, 15)
    assert due - at("2026-03-28T10:15") == timedelta(hours=23)


def test_a_wall_time_in_the_gap_means_the_first_minute_after_it() -> None:
    due = after_wait(at("2026-03-28T02:30"), Wait(1, WaitUnit.DAYS), PARIS)
    assert wall(due) == datetime(2026, 3, 29, 3, 0)
    assert due == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_wall_time_in_the_fold_means_the_first_of_the_two() -> None:
    due = after_wait(at("2026-10-24T02:30"), Wait(1, WaitUnit.DAYS), PARIS)
    assert due == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_no_wait_in_the_second_of_two_equal_hours_is_over_at_once_and_not_before() -> None:
    second = at("2026-10-25T02:30", fold=1)
    assert second == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    for unit in WaitUnit:
        assert after_wait(second, Wait(0, unit), PARIS) == second


def test_a_gap_of_half_an_hour_is_seen() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    assert wall(instant_of(datetime(2026, 10, 4, 2, 10), lord_howe), lord_howe) == datetime(2026, 10, 4, 2, 30)


def test_a_day_that_begins_in_a_gap_begins_after_it() -> None:
    cairo = ZoneInfo("Africa/Cairo")
    assert wall(instant_of(datetime(2026, 4, 24), cairo), cairo) == datetime(2026, 4, 24, 1)


@pytest.mark.parametrize(
    ("anchor", "amount", "due"),
    [
        ("2026-11-20T10:00", 1, "2026-11-23T10:00"),  # Friday to Monday
        ("2026-11-20T10:00", 5, "2026-11-27T10:00"),
        ("2026-11-18T10:00", 2, "2026-11-20T10:00"),
        ("2026-11-18T10:00", 3, "2026-11-23T10:00"),
        ("2026-11-21T10:00", 1, "2026-11-23T10:00"),  # Saturday and Sunday to Monday
        ("2026-11-22T10:00", 1, "2026-11-23T10:00"),
        ("2026-11-22T10:00", 5, "2026-11-27T10:00"),
        ("2026-11-21T10:00", 0, "2026-11-21T10:00"),
    ],
)
def test_weekends_do_not_count_in_business_days(anchor: str, amount: int, due: str) -> None:
    assert after_wait(at(anchor), Wait(amount, WaitUnit.BUSINESS_DAYS), PARIS) == at(due)


@given(instants, zones, st.sampled_from(WaitUnit), st.integers(0, 364))
def test_a_longer_wait_is_never_over_earlier(anchor: datetime, zone: ZoneInfo, unit: WaitUnit, amount: int) -> None:
    shorter, longer = (after_wait(anchor, Wait(n, unit), zone) for n in (amount, amount + 1))
    assert anchor <= shorter < longer


@given(instants_near_a_change_of_clocks(), st.integers(1, 365))
def test_days_land_on_the_same_wall_time_or_just_behind_the_gap_that_swallowed_it(
    moment: tuple[datetime, ZoneInfo], amount: int
) -> None:
    anchor, zone = moment
    due = after_wait(anchor, Wait(amount, WaitUnit.DAYS), zone)
    asked = wall(anchor, zone) + timedelta(days=amount)
    shown = wall(due, zone)
    if shown == asked:
        assert due.astimezone(zone).fold == 0
    else:
        before = wall(due - timedelta(seconds=1), zone)
        assert before < asked < shown
        assert shown.second == 0


@given(instants, zones, st.integers(1, 365))
def test_business_days_end_on_a_weekday_and_pass_exactly_so_many(anchor: datetime, zone: ZoneInfo, amount: int) -> None:
    begin = wall(anchor, zone).date()
    end = wall(after_wait(anchor, Wait(amount, WaitUnit.BUSINESS_DAYS), zone), zone).date()
    assert end.weekday() < 5
    assert sum((begin + timedelta(days=n)).weekday() < 5 for n in range(1, (end - begin).days + 1)) == amount


# --- windows ---


@given(windows())
def test_a_window_survives_json(drawn: SendingWindow) -> None:
    assert SendingWindow.from_json(json.loads(json.dumps(drawn.as_json()))) == drawn


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-11-23T08:59:59", "2026-11-23T09:00"),
        ("2026-11-23T09:00", "2026-11-23T09:00"),
        ("2026-11-23T16:59:59", "2026-11-23T16:59:59"),
        ("2026-11-23T17:00", "2026-11-24T09:00"),
        ("2026-11-20T18:00", "2026-11-23T09:00"),
        ("2026-11-21T12:00", "2026-11-23T09:00"),
    ],
)
def test_a_step_that_comes_due_outside_moves_to_the_next_opening(moment: str, opening: str) -> None:
    assert next_opening(at(moment), window(), PARIS) == at(opening)


def test_nothing_goes_out_on_a_blackout_date_and_the_reason_says_so() -> None:
    holiday = window(blackout_dates=frozenset({date(2026, 12, 24), date(2026, 12, 25)}))
    assert closed_because(at("2026-12-24T10:00"), holiday, PARIS) is ClosedBecause.BLACKOUT_DATE
    assert closed_because(at("2026-12-24T03:00"), holiday, PARIS) is ClosedBecause.BLACKOUT_DATE
    assert closed_because(at("2026-12-23T18:00"), holiday, PARIS) is ClosedBecause.OUTSIDE_WINDOW
    assert closed_because(at("2026-12-26T10:00"), holiday, PARIS) is ClosedBecause.OUTSIDE_WINDOW
    assert next_opening(at("2026-12-23T18:00"), holiday, PARIS) == at("2026-12-28T09:00")


def test_a_window_that_never_opens_within_two_years_says_none() -> None:
    mondays = frozenset(date(2026, 11, 23) + timedelta(weeks=n) for n in range(120))
    shut = window(weekdays=frozenset({0}), blackout_dates=mondays)
    assert next_opening(at("2026-11-22T10:00"), shut, PARIS) is None
    assert due_at(at("2026-11-22T10:00"), Wait(1, WaitUnit.DAYS), shut, PARIS) is None


def test_a_window_inside_the_gap_skips_that_night() -> None:
    night = window("02:00", "03:00", weekdays=EVERY_DAY)
    assert next_opening(at("2026-03-28T12:00"), night, PARIS) == at("2026-03-30T02:00")


def test_a_window_that_opens_in_the_gap_opens_right_after_it() -> None:
    night = window("02:30", "05:00", weekdays=EVERY_DAY)
    assert next_opening(at("2026-03-28T12:00"), night, PARIS) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_a_window_that_opens_in_the_fold_opens_at_the_first_of_the_two() -> None:
    night = window("02:30", "05:00", weekdays=EVERY_DAY)
    assert next_opening(at("2026-10-24T12:00"), night, PARIS) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    # The clock goes back to 02:00: shut again until it shows 02:30 once more.
    assert closed_because(datetime(2026, 10, 25, 1, 10, tzinfo=UTC), night, PARIS) is ClosedBecause.OUTSIDE_WINDOW
    again = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert next_opening(datetime(2026, 10, 25, 1, 10, tzinfo=UTC), night, PARIS) == again


def test_a_step_without_a_window_is_due_when_its_wait_ends() -> None:
    assert due_at(at("2026-11-20T20:00"), Wait(1, WaitUnit.DAYS), None, PARIS) == at("2026-11-21T20:00")


def test_wait_and_window_are_applied_one_after_the_other() -> None:
    assert due_at(at("2026-11-19T18:30"), Wait(1, WaitUnit.DAYS), window(), PARIS) == at("2026-11-23T09:00")


def test_an_instant_without_a_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="zone"):
        after_wait(datetime(2026, 1, 1), Wait(1, WaitUnit.DAYS), PARIS)


@given(instants_near_a_change_of_clocks(), windows(), st.lists(st.floats(0, 1, exclude_max=True), max_size=12))
def test_the_next_opening_is_inside_never_early_and_the_first_there_is(
    moment: tuple[datetime, ZoneInfo], drawn: SendingWindow, fractions: list[float]
) -> None:
    begin, zone = moment
    opening = next_opening(begin, drawn, zone)
    if opening is None:
        return
    assert opening >= begin
    assert closed_because(opening, drawn, zone) is None
    shown = wall(opening, zone)
    assert shown.weekday() in drawn.weekdays
    assert shown.date() not in drawn.blackout_dates
    for fraction in fractions:
        between = begin + (opening - begin) * fraction
        if between < opening:
            assert closed_because(between, drawn, zone) is not None
            assert next_opening(between, drawn, zone) == opening
    if opening > begin:
        assert closed_because(opening - timedelta(microseconds=1), drawn, zone) is not None


@given(instants_near_a_change_of_clocks(), windows(), st.integers(0, 3 * 24 * 60))
def test_a_later_moment_never_has_an_earlier_opening(
    moment: tuple[datetime, ZoneInfo], drawn: SendingWindow, later_minutes: int
) -> None:
    begin, zone = moment
    first = next_opening(begin, drawn, zone)
    second = next_opening(begin + timedelta(minutes=later_minutes), drawn, zone)
    assert first is None or second is None or first <= second


@given(instants, zones, windows(), st.sampled_from(WaitUnit), st.integers(0, 60))
def test_a_step_is_never_due_before_its_wait_is_over(
    anchor: datetime, zone: ZoneInfo, drawn: SendingWindow, unit: WaitUnit, amount: int
) -> None:
    wait = Wait(amount, unit)
    due = due_at(anchor, wait, drawn, zone)
    assert due is None or due >= after_wait(anchor, wait, zone)
    assert due == due_at(anchor.astimezone(zone), wait, drawn, zone)
