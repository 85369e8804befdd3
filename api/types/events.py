"""What happened, in an order that everyone sees alike."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import strawberry

from api.context import Info
from api.nodes import by_public_ids
from api.types import enums as enums
from api.types.actors import Actor
from api.types.fields import resolved
from api.types.messages import Message
from api.types.node import Connection, Node
from api.types.sequences import Step
from api.types.step_errors import StepError
from domain.rules.event_types import MEANING, WORKSPACE_MEANING
from domain.rules.lifecycle import EndReason, Status

if TYPE_CHECKING:
    from api.types.recipients import Recipient

_TYPES = "\n".join(f"- `{type_}`: {meaning}" for type_, meaning in MEANING.items())


@strawberry.type(description="One change of one recipient: one version of it.")
class RecipientEvent(Node):
    cursor: str = strawberry.field(description="Give it as `after` to go on from here.")
    type: str = strawberry.field(description=f"What happened, one of:\n{_TYPES}")
    recipient_id: strawberry.ID = strawberry.field(description="To whom; also once the recipient is deleted.")
    sequence_id: strawberry.ID = strawberry.field(description="In which sequence.")
    previous_status: Status | None = strawberry.field(description="The status before; null for an enrolment.")
    status: Status | None = strawberry.field(description="The status after; null once deleted.")
    end_reason: EndReason | None = strawberry.field(description="Why it ended, when it has.")
    version: int = strawberry.field(description="The recipient's version after it. Keep the greater one.")
    occurred_at: datetime = strawberry.field(description="When it happened.")

    @resolved("Who or what did it.")
    async def actor(self, info: Info) -> Actor:
        found: Actor = await info.context.loaders.actor_of(self)
        return found

    @resolved("The step it is about.")
    async def step(self, info: Info) -> Step | None:
        found: Step | None = await info.context.loaders.step_of(self)
        return found

    @resolved("The message it is about, as it is now.")
    async def message(self, info: Info) -> Message | None:
        found: Message | None = await info.context.loaders.message_of(self)
        return found

    @resolved("The error it opened, as it is now.")
    async def step_error(self, info: Info) -> StepError | None:
        found: StepError | None = await info.context.loaders.step_error_of(self)
        return found

    @resolved("The recipient as it is now; null once deleted.")
    async def recipient(self, info: Info) -> Annotated["Recipient", strawberry.lazy("api.types.recipients")] | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found


@strawberry.type(description="One page of events. The cursors are those of the feed, good for subscriptions too.")
class RecipientEventConnection(Connection[RecipientEvent]):
    pass


_WORKSPACE_TYPES = "\n".join(f"- `{type_}`: {meaning}" for type_, meaning in WORKSPACE_MEANING.items())


@strawberry.type(description="One change of a thing of the workspace that is no recipient.")
class WorkspaceEvent:
    cursor: str = strawberry.field(description="Give it as `after` to go on from here. One for each event.")
    type: str = strawberry.field(description=f"What happened, one of:\n{_WORKSPACE_TYPES}")
    subject_id: strawberry.ID = strawberry.field(
        description="Of what: the mailbox, sequence, contact, pending action, bulk operation or suppression."
    )
    occurred_at: datetime = strawberry.field(description="When it happened.")

    @resolved("The thing as it is now; null once it is gone.")
    async def subject(self, info: Info) -> Node | None:
        row: Any = self
        (found,) = await by_public_ids(info, [row.subject_id])
        return cast(Node | None, found)
