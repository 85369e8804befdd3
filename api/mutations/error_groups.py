"""One act for everything that failed for one cause.

Source: product.md section 2 "Retry belongs to the error", section 4.
"""

from uuid import UUID

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import Payload
from api.types.error_groups import ErrorGroup
from api.types.fields import resolved
from domain import error_groups
from domain.rules.access import Scope
from domain.rules.ids import Prefix


@strawberry.input(description="Tries everything of a group of errors again.")
class ErrorGroupRetryInput:
    id: strawberry.ID = strawberry.field(description="Which group.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of retrying a group.")
class ErrorGroupRetryPayload(Payload):
    cause_key: strawberry.Private[UUID | None] = None
    matched: int = strawberry.field(default=0, description="How many errors were open when the retry was asked for.")
    retried: int = strawberry.field(default=0, description="How many were tried again so far.")
    refused: int = strawberry.field(
        default=0, description="How many offered no retry when they were looked at, and are left as they are."
    )
    ended: bool = strawberry.field(
        default=False, description="Whether all were looked at; false while a worker goes on with the rest."
    )

    @resolved("The group as it is now; null when none of its errors is open any more, or the retry was refused.")
    async def error_group(self, info: Info) -> ErrorGroup | None:
        if self.cause_key is None:
            return None
        found: ErrorGroup | None = await info.context.loaders.error_group_of(self)
        return found


@strawberry.type
class ErrorGroupMutations:
    @mutation(
        "Tries everything of a group again that offers a retry, as new messages: up to 500 before it answers, more by "
        "a worker, with the progress in the group's `retry`. Asked again meanwhile, it is the same retry. Refused when "
        "nothing of it offers a retry; never for DELIVERY_UNCONFIRMED (see deliveryResolve).",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def error_group_retry(self, info: Info, input: ErrorGroupRetryInput) -> ErrorGroupRetryPayload | None:
        me = info.context.caller
        progress = await error_groups.retry(me.workspace_id, me.actor, key_of(Prefix.ERROR_GROUP, input.id, ["id"]))
        return ErrorGroupRetryPayload(
            cause_key=progress.cause_key,
            matched=progress.matched,
            retried=progress.retried,
            refused=progress.refused,
            ended=progress.ended,
        )
