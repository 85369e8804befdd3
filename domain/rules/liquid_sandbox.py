"""Liquid as tenants may use it: a small set of tags and filters, and a bound on everything they can spend.

The library has four limits of its own. They leave three ways to spend without end, which are closed here: loops one
after another, filters that multiply their input, and sources that make the lexer backtrack.

Source: product.md 3 (templates).
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import wraps
from threading import Lock
from typing import Any, ClassVar, Final

from liquid import BoundTemplate, Environment, RenderContext
from liquid.exceptions import (
    FilterArgumentError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    UndefinedError,
)
from liquid.undefined import Undefined
from liquid.utils import ReadOnlyChainMap

SOURCE_LIMIT: Final = 200_000
"""Characters of a template."""

TAG_LIMIT: Final = 1_000
"""Characters between `{{` and `}}`."""

OUTPUT_LIMIT_BYTES: Final = 1_000_000
FILTERED_LIMIT: Final = 20_000
"""Characters, or items, that a filter takes or gives."""

_LOOPED_CHARACTERS_LIMIT: Final = 1_000_000
_NAMES_LIMIT: Final = 50
_BLANK_RUN_LIMIT: Final = 40
_BLANK_RUN: Final = re.compile(rf"\s{{{_BLANK_RUN_LIMIT}}}")
_OPENING: Final = re.compile(r"\{\{|\{%-?\s{0,40}([a-z]*)")
_TAGS: Final = ("if", "unless", "case", "for", "break", "continue", "assign", "capture", "comment", "#", "echo")
_FILTERS: Final = frozenset(
    {"append", "prepend", "capitalize", "upcase", "downcase", "strip", "lstrip", "rstrip", "squish", "truncate"}
    | {"truncatewords", "remove", "remove_first", "remove_last", "replace", "replace_first", "replace_last", "slice"}
    | {"split", "join", "first", "last", "size", "default", "escape", "escape_once", "url_encode", "newline_to_br"}
    | {"strip_html", "strip_newlines", "plus", "minus", "times", "divided_by", "modulo", "round", "floor", "ceil"}
    | {"abs", "at_least", "at_most"}
)


class SourceRefused(ValueError):
    """The text cannot be a template; found before it is parsed."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


