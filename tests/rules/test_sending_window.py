from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.rules.addresses import TimeZoneUnknown
from domain.rules.timing import SendingWindow, WindowInvalid, closed_because, parse_wall_time

PARIS = ZoneInfo("Europe/Paris")
WORKDAYS = frozenset(range(5))
EVERY_DAY = frozenset(range(7))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).astimezone(UTC)


def window(opens: str = "09:00", closes: str = "17:00", **more: Any) -> SendingWindow:
    facts: dict[str, Any] = {"weekdays": WORKDAYS, "time_zone": "Europe/Paris", **more}
    return SendingWindow(opens=parse_wall_time("opens", opens), closes=parse_wall_time("closes", closes), **facts)


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("weekdays", {"weekdays": frozenset()}),
        ("weekdays", {"weekdays": frozenset({7})}),
        ("closes", {"closes": "09:00"}),
        ("closes", {"closes": "08:59"}),
        ("opens", {"opens": "9 o'clock"}),
        ("opens", {"opens": "24:00"}),
        ("closes", {"closes": "24:01"}),
        ("blackout_dates", {"blackout_dates": frozenset(date(2026, 1, 1) + timedelta(n) for n in range(1_001))}),
    ],
)
def test_a_window_that_contradicts_itself_is_refused(field: str, facts: dict[str, Any]) -> None:
    with pytest.raises(WindowInvalid) as refusal:
        window(**facts)
    assert refusal.value.field == field


def test_a_window_in_an_unknown_zone_is_refused_when_written() -> None:
    with pytest.raises(TimeZoneUnknown):
        window(time_zone="Europe/Pari")


def test_a_window_of_the_whole_day_closes_at_24_00() -> None:
    whole = window("00:00", "24:00", weekdays=EVERY_DAY)
    for moment in ("2026-11-22T00:00", "2026-11-22T12:00", "2026-11-22T23:59:59"):
        assert closed_because(at(moment), whole, PARIS) is None


def test_the_recipients_zone_counts_where_wanted_and_known() -> None:
    own = window(use_recipient_time_zone=True)
    assert own.zone_for("Asia/Tokyo").key == "Asia/Tokyo"
    assert own.zone_for(None).key == "Europe/Paris"
    assert own.zone_for("Nowhere/Land").key == "Europe/Paris"
    assert window().zone_for("Asia/Tokyo").key == "Europe/Paris"
