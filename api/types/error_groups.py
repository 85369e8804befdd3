"""Open errors grouped by their cause."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.fields import resolved
from api.types.node import After, Connection, First, Node
from api.types.step_errors import SuggestedFix
from domain.rules.step_errors import StepErrorCode

if TYPE_CHECKING:
    from api.types.recipients import RecipientConnection


@strawberry.type(description="How far the last retry of a group has come.")
class ErrorGroupRetry:
    asked_at: datetime = strawberry.field(description="When it was asked for.")
    matched: int = strawberry.field(description="How many errors were open then.")
    retried: int = strawberry.field(description="How many were tried again so far.")
    refused: int = strawberry.field(
        description="How many offered no retry when they were looked at, and are left as they are."
    )
    ended_at: datetime | None = strawberry.field(description="When all were looked at; null while it is going on.")


@strawberry.type(
    description="All open errors of one cause: a code, and the mailbox, step, variable or sequence in which it lies. "
    "What lies with each person, such as a missing address, is one group. A group is gone with its last open error."
)
class ErrorGroup(Node):
    code: StepErrorCode = strawberry.field(description="Why, as a stable code.")
    message: str = strawberry.field(description="How many recipients, and why, in a sentence for a person.")
    count: int = strawberry.field(description="How many errors are open: one for each recipient.")
    newest_at: datetime = strawberry.field(description="When the newest of them happened.")
    suggested_fix: SuggestedFix | None = strawberry.field(description="What to do about all of them.")
    retry: ErrorGroupRetry | None = strawberry.field(
        description="How far the last retry has come; null: there was none."
    )

    @resolved("How many of them can be tried again now: errorGroupRetry would.")
    async def retryable_count(self, info: Info) -> int:
        found: int = await info.context.loaders.retryable_of_group(self)
        return found

    @resolved("What they have in common: a mailbox, a step or a sequence; null where the cause lies with each person.")
    async def target(self, info: Info) -> Node | None:
        found: Node | None = await info.context.loaders.target_of(self)
        return found

    @resolved("Whose steps failed for this cause.")
    async def recipients(
        self, info: Info, first: First = 50, after: After = None
    ) -> Annotated["RecipientConnection", strawberry.lazy("api.types.recipients")]:
        found: RecipientConnection = await info.context.loaders.recipients_of_error_group(info, self, first, after)
        return found


@strawberry.type(description="One page of groups of errors.")
class ErrorGroupConnection(Connection[ErrorGroup]):
    pass
