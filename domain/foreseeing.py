"""What would fail for each recipient of a sequence, and in the sequence as a whole: looked at one by one, counted by
cause. A text is filled in once for all whose values look alike to it.

Source: product.md sections 3 "Templates" and 4.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain.previewing import OF_THE_MAILBOX, problems_of_person, variables_of_person, with_own
from domain.reading.pages import Page
from domain.rules.content import TemplateInvalid, Variables, check_variables, depends_on_values
from domain.rules.filling_in import Problem, ProblemCode, Words, filled_in, values_used
from domain.rules.plan import AUTOMATED_KINDS, EMAIL_KINDS, Plan, StepKind, channels_of
from domain.rules.template_variables import FIELDS
from domain.rules.timing import next_opening

_SHORT: Final = 100  # characters of a value that fills no bound


@dataclass(frozen=True, slots=True)
class Found:
    """A problem of one recipient, or of the sequence, and where it is."""

    problem: Problem
    step_key: UUID | None = None
    mailbox_key: UUID | None = None

    @property
    def cause(self) -> "Found":
        """The same without what is one person's own."""
        if self.problem.code is not ProblemCode.EMAIL_BOUNCED_BEFORE:
            return self
        return replace(self, problem=replace(self.problem, detail=None))


@dataclass(frozen=True, slots=True)
class Concerned:
    """A recipient for whom something would fail."""

    recipient_key: UUID
    found: Sequence[Found]


@dataclass(slots=True, kw_only=True)
class Preflight:
    sequence_key: UUID
    can_activate: bool
    open_recipients: int
    checked_recipients: int = 0
    causes: dict[Found, int] = field(default_factory=dict)  # how many recipients each concerns
    concerned: list[tuple[datetime, Concerned]] = field(default_factory=list)
    page: Page[Concerned] | None = None

    @property
    def partial(self) -> bool:
        return self.checked_recipients < self.open_recipients


class Look:
    """One look at a sequence: what is known of it, and what has been found so far."""

    def __init__(
        self,
        answer: Preflight,
        plan: Plan,
        words: Mapping[UUID, Words],
        mailboxes: Mapping[UUID, asyncpg.Record],
        now: datetime,
        links_url: str,
    ) -> None:
        self.answer = answer
        self.filled = 0
        self.fields_seen: set[str] = set()
        self._plan, self._words, self._mailboxes = plan, words, mailboxes
        self._now, self._links_url = now, links_url
        self._known: dict[tuple[Any, ...], tuple[Problem, ...]] = {}
        self._opens: dict[Any, bool] = {}
        self._by_values: dict[Words, bool] = {}
        self.fields_named = {
            name.removeprefix(f"{FIELDS}."): step_id
            for step_id, one in words.items()
            for name in values_used(one, {})
            if name.startswith(f"{FIELDS}.")
        }

    def note_structure(self, *, held: bool) -> None:
        """Note what concerns the sequence as a whole, be nobody in it. `held`: a guardrail holds it."""
        causes = self.answer.causes
        if held:
            causes[Found(Problem(ProblemCode.GUARDRAIL_HOLD))] = 0
        if not self._words:
            causes[Found(Problem(ProblemCode.NO_STEPS))] = 0
        for channel in channels_of(one.kind for one in self._words.values()):
            chosen = [row for row in self._mailboxes.values() if row["chosen"] and row["channel"] == channel]
            if not chosen:
                causes[Found(Problem(ProblemCode.NO_MAILBOX))] = 0
            for row in chosen:
                if row["state"] in OF_THE_MAILBOX:
                    problem = Problem(OF_THE_MAILBOX[row["state"]], mailbox_address=row["address"])
                    causes[Found(problem, mailbox_key=row["id"])] = 0
        for step_id, one in self._words.items():
            for template in one.templates:
                try:
                    check_variables(template, one.kind)
                except TemplateInvalid as problem:
                    part = next(name for name in _PARTS if getattr(one, _PARTS[name]) == template)
                    causes[Found(Problem(ProblemCode.TEMPLATE_INVALID, part, problem.detail), step_id)] = 0

    def check(self, row: asyncpg.Record, own: Mapping[tuple[UUID, UUID], asyncpg.Record]) -> None:
        """Note what would fail for one recipient."""
        self.answer.checked_recipients += 1
        self.fields_seen.update(orjson.loads(row["custom_fields"]))
        found = list(dict.fromkeys(self._found(row, own)))
        for cause in {one.cause for one in found}:
            self.answer.causes[cause] = self.answer.causes.get(cause, 0) + 1
        if found:
            self.answer.concerned.append((row["enrolled_at"], Concerned(row["recipient_id"], found)))

    def _found(self, row: asyncpg.Record, own: Mapping[tuple[UUID, UUID], asyncpg.Record]) -> Iterator[Found]:
        here = self._plan.step(row["current_step_id"])
        left = [step for step in self._plan.steps if not step.removed and here and step.position >= here.position]
        for kind in dict.fromkeys(step.kind for step in left):
            for problem in problems_of_person(kind, row, self._mailbox_of(row, kind)):
                of_mailbox = problem.code in OF_THE_MAILBOX.values()
                yield Found(problem, mailbox_key=_mailbox_key(row, kind) if of_mailbox else None)
        if any(step.kind in AUTOMATED_KINDS for step in left) and not self._window_opens(row["time_zone"]):
            yield Found(Problem(ProblemCode.WINDOW_NEVER_OPENS))
        in_thread = row["contacted_at"] is not None
        values = {kind: self._values(row, kind) for kind in dict.fromkeys(step.kind for step in left)}
        for step in left:
            words = with_own(self._words[step.id], own.get((row["recipient_id"], step.id)))
            for problem in self._problems(words, values[step.kind], in_thread=in_thread):
                yield Found(problem, step.id)
            in_thread = in_thread or step.kind in EMAIL_KINDS

    def _mailbox_of(self, row: asyncpg.Record, kind: StepKind) -> asyncpg.Record | None:
        key = _mailbox_key(row, kind)
        return self._mailboxes.get(key) if key is not None else None

    def _window_opens(self, time_zone: str | None) -> bool:
        window = self._plan.window
        if window is None:
            return True
        zone = window.zone_for(time_zone)
        if zone not in self._opens:
            self._opens[zone] = next_opening(self._now, window, zone) is not None
        return self._opens[zone]

    def _values(self, row: asyncpg.Record, kind: StepKind) -> Variables:
        return variables_of_person(row, self._mailbox_of(row, kind), kind, self._links_url)

    def _problems(self, words: Words, variables: Variables, *, in_thread: bool) -> tuple[Problem, ...]:
        used = values_used(words, variables)
        if words not in self._by_values:
            self._by_values[words] = any(depends_on_values(template) for template in words.templates)
        alike: tuple[Any, ...] = tuple(used.values())
        if not self._by_values[words] and all(value is None or len(value) <= _SHORT for value in alike):
            alike = tuple(value is not None for value in alike)
        key = (words, in_thread, alike)
        if key not in self._known:
            self.filled += 1
            done = filled_in(words, variables, thread_subject="…" if in_thread else None)
            self._known[key] = tuple(done.problems)
        return self._known[key]


_PARTS: Final = {"subject": "subject", "body": "body", "taskTitle": "task_title", "taskNotes": "task_notes"}


def _mailbox_key(row: asyncpg.Record, kind: StepKind) -> UUID | None:
    key: UUID | None = row["sms_mailbox_id" if kind is StepKind.SMS else "mailbox_id"]
    return key
