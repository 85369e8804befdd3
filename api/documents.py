"""Documents made ready once: parsed, measured against the limits and validated, kept for the next request.

The limits are counted once per fragment, however often it is spread, so that a small document cannot cost much.

Source: stack.md section 3; api.md "Limits".
"""

from collections.abc import Iterator, Sequence
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

DEPTH_LIMIT: Final = 12
ALIAS_LIMIT: Final = 30
TOKEN_LIMIT: Final = 2_000
_KEPT: Final = 512
_KEPT_LENGTH_LIMIT: Final = 20_000


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A document and what is wrong with it; with errors it must not be executed."""

    document: DocumentNode | None
    errors: Sequence[GraphQLError]


def prepare(schema: GraphQLSchema, text: str) -> Prepared:
    """Return the document of a text, or the errors in it. Never raises."""
    if len(text) > _KEPT_LENGTH_LIMIT:
        return _prepare(schema, text)
    return _prepare_once(schema, text)


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
    return Prepared(None if errors else document, errors)


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
        prepared = prepare(context.schema._schema, context.query or "")
        context.graphql_document = prepared.document
        context.pre_execution_errors = list(prepared.errors)
        if prepared.document is None:  # only where someone executes without having asked before
            raise prepared.errors[0]
        yield
