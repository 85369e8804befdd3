"""What was written, either way."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.types.enums import Channel, MessageDelivery, MessageDirection, MessageState
from api.types.fields import resolved
from api.types.node import Connection, Node
from api.types.sequences import Step
from domain.rules.inbound.reading import Classification

if TYPE_CHECKING:
    from api.types.recipients import Recipient


@strawberry.type(description="One email or text message, out or in, with what became of it.")
class Message(Node):
    direction: MessageDirection = strawberry.field(description="Which way it went.")
    channel: Channel = strawberry.field(description="How it travelled.")
    state: MessageState = strawberry.field(description="What became of it.")
    classification: Classification | None = strawberry.field(description="What an incoming message was understood as.")
    subject: str | None = strawberry.field(description="The subject as it was sent or came in.")
    text: str | None = strawberry.field(description="The text part; of an incoming message without what it quotes.")
    html: str | None = strawberry.field(description="The HTML part.")
    quoted_text: str | None = strawberry.field(description="What an incoming message quotes.")
    from_: str | None = strawberry.field(name="from", description="The sender's address or number.")
    to: list[str] = strawberry.field(description="The receivers' addresses or numbers.")
    delivery: MessageDelivery | None = strawberry.field(
        description="What the receipt of a text message said; null while there is none, and for emails."
    )
    delivery_at: datetime | None = strawberry.field(description="When that receipt came.")
    segments: int | None = strawberry.field(
        description="In how many parts a text message goes, each charged as one; null for emails."
    )
    at: datetime = strawberry.field(description="When it was sent or came in; before that, when it was begun.")

    @resolved("Whose run it belongs to; null once that is deleted.")
    async def recipient(self, info: Info) -> Annotated["Recipient", strawberry.lazy("api.types.recipients")] | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found

    @resolved("The step it was sent by.")
    async def step(self, info: Info) -> Step | None:
        found: Step | None = await info.context.loaders.step_of(self)
        return found


@strawberry.type(description="One page of messages.")
class MessageConnection(Connection[Message]):
    pass
