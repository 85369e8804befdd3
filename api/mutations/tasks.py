"""What a person does about a pending action, or about a message of which nobody knows whether it was delivered.

Source: product.md section 2 "Pending actions", "Retry belongs to the error".
"""

from enum import StrEnum
from typing import Final

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation
from api.mutations.payloads import RecipientPayload
from domain import pending, unconfirmed
from domain.refusals import Invalid
from domain.rules.access import Scope
from domain.rules.ids import Prefix

NOTE_LENGTH_LIMIT: Final = 10_000


class DeliveryOutcome(StrEnum):
    WAS_SENT = "WAS_SENT"
    SEND_AGAIN = "SEND_AGAIN"


_MEANING = {
    "WAS_SENT": "It was sent: the step counts as carried out.",
    "SEND_AGAIN": "Send it again, knowing that it may arrive twice.",
}
strawberry.enum(DeliveryOutcome, description="What a person says about an unconfirmed message.")
for _value in DeliveryOutcome.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = _MEANING[_value.name]


@strawberry.input(description="Says what became of a message whose delivery is unconfirmed.")
class DeliveryResolveInput:
    error_id: strawberry.ID = strawberry.field(description="The open error DELIVERY_UNCONFIRMED.")
    outcome: DeliveryOutcome = strawberry.field(description="What became of it, or what is to be done.")


@strawberry.input(description="Completes a task.")
class TaskCompleteInput:
    id: strawberry.ID = strawberry.field(description="Which pending action.")
    note: str | None = strawberry.field(
        default=None, description=f"What came of it, up to {NOTE_LENGTH_LIMIT:,} characters. Left out or null: nothing."
    )


@strawberry.input(description="Skips a pending action.")
class PendingActionSkipInput:
    id: strawberry.ID = strawberry.field(description="Which pending action.")


@strawberry.type(description="What came of resolving a delivery.")
class DeliveryResolvePayload(RecipientPayload):
    pass


@strawberry.type(description="What came of completing a task.")
class TaskCompletePayload(RecipientPayload):
    pass


@strawberry.type(description="What came of skipping a pending action.")
class PendingActionSkipPayload(RecipientPayload):
    pass


@strawberry.type
class TaskMutations:
    @mutation(
        "Says what became of an unconfirmed message. Nothing else moves it: it is never sent again by a resume, an "
        "edit, a retry or a timer.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def delivery_resolve(self, info: Info, input: DeliveryResolveInput) -> DeliveryResolvePayload | None:
        me = info.context.caller
        error = key_of(Prefix.STEP_ERROR, input.error_id, ["errorId"])
        was_sent = input.outcome is DeliveryOutcome.WAS_SENT
        return DeliveryResolvePayload(
            recipient_key=await unconfirmed.resolve(me.workspace_id, me.actor, error, was_sent=was_sent)
        )

    @mutation("Completes a task that is due; the next step's wait starts now.", scope=Scope.RECIPIENTS_WRITE)
    async def task_complete(self, info: Info, input: TaskCompleteInput) -> TaskCompletePayload | None:
        me = info.context.caller
        if input.note is not None and len(input.note) > NOTE_LENGTH_LIMIT:
            raise Invalid(f"A note has at most {NOTE_LENGTH_LIMIT:,} characters.", field=["note"])
        key = key_of(Prefix.PENDING_ACTION, input.id, ["id"])
        return TaskCompletePayload(
            recipient_key=await pending.complete_task(me.workspace_id, me.actor, key, input.note)
        )

    @mutation(
        "Skips a pending action: its step counts as skipped, and the next one's wait starts now.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def pending_action_skip(self, info: Info, input: PendingActionSkipInput) -> PendingActionSkipPayload | None:
        me = info.context.caller
        key = key_of(Prefix.PENDING_ACTION, input.id, ["id"])
        return PendingActionSkipPayload(recipient_key=await pending.skip(me.workspace_id, me.actor, key))
