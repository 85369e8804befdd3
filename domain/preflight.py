"""What would fail in a sequence, asked before it is activated: causes with counts, and who is concerned.

Every open recipient is looked at, in batches, with the steps still before it. A text is filled in once for all whose
values look alike to it: for most templates that is which of the values are there. A sequence with more recipients than
`RECIPIENTS_AT_MOST`, or whose texts depend on so many different values that they would be filled in more than
`FILLED_AT_MOST` times, is looked at in part, and the answer says so.

Source: product.md sections 3 "Templates" and 4.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx, tx
from domain.plans import load_plans
from domain.previewing import problems_of_person, to_words, variables_of_person, with_own
from domain.reading.pages import Order, Page, Slice, from_cursor
from domain.rules.content import TemplateInvalid, check_variables, depends_on_values
from domain.rules.filling_in import Problem, ProblemCode, Words, filled_in, values_used
from domain.rules.plan import AUTOMATED_KINDS, EMAIL_KINDS, Plan, SequenceStatus, StepKind, channels_of
from domain.rules.template_variables import FIELDS, closest
from domain.rules.timing import next_opening
from domain.suppression import IN_FORCE

RECIPIENTS_AT_MOST: Final = 100_000
FILLED_AT_MOST: Final = 10_000
_BATCH: Final = 500
_SHORT: Final = 100  # characters of a value that fills no bound
_CONTACTS_LOOKED_AT: Final = 20_000  # the newest, for the names of custom fields
_ORDER: Final = Order(mark="preflight", column="r.enrolled_at", id_column="r.id")


@dataclass(frozen=True, slots=True)
class Found:
    """A problem of one recipient, or of the sequence, and where it is."""

    problem: Problem
    step_key: UUID | None = None
    mailbox_key: UUID | None = None

    @property
    def cause(self) -> "Found":
        """The same without what is one person's own."""
        detail = None if self.problem.code is ProblemCode.EMAIL_BOUNCED_BEFORE else self.problem.detail
        return replace(self, problem=replace(self.problem, detail=detail))


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


_RECIPIENTS: Final = f"""
    SELECT r.id AS recipient_id, r.enrolled_at, r.current_step_id, r.mailbox_id, r.sms_mailbox_id, r.contacted_at,
        c.first_name, c.last_name, c.email, c.phone, c.company, c.time_zone, c.custom_fields, c.email_bounced_at,
        c.phone_invalid_at,
        {IN_FORCE} AS suppressed
    FROM recipients r JOIN contacts c ON c.id = r.contact_id
    WHERE r.workspace_id = $1 AND r.sequence_id = $2 AND r.deleted_at IS NULL AND r.end_reason IS NULL
        AND ($3::timestamptz IS NULL OR (r.enrolled_at, r.id) < ($3, $4))
    ORDER BY r.enrolled_at DESC, r.id DESC LIMIT $5
"""
_OWN: Final = """
    SELECT * FROM recipient_steps
    WHERE workspace_id = $1 AND recipient_id = ANY($2::uuid[]) AND edited_at IS NOT NULL AND outcome IS NULL
"""
_FIELD_KNOWN: Final = f"""
    SELECT f.name, EXISTS (
        SELECT FROM (SELECT custom_fields FROM contacts WHERE workspace_id = $1 AND erased_at IS NULL
            ORDER BY created_at DESC, id DESC LIMIT {_CONTACTS_LOOKED_AT}) c
        WHERE c.custom_fields ? f.name) AS known
    FROM unnest($2::text[]) AS f (name)
"""
_FIELD_NAMES: Final = """
    SELECT DISTINCT name FROM (SELECT custom_fields FROM contacts WHERE workspace_id = $1 AND erased_at IS NULL
        ORDER BY created_at DESC, id DESC LIMIT 500) c CROSS JOIN LATERAL jsonb_object_keys(c.custom_fields) AS name
"""


