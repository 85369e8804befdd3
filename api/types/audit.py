"""Who did what."""

from datetime import datetime

import strawberry

from api.context import Info
from api.types.actors import Actor
from api.types.fields import resolved
from api.types.node import Connection


@strawberry.type(description="One change that somebody made through the API. It is never changed or removed.")
class AuditEntry:
    id: strawberry.ID = strawberry.field(description="Opaque.")
    at: datetime = strawberry.field(description="When, by the clock of the server.")
    action: str = strawberry.field(description="The name of the mutation.")
    object_ids: list[strawberry.ID] = strawberry.field(description="The ids of what it changed.")
    request_id: str = strawberry.field(description="The `requestId` that the response carried.")

    @resolved("Who did it.")
    async def actor(self, info: Info) -> Actor:
        found: Actor = await info.context.loaders.actor_of(self)
        return found


@strawberry.type(description="One page of the audit trail.")
class AuditEntryConnection(Connection[AuditEntry]):
    pass
