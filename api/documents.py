"""Documents made ready once: parsed, measured against the limits and validated, kept for the next request.

The limits are counted once per fragment, however often it is spread, so that a small document cannot cost much.

Source: stack.md section 3; api.md "Limits".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValidationContext,
    ValidationRule,
    parse,
    specified_rules,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from api.rows import TooManySelections, rows_of

DEPTH_LIMIT: Final = 12
ALIAS_LIMIT: Final = 30
TOKEN_LIMIT: Final = 2_000
ROW_LIMIT: Final = 20_000
_KEPT: Final = 512
_KEPT_LENGTH_LIMIT: Final = 20_000


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A document and what is wrong with it; with errors it must not be executed."""

    document: DocumentNode | None
    errors: Sequence[GraphQLError]
    rows_vary: bool = False  # whether it depends on the variables if it asks for too many rows


def prepare(schema: GraphQLSchema, text: str, variables: Mapping[str, Any] | None = None) -> Prepared:
    """Return the document of a text, or the errors in it. Never raises.

    Rows are counted anew only for a document that asks for too many with some variables, and not with others.
    """
    prepared = _prepare(schema, text) if len(text) > _KEPT_LENGTH_LIMIT else _prepare_once(schema, text)
    if prepared.document is not None and prepared.rows_vary:
        errors = _too_many_rows(schema, prepared.document, variables or {})
        if errors:
            return Prepared(None, errors)
    return prepared


def _prepare(schema: GraphQLSchema, text: str) -> Prepared:
    try:
        document = parse(text, max_tokens=TOKEN_LIMIT)
    except GraphQLError as error:
        return Prepared(None, [error])
    except RecursionError:
        return Prepared(None, [GraphQLError("The document is nested too deeply.", extensions=_limit("depth"))])
    measured = _measured(document)
    if measured:
        return Prepared(None, measured)
    errors = validate_document(schema, document, (*specified_rules, SafeText))
    if errors:
        return Prepared(None, errors)
    too_many = _too_many_rows(schema, document, None)
    if too_many and _has_variables(document):
        return Prepared(document, (), rows_vary=True)
    return Prepared(None if too_many else document, too_many)


_prepare_once = lru_cache(maxsize=_KEPT)(_prepare)


def _limit(name: str, **found: int) -> dict[str, Any]:
    return {"code": "GRAPHQL_VALIDATION_FAILED", "reason": "LIMIT_EXCEEDED", "limit": name, **found}


def _measured(document: DocumentNode) -> list[GraphQLError]:
    measure = _Measure(document)
    depth, aliases = measure.whole()
    errors = []
    if depth > DEPTH_LIMIT:
        message = f"The document is nested {depth} levels deep; at most {DEPTH_LIMIT} are allowed."
        errors.append(GraphQLError(message, extensions=_limit("depth", found=depth, allowed=DEPTH_LIMIT)))
    if aliases > ALIAS_LIMIT:
        message = f"The document has {aliases} aliases; at most {ALIAS_LIMIT} are allowed."
        errors.append(GraphQLError(message, extensions=_limit("aliases", found=aliases, allowed=ALIAS_LIMIT)))
    return errors


def _has_variables(document: DocumentNode) -> bool:
    operations = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return any(operation.variable_definitions for operation in operations)


def _too_many_rows(
    schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any] | None
) -> list[GraphQLError]:
    way_out = "Ask for fewer at once: a smaller `first`, or page the inner list by a query of its own."
    try:
        rows = rows_of(schema, document, variables)
    except TooManySelections:
        message = f"The document's fragments select too much to be counted. {way_out}"
        return [GraphQLError(message, extensions=_limit("rows", allowed=ROW_LIMIT))]
    if rows <= ROW_LIMIT:
        return []
    message = f"The document asks for up to {rows:,} rows; at most {ROW_LIMIT:,} are allowed. {way_out}"
    return [GraphQLError(message, extensions=_limit("rows", found=rows, allowed=ROW_LIMIT))]


class _Measure:
    def __init__(self, document: DocumentNode) -> None:
        self._document = document
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[str, tuple[int, int]] = {}

    def whole(self) -> tuple[int, int]:
        """Return the depth of the deepest operation, and the aliases of all of them."""
        found = [
            self._of(definition.selection_set)
            for definition in self._document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
        return max((depth for depth, _ in found), default=0), sum(aliases for _, aliases in found)

    def _of(self, selections: SelectionSetNode | None) -> tuple[int, int]:
        depth = aliases = 0
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                if selection.name.value.startswith("__"):  # introspection is as deep as it has to be
                    continue
                below, inside = self._of(selection.selection_set)
                below, inside = below + 1, inside + (selection.alias is not None)
            elif isinstance(selection, FragmentSpreadNode):
                below, inside = self._of_fragment(selection.name.value)
            else:
                below, inside = self._of(getattr(selection, "selection_set", None))
            depth, aliases = max(depth, below), aliases + inside
        return depth, aliases

    def _of_fragment(self, name: str) -> tuple[int, int]:
        if name not in self._known:
            self._known[name] = (0, 0)  # a cycle ends here; validation names it
            definition = self._fragments.get(name)
            self._known[name] = self._of(definition.selection_set) if definition else (0, 0)
        return self._known[name]


class SafeText(ValidationRule):
    """Refuses what no text of ours can hold, and no database stores: U+0000 and halves of characters."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        if not is_storable(node.value):
            self.context.report_error(GraphQLError("A text has a character that cannot be stored.", node))


def is_storable(text: str) -> bool:
    """Return whether a text has neither U+0000 nor half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


class UsePrepared(SchemaExtension):
    """Lets an execution use a document that has been made ready, instead of parsing and validating it again."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        prepared = prepare(context.schema._schema, context.query or "", context.variables)
        context.graphql_document = prepared.document
        context.pre_execution_errors = list(prepared.errors)
        if prepared.document is None:  # only where someone executes without having asked before
            raise prepared.errors[0]
        yield
