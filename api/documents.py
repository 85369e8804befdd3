"""Documents made ready once: parsed, measured against the limits and validated, kept for the next request.

Source: stack.md section 3; api.md "Limits".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    ValidationContext,
    ValidationRule,
    parse,
    specified_rules,
    validate,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from api.errors import PARSE_FAILED
from api.limits import (
    COUNTED_AT_MOST,
    DIGIT_LIMIT,
    DOCUMENT_LIMIT,
    ERRORS_SHOWN,
    EVENT_ROW_LIMIT,
    INTROSPECTION_DEPTH_LIMIT,
    ROW_LIMIT,
    SELECTION_LIMIT,
    TOKEN_LIMIT,
    too_much,
)
from api.measuring import measured, nested_too_deeply, nesting
from api.rows import Shape, TooManySelections, shapes_of

_KEPT: Final = 512
_KEPT_LENGTH_LIMIT: Final = 20_000
_TOO_MANY_TOKENS: Final = f"more than {TOKEN_LIMIT} tokens"
_ASK_FOR_FEWER: Final = "Ask for fewer at once: a smaller `first`, or page the inner list by a query of its own."
_READ_THEM: Final = "Ask for smaller pages in it, or read its lists by a query when it has come."
_TOO_DEEP: Final = "nested too deeply"
_TOO_DEEP_INTROSPECTION: Final = "Maximum introspection depth exceeded"


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A document and what is wrong with it; with errors it must not be executed."""

    document: DocumentNode | None
    errors: Sequence[GraphQLError]
    shapes: Mapping[str | None, Shape] = field(default_factory=dict)  # of its operations, by name
    rows_vary: bool = False  # whether it depends on the variables if it asks for too many rows


def prepare(schema: GraphQLSchema, text: str, variables: Mapping[str, Any] | None = None) -> Prepared:
    """Return the document of a text, or the errors in it. Never raises.

    Rows are counted anew only for a document that asks for too many with some variables, and not with others.
    """
    prepared = _prepare(schema, text) if len(text) > _KEPT_LENGTH_LIMIT else _prepare_once(schema, text)
    if prepared.document is not None and prepared.rows_vary:
        errors = _too_many_rows(prepared.document, prepared.shapes, variables or {})
        if errors:
            return Prepared(None, errors)
    return prepared


def _prepare(schema: GraphQLSchema, text: str) -> Prepared:
    try:
        document = _parsed(text)
    except GraphQLError as error:
        return Prepared(None, [error])
    wrong = measured(document) or validate(schema, document, _RULES, max_errors=ERRORS_SHOWN)
    if wrong:
        return Prepared(None, [_numbered(error) for error in wrong])
    try:
        shapes = shapes_of(schema, document)
    except TooManySelections:
        message = f"The document selects more than {SELECTION_LIMIT:,} different things. Ask for less at once."
        return Prepared(None, [too_much("selections", message, found=SELECTION_LIMIT + 1, allowed=SELECTION_LIMIT)])
    too_many = _too_many_rows(document, shapes, None)
    if too_many and _has_variables(document):
        return Prepared(document, (), shapes, rows_vary=True)
    return Prepared(None if too_many else document, too_many, shapes)


def _numbered(error: GraphQLError) -> GraphQLError:
    number = next((node for node in error.nodes or () if isinstance(node, IntValueNode)), None)
    if number is not None and (found := len(number.value)) > DIGIT_LIMIT:
        message = f"A number in the document has {found:,} digits; at most {DIGIT_LIMIT:,} are allowed."
        return too_much("digits", message, found=found, allowed=DIGIT_LIMIT)
    if error.message != _TOO_DEEP_INTROSPECTION:
        return error
    allowed = INTROSPECTION_DEPTH_LIMIT
    message = f"The introspection is nested {allowed + 1} lists deep or more; at most {allowed} are allowed."
    return too_much("introspectionDepth", message, found=allowed + 1, allowed=allowed)


def _parsed(text: str) -> DocumentNode:
    """Return the document of a text.

    Raises:
        GraphQLError
    """
    if len(text) > DOCUMENT_LIMIT:
        message = (
            f"The document has {len(text):,} characters; at most {DOCUMENT_LIMIT:,} are allowed. "
            "Send what is long in variables."
        )
        raise too_much("document", message, found=len(text), allowed=DOCUMENT_LIMIT)
    try:
        return parse(text, max_tokens=TOKEN_LIMIT)
    except GraphQLError as error:
        if _TOO_MANY_TOKENS in error.message:
            message = f"The document has more than {TOKEN_LIMIT:,} tokens. Split it, or send what is long in variables."
            error = too_much("tokens", message, found=TOKEN_LIMIT + 1, allowed=TOKEN_LIMIT)
        elif _TOO_DEEP in error.message:
            error = nested_too_deeply(nesting(text))
        else:
            raise
        error.extensions = {**(error.extensions or {}), "code": PARSE_FAILED}
        raise error from None


_prepare_once = lru_cache(maxsize=_KEPT)(_prepare)


def _has_variables(document: DocumentNode) -> bool:
    operations = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return any(operation.variable_definitions for operation in operations)


def _too_many_rows(
    document: DocumentNode, shapes: Mapping[str | None, Shape], variables: Mapping[str, Any] | None
) -> list[GraphQLError]:
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        rows = shapes[operation.name.value if operation.name else None].rows(variables)
        told = operation.operation is OperationType.SUBSCRIPTION
        if rows <= (allowed := EVENT_ROW_LIMIT if told else ROW_LIMIT):
            continue
        if told:
            message = f"Each event would bring up to {rows:,} rows; at most {allowed:,} are allowed. {_READ_THEM}"
        else:
            message = f"The document asks for up to {rows:,} rows; at most {allowed:,} are allowed. {_ASK_FOR_FEWER}"
        return [too_much("eventRows" if told else "rows", message, found=min(rows, COUNTED_AT_MOST), allowed=allowed)]
    return []


class SafeText(ValidationRule):
    """Refuses what no text of ours can hold, and no database stores: U+0000 and halves of characters."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        if not is_storable(node.value):
            self.context.report_error(GraphQLError("A text has a character that cannot be stored.", node))


def is_storable(text: str) -> bool:
    """Return whether a text has neither U+0000 nor half of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


_RULES: Final = (*specified_rules, SafeText, MaybeNullValidationRule, OneOfInputValidationRule)


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
