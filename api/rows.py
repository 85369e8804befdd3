"""How many rows a document asks for, known before anything of it is carried out.

A connection asks for as many rows as its page is long, once for each object it is read of. Fields that an execution
merges count once, as they are read once; an equal selection is counted once, however often fragments repeat it.

Source: api.md "Limits".
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    value_from_ast_untyped,
)

from domain.reading.pages import AT_MOST as PAGE_AT_MOST

NODES_AT_MOST: Final = 100
LIST_LENGTH: Final = 10  # of a list without pages, such as the steps of a sequence: what is usual
_SELECTIONS_AT_MOST: Final = 5_000  # different ones, merged: only a document made to cost much has as many

_Parent = GraphQLObjectType | GraphQLInterfaceType
_Selections = tuple[SelectionSetNode, ...]


class TooManySelections(Exception):
    """The document has so many different selections that its rows are not worth counting."""


def rows_of(schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any] | None = None) -> int:
    """Return the rows of the operation that asks for most. The document must be valid.

    Without `variables` each page size that a variable names counts as the largest possible.

    Raises:
        TooManySelections
    """
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    operations = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return max((_Count(schema, fragments, operation, variables).whole() for operation in operations), default=0)


class _Count:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any] | None,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._operation = operation
        self._variables: Mapping[str, Any] | None = None
        if variables is not None:
            defaults = {
                one.variable.name.value: value_from_ast_untyped(one.default_value)
                for one in operation.variable_definitions or ()
                if one.default_value is not None
            }
            self._variables = {**defaults, **variables}
        self._known: dict[tuple[str, frozenset[int]], int] = {}

    def whole(self) -> int:
        root = self._schema.get_root_type(self._operation.operation)
        return self._of(root, (self._operation.selection_set,)) if root is not None else 0

    def _of(self, parent: _Parent, selections: _Selections) -> int:
        """Return the rows asked for below one object of this type."""
        key = parent.name, frozenset(id(one) for one in selections)
        if key not in self._known:
            if len(self._known) >= _SELECTIONS_AT_MOST:
                raise TooManySelections
            self._known[key] = sum(self._of_field(on, nodes) for on, nodes in self._merged(parent, selections))
        return self._known[key]

    def _of_field(self, parent: _Parent, nodes: list[FieldNode]) -> int:
        field = parent.fields.get(nodes[0].name.value)
        below = tuple(node.selection_set for node in nodes if node.selection_set is not None)
        if field is None or not below:
            return 0
        type_ = get_named_type(field.type)
        inner = self._of(type_, below) if isinstance(type_, _Parent) else 0
        if "first" in field.args:
            return self._page_size(field, nodes[0]) * (1 + inner)
        if "ids" in field.args:
            return self._length(nodes[0]) * (1 + inner)
        if is_list_type(get_nullable_type(field.type)) and not parent.name.endswith("Connection"):
            return LIST_LENGTH * inner
        return inner

    def _merged(self, parent: _Parent, selections: _Selections) -> Iterator[tuple[_Parent, list[FieldNode]]]:
        """Yield the fields of these selections as an execution merges them, each with the type it is selected on."""
        found: dict[tuple[str, str], tuple[_Parent, list[FieldNode]]] = {}
        spread: set[tuple[str, str]] = set()

        def collect(on: _Parent, selection_set: SelectionSetNode) -> None:
            for node in selection_set.selections:
                if isinstance(node, FieldNode):
                    answered_as = node.alias.value if node.alias else node.name.value
                    found.setdefault((on.name, answered_as), (on, []))[1].append(node)
                elif isinstance(node, FragmentSpreadNode):
                    fragment = self._fragments[node.name.value]
                    narrowed = self._narrowed(on, fragment.type_condition.name.value)
                    if (narrowed.name, node.name.value) not in spread:
                        spread.add((narrowed.name, node.name.value))
                        collect(narrowed, fragment.selection_set)
                elif isinstance(node, InlineFragmentNode):
                    condition = node.type_condition
                    collect(self._narrowed(on, condition.name.value) if condition else on, node.selection_set)

        for selection_set in selections:
            collect(parent, selection_set)
        yield from found.values()

    def _narrowed(self, parent: _Parent, condition: str) -> _Parent:
        """Return the type that objects of both have: what a fragment on an interface selects of an object merges."""
        type_ = self._schema.type_map[condition]
        return type_ if isinstance(parent, GraphQLInterfaceType) and isinstance(type_, _Parent) else parent

    def _page_size(self, field: GraphQLField, node: FieldNode) -> int:
        given = {
            one.name.value: self._value(one.value)
            for one in node.arguments or ()
            if one.name.value in ("first", "last")
        }
        sizes = [size for size in given.values() if size is not None]
        if not sizes:
            sizes = [field.args["first"].default_value]
        return max(size if _is_size(size) else PAGE_AT_MOST for size in sizes)

    def _length(self, node: FieldNode) -> int:
        for one in node.arguments or ():
            if one.name.value == "ids":
                value = self._value(one.value)
                return min(len(value), NODES_AT_MOST) if isinstance(value, list) else NODES_AT_MOST
        return NODES_AT_MOST

    def _value(self, node: ValueNode) -> Any:
        """Return the value; `...` where it is not known."""
        if isinstance(node, VariableNode):
            return ... if self._variables is None else self._variables.get(node.name.value)
        if isinstance(node, IntValueNode):
            return int(node.value) if len(node.value) < 10 else ...
        if isinstance(node, ListValueNode):
            return list(node.values)
        return None if isinstance(node, NullValueNode) else ...


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= PAGE_AT_MOST
