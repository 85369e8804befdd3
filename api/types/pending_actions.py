"""What waits for a person."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.actors import Actor
from api.types.enums import PendingActionAction, PendingOutcome, TaskKind
from api.types.fields import resolved
from api.types.node import Connection, Node
from api.types.sequences import Step
from api.types.users import User
from domain.rules.plan import StepKind

if TYPE_CHECKING:
    from api.types.recipients import Recipient


@strawberry.type(description="A manual email or a task that waits for a person.")
class PendingAction(Node):
    kind: StepKind = strawberry.field(description="Whether it is an email or a task.")
    subject: str | None = strawberry.field(description="The subject of an email as it goes out.")
    body: str | None = strawberry.field(description="The text of an email as it goes out: sanitised HTML.")
    task_kind: TaskKind | None = strawberry.field(description="What a task asks for.")
    task_title: str | None = strawberry.field(description="The title of a task.")
    task_notes: str | None = strawberry.field(description="The notes of a task.")
    note: str | None = strawberry.field(description="What was written by whoever completed it.")
    due_since: datetime = strawberry.field(description="When it was put before people.")
    scheduled_for: datetime | None = strawberry.field(
        description="When a person let an email go out; in the past: now, at the mailbox's next turn."
    )
    available_actions: list[PendingActionAction] = strawberry.field(
        description="What may be done about it now; nothing while the recipient is paused, or once it is closed. While "
        "the email is being handed over, or after its step has failed, it can only be skipped: the retry belongs to "
        "the error."
    )
    closed_at: datetime | None = strawberry.field(description="When it was closed; null while it waits.")
    outcome: PendingOutcome | None = strawberry.field(description="How it was closed.")
    version: int = strawberry.field(description="Grows by one with each change of it or of its open recipient.")

    @resolved("Whose step it is; null once the recipient is deleted.")
    async def recipient(self, info: Info) -> Annotated["Recipient", strawberry.lazy("api.types.recipients")] | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found

    @resolved("Which step it is.")
    async def step(self, info: Info) -> Step:
        found: Step = await info.context.loaders.step_of(self)
        return found

    @resolved("Who is to act: the user who enrolled the recipient, unless it was assigned otherwise.")
    async def assignee(self, info: Info) -> User | None:
        found: User | None = await info.context.loaders.assignee_of(self)
        return found

    @resolved("Who or what closed it.")
    async def closed_by(self, info: Info) -> Actor | None:
        found: Actor | None = await info.context.loaders.actor_of(self)
        return found


@strawberry.type(description="One page of pending actions.")
class PendingActionConnection(Connection[PendingAction]):
    events_cursor: str = strawberry.field(
        description="Read before the page: page and the recipient events `after` it together miss nothing."
    )
