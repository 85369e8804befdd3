"""Filters and orders of lists. `domain/reading/filters.py` compiles them; a field left out does not filter."""

from datetime import datetime

import strawberry

from api.types import enums as enums
from api.types.enums import OrderDirection, RecipientOrderField
from domain.rules.lifecycle import Action, EndReason, Stage, Status
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.standing import PausedBy, WaitingReason
from domain.rules.step_errors import StepErrorCode
from domain.rules.tally import StepOutcome

_ALL = "All comparisons that are given must hold."


@strawberry.input(description=f"Compares a status. {_ALL}")
class RecipientStatusFilter:
    eq: Status | None = strawberry.field(default=None, description="It is this one.")
    in_: list[Status] | None = strawberry.field(default=None, name="in", description="It is one of these.")
    not_in: list[Status] | None = strawberry.field(default=None, description="It is none of these.")


@strawberry.input(description=f"Compares a stage. {_ALL}")
class RecipientStageFilter:
    eq: Stage | None = strawberry.field(default=None, description="It is this one.")
    in_: list[Stage] | None = strawberry.field(default=None, name="in", description="It is one of these.")
    not_in: list[Stage] | None = strawberry.field(default=None, description="It is none of these.")


@strawberry.input(description=f"Compares a time. {_ALL} A time that is not set meets none of them but isNull.")
class DateTimeFilter:
    eq: datetime | None = strawberry.field(default=None, description="Exactly then.")
    gt: datetime | None = strawberry.field(default=None, description="After it.")
    gte: datetime | None = strawberry.field(default=None, description="Then or after it.")
    lt: datetime | None = strawberry.field(default=None, description="Before it.")
    lte: datetime | None = strawberry.field(default=None, description="Then or before it.")
    is_null: bool | None = strawberry.field(default=None, description="Whether it is not set at all.")


@strawberry.input(description="Chooses recipients by what one step was for them.")
class StepOutcomeFilter:
    step_id: strawberry.ID = strawberry.field(description="The step.")
    in_: list[StepOutcome] = strawberry.field(name="in", description="It was one of these.")
    at: DateTimeFilter | None = strawberry.field(
        default=None, description="With CARRIED_OUT and SKIPPED: by the time it was."
    )


@strawberry.input(description="Chooses recipients. All that is given must hold.")
class RecipientFilter:
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="One of these; at most 200.")
    status: RecipientStatusFilter | None = strawberry.field(default=None, description="By status.")
    stage: RecipientStageFilter | None = strawberry.field(default=None, description="By stage.")
    end_reason: list[EndReason] | None = strawberry.field(default=None, description="Ended for one of these reasons.")
    paused_by: PausedBy | None = strawberry.field(default=None, description="Paused, by this.")
    waiting_reason: list[WaitingReason] | None = strawberry.field(
        default=None, description="Held back at this moment by one of these."
    )
    error_code: list[StepErrorCode] | None = strawberry.field(
        default=None, description="With an open error of one of these codes."
    )
    available_action: Action | None = strawberry.field(
        default=None, description="For which this action is available now."
    )
    needs_attention: bool | None = strawberry.field(default=None, description="Whether a person has to act.")
    sequence_id: strawberry.ID | None = strawberry.field(default=None, description="In this sequence.")
    mailbox_id: strawberry.ID | None = strawberry.field(
        default=None, description="Written to from this mailbox or number."
    )
    contact_id: strawberry.ID | None = strawberry.field(default=None, description="Of this contact.")
    step_id: strawberry.ID | None = strawberry.field(default=None, description="At this step, or waiting for it.")
    step_outcome: StepOutcomeFilter | None = strawberry.field(
        default=None, description="By what a step was for them, as reports count it."
    )
    enrolled_at: DateTimeFilter | None = strawberry.field(default=None, description="By the time of enrolment.")
    updated_at: DateTimeFilter | None = strawberry.field(default=None, description="By the time of the last change.")
    next_attempt_at: DateTimeFilter | None = strawberry.field(
        default=None, description="By the time its next step is due, without the mailbox's turn."
    )
    replied_at: DateTimeFilter | None = strawberry.field(default=None, description="By the time of the reply.")
    contacted_at: DateTimeFilter | None = strawberry.field(
        default=None, description="By the time the first email or SMS was sent."
    )
    ended_at: DateTimeFilter | None = strawberry.field(default=None, description="By the time it ended.")
    search: str | None = strawberry.field(
        default=None, description="First name, last name, both, address or company begins with this."
    )
    and_: list["RecipientFilter"] | None = strawberry.field(
        default=None, name="and", description="All of these hold as well."
    )
    or_: list["RecipientFilter"] | None = strawberry.field(
        default=None, name="or", description="At least one of these holds."
    )
    not_: "RecipientFilter | None" = strawberry.field(default=None, name="not", description="This does not hold.")


@strawberry.input(description="How a list of recipients is sorted. Ties are broken by id.")
class RecipientOrder:
    field: RecipientOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(description="Which end comes first.")


@strawberry.input(description="Chooses sequences. All that is given must hold.")
class SequenceFilter:
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="One of these; at most 200.")
    external_ids: list[str] | None = strawberry.field(default=None, description="Known to the partner as one of these.")
    status: list[SequenceStatus] | None = strawberry.field(default=None, description="In one of these statuses.")
    search: str | None = strawberry.field(default=None, description="The name begins with this.")


@strawberry.input(description="Chooses contacts. All that is given must hold.")
class ContactFilter:
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="One of these; at most 200.")
    external_ids: list[str] | None = strawberry.field(default=None, description="Known to the partner as one of these.")
    email: str | None = strawberry.field(default=None, description="With exactly this address, in any case.")
    search: str | None = strawberry.field(
        default=None, description="First name, last name, both, address or company begins with this."
    )


@strawberry.input(description="Chooses step errors. All that is given must hold.")
class StepErrorFilter:
    recipient_id: strawberry.ID | None = strawberry.field(default=None, description="Of this recipient.")
    contact_id: strawberry.ID | None = strawberry.field(default=None, description="Of this contact.")
    sequence_id: strawberry.ID | None = strawberry.field(default=None, description="In this sequence.")
    mailbox_id: strawberry.ID | None = strawberry.field(default=None, description="Of messages from this mailbox.")
    codes: list[StepErrorCode] | None = strawberry.field(default=None, description="With one of these codes.")
    open: bool | None = strawberry.field(default=None, description="Whether it is still open.")


@strawberry.input(description="Chooses pending actions. All that is given must hold.")
class PendingActionFilter:
    recipient_id: strawberry.ID | None = strawberry.field(default=None, description="Of this recipient.")
    sequence_id: strawberry.ID | None = strawberry.field(default=None, description="In this sequence.")
    kinds: list[StepKind] | None = strawberry.field(default=None, description="Of one of these kinds.")
    assignee_id: strawberry.ID | None = strawberry.field(default=None, description="Assigned to this user.")
    assigned: bool | None = strawberry.field(default=None, description="Whether it is assigned to anyone.")
    due_since: DateTimeFilter | None = strawberry.field(
        default=None, description="By the time since which it waits: by its age."
    )
    scheduled: bool | None = strawberry.field(
        default=None, description="Whether a person has released it: it goes out now or at the time they chose."
    )
    open: bool | None = strawberry.field(default=None, description="Whether it still waits; true when left out.")
