"""Operations on everyone whom a filter keeps."""

from datetime import datetime

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.actors import Actor
from api.types.fields import resolved
from api.types.node import After, Connection, First, Node
from api.types.recipients import Recipient
from api.types.sequences import Step
from domain.rules.bulk import BulkAction, BulkStatus


@strawberry.type(description="One recipient to whom an operation was refused.")
class BulkRefusal:
    recipient_id: strawberry.ID = strawberry.field(description="To whom; also once the recipient is deleted.")
    code: str = strawberry.field(description="Why, as a stable code: a value of MutationErrorCode.")
    message: str = strawberry.field(description="Why, and the way out, in plain words for a person.")

    @resolved("The recipient as it is now; null once deleted.")
    async def recipient(self, info: Info) -> Recipient | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found


@strawberry.type(description="One page of refusals, in the order in which they were refused.")
class BulkRefusalConnection(Connection[BulkRefusal]):
    pass


@strawberry.type(
    description="One action for everyone whom a filter kept when it was ordered. A worker goes through them in "
    "batches; each is changed or refused once, also when a worker is lost in the middle."
)
class BulkOperation(Node):
    action: BulkAction = strawberry.field(description="What is done to each.")
    dry_run: bool = strawberry.field(description="Whether it only counts what would be changed and refused.")
    status: BulkStatus = strawberry.field(description="How far it is.")
    matched: int = strawberry.field(description="How many recipients the filter kept when it was ordered.")
    done: int = strawberry.field(description="How many of them were looked at so far: `changed` and `refused`.")
    changed: int = strawberry.field(description="How many were changed so far; in a dry run, would be.")
    refused: int = strawberry.field(description="How many it was refused to so far; in a dry run, would be.")
    in_flight: int = strawberry.field(
        description="How many messages of those changed were being handed over already; they cannot be called back."
    )
    created_at: datetime = strawberry.field(description="When it was ordered.")
    ended_at: datetime | None = strawberry.field(description="When it was done or cancelled; null while it goes on.")

    @resolved("In one sentence for a person, so far: “Would change 812, refuse 31: 29 have ended, 2 are paused.”")
    async def summary(self, info: Info) -> str:
        found: str = await info.context.loaders.summary_of_bulk_operation(self)
        return found

    @resolved("The step that SKIP_STEP means; null for the other actions.")
    async def step(self, info: Info) -> Step | None:
        found: Step | None = await info.context.loaders.step_of(self)
        return found

    @resolved("Who ordered it.")
    async def created_by(self, info: Info) -> Actor:
        found: Actor = await info.context.loaders.actor_of(self)
        return found

    @resolved("To whom it was refused, and why.")
    async def refusals(self, info: Info, first: First = 50, after: After = None) -> BulkRefusalConnection:
        found: BulkRefusalConnection = await info.context.loaders.refusals_of_bulk_operation(info, self, first, after)
        return found


@strawberry.type(description="One page of operations.")
class BulkOperationConnection(Connection[BulkOperation]):
    pass
