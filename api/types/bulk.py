"""Operations on everyone whom a filter keeps."""

from datetime import datetime

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.actors import Actor
from api.types.contacts import Contact
from api.types.fields import resolved
from api.types.node import After, Connection, First, Node
from api.types.recipients import Recipient
from api.types.sequences import Sequence, Step
from domain.rules.bulk import BulkAction, BulkKind, BulkStatus


@strawberry.type(description="One recipient, contact or row of a file to whom an operation was refused.")
class BulkRefusal:
    recipient_id: strawberry.ID | None = strawberry.field(
        description="To which recipient; also once it is deleted. Null where contacts or rows are meant."
    )
    contact_id: strawberry.ID | None = strawberry.field(
        description="To which contact; of a row, the one that was taken and not enrolled. Null where recipients are "
        "meant."
    )
    line: int | None = strawberry.field(description="Of an import: the line of the file on which the row begins.")
    code: str = strawberry.field(description="Why, as a stable code: a value of MutationErrorCode.")
    message: str = strawberry.field(description="Why, and the way out, in plain words for a person.")

    @resolved("The recipient as it is now; null once deleted.")
    async def recipient(self, info: Info) -> Recipient | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found

    @resolved("The contact as it is now; null once erased.")
    async def contact(self, info: Info) -> Contact | None:
        found: Contact | None = await info.context.loaders.contact_of(self)
        return found


@strawberry.type(description="One page of refusals, in the order in which they were refused.")
class BulkRefusalConnection(Connection[BulkRefusal]):
    pass


@strawberry.type(
    description="What became of the rows of a file so far; in a dry run, would. A contact counts as created or updated "
    "also where its enrolment was refused."
)
class ImportCounts:
    created: int = strawberry.field(description="Contacts that are new.")
    updated: int = strawberry.field(description="Contacts that were there and have changed.")
    enrolled: int = strawberry.field(description="Contacts that were enrolled.")
    already_enrolled: int = strawberry.field(description="Contacts who are open in the sequence already.")
    not_enrolled: int = strawberry.field(description="Contacts that were taken and whose enrolment was refused.")


@strawberry.type(
    description="One thing done for everyone whom a filter kept when it was ordered, or for each row of a file. A "
    "worker goes through them in batches; each is changed, left as it is or refused once, also when a worker is lost "
    "in the middle."
)
class BulkOperation(Node):
    kind: BulkKind = strawberry.field(description="What is done.")
    action: BulkAction | None = strawberry.field(
        description="What is done to each recipient; null where contacts or rows are meant."
    )
    dry_run: bool = strawberry.field(description="Whether it only counts what would be changed and refused.")
    status: BulkStatus = strawberry.field(description="How far it is.")
    matched: int = strawberry.field(
        description="How many the filter kept when it was ordered, or the file has rows; of a file 0 until it is read."
    )
    done: int = strawberry.field(description="How many were looked at so far: `changed`, `unchanged` and `refused`.")
    changed: int = strawberry.field(description="How many were changed so far; in a dry run, would be.")
    unchanged: int = strawberry.field(
        description="How many were as they should be already: the same contact, in the sequence, on the list."
    )
    refused: int = strawberry.field(description="How many it was refused to so far; in a dry run, would be.")
    in_flight: int = strawberry.field(
        description="How many messages of those changed were being handed over already; they cannot be called back."
    )
    file_name: str | None = strawberry.field(description="Of an import: what the file was called.")
    import_counts: ImportCounts | None = strawberry.field(description="Of an import: what became of its rows.")
    created_at: datetime = strawberry.field(description="When it was ordered.")
    ended_at: datetime | None = strawberry.field(description="When it was done or cancelled; null while it goes on.")

    @resolved("In one sentence for a person, so far: “Would change 812, refuse 31: 29 have ended, 2 are paused.”")
    async def summary(self, info: Info) -> str:
        found: str = await info.context.loaders.summary_of_bulk_operation(self)
        return found

    @resolved("The sequence that is enrolled in; null where nobody is.")
    async def sequence(self, info: Info) -> Sequence | None:
        found: Sequence | None = await info.context.loaders.sequence_of(self)
        return found

    @resolved("The step that SKIP_STEP means, or at which those enrolled begin where it is not the first.")
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