class ValueAbsent(UndefinedError):
    """A value that nobody has given was to be written, counted or filtered."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' has no value", token=None)
        self.name = name


class Absent(Undefined):
    """A variable without a value: false in a condition, replaced by `| default:`, refused everywhere else."""

    __slots__ = ()
    force_liquid_default = True

    def _refuse(self, *_: object) -> Any:
        path = self.hint.removesuffix(" is undefined").strip("'") if self.hint else self.name
        raise ValueAbsent(path)

    __str__ = __len__ = __iter__ = __int__ = __getitem__ = __reversed__ = _refuse

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or other is False or isinstance(other, Undefined)

    def __hash__(self) -> int:
        return 0


class Group(dict[str, str]):
    """Values under one name, such as `fields` and `sender`; cannot be written as a whole."""

    def __str__(self) -> str:
        name = next(iter(self), "name")
        raise FilterArgumentError(f"it stands for several values: write one of them, such as {name!r}", token=None)


class BoundedContext(RenderContext):
    """A render that reads no clock and pays for its loops by their length times the size of the template."""

    __slots__ = ("looped_characters", "source_characters")

    def __init__(self, template: BoundTemplate, **more: Any) -> None:
        super().__init__(template, **more)
        self.scope = ReadOnlyChainMap(self.locals, self.globals)
        self.looped_characters = 0
        self.source_characters: int = template.matter["characters"]  # type: ignore[assignment]

    def assign(self, key: str, val: Any) -> None:
        # The library measures all names at each assignment.
        if len(self.locals) >= _NAMES_LIMIT and key not in self.locals:
            raise LocalNamespaceLimitError(f"it assigns more than {_NAMES_LIMIT} names", token=None)
        super().assign(key, val)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.looped_characters += length * self.source_characters
        if self.looped_characters > _LOOPED_CHARACTERS_LIMIT:
            raise LoopIterationLimitError("its loops run too often", token=None)
        super().raise_for_loop_limit(length)


class BoundedTemplate(BoundTemplate):
    context_class = BoundedContext

    def render_values(self, variables: Mapping[str, str | Mapping[str, str]]) -> str:
        """The text for one person; empty values count as absent."""
        values = {
            name: value if isinstance(value, str) else Group((key, text) for key, text in value.items() if text)
            for name, value in variables.items()
            if value or not isinstance(value, str)  # without values a group still says which one is missing
        }
        context = self.context_class(self, globals=values)
        buffer = self._get_buffer()
        self.render_with_context(context, buffer)
        return buffer.getvalue()


class BoundedEnvironment(Environment):
    template_class = BoundedTemplate
    context_depth_limit: ClassVar[int] = 20
    loop_iteration_limit: ClassVar[int | None] = 10_000
    local_namespace_limit: ClassVar[int | None] = 40_000
    output_stream_limit: ClassVar[int | None] = OUTPUT_LIMIT_BYTES

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, undefined=Absent)
        self.tags = {name: self.tags[name] for name in (*_TAGS, "content", "output", "illegal")}
        self.filters = {name: _bounded(name, self.filters[name]) for name in _FILTERS}


def check_source(source: str) -> None:
    """Refuses what the lexer would take long to refuse.

    Raises:
        SourceRefused: too long, an opening without its end, or an expression that is too long.
    """
    if len(source) > SOURCE_LIMIT:
        raise SourceRefused(0, f"It is longer than {SOURCE_LIMIT:,} characters.")
    position = 0
    while opening := _OPENING.search(source, position):
        start, is_value = opening.start(), source[opening.start() + 1] == "{"
        end = source.find("}}" if is_value else "%}", start + 2)
        if end < 0:
            raise SourceRefused(start, f"{'{{' if is_value else '{%'} is not closed.")
        if end - start > TAG_LIMIT or _BLANK_RUN.search(source, start, end):
            raise SourceRefused(start, f"What stands between the braces is longer than {TAG_LIMIT:,} characters.")
        if opening.group(1) in ("raw", "doc"):
            raise SourceRefused(start, f"The tag {opening.group(1)!r} is not available.")
        position = end + 2


def unknown_filter(template: BoundTemplate) -> tuple[int, str] | None:
    """Where the first filter that does not exist stands, and its name; None when all do."""
    used = template.analyze(include_partials=False).filters
    unknown = [(spans[0].index, name) for name, spans in used.items() if name not in template.env.filters]
    return min(unknown, default=None)


class Compiled:
    """The templates compiled last, at most `room` characters of source; the same one is rendered for thousands."""

    def __init__(self, environment: BoundedEnvironment, room: int = 2_000_000) -> None:
        self._environment = environment
        self._room = room
        self._used = 0
        self._kept: OrderedDict[str, BoundedTemplate] = OrderedDict()
        self._lock = Lock()

    def __call__(self, source: str) -> BoundedTemplate:
        with self._lock:
            if kept := self._kept.get(source):
                self._kept.move_to_end(source)
                return kept
        check_source(source)
        made = self._environment.from_string(source, matter={"characters": len(source)})
        assert isinstance(made, BoundedTemplate)
        with self._lock:
            if source not in self._kept:
                self._kept[source] = made
                self._used += len(source) + 1_000
            while self._used > self._room:
                oldest, _ = self._kept.popitem(last=False)
                self._used -= len(oldest) + 1_000
        return made


def _bounded(name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(apply)
    def bounded(value: object, *arguments: Any, **named: Any) -> Any:
        if name == "default":
            return apply(value, *arguments, **named)
        for given in (value, *arguments):
            if isinstance(given, Absent):
                given._refuse()
            _refuse_large(name, given)
        if arguments:
            _refuse_growth(name, value, arguments)
        return apply(value, *arguments, **named)

    return bounded


def _refuse_large(name: str, given: object) -> None:
    if isinstance(given, (str, list, tuple, range)):
        if len(given) <= FILTERED_LIMIT:
            return
    elif isinstance(given, dict):
        raise FilterArgumentError(f"{name} cannot take a group of values", token=None)
    elif not isinstance(given, int) or given.bit_length() <= 64:
        return
    raise FilterArgumentError(f"the value given to {name} is too large", token=None)


def _refuse_growth(name: str, value: object, arguments: tuple[Any, ...]) -> None:
    size = len(value) if isinstance(value, (str, list, tuple, range)) else 20
    if name == "replace" and len(arguments) > 1:
        size = (size + 1) * (len(str(arguments[1])) + 1)
        if size > FILTERED_LIMIT:
            size = (str(value).count(str(arguments[0])) + 1) * len(str(arguments[1]))
    elif name == "join":
        size *= len(str(arguments[0])) + 1
    if size > FILTERED_LIMIT:
        raise FilterArgumentError(f"the result of {name} is too large", token=None)
