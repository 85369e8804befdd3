"""What a person says about a message of which nobody knows whether it was delivered.

Source: product.md section 2 "Retry belongs to the error".
"""

from enum import StrEnum

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import RecipientPayload
from domain import unconfirmed
from domain.rules.access import Scope
from domain.rules.ids import Prefix


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
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of resolving a delivery.")
class DeliveryResolvePayload(RecipientPayload):
    pass


@strawberry.type
class DeliveryMutations:
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
