"""How large a document is, measured before it is validated: validation itself takes long with documents made for that.

Each fragment is looked at once, however often it is spread. Fields are merged as validation and execution merge them,
and the counting ends where the limit is.

Source: api.md "Limits"; reliability.md 2.26.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    Lexer,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Source,
    TokenKind,
)

from api.limits import (
    ALIAS_LIMIT,
    COUNTED_AT_MOST,
    DEPTH_LIMIT,
    DIRECTIVE_LIMIT,
    MERGE_LIMIT,
    ROOT_FIELD_LIMIT,
    SELECTION_LIMIT,
    TOKEN_LIMIT,
    too_much,
)

_OPENING = (TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L)
_CLOSING = (TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R)


def measured(document: DocumentNode) -> list[GraphQLError]:
    """Return an error for each limit that the document exceeds. It need not be valid."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    sizes = _Sizes(fragments)
    whole = [sizes.of(operation.selection_set) for operation in operations]
    on_definitions = sum(len(getattr(one, "directives", None) or ()) for one in document.definitions)
    depth = max((one.depth for one in whole), default=0)
    aliases = min(COUNTED_AT_MOST, sum(one.aliases for one in whole))
    directives = min(COUNTED_AT_MOST, on_definitions + sum(one.directives for one in whole))
    errors = []
    if depth > DEPTH_LIMIT:
        errors.append(nested_too_deeply(depth))
    if aliases > ALIAS_LIMIT:
        message = f"The document has {aliases:,} aliases; at most {ALIAS_LIMIT} are allowed."
        errors.append(too_much("aliases", message, found=aliases, allowed=ALIAS_LIMIT))
    if directives > DIRECTIVE_LIMIT:
        message = f"The document has {directives:,} directives; at most {DIRECTIVE_LIMIT} are allowed."
        errors.append(too_much("directives", message, found=directives, allowed=DIRECTIVE_LIMIT))
    for operation in operations:
        if errors:
            break
        errors += _Merging(fragments).errors_of(operation)
    return errors


def nested_too_deeply(depth: int) -> GraphQLError:
    """Return the error of a document with so many levels."""
    message = f"The document is nested {depth:,} levels deep; at most {DEPTH_LIMIT} are allowed."
    return too_much("depth", message, found=depth, allowed=DEPTH_LIMIT)


def nesting(text: str) -> int:
    """Return how many brackets at most are open at once in a document that is no longer than the limit of tokens.

    Raises:
        GraphQLSyntaxError: the text is no document, or is longer.
    """
    lexer, now, most = Lexer(Source(text)), 0, 0
    for _ in range(TOKEN_LIMIT):
        kind = lexer.advance().kind
        if kind is TokenKind.EOF:
            break
        now += (kind in _OPENING) - (kind in _CLOSING)
        most = max(most, now)
    return most


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    aliases: int = 0
    directives: int = 0


class _Sizes:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, _Size] = {}

    def of(self, selections: SelectionSetNode | None) -> _Size:
        depth = aliases = directives = 0
        for selection in selections.selections if selections else ():
            below = self._below(selection)
            deeper = 0
            if isinstance(selection, FieldNode):
                aliases += selection.alias is not None
                # introspection is as deep as it has to be: a rule of its own bounds it
                deeper = 0 if selection.name.value.startswith("__") else below.depth + 1
            else:
                deeper = below.depth
            depth = max(depth, deeper)
            aliases += below.aliases
            directives += below.directives + len(selection.directives or ())
        return _Size(depth, min(aliases, COUNTED_AT_MOST), min(directives, COUNTED_AT_MOST))

    def _below(self, selection: SelectionNode) -> _Size:
        if not isinstance(selection, FragmentSpreadNode):
            return self.of(getattr(selection, "selection_set", None))
        name = selection.name.value
        if name not in self._known:
            self._known[name] = _Size()  # a cycle ends here; validation names it
            if name in self._fragments:
                self._known[name] = self.of(self._fragments[name].selection_set)
        return self._known[name]


class _Merging:
    """Merges the fields of one operation, level by level, as long as that is cheap."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments

    def errors_of(self, operation: OperationDefinitionNode) -> list[GraphQLError]:
        first = (operation.selection_set,)
        waiting: list[tuple[SelectionSetNode, ...]] = [first]
        seen: set[frozenset[int]] = set()
        fields = pairs = 0
        while waiting:
            selections = waiting.pop()
            key = frozenset(id(one) for one in selections)
            if key in seen:
                continue
            seen.add(key)
            by_name: dict[str, list[FieldNode]] = {}
            for node in self._fields(selections):
                fields += 1
                if fields > SELECTION_LIMIT:
                    message = (
                        f"The document's fragments select more than {SELECTION_LIMIT:,} fields. "
                        "Spread each fragment in fewer places."
                    )
                    return [too_much("selections", message, found=fields, allowed=SELECTION_LIMIT)]
                by_name.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
            pairs += sum(len(same) * (len(same) - 1) // 2 for same in by_name.values())
            if pairs > MERGE_LIMIT:
                message = (
                    f"The document selects the same fields again and again: {pairs:,} pairs would be merged; at "
                    f"most {MERGE_LIMIT:,} are allowed. Select each field once."
                )
                return [too_much("merges", message, found=pairs, allowed=MERGE_LIMIT)]
            if selections is first and len(by_name) > ROOT_FIELD_LIMIT:
                message = (
                    f"The operation has {len(by_name):,} fields at its root; at most {ROOT_FIELD_LIMIT} are allowed. "
                    "Send several requests."
                )
                return [too_much("rootFields", message, found=len(by_name), allowed=ROOT_FIELD_LIMIT)]
            for same in by_name.values():
                below = tuple(node.selection_set for node in same if node.selection_set is not None)
                if below:
                    waiting.append(below)
        return []

    def _fields(self, selections: tuple[SelectionSetNode, ...]) -> Iterator[FieldNode]:
        spread: set[str] = set()
        waiting = list(selections)
        while waiting:
            for selection in waiting.pop().selections:
                if isinstance(selection, FieldNode):
                    yield selection
                elif isinstance(selection, FragmentSpreadNode):
                    name = selection.name.value
                    if name not in spread and name in self._fragments:
                        spread.add(name)
                        waiting.append(self._fragments[name].selection_set)
                elif (inner := getattr(selection, "selection_set", None)) is not None:
                    waiting.append(inner)
