"""Public holidays by country: named with the sending window, kept with the sequence, kept up by themselves."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import public_holidays
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.rules.holidays import PublicHolidays
from domain.rules.ids import from_public
from domain.rules.timing import next_opening
from tests.api.conftest import Api
from tests.engine.sending_world import advance, set_row

WINDOW: dict[str, Any] = {
    "weekdays": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"],
    "opens": "09:00",
    "closes": "17:00",
    "timeZone": "Europe/Paris",
}
_SEEN = "sequence { id settings { window { publicHolidays { country subdivision dates { date name } } } } }"


async def created(api: Api, country: str, subdivision: str | None = None) -> dict[str, Any]:
    holidays = {"country": country, "subdivision": subdivision}
    settings = {"window": WINDOW | {"publicHolidays": holidays}}
    step = {"kind": "AUTOMATED_EMAIL", "subject": "Hello", "body": "Hello"}
    return await api.change("sequenceCreate", {"name": "Home", "settings": settings, "steps": [step]}, _SEEN)


async def settings_of(sequence_id: UUID) -> SequenceSettings:
    rows = await fetch("SELECT settings FROM sequences WHERE id = $1", sequence_id)
    return SequenceSettings.from_json(rows[0]["settings"])


async def test_a_window_keeps_the_holidays_of_a_country_and_of_a_part_of_it(api: Api) -> None:
    of_country, of_part = await created(api, "fr"), await created(api, "FR", "57")
    dates = []
    for made, part in ((of_country, None), (of_part, "57")):
        kept = made["sequence"]["settings"]["window"]["publicHolidays"]
        assert (made["errors"], kept["country"], kept["subdivision"]) == ([], "FR", part)
        dates.append({day["date"]: day["name"] for day in kept["dates"]})
    year = datetime.now(UTC).year + 1
    assert dates[0][f"{year}-07-14"] == "National Day"
    assert f"{year}-12-26" not in dates[0]
    assert f"{year}-12-26" in dates[1], "the second day of Christmas is a holiday in Moselle"
    sequence_id = from_public(of_country["sequence"]["id"])[1]
    window = (await settings_of(sequence_id)).window
    assert window is not None
    may_day = datetime(2028, 5, 1, 8, tzinfo=UTC)  # a Monday
    assert next_opening(may_day, window, window.zone_for(None)) == datetime(2028, 5, 2, 7, tzinfo=UTC)
    changed = await api.change(
        "sequenceUpdate", {"id": of_country["sequence"]["id"], "settings": {"window": WINDOW}}, _SEEN
    )
    assert changed["sequence"]["settings"]["window"]["publicHolidays"] is None


@pytest.mark.parametrize(
    ("country", "part", "field", "words"),
    [
        ("Mars", None, "country", "No public holidays are known for “MARS”. Name a country by its two letters"),
        (
            "DE",
            "ZZ",
            "subdivision",
            "“ZZ” is no part of DE with public holidays of its own. Known are Augsburg, BB, BE,",
        ),
        ("LU", "XX", "subdivision", "“XX” is no part of LU with public holidays of its own. Leave it out."),
    ],
)
async def test_a_country_without_a_calendar_is_refused_when_it_is_written(
    api: Api, country: str, part: str | None, field: str, words: str
) -> None:
    made = await created(api, country, part)
    assert made["sequence"] is None
    (error,) = made["errors"]
    assert (error["code"], error["field"]) == ("INVALID", ["settings", "window", "publicHolidays", field])
    assert error["message"].startswith(words)


async def test_the_holidays_always_reach_two_years_ahead(api: Api) -> None:
    ids = [from_public((await created(api, "US"))["sequence"]["id"])[1] for _ in range(2)]
    before = await settings_of(ids[0])
    await set_row("sequences", ids[1], status="ARCHIVED")
    await public_holidays.renew()
    assert await settings_of(ids[0]) == before, "they reach far enough"
    await advance(api.workspace_id, timedelta(days=3 * 365))
    assert await public_holidays.renew() is False
    for sequence_id, years in ((ids[0], 6), (ids[1], 3)):
        window = (await settings_of(sequence_id)).window
        assert window is not None
        kept = window.public_holidays
        assert isinstance(kept, PublicHolidays)
        last = (datetime.now(UTC) + timedelta(days=(years - 3) * 365)).year + 3
        assert (kept.through, max(kept.names).year) == (date(last, 12, 31), last)


async def test_a_page_of_settings_lists_the_countries_and_their_parts_and_each_can_be_named(api: Api) -> None:
    asked = "{ holidayCalendars { country name subdivisions { code name } } }"
    listed = {one["country"]: one for one in (await api.ask(asked))["holidayCalendars"]}
    assert len(listed) > 200
    assert listed["GB"]["name"] == "United Kingdom"
    assert {"code": "SCT", "name": "Scotland"} in listed["GB"]["subdivisions"]
    assert {"code": "971", "name": "Guadeloupe"} in listed["FR"]["subdivisions"]
    assert listed["IM"] == {"country": "IM", "name": "Isle of Man", "subdivisions": []}
    for country, part in (("DE", listed["DE"]["subdivisions"][0]["code"]), ("IM", None)):
        assert (await created(api, country, part))["errors"] == []
