"""The subscriptions. Who receives an event (`Receivers`) is kept apart from what it says (`api/sharing.py`): `after`,
`sequenceId` and `recipientIds` only choose receivers, so that equal selections share one execution.

Source: architecture.md "The flow of one change".
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import strawberry

from api.context import Info
from api.declaring import subscription
from api.ids import key_of
from api.ring import Batch
from api.server_parts import ServerParts, parts_of
from api.types.events import RecipientEvent, WorkspaceEvent
from domain import authoring
from domain.feed import Event
from domain.reading.events import EventRow
from domain.refusals import Invalid
from domain.rules.access import Scope
from domain.rules.event_types import chosen_types
from domain.rules.ids import Prefix

RECIPIENT_IDS_LIMIT: Final = 200

_SequenceId = Annotated[strawberry.ID | None, strawberry.argument(description="Only those of this sequence.")]
_RecipientIds = Annotated[
    list[strawberry.ID] | None,
    strawberry.argument(description=f"Only those of these recipients; at most {RECIPIENT_IDS_LIMIT}."),
]
_After = Annotated[
    str | None,
    strawberry.argument(
        description="An `eventsCursor` or the `cursor` of an event: what came after it is sent first. Left out: only "
        "what comes from now on."
    ),
]
_Types = Annotated[
    list[str] | None,
    strawberry.argument(description="Only these types, or kinds such as `mailbox.*`; all when left out."),
]
_AfterWorkspace = Annotated[
    str | None,
    strawberry.argument(
        description="The `cursor` of such an event, or of a ping: what came after it is sent first. Left out: only "
        "what comes from now on."
    ),
]


@dataclass(frozen=True, slots=True)
class Receivers:
    """Which events one subscriber gets, and after which cursor."""

    workspace_id: UUID
    sequence_id: UUID | None = None
    recipient_ids: frozenset[UUID] | None = None
    after: str | None = None

    def gets(self, event: Event) -> bool:
        return (self.sequence_id is None or event.sequence_id == self.sequence_id) and (
            self.recipient_ids is None or event.recipient_id in self.recipient_ids
        )


async def chosen(
    workspace_id: UUID, sequence_id: str | None, recipient_ids: Sequence[str] | None, after: str | None
) -> Receivers:
    """Return the receivers of the arguments of `recipientEvents`.

    Raises:
        NotFound: the workspace has no such sequence.
        Invalid: an id is none, or there are too many.
    """
    key = key_of(Prefix.SEQUENCE, sequence_id, ["sequenceId"]) if sequence_id is not None else None
    if key is not None:
        await authoring.settings_of(workspace_id, key, field="sequenceId")
    if recipient_ids is not None and len(recipient_ids) > RECIPIENT_IDS_LIMIT:
        raise Invalid(
            f"These are {len(recipient_ids)} recipients; at most {RECIPIENT_IDS_LIMIT} can be named. Name their "
            "sequence, or leave both out.",
            field=["recipientIds"],
        )
    ids = (
        frozenset(key_of(Prefix.RECIPIENT, text, ["recipientIds"]) for text in recipient_ids)
        if recipient_ids is not None
        else None
    )
    return Receivers(workspace_id, key, ids, after)


async def received(process: ServerParts, receivers: Receivers) -> AsyncGenerator[Batch[Event], None]:
    """Yield what these receivers get, in batches, in order, without end. Up to the cursor of each they have everything
    of theirs, also where it is empty.

    Raises:
        CursorForeign, ResyncRequired
    """
    async with aclosing(process.hub.read(receivers.workspace_id, receivers.after)) as batches:
        async for batch in batches:
            yield batch._replace(events=[event for event in batch.events if receivers.gets(event)])


def workspace_types(asked: Sequence[str] | None) -> list[str] | None:
    """Return the types that are meant; None for all.

    Raises:
        Invalid: there is no such type.
    """
    if asked is None:
        return None
    found, unknown = chosen_types(asked)
    if unknown:
        raise Invalid(
            f"There is no event type “{unknown[0][:60]}”. WorkspaceEvent.type lists them; `mailbox.*` means all of one "
            "kind.",
            field=["types"],
        )
    return found


@strawberry.type(
    description="What is told while it happens, over a WebSocket with the protocol graphql-transport-ws, "
    "or as Server-Sent Events."
)
class Subscription:
    @subscription(
        "Each change of a recipient, once and in order. With `after`, what was missed comes first: read a page with "
        "its `eventsCursor`, and subscribe after that, so that nothing is missed in between. A subscriber who is more "
        "than 5,000 events or 60 seconds behind, or whose cursor is too old, ends with one "
        "error RESYNC_REQUIRED: read the list again and go on from its `eventsCursor`.",
        scope=Scope.READ,
    )
    async def recipient_events(
        self,
        info: Info,
        sequence_id: _SequenceId = None,
        recipient_ids: _RecipientIds = None,
        after: _After = None,
    ) -> AsyncGenerator[RecipientEvent, None]:
        receivers = await chosen(info.context.caller.workspace_id, sequence_id, recipient_ids, after)
        async with aclosing(received(parts_of(info.context), receivers)) as batches:
            async for batch in batches:
                for event in batch.events:
                    shown: Any = EventRow(event)
                    yield shown

    @subscription(
        "Each change of a mailbox, a sequence, a contact, a pending action, of bulk work or of the suppression list, "
        "in one order. Read `workspaceEventsCursor`, then your lists, and subscribe after it: nothing is missed in "
        "between. RESYNC_REQUIRED as for `recipientEvents`, which tells of the recipients.",
        scope=Scope.READ,
    )
    async def workspace_events(
        self, info: Info, types: _Types = None, after: _AfterWorkspace = None
    ) -> AsyncGenerator[WorkspaceEvent, None]:
        tails = parts_of(info.context).tails
        async with aclosing(tails.read(info.context.caller.workspace_id, after, workspace_types(types))) as batches:
            async for batch in batches:
                for event in batch.events:
                    shown: Any = event
                    yield shown
