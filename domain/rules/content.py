"""What a step says to one person: Liquid over the author's words, sanitised HTML, and the text derived from it.

A value that is missing is an error before anything is sent, never an empty gap in the text.

What a person has read and released is not filled in again: `finished_subject` and `finished_body` take it as it is.

Source: product.md 3 (templates) and 4 (VARIABLE_MISSING, TEMPLATE_INVALID, CONTENT_EMPTY, MESSAGE_TOO_LARGE).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import ClassVar, Final

from liquid.exceptions import LiquidError, OutputStreamLimitError, ResourceLimitError

from domain.rules.html_text import sanitised, text_of
from domain.rules.liquid_sandbox import (
    OUTPUT_LIMIT_BYTES,
    BoundedEnvironment,
    Compiled,
    SourceRefused,
    ValueAbsent,
    check_source,
    unknown_filter,
)
from domain.rules.mime import reply_subject
from domain.rules.plan import StepKind
from domain.rules.step_errors import StepErrorCode
from domain.rules.template_variables import problem_of, used_in

SUBJECT_LIMIT: Final = 500
"""Characters of a rendered subject."""

HTML_TAGS_LIMIT: Final = 10_000
"""Tags of a rendered body; the sanitiser's time grows with the square of their depth."""

Variables = Mapping[str, str | Mapping[str, str]]

_as_html: Final = Compiled(BoundedEnvironment(autoescape=True))
_as_text: Final = Compiled(BoundedEnvironment(autoescape=False))

# What is there before such a filter is there after it.
_HARMLESS_FILTERS: Final = frozenset({"default", "capitalize", "upcase", "downcase", "escape", "append", "prepend"})

_LIQUID: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_HTML: Final = re.compile(r"<[a-zA-Z/!]")
_SPACES: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_BLANK_LINES: Final = re.compile(r"\n\s*\n")


class ContentProblem(ValueError):
    """A text cannot be made for one person. `code` is its step error, `detail` what goes into that error's sentence."""

    code: ClassVar[StepErrorCode]
    detail: str | None


class TemplateInvalid(ContentProblem):
    """The author's template cannot be read, or asks for more than a template may."""

    code = StepErrorCode.TEMPLATE_INVALID

    def __init__(self, line: int | None, reason: str) -> None:
        place = f" (line {line})" if line else ""
        super().__init__(f"The template cannot be used{place}: {reason}")
        self.line = line
        self.reason = self.detail = reason


class VariableMissing(ContentProblem):
    """The template names a value that this person does not have, and gives no default."""

    code = StepErrorCode.VARIABLE_MISSING

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no value for {name}. Add it to the contact, "
            f"or write {{{{ {name} | default: '…' }}}} in the template."
        )
        self.name = self.detail = name


class ContentEmpty(ContentProblem):
    """Nothing is left to send once the template is filled in."""

    code = StepErrorCode.CONTENT_EMPTY

    def __init__(self, part: str) -> None:
        super().__init__(f"The {part} is empty once the values are filled in: write something for everyone.")
        self.part = self.detail = part


class ContentTooLarge(ContentProblem):
    """The filled-in template is larger than a message may be."""

    code = StepErrorCode.MESSAGE_TOO_LARGE

    def __init__(self, part: str, limit: str) -> None:
        super().__init__(f"The {part} is larger than {limit} once the values are filled in: shorten it.")
        self.part = part
        self.limit = limit
        self.detail = str(self)


class ThreadParentMissing(ContentProblem):
    """The step answers in a thread that does not exist, and has no subject of its own to begin one."""

    code = StepErrorCode.THREAD_PARENT_MISSING
    detail = None

    def __init__(self) -> None:
        super().__init__("There is no earlier email to answer to. Give the step a subject of its own.")


@dataclass(frozen=True, slots=True)
class RenderedBody:
    """Sanitised HTML without a document around it, and the same words as plain text; lines end in LF."""

    html: str
    text: str


