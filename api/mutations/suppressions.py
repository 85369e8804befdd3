"""The suppression list: adding to it, and lifting what is on it.

Source: product.md section 5.
"""

from typing import Any
from uuid import UUID

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import carried_out, mutation, repeatable
from api.mutations.payloads import Payload
from api.types.fields import resolved
from api.types.suppressions import Suppression
from domain import suppressing
from domain.reading import suppressions
from domain.rules.access import Scope
from domain.rules.ids import Prefix
from domain.suppressing import Suppressing, Wanted


@strawberry.input(description="Puts one thing on the suppression list: exactly one of the first four.")
class SuppressionCreateInput:
    address: str | None = strawberry.field(default=None, description="An email address.")
    domain: str | None = strawberry.field(
        default=None, description="A domain such as example.com; it covers every domain below it, too."
    )
    phone: str | None = strawberry.field(
        default=None, description="A phone number with its country, such as +49 170 1234567."
    )
    contact_id: strawberry.ID | None = strawberry.field(
        default=None, description="A person, whatever address they have now or later."
    )
    note: str | None = strawberry.field(
        default=None, description="Why, for the ledger; at most 1,000 characters. Not personal data of others."
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Lifts a suppression.")
class SuppressionDeleteInput:
    id: strawberry.ID = strawberry.field(description="Which suppression.")
    reason: str = strawberry.field(description="Why it is lifted; kept in the ledger. At most 1,000 characters.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of a change of the suppression list.")
class SuppressionPayload(Payload):
    suppression_key: strawberry.Private[UUID | None] = None

    @resolved("The suppression as it is now; null when the change was refused.")
    async def suppression(self, info: Info) -> Suppression | None:
        if self.suppression_key is None:
            return None
        found: Any = await suppressions.by_ids(info.context.caller.workspace_id, [self.suppression_key])
        shown: Suppression | None = found.get(self.suppression_key)
        return shown


@strawberry.type(description="What came of adding to the suppression list.")
class SuppressionCreatePayload(SuppressionPayload):
    ended_recipients: int = strawberry.field(
        default=0,
        description="How many open recipients ended before this answer. Where a domain concerns more than 20,000, a "
        "worker ends the others; none of them is written to any more.",
    )
    in_flight: int = strawberry.field(
        default=0, description="Messages whose hand-over had begun before this answer; they cannot be called back."
    )


@strawberry.type(description="What came of lifting a suppression.")
class SuppressionDeletePayload(SuppressionPayload):
    pass


@strawberry.type
class SuppressionMutations:
    @mutation(
        "Puts an address, a domain, a phone number or a person on the suppression list. The open recipients concerned "
        "end at once, with the reason SUPPRESSED. What was put on it in the same way already is answered as it is; "
        "beside an opt-out or a complaint it is an entry of its own.",
        scope=Scope.SUPPRESSIONS_WRITE,
        transactions_of_its_own=True,
    )
    async def suppression_create(self, info: Info, input: SuppressionCreateInput) -> SuppressionCreatePayload | None:
        me = info.context.caller
        wanted = Wanted(
            address=input.address,
            domain=input.domain,
            phone=input.phone,
            contact_id=key_of(Prefix.CONTACT, input.contact_id, ["contactId"]) if input.contact_id else None,
            note=input.note,
        )

        async def write() -> SuppressionCreatePayload:
            put = await suppressing.put(me.workspace_id, me.actor, wanted)
            return SuppressionCreatePayload(
                suppression_key=put.suppression_id, ended_recipients=put.ended, in_flight=put.in_flight
            )

        answer = await carried_out(info, input, write)
        assert answer.suppression_key is not None
        first = Suppressing(answer.suppression_key, answer.ended_recipients, answer.in_flight, True)
        done = await suppressing.settle_before_the_answer(me.workspace_id, first)
        return SuppressionCreatePayload(
            suppression_key=done.suppression_id, ended_recipients=done.ended, in_flight=done.in_flight
        )

    @mutation(
        "Lifts a suppression, and with it every other entry of the same address, domain, number or person. They stay "
        "in the ledger with the reason, and reopen nothing: enrol again. An opt-out binds the person and the address: "
        "both have to be lifted.",
        scope=Scope.SUPPRESSIONS_WRITE,
    )
    async def suppression_delete(self, info: Info, input: SuppressionDeleteInput) -> SuppressionDeletePayload | None:
        me = info.context.caller
        key = key_of(Prefix.SUPPRESSION, input.id, ["id"])
        return SuppressionDeletePayload(
            suppression_key=await suppressing.lift(me.workspace_id, me.actor, key, input.reason)
        )
