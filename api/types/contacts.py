"""People."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.types.enums import EmailState
from api.types.fields import resolved
from api.types.inputs import RecipientFilter, StepErrorFilter
from api.types.node import After, Connection, First, Node
from api.types.scalars import JSON

if TYPE_CHECKING:
    from api.types.messages import MessageConnection
    from api.types.recipients import RecipientConnection
    from api.types.step_errors import StepErrorConnection

_Filter = Annotated[RecipientFilter | None, strawberry.argument(description="Which recipients; all when left out.")]
_ErrorFilter = Annotated[StepErrorFilter | None, strawberry.argument(description="Which errors; all when left out.")]


@strawberry.type(description="A person.")
class Contact(Node):
    external_id: str | None = strawberry.field(description="The partner's own id for this person.")
    email: str | None = strawberry.field(description="The address.")
    phone: str | None = strawberry.field(description="The phone number.")
    first_name: str | None = strawberry.field(description="First name.")
    last_name: str | None = strawberry.field(description="Last name.")
    company: str | None = strawberry.field(description="The company.")
    time_zone: str | None = strawberry.field(description="The person's time zone, as an IANA name.")
    fields: JSON = strawberry.field(description="Custom fields by name; templates can use them.")
    out_of_office_until: datetime | None = strawberry.field(
        description="Away until then: automated messages wait in every sequence."
    )

    @resolved("What is known about the address.")
    async def email_state(self, info: Info) -> EmailState:
        found: EmailState = (await info.context.loaders.standing_of_contact(self)).email_state
        return found

    @resolved("Whether nobody in the workspace may write to this person.")
    async def suppressed(self, info: Info) -> bool:
        found: bool = (await info.context.loaders.standing_of_contact(self)).suppressed
        return found

    @resolved("This person's runs through sequences, newest first.")
    async def recipients(
        self, info: Info, first: First = 50, after: After = None, filter: _Filter = None
    ) -> Annotated["RecipientConnection", strawberry.lazy("api.types.recipients")]:
        found: RecipientConnection = await info.context.loaders.recipients_of_contact(info, self, first, after, filter)
        return found

    @resolved("What went wrong with this person's steps, newest first.")
    async def step_errors(
        self, info: Info, first: First = 50, after: After = None, filter: _ErrorFilter = None
    ) -> Annotated["StepErrorConnection", strawberry.lazy("api.types.step_errors")]:
        found: StepErrorConnection = await info.context.loaders.step_errors_of_contact(info, self, first, after, filter)
        return found

    @resolved("What was written to and by this person, newest first.")
    async def messages(
        self, info: Info, first: First = 50, after: After = None
    ) -> Annotated["MessageConnection", strawberry.lazy("api.types.messages")]:
        found: MessageConnection = await info.context.loaders.messages_of_contact(info, self, first, after)
        return found


@strawberry.type(description="One page of contacts.")
class ContactConnection(Connection[Contact]):
    pass
