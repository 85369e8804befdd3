"""Why steps failed, and what to do about it."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.fields import resolved
from api.types.node import Connection, Node
from api.types.sequences import Step
from domain.rules.step_errors import FixCode, StepErrorAction, StepErrorCode

if TYPE_CHECKING:
    from api.types.recipients import Recipient


@strawberry.type(description="What to do about a problem, as a sentence and as data.")
class SuggestedFix:
    code: FixCode = strawberry.field(description="Which fix.")
    message: str = strawberry.field(description="What to do, in one sentence.")
    target_id: strawberry.ID | None = strawberry.field(
        description="On which object; null when it is done outside Relance."
    )


@strawberry.type(description="Why a step failed.")
class StepError(Node):
    code: StepErrorCode = strawberry.field(description="Why, as a stable code.")
    message: str = strawberry.field(description="Why, in a sentence for a person.")
    suggested_fix: SuggestedFix | None = strawberry.field(description="What to do about it.")
    available_actions: list[StepErrorAction] = strawberry.field(
        description="What may be done about it now; nothing once it is closed or the recipient has ended, and nothing "
        "while its cause is seen to last: make the fix first. While the recipient or its sequence is paused, an "
        "unconfirmed delivery offers only CONFIRM_SENT, and other errors nothing: resume first."
    )
    auto_retry_at: datetime | None = strawberry.field(
        description="When it is tried again by itself; null: never without a person. Null for every error so far: what "
        "Relance tries again by itself waits, with RETRY_BACKOFF or MAILBOX_BACKOFF, and is no error."
    )
    cause_gone_at: datetime | None = strawberry.field(
        description="Since when, at the latest, its cause is seen to be gone, so that a retry should work. Null while "
        "it lasts, where Relance cannot see it, and once the error is closed."
    )
    occurred_at: datetime = strawberry.field(description="When the step failed.")
    resolved_at: datetime | None = strawberry.field(description="When it was closed; null while it is open.")

    @resolved("Whose step failed.")
    async def recipient(self, info: Info) -> Annotated["Recipient", strawberry.lazy("api.types.recipients")]:
        found: Recipient = await info.context.loaders.recipient_of(info, self)
        return found

    @resolved("Which step failed.")
    async def step(self, info: Info) -> Step | None:
        found: Step | None = await info.context.loaders.step_of(self)
        return found


@strawberry.type(description="One page of step errors.")
class StepErrorConnection(Connection[StepError]):
    pass
