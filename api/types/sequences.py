"""Sequences, their steps and settings."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.enums import ReenrolmentPolicy, TaskKind, UnconfirmedDeliveryPolicy, Weekday
from api.types.fields import resolved
from api.types.guardrails import Guardrail
from api.types.inputs import RecipientFilter, RecipientOrder
from api.types.mailboxes import Mailbox
from api.types.node import After, Connection, First, Node
from domain.rules.lifecycle import Stage, Status
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.timing import WaitUnit

if TYPE_CHECKING:
    from api.types.recipients import RecipientConnection

_Filter = Annotated[RecipientFilter | None, strawberry.argument(description="Which recipients; all when left out.")]
_Order = Annotated[RecipientOrder | None, strawberry.argument(description="In which order; newest first if left out.")]


@strawberry.type(description="The time between a step and the one before it.")
class Wait:
    amount: int = strawberry.field(description="How many units: 0 to 365 days.")
    unit: WaitUnit = strawberry.field(description="What the amount counts.")


@strawberry.type(description="One step of a sequence and the wait before it.")
class Step(Node):
    position: int = strawberry.field(description="Its place in the sequence, ascending; gaps are possible.")
    kind: StepKind = strawberry.field(description="What it does.")
    wait: Wait = strawberry.field(description="What passes before it, once the step before was carried out.")
    subject: str | None = strawberry.field(description="Liquid template of the subject; null for a reply or a task.")
    body: str | None = strawberry.field(description="Liquid template of the text, in HTML; null for a task.")
    task_kind: TaskKind | None = strawberry.field(description="What a task asks for.")
    task_title: str | None = strawberry.field(description="Liquid template of a task's title.")
    task_notes: str | None = strawberry.field(description="Liquid template of a task's notes.")
    send_as_reply: bool = strawberry.field(description="Whether it goes out in the thread of the email before it.")


@strawberry.type(description="A day on which a country, or a part of it, does not work.")
class PublicHoliday:
    date: str = strawberry.field(description="The day, YYYY-MM-DD.")
    name: str = strawberry.field(description="What it is called, in English where that is known.")


@strawberry.type(description="The public holidays on which a sequence sends nothing.")
class PublicHolidays:
    country: str = strawberry.field(description="The country, two letters of ISO 3166-1.")
    subdivision: str | None = strawberry.field(
        description="The part of the country whose own holidays count, too, as ISO 3166-2 calls it; null = none."
    )
    dates: list[PublicHoliday] = strawberry.field(
        description="The days, earliest first: of this year and at least two more. They are kept up by themselves."
    )


@strawberry.type(description="When automated messages may go out.")
class SendingWindow:
    weekdays: list[Weekday] = strawberry.field(description="On which days, Monday first.")
    opens: str = strawberry.field(description="From this time of the day, HH:MM.")
    closes: str = strawberry.field(description="Until just before this time, HH:MM; 24:00 is the end of the day.")
    time_zone: str = strawberry.field(description="The zone the times are meant in, as an IANA name.")
    use_recipient_time_zone: bool = strawberry.field(
        description="Whether the contact's own zone counts instead, where it is known."
    )
    blackout_dates: list[str] = strawberry.field(description="Dates on which nothing goes out, YYYY-MM-DD.")
    public_holidays: PublicHolidays | None = strawberry.field(
        description="The public holidays on which nothing goes out; null = holidays do not count."
    )


@strawberry.type(description="What a sequence is told beside its steps.")
class SequenceSettings:
    time_zone: str = strawberry.field(description="The zone in which days are counted, as an IANA name.")
    window: SendingWindow | None = strawberry.field(description="The sending window; null = always open.")
    stop_on_reply: bool = strawberry.field(description="Whether a reply ends the recipient.")
    stop_on_company_reply: bool = strawberry.field(
        description="Whether one reply from a company's domain ends the others of that company in this sequence, with "
        "COMPANY_REPLIED. Never for domains at which anyone can have an address."
    )
    reenrolment: ReenrolmentPolicy = strawberry.field(description="Whether a person can be enrolled again.")
    reenrolment_days: int = strawberry.field(description="With AFTER_END_PLUS_DAYS: how many days.")
    exclusive: bool = strawberry.field(
        description="Whether it shares nobody: a person is not open in it and in another sequence at the same time, "
        "whichever of the two comes first."
    )
    on_unconfirmed_delivery: UnconfirmedDeliveryPolicy = strawberry.field(
        description="What becomes of a message of which nobody knows whether it was delivered."
    )


@strawberry.type(description="How many recipients have one status.")
class StatusCount:
    status: Status = strawberry.field(description="The status.")
    count: int = strawberry.field(description="How many; 0 is said too.")


@strawberry.type(description="How many recipients are in one stage.")
class StageCount:
    stage: Stage = strawberry.field(description="The stage.")
    count: int = strawberry.field(description="How many; 0 is said too.")


@strawberry.type(description="Recipients that still follow a change of their sequence, which itself holds already.")
class SequenceSettling:
    remaining: int = strawberry.field(description="How many still have to follow.")


@strawberry.type(description="An ordered list of steps with settings, in which people are enrolled.")
class Sequence(Node):
    external_id: str | None = strawberry.field(description="The partner's own id for it.")
    name: str = strawberry.field(description="Its name.")
    status: SequenceStatus = strawberry.field(description="Where it stands.")
    settings: SequenceSettings = strawberry.field(description="What it is told beside its steps.")

    @resolved("Its steps in order.")
    async def steps(self, info: Info) -> list[Step]:
        found: list[Step] = await info.context.loaders.steps_of_sequence(self)
        return found

    @resolved("The mailboxes it sends from, in turn.")
    async def mailboxes(self, info: Info) -> list[Mailbox]:
        found: list[Mailbox] = await info.context.loaders.mailboxes_of_sequence(self)
        return found

    @resolved("What watches over its bounces and complaints, and whether it holds the sequence back.")
    async def guardrail(self, info: Info) -> Guardrail:
        found: Guardrail = await info.context.loaders.guardrail_of_sequence(self)
        return found

    @resolved(
        "Those who still follow its last change: a pause, a resume, an archiving or an edit, which hold for all from "
        "their answer on. Null once all have."
    )
    async def settling(self, info: Info) -> SequenceSettling | None:
        remaining = await info.context.loaders.remaining_of_sequence(self)
        return SequenceSettling(remaining=remaining) if remaining else None

    @resolved("How many recipients have each status; every status is there, 0 included.")
    async def status_counts(self, info: Info) -> list[StatusCount]:
        found: list[StatusCount] = (await info.context.loaders.counts_of_sequence(self)).by_status
        return found

    @resolved("How many recipients are in each stage; every stage is there, 0 included.")
    async def stage_counts(self, info: Info) -> list[StageCount]:
        found: list[StageCount] = (await info.context.loaders.counts_of_sequence(self)).by_stage
        return found

    @resolved("The people enrolled in it.")
    async def recipients(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        filter: _Filter = None,
        order_by: _Order = None,
    ) -> Annotated["RecipientConnection", strawberry.lazy("api.types.recipients")]:
        found: RecipientConnection = await info.context.loaders.recipients_of_sequence(
            info, self, first, after, filter, order_by
        )
        return found


@strawberry.type(description="One page of sequences.")
class SequenceConnection(Connection[Sequence]):
    pass
