"""How many rows a document asks for, known before anything of it is carried out, and how many its answer has.

A connection asks for as many rows as its page is long, once for each object it is read of. Fields that an execution
merges count once, as they are read once; an equal selection is counted once, however often fragments repeat it.

Source: api.md "Limits".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
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

from api.limits import SELECTION_LIMIT
from domain.reading.pages import AT_MOST as PAGE_AT_MOST

NODES_AT_MOST: Final = 100
LIST_LENGTH: Final = 10  # of a list without pages, such as the steps of a sequence: what is usual

_INTROSPECTION: Final = frozenset({"__schema", "__type"})

_Parent = GraphQLObjectType | GraphQLInterfaceType
_Selections = tuple[SelectionSetNode, ...]


class TooManySelections(Exception):
    """The document has so many different selections that its rows are not worth counting."""


class _Kind(Enum):
    PAGE = "page"
    IDS = "ids"
    LIST = "list"
    OBJECT = "object"


@dataclass(slots=True, eq=False)
class _Part:
    """One field of the answer that has fields of its own."""

    kind: _Kind
    name: str
    answered_as: str
    below: "_Below"
    sizes: tuple[ValueNode, ...] = ()  # of the arguments that say how many
    usual_size: int = PAGE_AT_MOST

    @property
    def counts(self) -> bool:
        return self.kind in (_Kind.PAGE, _Kind.IDS) or bool(self.below.counted)


@dataclass(slots=True, eq=False)
class _Below:
    """What is selected of one object. `counted`: its fields with rows in them or below, by the name in the answer."""

    parts: list[_Part] = field(default_factory=list)
    counted: dict[str, list[_Part]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Shape:
    """One operation, as far as rows go."""

    introspects: bool
    root_fields: int
    _below: _Below
    _defaults: Mapping[str, Any]

    def rows(self, variables: Mapping[str, Any] | None) -> int:
        """Return the rows asked for. Without variables each size that one names counts as the largest possible."""
        given = None if variables is None else {**self._defaults, **variables}
        known: dict[int, int] = {}

        def of(below: _Below) -> int:
            if id(below) not in known:
                known[id(below)] = sum(of_part(part) for part in below.parts)
            return known[id(below)]

        def of_part(part: _Part) -> int:
            inner = of(part.below)
            if part.kind is _Kind.PAGE:
                return _page_size(part, given) * (1 + inner)
            if part.kind is _Kind.IDS:
                return _length(part, given) * (1 + inner)
            return inner * LIST_LENGTH if part.kind is _Kind.LIST else inner

        return of(self._below)

    def found(self, answer: object) -> int:
        """Return the rows in the data of an answer."""
        return _found(self._below, answer)


def shapes_of(schema: GraphQLSchema, document: DocumentNode) -> dict[str | None, Shape]:
    """Return the shapes of a valid document's operations, by name.

    Raises:
        TooManySelections
    """
    reading = _Reading(schema, {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)})
    operations = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return {operation.name.value if operation.name else None: reading.shape(operation) for operation in operations}


def _found(below: _Below, answer: object) -> int:
    if isinstance(answer, list):
        return sum(_found(below, one) for one in answer)
    if not isinstance(answer, dict):
        return 0
    rows = 0
    for answered_as, parts in below.counted.items():
        if (value := answer.get(answered_as)) is not None:
            rows += max(_found_in(part, value) for part in parts)
    return rows


def _found_in(part: _Part, value: Any) -> int:
    inner = _found(part.below, value) if part.below.counted else 0
    if part.kind is _Kind.IDS and isinstance(value, list):
        return len(value) + inner
    if part.kind is _Kind.PAGE and isinstance(value, dict):
        lists = (value.get(one.answered_as) for one in part.below.parts if one.name in ("nodes", "edges"))
        return max((len(one) for one in lists if isinstance(one, list)), default=0) + inner
    return inner


def _page_size(part: _Part, given: Mapping[str, Any] | None) -> int:
    sizes = [size for one in part.sizes if (size := _value(one, given)) is not None] or [part.usual_size]
    return max(size if _is_size(size) else PAGE_AT_MOST for size in sizes)


def _length(part: _Part, given: Mapping[str, Any] | None) -> int:
    values = [value for one in part.sizes if isinstance(value := _value(one, given), list)]
    return min(len(values[0]), NODES_AT_MOST) if values else NODES_AT_MOST


def _value(node: ValueNode, given: Mapping[str, Any] | None) -> Any:
    """Return the value; `...` where it is not known."""
    if isinstance(node, VariableNode):
        return ... if given is None else given.get(node.name.value)
    if isinstance(node, IntValueNode):
        return int(node.value) if len(node.value) < 10 else ...
    if isinstance(node, ListValueNode):
        return list(node.values)
    return None if isinstance(node, NullValueNode) else ...


class _Reading:
    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._known: dict[tuple[str, frozenset[int]], _Below] = {}

    def shape(self, operation: OperationDefinitionNode) -> Shape:
        root = self._schema.get_root_type(operation.operation)
        assert root is not None
        names = [nodes[0].name.value for _, nodes in self._merged(root, (operation.selection_set,))]
        defaults = {
            one.variable.name.value: value_from_ast_untyped(one.default_value)
            for one in operation.variable_definitions or ()
            if one.default_value is not None
        }
        below = self._of(root, (operation.selection_set,))
        return Shape(not _INTROSPECTION.isdisjoint(names), len(names), below, defaults)

    def _of(self, parent: _Parent, selections: _Selections) -> _Below:
        """Return what is selected of one object of this type."""
        key = parent.name, frozenset(id(one) for one in selections)
        if key not in self._known:
            if len(self._known) >= SELECTION_LIMIT:
                raise TooManySelections
            below = self._known[key] = _Below()
            for on, nodes in self._merged(parent, selections):
                part = self._part(on, nodes)
                if part is None:
                    continue
                below.parts.append(part)
                if part.counts:
                    below.counted.setdefault(part.answered_as, []).append(part)
        return self._known[key]

    def _part(self, parent: _Parent, nodes: list[FieldNode]) -> _Part | None:
        first = nodes[0]
        field_ = parent.fields.get(first.name.value)
        selected = tuple(node.selection_set for node in nodes if node.selection_set is not None)
        if field_ is None or not selected:
            return None
        type_ = get_named_type(field_.type)
        below = self._of(type_, selected) if isinstance(type_, _Parent) else _Below()
        part = _Part(_Kind.OBJECT, first.name.value, first.alias.value if first.alias else first.name.value, below)
        if "first" in field_.args:
            part.kind, part.sizes = _Kind.PAGE, _values_of(first, ("first", "last"))
            part.usual_size = field_.args["first"].default_value
        elif "ids" in field_.args:
            part.kind, part.sizes = _Kind.IDS, _values_of(first, ("ids",))
        elif is_list_type(get_nullable_type(field_.type)) and not parent.name.endswith("Connection"):
            part.kind = _Kind.LIST
        return part

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


def _values_of(node: FieldNode, names: Iterable[str]) -> tuple[ValueNode, ...]:
    return tuple(one.value for one in node.arguments or () if one.name.value in names)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= PAGE_AT_MOST
