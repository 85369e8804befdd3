"""What a step would say, and what would fail."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.contacts import Contact
from api.types.fields import resolved
from api.types.node import Connection
from api.types.sequences import Step
from api.types.step_errors import SuggestedFix
from domain.rules.filling_in import ProblemCode
from domain.rules.plan import StepKind

if TYPE_CHECKING:
    from api.types.recipients import Recipient


@strawberry.type(description="One thing that would fail, as a code, a sentence and a way out.")
class Problem:
    code: ProblemCode = strawberry.field(description="Why, as a stable code.")
    message: str = strawberry.field(description="Why, in a sentence for a person.")
    field: str | None = strawberry.field(
        description="Which text of the step it is in: subject, body, taskTitle or taskNotes; null: not about a text."
    )
    variable: str | None = strawberry.field(
        description="With VARIABLE_MISSING and FIELD_UNKNOWN: the variable, as it is written."
    )
    suggested_fix: SuggestedFix | None = strawberry.field(description="What to do about it.")
    step_key: strawberry.Private[object] = None

    @resolved("At which step; null: at any.")
    async def step(self, info: Info) -> Step | None:
        found: Step | None = await info.context.loaders.step_of(self)
        return found


@strawberry.type(description="A variable that a text names, with its value for one person.")
class VariableValue:
    name: str = strawberry.field(description="As it is written, such as fields.role.")
    value: str | None = strawberry.field(description="The person's value; null when there is none.")


@strawberry.type(description="What a step would say to one person, with that person's values.")
class ContentPreview:
    kind: StepKind = strawberry.field(description="What the step does.")
    subject: str | None = strawberry.field(
        description="The subject of an email. Where a value is missing its name stands in brackets, here and in the "
        "other texts; null when it cannot be made."
    )
    html: str | None = strawberry.field(description="The body of an email: sanitised HTML.")
    text: str | None = strawberry.field(description="The text part of an email, or the text of an SMS.")
    task_title: str | None = strawberry.field(description="The title of a task.")
    task_notes: str | None = strawberry.field(description="The notes of a task.")
    variables: list[VariableValue] = strawberry.field(description="The variables that the texts name, by name.")
    errors: list[Problem] = strawberry.field(
        description="Everything that would keep it from going out; empty: nothing."
    )
    contact_key: strawberry.Private[object]

    @resolved("For whom it was filled in.")
    async def contact(self, info: Info) -> Contact | None:
        found: Contact | None = await info.context.loaders.contact_of(self)
        return found


@strawberry.type(description="Something that would fail in a sequence, and for how many.")
class PreflightCause(Problem):
    count: int = strawberry.field(
        default=0, description="How many of the recipients looked at it concerns; 0: the sequence itself, or a warning."
    )


@strawberry.type(description="A recipient for whom something would fail.")
class PreflightRecipient:
    problems: list[Problem] = strawberry.field(description="What would fail, over all steps still before it.")
    recipient_key: strawberry.Private[object]

    @resolved("Who it is; null once the recipient is deleted.")
    async def recipient(self, info: Info) -> Annotated["Recipient", strawberry.lazy("api.types.recipients")] | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found


@strawberry.type(description="One page of recipients for whom something would fail, those enrolled last first.")
class PreflightRecipientConnection(Connection[PreflightRecipient]):
    pass


@strawberry.type(description="What would fail in a sequence if it ran now.")
class SequencePreflight:
    can_activate: bool = strawberry.field(
        description="Whether sequenceActivate would be taken: it is refused only without steps, or without a mailbox "
        "for its emails. The other causes become errors of their recipients when the step is due."
    )
    open_recipients: int = strawberry.field(description="How many recipients are open.")
    checked_recipients: int = strawberry.field(
        description="How many of them were looked at, those enrolled last first."
    )
    partial: bool = strawberry.field(
        description="Whether not all were looked at: there are more than 100,000, or the texts depend on too many "
        "different values. The counts are then of those looked at."
    )
    causes: list[PreflightCause] = strawberry.field(description="What would fail, those that concern most first.")
    recipients: PreflightRecipientConnection = strawberry.field(description="Who is concerned.")
