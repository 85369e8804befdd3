"""Every root field of the schema, and the smallest valid document for each, made by introspection: what is added to the
schema is covered by what walks it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    is_leaf_type,
)

from api.declaring import scope_of
from api.schema import schema
from domain.rules.access import Scope
from domain.rules.ids import Prefix, to_public

ROOTS = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}
_NOBODY = UUID(int=7)
_SCALARS: dict[str, Any] = {"Int": 1, "Float": 1.0, "Boolean": True, "JSON": {}, "DateTime": "2027-01-04T09:00:00Z"}


@dataclass(frozen=True)
class RootField:
    """One field of a root type."""

    operation: str
    name: str
    field: GraphQLField

    @property
    def scope(self) -> Scope | None:
        return scope_of(self.field)

    def __str__(self) -> str:
        return f"{self.operation} {self.name}"

    def document(self, *arguments: str, selection: str | None = None) -> str:
        """The operation with the arguments that are needed and those named, each a variable of its own name."""
        given = {name: one for name, one in self.field.args.items() if _is_needed(one) or name in arguments}
        declared = ", ".join(f"${name}: {one.type}" for name, one in given.items())
        passed = ", ".join(f"{name}: ${name}" for name in given)
        inner = selection or self.selection()
        return (
            f"{self.operation} Asked{f'({declared})' if declared else ''} "
            f"{{ {self.name}{f'({passed})' if passed else ''} {inner} }}"
        )

    def selection(self) -> str:
        """All plain fields of the answer, of its errors, and ids two levels down."""
        return _selection(get_named_type(self.field.type), 2)

    def variables(self) -> dict[str, Any]:
        """The least that the arguments need; valid for the schema, and for nothing else."""
        return {name: least(one.type) for name, one in self.field.args.items() if _is_needed(one)}


def root_fields() -> Iterator[RootField]:
    for operation, type_name in ROOTS.items():
        type_ = schema._schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items():
            yield RootField(operation, name, field)


def least(type_: GraphQLInputType) -> Any:
    """The smallest value of an input type."""
    if isinstance(type_, GraphQLNonNull):
        return least(type_.of_type)
    if isinstance(type_, GraphQLList):
        return [least(type_.of_type)]
    if isinstance(type_, GraphQLInputObjectType):
        return {name: least(one.type) for name, one in type_.fields.items() if _is_needed(one)}
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    name = get_named_type(type_).name
    return to_public(Prefix.RECIPIENT, _NOBODY) if name == "ID" else _SCALARS.get(name, "x")


def _is_needed(one: Any) -> bool:
    assert isinstance(one, GraphQLArgument) or hasattr(one, "default_value")
    return isinstance(one.type, GraphQLNonNull) and one.default_value is Undefined


def _selection(type_: Any, depth: int) -> str:
    if is_leaf_type(type_):
        return ""
    parts = ["__typename"]
    for name, field in getattr(type_, "fields", {}).items():
        inner = get_named_type(field.type)
        if any(_is_needed(argument) for argument in field.args.values()):
            continue
        if is_leaf_type(inner):
            parts.append(name)
        elif depth and name in ("errors", "results", "nodes"):
            parts.append(f"{name} {_selection(inner, depth - 1)}")
    return f"{{ {' '.join(parts)} }}"