def contact_variables(
    *,
    first_name: str | None = None,
    last_name: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    company: str | None = None,
    time_zone: str | None = None,
    fields: Mapping[str, object] | None = None,
    sender_name: str | None = None,
    sender_address: str | None = None,
    unsubscribe_url: str | None = None,
) -> dict[str, str | dict[str, str]]:
    """The values a template can name for one person; what is empty or blank is left out.

    Custom fields are `fields.<name>`; `full_name` joins the names there are.
    """
    plain = {
        "first_name": first_name,
        "last_name": last_name,
        "full_name": " ".join(part.strip() for part in (first_name, last_name) if part and part.strip()),
        "email": email,
        "phone": phone,
        "company": company,
        "time_zone": time_zone,
        "unsubscribe_url": unsubscribe_url,
    }
    found: dict[str, str | dict[str, str]] = {**_present(plain)}
    found["fields"] = _present(fields or {})
    found["sender"] = _present({"name": sender_name, "address": sender_address})
    return found


def check_template(source: str) -> None:
    """Returns when the template can be compiled: syntax, tags and filters.

    Raises:
        TemplateInvalid: it cannot; with the line, counted from 1, where that is known.
    """
    try:
        misnamed = unknown_filter(_as_text(source))
    except (SourceRefused, LiquidError, RecursionError) as problem:
        raise _refusal(problem, source, "template") from None
    if misnamed:
        raise TemplateInvalid(_line(source, misnamed[0]), f"there is no filter {misnamed[1]!r}.")


def check_variables(source: str, kind: StepKind) -> None:
    """Returns when a step of this kind can have every variable that the template names.

    Raises:
        TemplateInvalid: it cannot be compiled, or names a variable that nobody has.
    """
    check_template(source)
    for used in sorted(used_in(_as_text(source)), key=lambda one: one.index):
        if problem := problem_of(used, kind):
            raise TemplateInvalid(_line(source, used.index), problem)


@lru_cache(maxsize=256)
def variables_of(source: str) -> Sequence[tuple[str, ...]]:
    """The variables that a template names, each once, as paths; none of one that cannot be compiled."""
    try:
        return tuple(dict.fromkeys(used.path for used in used_in(_as_text(source))))
    except (SourceRefused, LiquidError, RecursionError):
        return ()


def depends_on_values(source: str) -> bool:
    """Whether what is wrong with a template for one person may depend on more than which values are there: it has
    conditions, loops, or filters that may leave nothing of a value. True of one that cannot be compiled."""
    try:
        found = _as_text(source).analyze(include_partials=False)
    except (SourceRefused, LiquidError, RecursionError):
        return True
    return bool(found.tags) or not set(found.filters) <= _HARMLESS_FILTERS


def render_text(source: str, variables: Variables) -> str:
    """The template filled in for one person as plain text, such as the words of a task; values are not escaped.

    Raises:
        TemplateInvalid, VariableMissing, ContentTooLarge: it cannot be filled in.
    """
    return _rendered(_as_text, source, variables, "text")


def render_subject(source: str, variables: Variables) -> str:
    """The subject of an email for one person: one line of at most 500 characters, plain text.

    Raises:
        TemplateInvalid, VariableMissing, ContentEmpty, ContentTooLarge: it cannot be filled in.
    """
    return finished_subject(_rendered(_as_text, source, variables, "subject"))


def render_thread_subject(
    source: str | None, variables: Variables, *, is_reply: bool, thread_subject: str | None
) -> str:
    """The subject of an email that may answer in a thread: its own, or the thread's, with "Re:" in a thread.

    `thread_subject` is what the thread began with; None: nothing was sent before.

    Raises:
        ThreadParentMissing: it is to answer in a thread, there is none, and it has no subject of its own.
        TemplateInvalid, VariableMissing, ContentEmpty, ContentTooLarge: it cannot be filled in.
    """
    if not is_reply:
        return render_subject(source or "", variables)
    if (source or "").strip():
        subject = render_subject(source or "", variables)
        return subject if thread_subject is None else reply_subject(subject)
    if thread_subject is None:
        raise ThreadParentMissing
    return reply_subject(thread_subject)


