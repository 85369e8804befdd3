"""The queries: each names the verb, calls it with the caller's workspace, and wraps the page."""

from typing import Annotated

import strawberry

from api.context import Info
from api.types.actors import Viewer
from api.types.contacts import Contact, ContactConnection
from api.types.events import RecipientEventConnection
from api.types.inputs import (
    ContactFilter,
    PendingActionFilter,
    RecipientFilter,
    RecipientOrder,
    SequenceFilter,
    StepErrorFilter,
)
from api.types.mailboxes import MailboxConnection
from api.types.node import After, Before, First, Last, Node
from api.types.pending_actions import PendingActionConnection
from api.types.recipients import Recipient, RecipientConnection
from api.types.sequences import SequenceConnection
from api.types.step_errors import StepErrorConnection

_Id = Annotated[strawberry.ID, strawberry.argument(description="An id as the API returned it.")]
_Ids = Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids.")]
_ExternalId = Annotated[str, strawberry.argument(description="The partner's own id, as it was given.")]
_RecipientFilter = Annotated[RecipientFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_RecipientOrder = Annotated[
    RecipientOrder | None, strawberry.argument(description="In which order; newest enrolment first when left out.")
]
_SequenceFilter = Annotated[SequenceFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_ContactFilter = Annotated[ContactFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_StepErrorFilter = Annotated[StepErrorFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_PendingFilter = Annotated[
    PendingActionFilter | None, strawberry.argument(description="Which ones; the open ones when left out.")
]
_EventsFirst = Annotated[int | None, strawberry.argument(description="How many: 0 to 200; 100 when left out.")]
_EventsAfter = Annotated[
    str | None,
    strawberry.argument(description="An `eventsCursor` or the `cursor` of an event; from the oldest when left out."),
]
_EventsSequence = Annotated[strawberry.ID | None, strawberry.argument(description="Only those of this sequence.")]


@strawberry.type(description="Everything that can be read.")
class Query:
    @strawberry.field(
        description="Any object by its id. Null when there is none, or not in this workspace. A text that is not an "
        "id of this API is a BAD_USER_INPUT error: that is a mistake of the client, not a missing object."
    )
    async def node(self, info: Info, id: _Id) -> Node | None:
        raise NotImplementedError

    @strawberry.field(description="Many objects by their ids, in the order given; null for each that is not there.")
    async def nodes(self, info: Info, ids: _Ids) -> list[Node | None]:
        raise NotImplementedError

    @strawberry.field(description="Who is calling.")
    async def viewer(self, info: Info) -> Viewer | None:
        raise NotImplementedError

    @strawberry.field(description="The sequences, newest first.")
    async def sequences(
        self, info: Info, first: First = 50, after: After = None, filter: _SequenceFilter = None
    ) -> SequenceConnection | None:
        raise NotImplementedError

    @strawberry.field(description="The recipients of all sequences.")
    async def recipients(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: _RecipientFilter = None,
        order_by: _RecipientOrder = None,
    ) -> RecipientConnection | None:
        raise NotImplementedError

    @strawberry.field(description="The recipient with a partner's id.")
    async def recipient_by_external_id(self, info: Info, external_id: _ExternalId) -> Recipient | None:
        raise NotImplementedError

    @strawberry.field(description="The contacts, newest first.")
    async def contacts(
        self, info: Info, first: First = 50, after: After = None, filter: _ContactFilter = None
    ) -> ContactConnection | None:
        raise NotImplementedError

    @strawberry.field(description="The contact with a partner's id.")
    async def contact_by_external_id(self, info: Info, external_id: _ExternalId) -> Contact | None:
        raise NotImplementedError

    @strawberry.field(description="The mailboxes, by address.")
    async def mailboxes(self, info: Info, first: First = 50, after: After = None) -> MailboxConnection | None:
        raise NotImplementedError

    @strawberry.field(description="What waits for a person, the longest waiting first.")
    async def pending_actions(
        self, info: Info, first: First = 50, after: After = None, filter: _PendingFilter = None
    ) -> PendingActionConnection | None:
        raise NotImplementedError

    @strawberry.field(description="What went wrong, newest first.")
    async def step_errors(
        self, info: Info, first: First = 50, after: After = None, filter: _StepErrorFilter = None
    ) -> StepErrorConnection | None:
        raise NotImplementedError

    @strawberry.field(
        description="What happened, in the order of the feed. The cursors are good for subscriptions too."
    )
    async def recipient_events(
        self,
        info: Info,
        first: _EventsFirst = 100,
        after: _EventsAfter = None,
        sequence_id: _EventsSequence = None,
    ) -> RecipientEventConnection | None:
        raise NotImplementedError
