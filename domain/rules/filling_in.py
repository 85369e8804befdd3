"""A step's words filled in for one person, with everything that is wrong with them: for a preview, and before anything
is sent. Nothing is raised; where a value is missing its name stands in the text, in brackets.

Source: product.md section 3 "Templates" ("Preview with one person's real values").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from domain.rules.content import (
    ContentEmpty,
    ContentProblem,
    RenderedBody,
    VariableMissing,
    Variables,
    check_variables,
    render_body,
    render_text,
    render_thread_subject,
    variables_of,
)
from domain.rules.plan import EMAIL_KINDS, StepKind
from domain.rules.step_errors import CATALOGUE, FixCode, StepErrorCode, fix_sentence, sentence
from domain.rules.text_messages import render_text_message

T = TypeVar("T")

_MISSING_AT_MOST: Final = 20


class ProblemCode(StrEnum):
    """Why a step would fail for a person, or a sequence for all of them."""

    VARIABLE_MISSING = "VARIABLE_MISSING"
    TEMPLATE_INVALID = "TEMPLATE_INVALID"
    CONTENT_EMPTY = "CONTENT_EMPTY"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    THREAD_PARENT_MISSING = "THREAD_PARENT_MISSING"
    EMAIL_MISSING = "EMAIL_MISSING"
    EMAIL_INVALID = "EMAIL_INVALID"
    EMAIL_BOUNCED_BEFORE = "EMAIL_BOUNCED_BEFORE"
    PHONE_MISSING = "PHONE_MISSING"
    PHONE_INVALID = "PHONE_INVALID"
    NO_MAILBOX = "NO_MAILBOX"
    MAILBOX_DISCONNECTED = "MAILBOX_DISCONNECTED"
    GUARDRAIL_HOLD = "GUARDRAIL_HOLD"
    WINDOW_NEVER_OPENS = "WINDOW_NEVER_OPENS"
    SUPPRESSED = "SUPPRESSED"
    FIELD_UNKNOWN = "FIELD_UNKNOWN"
    NO_STEPS = "NO_STEPS"


_OWN_SENTENCES: Final[Mapping[ProblemCode, str]] = {
    ProblemCode.SUPPRESSED: "This person must not be written to: they opted out, complained or are on the suppression "
    "list.",
    ProblemCode.GUARDRAIL_HOLD: "A guardrail holds this back: too much of what was sent bounced or was reported as "
    "spam.",
    ProblemCode.FIELD_UNKNOWN: "No contact has a value for {detail}; it may be misspelt.",
    ProblemCode.NO_STEPS: "The sequence has no steps. Add a step first.",
}
_OWN_FIXES: Final[Mapping[ProblemCode, tuple[FixCode, str]]] = {
    ProblemCode.GUARDRAIL_HOLD: (
        FixCode.RELEASE_GUARDRAIL,
        "See `guardrail` for the figures, then release it with guardrailRelease.",
    ),
    ProblemCode.FIELD_UNKNOWN: (FixCode.EDIT_CONTENT, "Correct the name in the text, or give contacts the field."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `part` is the field of the step it is in; None: it is not about the text."""

    code: ProblemCode
    part: str | None = None
    detail: str | None = None
    meant: str | None = None  # the name that was probably meant
    mailbox_address: str | None = None  # of the mailbox that it lies with

    @property
    def sentence(self) -> str:
        if self.code in _OWN_SENTENCES:
            said = _OWN_SENTENCES[self.code].replace("{detail}", self.detail or "this field")
            return f"{said} Did you mean “{self.meant}”?" if self.meant else said
        return sentence(StepErrorCode(self.code), mailbox_address=self.mailbox_address, detail=self.detail)

    @property
    def fix(self) -> tuple[FixCode, str] | None:
        """What to do about it: code and sentence. None: nothing can be done about it here."""
        if self.code in _OWN_SENTENCES:
            return _OWN_FIXES.get(self.code)
        code = StepErrorCode(self.code)
        said = fix_sentence(code, mailbox_address=self.mailbox_address)
        return CATALOGUE[code].fix, said.replace(", then retry.", ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a step says, as templates."""

    kind: StepKind
    subject: str | None = None
    body: str | None = None
    task_title: str | None = None
    task_notes: str | None = None
    send_as_reply: bool = False

    @property
    def templates(self) -> Sequence[str]:
        return [text for text in (self.subject, self.body, self.task_title, self.task_notes) if text]


@dataclass(slots=True, kw_only=True)
class Filled:
    """The words for one person; a part that cannot be made is None."""

    subject: str | None = None
    html: str | None = None
    text: str | None = None
    task_title: str | None = None
    task_notes: str | None = None
    problems: list[Problem] = field(default_factory=list)


def filled_in(words: Words, variables: Variables, *, thread_subject: str | None) -> Filled:
    """Return the words for the person whose values these are. `thread_subject` is that of the thread it would answer
    in; None: there is none."""
    found = Filled()
    if words.kind is StepKind.TASK:
        found.task_title = _part(found, "taskTitle", words.task_title or "", words, variables, _title)
        if words.task_notes:
            found.task_notes = _part(found, "taskNotes", words.task_notes, words, variables, render_text)
        return found
    if words.kind in EMAIL_KINDS:

        def subject(source: str, values: Variables) -> str:
            return render_thread_subject(source, values, is_reply=words.send_as_reply, thread_subject=thread_subject)

        found.subject = _part(found, "subject", words.subject or "", words, variables, subject)
    if words.kind is StepKind.SMS:
        found.text = _part(found, "body", words.body or "", words, variables, render_text_message)
        return found
    body: RenderedBody | None = _part(found, "body", words.body or "", words, variables, render_body)
    if body is not None:
        found.html, found.text = body.html, body.text
    return found


def values_used(words: Words, variables: Variables) -> dict[str, str | None]:
    """Return the variables that the words name, by name, each with its value; None where there is none."""
    found: dict[str, str | None] = {}
    for template in words.templates:
        for path in variables_of(template):
            value: object = variables
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else None
            found[".".join(path)] = value if isinstance(value, str) else None
    return dict(sorted(found.items()))


def _part(
    found: Filled,
    part: str,
    source: str,
    words: Words,
    variables: Variables,
    render: Callable[[str, Variables], T],
) -> T | None:
    seen: set[str] = set()
    try:
        check_variables(source, words.kind)
        while True:
            try:
                return render(source, variables)
            except VariableMissing as missing:
                found.problems.append(Problem(ProblemCode.VARIABLE_MISSING, part, missing.name))
                if missing.name in seen or len(seen) >= _MISSING_AT_MOST:
                    return None
                seen.add(missing.name)
                variables = _named(variables, missing.name)
    except ContentProblem as problem:
        found.problems.append(Problem(ProblemCode(problem.code), part, problem.detail))
        return None


def _named(variables: Variables, name: str) -> Variables:
    """Return the values with the name of a missing one in its place."""
    shown = f"[{name}]"
    group, _, rest = name.partition(".")
    within = variables.get(group)
    if rest and isinstance(within, Mapping):
        return {**variables, group: {**within, rest: shown}}
    return {**variables, name: shown}


def _title(source: str, variables: Variables) -> str:
    title = render_text(source, variables).strip()
    if not title:
        raise ContentEmpty("title")
    return title
