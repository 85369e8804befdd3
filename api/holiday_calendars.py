"""Which countries have a calendar of public holidays, for a page of settings.

Source: product.md section 3.
"""

import strawberry

from api.context import Info
from api.declaring import query
from domain import public_holidays
from domain.rules.access import Scope


@strawberry.type(description="A part of a country with public holidays of its own.")
class HolidayCalendarPart:
    code: str = strawberry.field(description="What `PublicHolidaysInput.subdivision` takes.")
    name: str = strawberry.field(description="What people there call it; the code where no name is known.")


@strawberry.type(description="A country whose public holidays a sending window can name.")
class HolidayCalendar:
    country: str = strawberry.field(description="What `PublicHolidaysInput.country` takes: two letters of ISO 3166-1.")
    name: str = strawberry.field(description="Its name in English.")
    subdivisions: list[HolidayCalendarPart] = strawberry.field(
        description="Its parts with holidays of their own, by name; empty where all of it has the same."
    )


@strawberry.type
class HolidayCalendarQueries:
    @query(
        "The countries, and parts of countries, whose public holidays a sending window can name, by name. They change "
        "only with a new version of Relance, so that a client may keep them.",
        scope=Scope.READ,
    )
    async def holiday_calendars(self, info: Info) -> list[HolidayCalendar]:
        return [
            HolidayCalendar(
                country=one.country,
                name=one.name,
                subdivisions=[HolidayCalendarPart(code=code, name=name) for code, name in one.parts.items()],
            )
            for one in await public_holidays.calendars()
        ]
