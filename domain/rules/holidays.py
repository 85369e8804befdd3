"""The public holidays of a country, or of a part of it, as a sequence keeps them: their dates and names.

Dates are kept with the sequence and not looked up when something is decided: the rules and the statements that ask why
a recipient waits read the same days, and a new edition of the calendars changes nothing unseen. Where they come from
and how they are renewed stands in domain/public_holidays.py.

Source: product.md 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class PublicHolidays:
    """The days on which a country does not work, up to and including `through`.

    `country` is a code of ISO 3166-1 with two letters, `subdivision` a part of it as ISO 3166-2 calls it, without the
    country. Before the days are looked up there are none.
    """

    country: str
    subdivision: str | None = None
    through: date = date.min
    names: Mapping[date, str] = field(default_factory=dict, hash=False)

    def as_json(self) -> dict[str, Any]:
        """A value that JSON can hold and `from_json` reads back."""
        return {
            "country": self.country,
            "subdivision": self.subdivision,
            "through": self.through.isoformat(),
            "dates": {day.isoformat(): name for day, name in sorted(self.names.items())},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(
            country=stored["country"],
            subdivision=stored["subdivision"],
            through=date.fromisoformat(stored["through"]),
            names={date.fromisoformat(day): name for day, name in stored["dates"].items()},
        )