async def preflight(workspace_id: UUID, sequence_id: UUID, slice_: Slice, links_url: str) -> Preflight | None:
    """Return what would fail; None when there is no such sequence. The page is of the recipients concerned, those
    enrolled last first.

    Raises:
        CursorInvalid, Invalid
    """
    size = slice_.size
    after = from_cursor(workspace_id, _ORDER, slice_.after, "after") if slice_.after is not None else None
    look = await _begin(workspace_id, sequence_id, links_url)
    if look is None:
        return None
    place: tuple[datetime | None, UUID | None] = (None, None)
    answer = look.answer
    while answer.checked_recipients < min(RECIPIENTS_AT_MOST, answer.open_recipients) and look.filled < FILLED_AT_MOST:
        rows, own = await _batch(workspace_id, sequence_id, place)
        for row in rows:
            look.check(row, own)
        if len(rows) < _BATCH:
            answer.open_recipients = answer.checked_recipients
            break
        place = (rows[-1]["enrolled_at"], rows[-1]["recipient_id"])
    await _note_unknown_fields(workspace_id, look)
    answer.page = _page(workspace_id, answer, after, size)
    return answer


async def _batch(
    workspace_id: UUID, sequence_id: UUID, place: tuple[datetime | None, UUID | None]
) -> tuple[list[asyncpg.Record], dict[tuple[UUID, UUID], asyncpg.Record]]:
    async def work(t: Tx) -> tuple[list[asyncpg.Record], dict[tuple[UUID, UUID], asyncpg.Record]]:
        rows = await t.fetch(_RECIPIENTS, t.workspace_id, sequence_id, *place, _BATCH)
        own = await t.fetch(_OWN, t.workspace_id, [row["recipient_id"] for row in rows])
        return rows, {(row["recipient_id"], row["step_id"]): row for row in own}

    return await tx(workspace_id, work, rings=False)


async def _begin(workspace_id: UUID, sequence_id: UUID, links_url: str) -> "_Look | None":
    async def work(t: Tx) -> _Look | None:
        plans = await load_plans(t, [sequence_id])
        if sequence_id not in plans:
            return None
        plan = plans[sequence_id]
        steps = await t.fetch(
            "SELECT * FROM steps WHERE workspace_id = $1 AND sequence_id = $2 AND removed_at IS NULL ORDER BY position",
            t.workspace_id,
            sequence_id,
        )
        mailboxes = await t.fetch(
            "SELECT m.id, m.address, m.display_name, m.state, m.channel, s.sequence_id IS NOT NULL AS chosen "
            "FROM mailboxes m "
            "LEFT JOIN sequence_mailboxes s ON s.workspace_id = m.workspace_id AND s.mailbox_id = m.id "
            "AND s.sequence_id = $2 WHERE m.workspace_id = $1",
            t.workspace_id,
            sequence_id,
        )
        count = await t.fetchval(
            "SELECT count(*) FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND end_reason IS NULL "
            "AND deleted_at IS NULL",
            t.workspace_id,
            sequence_id,
        )
        words = {row["id"]: to_words(row) for row in steps}
        chosen = {row["channel"] for row in mailboxes if row["chosen"]}
        lacks = not words or not chosen.issuperset(channels_of(one.kind for one in words.values()))
        answer = Preflight(
            sequence_key=sequence_id,
            can_activate=plan.status is SequenceStatus.DRAFT and not lacks,
            open_recipients=count,
        )
        look = _Look(answer, plan, words, {row["id"]: row for row in mailboxes}, t.now, links_url)
        look.note_structure()
        return look

    return await tx(workspace_id, work, rings=False)


