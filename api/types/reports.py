"""Reports: numbers, each with the filter that lists what is behind it."""

from datetime import date as Date
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

import strawberry

from api.context import Info
from api.filters import given_filter
from api.types import enums as enums
from api.types.fields import resolved
from api.types.mailboxes import Mailbox
from api.types.scalars import JSON
from api.types.sequences import Step
from domain.reading import reports
from domain.reading.filters import RecipientFilter
from domain.reading.reports import DayReport as Day
from domain.reading.reports import Figure, Totals
from domain.reading.reports import StepReport as Funnel
from domain.refusals import Invalid
from domain.rules.addresses import TimeZoneUnknown, check_time_zone
from domain.rules.lifecycle import Stage, Status
from domain.rules.tally import Measure, StepOutcome

_From = Annotated[Date, strawberry.argument(name="from", description="The first day.")]
_Until = Annotated[Date, strawberry.argument(description="The last day.")]
_Zone = Annotated[str, strawberry.argument(description="The zone whose days they are, as an IANA name.")]


@strawberry.type(description="A number and whom it counts.")
class ReportFigure:
    whom: strawberry.Private[RecipientFilter]
    count: int = strawberry.field(description="How many recipients.")

    @resolved("A RecipientFilter: `recipients(filter: …)` with exactly this value lists those counted.")
    def filter(self) -> JSON:
        return cast(JSON, given_filter(self.whom))


@strawberry.type(description="How many recipients have one status.")
class StatusReport:
    status: Status = strawberry.field(description="The status.")
    figure: ReportFigure = strawberry.field(description="How many, and whom; 0 is said too.")


@strawberry.type(description="How many recipients are in one stage.")
class StageReport:
    stage: Stage = strawberry.field(description="The stage.")
    figure: ReportFigure = strawberry.field(description="How many, and whom; 0 is said too.")


@strawberry.type(description="What one step was for how many recipients. One recipient can be in several numbers.")
class StepReport:
    step_key: strawberry.Private[Any]
    reached: ReportFigure = strawberry.field(
        description="Those who have done it, are at it, ended at it, or bounced by it."
    )
    waiting: ReportFigure = strawberry.field(
        description="Those who are at it: waiting for it, paused before it, or with its action pending."
    )
    sent: ReportFigure = strawberry.field(
        description="Those for whom it was carried out: its message was sent, or its task completed."
    )
    replied: ReportFigure = strawberry.field(
        description="Those who replied, when it was the last step carried out before the reply."
    )
    bounced: ReportFigure = strawberry.field(description="Those who bounced by its message.")
    skipped: ReportFigure = strawberry.field(description="Those for whom it was skipped.")
    failed: ReportFigure = strawberry.field(description="Those who are at it with an open error.")

    @resolved("The step.")
    async def step(self, info: Info) -> Step | None:
        found: Step | None = await info.context.loaders.step_of(self)
        return found


@strawberry.type(description="The recipients that are written to from one mailbox.")
class MailboxReport:
    mailbox_key: strawberry.Private[Any]
    recipients: ReportFigure = strawberry.field(description="All of them.")
    statuses: list[StatusReport] = strawberry.field(description="By status; every status is there.")
    contacted: ReportFigure = strawberry.field(description="Those who were sent at least one email or SMS.")
    replied: ReportFigure = strawberry.field(description="Those who replied.")

    @resolved("The mailbox.")
    async def mailbox(self, info: Info) -> Mailbox | None:
        found: Mailbox | None = await info.context.loaders.mailbox_of(self)
        return found


