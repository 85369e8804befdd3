"""The suppression list and its ledger."""

from datetime import datetime

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.actors import Actor
from api.types.contacts import Contact
from api.types.fields import resolved
from api.types.messages import Message
from api.types.node import Connection, Node
from api.types.recipients import Recipient
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource


@strawberry.type(
    description="An address, a domain, a phone number or a person that nobody in the workspace may write to. Nothing "
    "is ever removed from this ledger: a suppression that was lifted says when, by whom and why."
)
class Suppression(Node):
    kind: SuppressionKind = strawberry.field(description="What it is about.")
    value: str | None = strawberry.field(
        description="The address, domain or number; null for a person, and for one who was erased: then only a keyed "
        "hash is kept."
    )
    reason: SuppressionReason = strawberry.field(description="Why it is there.")
    source: SuppressionSource = strawberry.field(description="How it came.")
    note: str | None = strawberry.field(description="What was noted with it.")
    created_at: datetime = strawberry.field(description="Since when.")
    lifted_at: datetime | None = strawberry.field(description="When it was lifted; null while it is in force.")
    lifted_because: str | None = strawberry.field(description="Why it was lifted.")

    @resolved("The person, where it is about one.")
    async def contact(self, info: Info) -> Contact | None:
        found: Contact | None = await info.context.loaders.contact_of(self)
        return found

    @resolved("Who or what put it there.")
    async def created_by(self, info: Info) -> Actor:
        found: Actor = await info.context.loaders.actor_of(self)
        return found

    @resolved("Who lifted it.")
    async def lifted_by(self, info: Info) -> Actor | None:
        found: Actor | None = await info.context.loaders.actor_of(self.lifter)  # type: ignore[attr-defined]
        return found

    @resolved("Through whose run it came, where it came through one; null once that is deleted.")
    async def recipient(self, info: Info) -> Recipient | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found

    @resolved("Through which message it came: the one whose link was used, or that brought it.")
    async def message(self, info: Info) -> Message | None:
        found: Message | None = await info.context.loaders.message_of(self)
        return found


@strawberry.type(description="One page of suppressions.")
class SuppressionConnection(Connection[Suppression]):
    pass