def finished_subject(text: str) -> str:
    """A subject as a person or a template has written it out: one line of at most 500 characters.

    Raises:
        ContentEmpty, ContentTooLarge
    """
    subject = _SPACES.sub(" ", text).strip()
    if not subject:
        raise ContentEmpty("subject")
    if len(subject) > SUBJECT_LIMIT:
        raise ContentTooLarge("subject", f"{SUBJECT_LIMIT} characters")
    return subject


def render_body(source: str, variables: Variables) -> RenderedBody:
    """The body of an email for one person. A body without any HTML tag is plain text: blank lines part paragraphs.

    Raises:
        TemplateInvalid, VariableMissing, ContentEmpty, ContentTooLarge: it cannot be filled in.
    """
    try:
        is_html = _is_html(source)
    except SourceRefused as problem:
        raise _refusal(problem, source, "body") from None
    return _body(_rendered(_as_html if is_html else _as_text, source, variables, "body"), is_html=is_html)


def finished_body(text: str) -> RenderedBody:
    """A body as a person has written it out: sanitised where it has HTML tags, paragraphs where it has none.

    Raises:
        ContentEmpty, ContentTooLarge
    """
    if len(text.encode()) > OUTPUT_LIMIT_BYTES:
        raise ContentTooLarge("body", f"{OUTPUT_LIMIT_BYTES:,} bytes")
    return _body(text, is_html=_HTML.search(text) is not None)


def check_finished(text: str) -> None:
    """Returns when a text can go out as it is: nothing in it waits to be filled in.

    Raises:
        TemplateInvalid: it has a placeholder, which would reach the person unfilled.
    """
    found = _LIQUID.search(text)
    if found:
        raise TemplateInvalid(None, f"“{found[0][:50]}” would go out as it stands here; write the value itself.")


def _body(written: str, *, is_html: bool) -> RenderedBody:
    if is_html:
        if written.count("<") > HTML_TAGS_LIMIT:
            raise ContentTooLarge("body", f"{HTML_TAGS_LIMIT:,} HTML tags")
        html = sanitised(written).strip()
        body = RenderedBody(html, text_of(html))
    else:
        text = written.replace("\r\n", "\n").replace("\r", "\n").strip()
        body = RenderedBody(_paragraphs(text), text)
    if not body.text.strip() and "<img" not in body.html:
        raise ContentEmpty("body")
    return body


@lru_cache(maxsize=256)
def _is_html(source: str) -> bool:
    # In a source with an opening that never ends the search would be quadratic.
    check_source(source)
    return _HTML.search(_LIQUID.sub("", source)) is not None


def _present(values: Mapping[str, object]) -> dict[str, str]:
    written = ((name, str(value).strip()) for name, value in values.items() if value is not None)
    return {name: text for name, text in written if text}


def _paragraphs(text: str) -> str:
    blocks = (escape(block.strip("\n"), quote=False) for block in _BLANK_LINES.split(text))
    return "\n".join(f"<p>{block}</p>" for block in blocks).replace("\n", "<br>\n").replace("</p><br>\n", "</p>\n")


def _rendered(compiled: Compiled, source: str, variables: Variables, part: str) -> str:
    try:
        return compiled(source).render_values(variables)
    except ValueAbsent as absent:
        raise VariableMissing(absent.name) from None
    except Exception as problem:
        # Whatever a tenant's template makes the library do, it is the template's fault and stays with its recipient.
        raise _refusal(problem, source, part) from problem


def _refusal(problem: Exception, source: str, part: str) -> TemplateInvalid | ContentTooLarge:
    if isinstance(problem, OutputStreamLimitError):
        return ContentTooLarge(part, f"{OUTPUT_LIMIT_BYTES:,} bytes")
    if isinstance(problem, SourceRefused):
        return TemplateInvalid(_line(source, problem.index), problem.reason)
    if isinstance(problem, LiquidError):
        line = _line(source, problem.token.start_index) if problem.token else None
        more = " It asks for more than a template may." if isinstance(problem, ResourceLimitError) else ""
        return TemplateInvalid(line, f"{str(problem.message)[:200]}.{more}")
    return TemplateInvalid(None, "it asks for something that cannot be worked out.")


def _line(source: str, index: int) -> int:
    return source.count("\n", 0, max(index, 0)) + 1
