"""What clients may count on is in the schema, and the examples that they start from are valid."""

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    EnumTypeDefinitionNode,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    parse,
    print_ast,
    validate,
)

from api.schema import schema

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

DIFFERENT = {
    "SuggestedFix.code: FixCode!, not String!": "a closed list says more than a text, and is the same in JSON",
    "PendingAction.recipient: Recipient, not Recipient!": "a deleted recipient is not shown, its closed actions are",
}


def _differences() -> Iterator[str]:
    types = schema._schema.type_map
    for definition in parse((HERE / "schema_core.graphql").read_text(encoding="utf-8")).definitions:
        name = definition.name.value  # type: ignore[attr-defined]
        type_ = types.get(name)
        if type_ is None:
            yield f"type {name}"
        elif isinstance(definition, EnumTypeDefinitionNode):
            values = [one.name.value for one in definition.values or ()]
            yield from (f"{name}.{value}" for value in values if value not in type_.values)  # type: ignore[attr-defined]
        else:
            assert isinstance(
                definition,
                ObjectTypeDefinitionNode
                | InterfaceTypeDefinitionNode
                | InputObjectTypeDefinitionNode
                | ScalarTypeDefinitionNode,
            )
            for kind in getattr(definition, "interfaces", None) or ():
                if kind.name.value not in {one.name for one in type_.interfaces}:  # type: ignore[attr-defined]
                    yield f"{name} implements {kind.name.value}"
            for field in getattr(definition, "fields", None) or ():
                at = f"{name}.{field.name.value}"
                found = type_.fields.get(field.name.value)  # type: ignore[attr-defined]
                yield from _differences_of(at, found, field)
                for argument in (getattr(field, "arguments", None) or ()) if found else ():
                    yield from _differences_of(
                        f"{at}({argument.name.value})", found.args.get(argument.name.value), argument
                    )


def _differences_of(at: str, found, wanted) -> Iterator[str]:  # type: ignore[no-untyped-def]
    if found is None:
        yield at
    elif str(found.type) != print_ast(wanted.type):
        yield f"{at}: {found.type}, not {print_ast(wanted.type)}"


def test_the_heart_of_the_schema_is_in_it_but_for_what_has_a_reason() -> None:
    differences = set(_differences())
    assert differences - DIFFERENT.keys() == set()
    assert DIFFERENT.keys() - differences == set(), "these are as they should be: take them out of the list"


def test_the_examples_of_operations_are_valid() -> None:
    files = sorted((ROOT / "docs" / "operations").glob("*.graphql"))
    assert files
    document = parse("\n".join(file.read_text(encoding="utf-8") for file in files))
    assert validate(schema._schema, document) == []
