"""How root fields are declared: what each needs is said once, where it is declared.

The scope stands in the field's definition; its description and the refusal of a caller without it are made of that, so
that neither can say anything else. `refuse_without_scope` asks it before anything of an operation is carried out, for
every transport.

Source: api.md "Auth"; architecture.md "The flow of one read".
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, cast

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
)

from api.context import Caller
from api.errors import RequestRefused
from domain.rules.access import Role, Scope, allows, in_order
from domain.rules.actor import ActorKind

F = TypeVar("F", bound=Callable[..., Any])

FORBIDDEN: Final = "FORBIDDEN"
_SCOPE: Final = "scope"


def described(description: str, scope: Scope | None) -> str:
    """Return the description of a root field: what it does, then the scope it needs."""
    return f"{description} {f'Needs the scope `{scope}`.' if scope else 'Needs no scope.'}"


def query(description: str, *, scope: Scope | None) -> Callable[[F], F]:
    """Make a method a root field of queries. (Strawberry's own decorator forgets the method's type.)"""
    return cast(Callable[[F], F], strawberry.field(description=described(description, scope), metadata={_SCOPE: scope}))


def subscription(description: str, *, scope: Scope) -> Callable[[F], F]:
    """Make a method a root field of subscriptions."""
    return cast(
        Callable[[F], F], strawberry.subscription(description=described(description, scope), metadata={_SCOPE: scope})
    )


def declared_mutation(description: str, scope: Scope) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a root field of mutations; `api/mutations/carrying_out.py` says what a mutation is."""
    made: Callable[[Callable[..., Any]], Any] = strawberry.mutation(
        description=described(description, scope), metadata={_SCOPE: scope}
    )
    return made


def scope_of(field: GraphQLField) -> Scope | None:
    """Return the scope that a root field needs; None where it needs none.

    Raises:
        KeyError: it was not declared with one of the above.
    """
    scope: Scope | None = field.extensions["strawberry-definition"].metadata[_SCOPE]
    return scope


def refuse_without_scope(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, caller: Caller
) -> None:
    """Return when the caller may do all that a valid operation asks for.

    Raises:
        RequestRefused: FORBIDDEN, with all the scopes that are missing.
    """
    root = schema.get_root_type(operation.operation)
    assert root is not None
    needed = {
        scope
        for name in _root_fields(document, operation)
        if name in root.fields and (scope := scope_of(root.fields[name])) and not allows(caller.scopes, scope)
    }
    if needed:
        missing = in_order(needed)
        raise RequestRefused(403, FORBIDDEN, _sentence(missing, caller), requiredScopes=[str(one) for one in missing])


def refuse_lacking(caller: Caller, *scopes: Scope) -> None:
    """Return when the caller has these scopes.

    Raises:
        RequestRefused: FORBIDDEN, with all that are missing.
    """
    missing = in_order({scope for scope in scopes if not allows(caller.scopes, scope)})
    if missing:
        raise RequestRefused(403, FORBIDDEN, _sentence(missing, caller), requiredScopes=[str(one) for one in missing])


def _sentence(missing: list[Scope], caller: Caller) -> str:
    named = " and ".join(f"“{scope}”" for scope in missing)
    has = ", ".join(in_order(caller.scopes)) or "none"
    plural = "s" if len(missing) > 1 else ""
    if caller.actor.kind is ActorKind.USER:
        role = Role.ADMIN if Scope.ADMIN in missing else Role.MEMBER
        return (
            f"This needs the scope{plural} {named}, which your role does not have (it has: {has}). "
            f"Ask an administrator for the role {role}."
        )
    options = " ".join(f"--scope {scope}" for scope in missing)
    return (
        f"This needs the scope{plural} {named}, which the key “{caller.name}” does not have (it has: {has}). "
        f"Use a key that has: `relance keys create {options} …` makes one."
    )


def _root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> Iterator[str]:
    """Yield the names of the fields an operation asks for at its root, those in fragments included."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    waiting: list[SelectionSetNode] = [operation.selection_set]
    seen: set[str] = set()
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                yield selection.name.value
            elif isinstance(selection, FragmentSpreadNode):
                if (name := selection.name.value) not in seen:
                    seen.add(name)
                    waiting.append(fragments[name].selection_set)
            elif (inner := getattr(selection, "selection_set", None)) is not None:
                waiting.append(inner)