async def _note_unknown_fields(workspace_id: UUID, look: "_Look") -> None:
    """Warn of the custom fields that the texts name and nobody has."""
    wanted = sorted(name for name in look.fields_named if name not in look.fields_seen)
    if not wanted:
        return

    async def work(t: Tx) -> tuple[list[str], tuple[str, ...]]:
        rows = await t.fetch(_FIELD_KNOWN, t.workspace_id, wanted)
        unknown = [row["name"] for row in rows if not row["known"]]
        names = await t.fetch(_FIELD_NAMES, t.workspace_id) if unknown else []
        return unknown, tuple(row["name"] for row in names)

    unknown, names = await tx(workspace_id, work, rings=False)
    for name in unknown:
        meant = closest(name, names)
        problem = Problem(ProblemCode.FIELD_UNKNOWN, detail=f"{FIELDS}.{name}", meant=meant and f"{FIELDS}.{meant}")
        look.answer.causes[Found(problem, look.fields_named[name])] = 0


def _page(workspace_id: UUID, answer: Preflight, after: tuple[datetime, UUID] | None, size: int) -> Page[Concerned]:
    later = [
        (at, one) for at, one in answer.concerned if after is None or (at, one.recipient_key) < (after[0], after[1])
    ]
    shown = later[:size]
    return Page(
        workspace_id,
        [one for _, one in shown],
        [(at, one.recipient_key) for at, one in shown],
        _ORDER,
        has_next_page=len(later) > size,
        has_previous_page=after is not None,
        total_count=len(answer.concerned),
    )


class _Look:
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

    def note_structure(self) -> None:
        """Note what concerns the sequence as a whole, be nobody in it."""
        causes = self.answer.causes
        if not self._words:
            causes[Found(Problem(ProblemCode.NO_STEPS))] = 0
        for channel in channels_of(one.kind for one in self._words.values()):
            chosen = [row for row in self._mailboxes.values() if row["chosen"] and row["channel"] == channel]
            if not chosen:
                causes[Found(Problem(ProblemCode.NO_MAILBOX))] = 0
            for row in chosen:
                if row["state"] == "DISCONNECTED":
                    causes[Found(Problem(ProblemCode.MAILBOX_DISCONNECTED), mailbox_key=row["id"])] = 0
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
                disconnected = problem.code is ProblemCode.MAILBOX_DISCONNECTED
                yield Found(problem, mailbox_key=_mailbox_key(row, kind) if disconnected else None)
        if any(step.kind in AUTOMATED_KINDS for step in left) and not self._window_opens(row["time_zone"]):
            yield Found(Problem(ProblemCode.WINDOW_NEVER_OPENS))
        in_thread = row["contacted_at"] is not None
        for step in left:
            words = with_own(self._words[step.id], own.get((row["recipient_id"], step.id)))
            mailbox = self._mailbox_of(row, step.kind)
            for problem in self._problems(words, row, mailbox, in_thread=in_thread):
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

    def _problems(
        self, words: Words, row: asyncpg.Record, mailbox: asyncpg.Record | None, *, in_thread: bool
    ) -> tuple[Problem, ...]:
        variables = variables_of_person(row, mailbox, words.kind, self._links_url)
        used = values_used(words, variables)
        if words not in self._by_values:
            self._by_values[words] = any(depends_on_values(template) for template in words.templates)
        alike: tuple[Any, ...] = tuple(used.values())
        if not self._by_values[words] and all(value is None or len(value) <= _SHORT for value in alike):
            alike = tuple(value is not None for value in alike)
        key = (words, mailbox is not None, in_thread, alike)
        if key not in self._known:
            self.filled += 1
            done = filled_in(words, variables, thread_subject="…" if in_thread else None)
            self._known[key] = tuple(done.problems)
        return self._known[key]


_PARTS: Final = {"subject": "subject", "body": "body", "taskTitle": "task_title", "taskNotes": "task_notes"}


def _mailbox_key(row: asyncpg.Record, kind: StepKind) -> UUID | None:
    key: UUID | None = row["sms_mailbox_id" if kind is StepKind.SMS else "mailbox_id"]
    return key
