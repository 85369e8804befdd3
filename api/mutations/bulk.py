"""One action for everyone whom a filter keeps.

Source: api.md "Bulk".
"""

from uuid import UUID

import strawberry

from api.context import Info
from api.filters import recipient_filter
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import Payload
from api.types.bulk import BulkOperation
from api.types.fields import resolved
from api.types.inputs import RecipientFilter
from domain import bulk
from domain.rules.access import Scope
from domain.rules.bulk import BulkAction
from domain.rules.ids import Prefix


@strawberry.input(description="Orders an action for everyone whom a filter keeps.")
class BulkOperationCreateInput:
    filter: RecipientFilter = strawberry.field(
        description="Whom: those it keeps at this moment. An empty one keeps every recipient of the workspace."
    )
    action: BulkAction = strawberry.field(description="What to do to each.")
    step_id: strawberry.ID | None = strawberry.field(default=None, description="With SKIP_STEP: the step you mean.")
    dry_run: bool | None = strawberry.field(
        default=None, description="True changes nobody: it counts who would be changed and refused."
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Cancels an operation.")
class BulkOperationCancelInput:
    id: strawberry.ID = strawberry.field(description="Which operation.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of ordering or cancelling an operation.")
class BulkOperationPayload(Payload):
    bulk_operation_key: strawberry.Private[UUID | None] = None

    @resolved("The operation as it is now; null when it was refused.")
    async def bulk_operation(self, info: Info) -> BulkOperation | None:
        if self.bulk_operation_key is None:
            return None
        found: BulkOperation | None = await info.context.loaders.bulk_operation_of(self)
        return found


@strawberry.type(description="What came of ordering an operation.")
class BulkOperationCreatePayload(BulkOperationPayload):
    pass


@strawberry.type(description="What came of cancelling an operation.")
class BulkOperationCancelPayload(BulkOperationPayload):
    pass


@strawberry.type
class BulkMutations:
    @mutation(
        "Orders an action for everyone whom the filter keeps at this moment, up to a million; a worker carries it out, "
        "each at most once. The answer comes at once, with the number matched: ask the operation's node for its "
        "progress, and its `refusals` for whom it was refused to.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def bulk_operation_create(
        self, info: Info, input: BulkOperationCreateInput
    ) -> BulkOperationCreatePayload | None:
        me = info.context.caller
        step = key_of(Prefix.STEP, input.step_id, ["stepId"]) if input.step_id is not None else None
        key = await bulk.create(
            me.workspace_id,
            me.actor,
            input.action,
            recipient_filter(input.filter),
            step_id=step,
            dry_run=bool(input.dry_run),
        )
        return BulkOperationCreatePayload(bulk_operation_key=key)

    @mutation(
        "Ends an operation where it is: once this is answered it changes nobody else. What was done stays done.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def bulk_operation_cancel(
        self, info: Info, input: BulkOperationCancelInput
    ) -> BulkOperationCancelPayload | None:
        key = key_of(Prefix.BULK_OPERATION, input.id, ["id"])
        await bulk.cancel(info.context.caller.workspace_id, key)
        return BulkOperationCancelPayload(bulk_operation_key=key)
