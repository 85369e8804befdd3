"""What a mutation is: a root field that needs a scope and answers with its payload, refused or done.

Source: api.md "Mutations", "Auth".
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar, cast, get_args, get_type_hints

from api.context import Info
from api.declaring import declared_mutation
from api.errors import MASKED_REFUSALS
from api.mutations.payloads import Payload
from api.mutations.refusals import told
from domain.refusals import Refusal
from domain.rules.access import Scope

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def mutation(description: str, *, scope: Scope) -> Callable[[F], F]:
    """Make a method `(self, info, input) -> SomePayload | None` a mutation of the schema, for those with the scope.

    A refusal raised in it becomes the `errors` of an otherwise empty payload.
    """

    def decorate(method: F) -> F:
        payload = _payload_of(method)

        @wraps(method)
        async def answered(self: Any, info: Info, input: Any) -> Any:
            try:
                answer = await method(self, info=info, input=input)
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


def _payload_of(method: Callable[..., Any]) -> type[Payload]:
    """Return the payload that a mutation's annotation names."""
    answer = get_type_hints(method)["return"]
    (payload,) = [one for one in get_args(answer) if isinstance(one, type) and issubclass(one, Payload)]
    return payload
