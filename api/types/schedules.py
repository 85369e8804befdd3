"""What lies before a recipient: each step to come and when it is expected."""

from datetime import datetime

import strawberry

from api.types import enums as enums
from api.types.sequences import Step
from domain.rules.forecast import Assumption, DayOffReason
from domain.rules.standing import WaitingReason


@strawberry.type(description="A day on which a step would have gone out, had the sending window opened.")
class DayOff:
    date: str = strawberry.field(description="The day, YYYY-MM-DD, in the zone of the schedule.")
    reason: DayOffReason = strawberry.field(description="Why the window does not open on it.")
    name: str | None = strawberry.field(description="The name of the public holiday, where it is one.")


@strawberry.type(description="One step to come.")
class ScheduledStep:
    step: Step = strawberry.field(description="The step.")
    wait_ends_at: datetime = strawberry.field(description="When the wait before it is over.")
    expected_at: datetime | None = strawberry.field(
        description="When it comes due for a person, or may go out: never before. Null: its window never opens, so "
        "that neither it nor anything after it is carried out."
    )
    moved_by: list[WaitingReason] = strawberry.field(
        description="What holds it after its wait, in this order; empty when nothing does."
    )
    days_off: list[DayOff] = strawberry.field(
        description="The days that the sending window passes over on the way, the earliest first; at most 31."
    )


@strawberry.type(
    description="The steps to come, each with the earliest time at which it is carried out if nothing else happens. "
    "The mailbox's next turn is taken into account for the next message; limits, gaps and pacing after that, replies "
    "and edits are not foreseen."
)
class Schedule:
    steps: list[ScheduledStep] = strawberry.field(description="In the order in which they come; none after the end.")
    time_zone: str = strawberry.field(description="The zone in which days and windows are counted, as an IANA name.")
    assumptions: list[Assumption] = strawberry.field(
        description="What has to happen first for these times to hold; empty when nothing has."
    )