@strawberry.type(description="One day in the time zone asked for, from midnight to midnight.")
class DayReport:
    found: strawberry.Private[Day]
    date: Date = strawberry.field(description="The day.")

    @resolved("Those enrolled on it.")
    def enrolled(self) -> ReportFigure:
        return figure(self.found.figure(Measure.ENROLLED))

    @resolved("Those who were sent their first email or SMS on it.")
    def contacted(self) -> ReportFigure:
        return figure(self.found.figure(Measure.CONTACTED))

    @resolved("Those whose first reply came on it.")
    def replied(self) -> ReportFigure:
        return figure(self.found.figure(Measure.REPLIED))

    @resolved("Those who completed on it.")
    def completed(self) -> ReportFigure:
        return figure(self.found.figure(Measure.COMPLETED))

    @resolved("Those who bounced on it.")
    def bounced(self) -> ReportFigure:
        return figure(self.found.figure(Measure.BOUNCED))

    @resolved("Those who were stopped on it.")
    def stopped(self) -> ReportFigure:
        return figure(self.found.figure(Measure.STOPPED))

    @resolved("Those who unsubscribed on it.")
    def unsubscribed(self) -> ReportFigure:
        return figure(self.found.figure(Measure.UNSUBSCRIBED))


@strawberry.type(
    description="What became of the recipients of a sequence, of a mailbox, of both, or of all. Stopped recipients are "
    "counted, deleted ones are not. The numbers are kept, never counted for a request: they equal the event feed at "
    "its last number, which is a moment behind the last change."
)
class Report:
    scope: strawberry.Private[reports.Scope]
    totals: strawberry.Private[Totals]
    events_cursor: str = strawberry.field(
        description="Where the feed stood before the numbers were read; pass it as `after` to hear what comes after."
    )

    @resolved("All recipients.")
    def recipients(self) -> ReportFigure:
        return figure(self.totals.recipients)

    @resolved("By status; every status is there.")
    def statuses(self) -> list[StatusReport]:
        return _statuses(self.totals)

    @resolved("By stage; every stage is there.")
    def stages(self) -> list[StageReport]:
        return [StageReport(stage=stage, figure=figure(found)) for stage, found in self.totals.by_stage.items()]

    @resolved("Those who were sent at least one email or SMS.")
    def contacted(self) -> ReportFigure:
        return figure(self.totals.contacted)

    @resolved("Those who replied.")
    def replied(self) -> ReportFigure:
        return figure(self.totals.replied)

    @resolved(
        "The funnel: each step of the sequence in order; removed ones that somebody went through, too. Empty where no "
        "sequence is named."
    )
    async def steps(self) -> list[StepReport]:
        return [_step(found) for found in await reports.steps(self.scope)]

    @resolved("By mailbox: those from which anyone is written to.")
    async def mailboxes(self) -> list[MailboxReport]:
        return [
            MailboxReport(
                mailbox_key=found.mailbox_id,
                recipients=figure(found.totals.recipients),
                statuses=_statuses(found.totals),
                contacted=figure(found.totals.contacted),
                replied=figure(found.totals.replied),
            )
            for found in await reports.mailboxes(self.scope)
        ]

    @resolved("Over time: each day from the first to the last, at most 366.")
    async def days(self, from_: _From, until: _Until, time_zone: _Zone = "UTC") -> list[DayReport]:
        found = await reports.days(self.scope, from_, until, _zone(time_zone))
        return [DayReport(found=day, date=day.date) for day in found]


def figure(found: Figure) -> ReportFigure:
    return ReportFigure(whom=found.filter, count=found.count)


def _statuses(found: Totals) -> list[StatusReport]:
    return [StatusReport(status=status, figure=figure(one)) for status, one in found.by_status.items()]


def _step(found: Funnel) -> StepReport:
    figures = {outcome: figure(one) for outcome, one in found.outcomes.items()}
    return StepReport(
        step_key=found.step_id,
        reached=figures[StepOutcome.REACHED],
        waiting=figures[StepOutcome.WAITING],
        sent=figures[StepOutcome.CARRIED_OUT],
        replied=figures[StepOutcome.REPLIED],
        bounced=figures[StepOutcome.BOUNCED],
        skipped=figures[StepOutcome.SKIPPED],
        failed=figures[StepOutcome.FAILED],
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return check_time_zone(name)
    except TimeZoneUnknown as problem:
        raise Invalid(str(problem), field=["timeZone"]) from None
