"""Where the public holidays of a sequence come from, and how they are kept up.

The calendars are those of the `holidays` library, which is read only here and only when needed: it is large, and a
process that writes no sequence does without it.

Source: product.md 3.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson

from domain.database import Tx, fetch, tx
from domain.plans import SequenceSettings
from domain.refusals import Invalid
from domain.rules.holidays import PublicHolidays
from domain.rules.timing import LOOK_AHEAD_DAYS

log = logging.getLogger("relance.holidays")

YEARS_AHEAD: Final = 3
_FIELD: Final = ("settings", "window", "publicHolidays")
_LANGUAGE: Final = "en_US"
_RENEWED_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Calendar:
    """A country whose holidays are known; `parts` have some of their own: names by code, sorted by name."""

    country: str
    name: str
    parts: Mapping[str, str]


async def calendars() -> Sequence[Calendar]:
    """Return all countries whose holidays are known, by name."""
    known = await asyncio.to_thread(_calendars)
    return sorted(known.values(), key=lambda one: one.name)


async def with_holidays(settings: SequenceSettings, now: datetime) -> SequenceSettings:
    """Return the settings with the days of the holidays they name, for this year and three more.

    Raises:
        Invalid: no calendar is known for that country, or for that part of it.
    """
    window = settings.window
    if window is None or window.public_holidays is None:
        return settings
    named = window.public_holidays
    # The library is read from disk the first time: in a thread, so that nobody waits for it but the caller.
    known = await asyncio.to_thread(_looked_up, named.country, named.subdivision, now.date())
    return replace(settings, window=replace(window, public_holidays=known))


def _looked_up(country: str, subdivision: str | None, today: date) -> PublicHolidays:
    calendars = _calendars()
    if country not in calendars:
        raise Invalid(
            f"No public holidays are known for “{country[:20]}”. Name a country by its two letters, such as FR or US.",
            field=[*_FIELD, "country"],
        )
    if subdivision is not None and subdivision not in calendars[country].parts:
        raise Invalid(_no_such_part(country, subdivision, calendars[country].parts), field=[*_FIELD, "subdivision"])
    import holidays

    years = range((today - timedelta(days=1)).year, today.year + YEARS_AHEAD + 1)
    found = holidays.country_holidays(country, subdiv=subdivision, years=years, language=_LANGUAGE)
    return PublicHolidays(country, subdivision, date(years[-1], 12, 31), dict(found.items()))


@lru_cache(maxsize=1)
def _calendars() -> dict[str, Calendar]:
    import holidays
    from holidays.registry import COUNTRIES

    listed = holidays.list_supported_countries(include_aliases=False)
    found = {}
    for words, (class_name, country, *_) in COUNTRIES.items():
        if len(country) == 2 and country in listed:
            aliases = getattr(holidays, class_name).get_subdivision_aliases()
            # Of several names the last is the longest one: 971 is “GP”, “GUA”, “Guadeloupe”.
            names = {part: (aliases.get(part) or [part])[-1] for part in listed[country]}
            in_order = dict(sorted(names.items(), key=lambda named: named[1]))
            found[country] = Calendar(country, _titled(words), in_order)
    return found


def _titled(words: str) -> str:
    """Return a country's name in English, of the words that the library calls it by: “isle_of_man”."""
    small = ("and", "of", "the")
    return " ".join(word if word in small else word.capitalize() for word in words.split("_"))


def _no_such_part(country: str, subdivision: str, parts: Iterable[str]) -> str:
    known = ", ".join(sorted(parts))
    way_out = f"Known are {known}; or leave it out for the whole country." if known else "Leave it out."
    return f"“{subdivision[:20]}” is no part of {country} with public holidays of its own. {way_out}"


async def renew() -> bool:
    """Look the days up anew for sequences whose days do not reach two years ahead any more; return whether there may be
    more. A due time that was set before is looked at again when it comes, so no recipient is written.

    A country that is not known any more keeps the days it has.
    """
    rows = await fetch(
        "SELECT s.workspace_id, s.id FROM sequences s JOIN workspaces w ON w.id = s.workspace_id "
        "WHERE s.status <> 'ARCHIVED' AND (s.settings #>> '{window,public_holidays,through}')::date "
        "< (now() + make_interval(secs => w.clock_offset_seconds, days => $1))::date LIMIT $2",
        LOOK_AHEAD_DAYS,
        _RENEWED_AT_ONCE,
    )
    renewed = 0
    for row in rows:

        async def work(t: Tx, sequence_id: Any = row["id"]) -> int:
            return await _renew_one(t, sequence_id)

        renewed += await tx(row["workspace_id"], work, rings=False)
    return renewed > 0 and len(rows) == _RENEWED_AT_ONCE


async def _renew_one(t: Tx, sequence_id: Any) -> int:
    stored = await t.fetchval(
        "SELECT settings FROM sequences WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE",
        t.workspace_id,
        sequence_id,
    )
    before = SequenceSettings.from_json(stored)
    try:
        after = await with_holidays(before, t.now)
    except Invalid as unknown:
        log.warning("the public holidays of sequence %s end: %s", sequence_id, unknown)
        return 0
    if after == before:
        return 0
    await t.execute(
        "UPDATE sequences SET settings = $3 WHERE workspace_id = $1 AND id = $2",
        t.workspace_id,
        sequence_id,
        orjson.dumps(after.as_json()).decode(),
    )
    return 1
