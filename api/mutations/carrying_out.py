"""What a mutation is: a root field that needs a scope, happens in one transaction, is done once for each idempotency
key, leaves one entry in the audit trail, and answers with its payload, refused or done.

All of it is here. A mutation declares its scope and, in its input, `idempotency_key: str | None = repeatable()`.

Source: api.md "Mutations", "Auth", "Idempotency".
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar, cast, get_args, get_type_hints
from uuid import UUID

import strawberry

from api.context import Info
from api.declaring import declared_mutation
from api.errors import MASKED_REFUSALS
from api.mutations.payloads import Payload
from api.mutations.refusals import told
from api.mutations.remembering import digest_of, from_json, ids_in, to_json
from domain import deeds
from domain.deeds import KEPT_HOURS, KEY_LENGTH_LIMIT, Deed, Outcome
from domain.refusals import Refusal
from domain.rules.access import Scope

_PLACE: Final = "idempotency_keys.answer"

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])
P = TypeVar("P", bound=Payload)


def repeatable() -> Any:
    """Return the field `idempotency_key` of an input: declaring it is all that a mutation does for it."""
    return strawberry.field(
        default=None,
        description=f"A text of your own for this one change, up to {KEY_LENGTH_LIMIT} characters. Sent again within "
        f"{KEPT_HOURS} hours with the same input, nothing is done twice: the answer names the same objects, as they "
        "are then.",
    )


def mutation(description: str, *, scope: Scope, transactions_of_its_own: bool = False) -> Callable[[F], F]:
    """Make a method `(self, info, input) -> SomePayload | None` a mutation of the schema, for those with the scope.

    Verbs called in it share its transaction: called one after the other, never with `gather`. A refusal raised in it
    becomes the `errors` of an otherwise empty payload, and nothing has changed. One that talks to the world, or goes on
    in further transactions, has `transactions_of_its_own`: it calls `carried_out` for what it decides. An input with
    `dry_run` set changes nothing, so nothing is kept of it.
    """

    def decorate(method: F) -> F:
        payload = _payload_of(method)

        @wraps(method)
        async def answered(self: Any, info: Info, input: Any) -> Any:
            async def work() -> Any:
                return await method(self, info=info, input=input)

            try:
                if transactions_of_its_own or getattr(input, "dry_run", None):
                    answer = await work()
                else:
                    answer = await carried_out(info, input, work)
            except MASKED_REFUSALS:
                raise
            except Refusal as refusal:
                return payload(errors=[told(refusal)])
            info.context.loaders.forget()  # what this operation has read before is no longer so
            return answer

        made = declared_mutation(description, scope)(answered)
        for argument in made.arguments:
            argument.description = "What to do."
        return cast(F, made)

    return decorate


async def carried_out(info: Info, input: Any, work: Callable[[], Awaitable[P]]) -> P:
    """Return the payload of `work`, which the verbs in it write in one transaction; or that of the first time.

    Raises:
        Refusal: see `deeds.carry_out`.
    """
    context, key = info.context, getattr(input, "idempotency_key", None)
    vault, workspace_id = context.vault, context.caller.workspace_id
    digest = b"" if key is None else digest_of(vault.input_key, input)
    deed = Deed(
        workspace_id=workspace_id,
        actor=context.caller.actor,
        action=info.field_name,
        request_id=context.request_id,
        key=key,
        input_digest=digest,
    )

    async def outcome() -> Outcome[P]:
        payload = await work()
        # Sealed: what is shown once, such as a secret just made, is not kept in the clear.
        kept = b"" if key is None else vault.seal(to_json(payload), workspace_id, _PLACE, UUID(bytes=digest[:16]))
        return Outcome(payload, kept, ids_in(payload))

    def recalled(kept: bytes) -> P:
        return cast(P, from_json(vault.open(kept, workspace_id, _PLACE, UUID(bytes=digest[:16]))))

    return await deeds.carry_out(deed, outcome, recalled)


def _payload_of(method: Callable[..., Any]) -> type[Payload]:
    """Return the payload that a mutation's annotation names."""
    answer = get_type_hints(method)["return"]
    (payload,) = [one for one in get_args(answer) if isinstance(one, type) and issubclass(one, Payload)]
    return payload
