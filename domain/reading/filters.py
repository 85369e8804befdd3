"""Filters of recipients as a small typed tree, and the tree as parameterised SQL.

The statement around it names `r` recipients, `s` its sequence, and `w.now` the business time, `w.offset` the
workspace's clock offset. Every subquery names its workspace.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Final
from uuid import UUID

from domain.reading.pages import AT_MOST, Parameters
from domain.reading.waiting_sql import waiting_condition
from domain.recounting import REPLIED_TO
from domain.refusals import Invalid
from domain.rules.lifecycle import ENDED, OPEN, Action, EndReason, Stage, Status, available_actions
from domain.rules.standing import PausedBy, WaitingReason
from domain.rules.step_errors import StepErrorCode
from domain.rules.tally import StepOutcome

DEPTH: Final = 5
PARTS: Final = 50  # nodes of one tree
SEARCH_LENGTH: Final = 100
_ASCII_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)

SEQUENCE_PAUSED: Final = "s.status = 'PAUSED'"
_OPEN_ROW: Final = "r.end_reason IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Comparisons with a time; all that are given must hold."""

    eq: datetime | None = None
    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None
    is_null: bool | None = None


@dataclass(frozen=True, slots=True)
class StepOutcomes:
    """For whom a step was one of these, and when it was carried out or skipped where that is asked."""

    step_id: UUID
    outcomes: Collection[StepOutcome]
    at: Compared | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientFilter:
    """Which recipients. None does not filter; all that is given must hold. An empty collection keeps none."""

    ids: Collection[UUID] | None = None
    statuses: Collection[Status] | None = None
    stages: Collection[Stage] | None = None
    end_reasons: Collection[EndReason] | None = None
    paused_by: PausedBy | None = None
    waiting_reasons: Collection[WaitingReason] | None = None
    error_codes: Collection[StepErrorCode] | None = None
    available_action: Action | None = None
    needs_attention: bool | None = None
    sequence_id: UUID | None = None
    mailbox_id: UUID | None = None
    contact_id: UUID | None = None
    step_id: UUID | None = None
    step_outcome: StepOutcomes | None = None
    enrolled_at: Compared | None = None
    updated_at: Compared | None = None
    due_at: Compared | None = None
    replied_at: Compared | None = None
    contacted_at: Compared | None = None
    ended_at: Compared | None = None
    search: str | None = None
    all_of: Sequence["RecipientFilter"] = ()
    any_of: Sequence["RecipientFilter"] | None = None
    none_of: "RecipientFilter | None" = None


EVERYTHING: Final = RecipientFilter()


def compile_filter(given: RecipientFilter, parameters: Parameters) -> list[str]:
    """Return the conditions of a filter. `$1` is the workspace.

    Raises:
        Invalid: it is nested too deeply, or too large.
    """
    _check(given)
    return _conditions(given, parameters)


def _check(given: RecipientFilter) -> None:
    count = 0
    waiting: list[tuple[RecipientFilter, int]] = [(given, 1)]
    while waiting:
        part, depth = waiting.pop()
        count += 1
        if depth > DEPTH:
            raise Invalid(f"The filter is nested more than {DEPTH} deep. Make it flatter.", field=["filter"])
        if count > PARTS:
            raise Invalid(f"The filter has more than {PARTS} parts. Make it smaller.", field=["filter"])
        if part.ids is not None and len(part.ids) > AT_MOST:
            raise Invalid(f"`ids` takes at most {AT_MOST} ids.", field=["filter", "ids"])
        if part.search is not None and len(part.search) > SEARCH_LENGTH:
            raise Invalid(f"`search` takes at most {SEARCH_LENGTH} characters.", field=["filter", "search"])
        below = [*part.all_of, *(part.any_of or ()), *([part.none_of] if part.none_of else [])]
        waiting += [(child, depth + 1) for child in below]


def _conditions(f: RecipientFilter, p: Parameters) -> list[str]:
    found: list[str] = []
    for column, value in (
        ("r.sequence_id", f.sequence_id),
        ("r.contact_id", f.contact_id),
        ("r.current_step_id", f.step_id),
    ):
        if value is not None:
            found.append(f"{column} = {p.add(value, 'uuid')}")
    if f.mailbox_id is not None:
        number = p.add(f.mailbox_id, "uuid")
        found.append(f"(r.mailbox_id = {number} OR r.sms_mailbox_id = {number})")
    if f.ids is not None:
        found.append(f"r.id = ANY({p.add(list(f.ids), 'uuid[]')})")
    if f.statuses is not None:
        found.append(in_status(f.statuses, p))
    if f.stages is not None:
        found.append(in_stage(f.stages, p))
    if f.end_reasons is not None:
        found.append(f"coalesce(r.end_reason = ANY({_texts(f.end_reasons, p)}), false)")
    if f.paused_by is not None:
        by_sequence = f"({_OPEN_ROW} AND (r.sequence_paused_at IS NOT NULL OR {SEQUENCE_PAUSED}))"
        by_hand = f"(r.paused_at IS NOT NULL AND NOT {by_sequence})"
        found.append(by_sequence if f.paused_by is PausedBy.SEQUENCE else by_hand)
    if f.waiting_reasons is not None:
        found.append(any_of(waiting_condition(reason) for reason in f.waiting_reasons))
    if f.error_codes is not None:
        found.append(
            "EXISTS (SELECT FROM step_errors e WHERE e.workspace_id = $1 AND e.id = r.error_id "
            f"AND e.code = ANY({_texts(f.error_codes, p)}))"
        )
    if f.available_action is not None:
        found.append(allows(f.available_action, p))
    if f.needs_attention is not None:
        needs = in_status({Status.PENDING_ACTION, Status.ERROR}, p)
        found.append(needs if f.needs_attention else f"NOT {needs}")
    for column, asked in (
        ("r.enrolled_at", f.enrolled_at),
        ("r.updated_at", f.updated_at),
        ("r.due_at", f.due_at),
        ("r.replied_at", f.replied_at),
        ("r.contacted_at", f.contacted_at),
        ("r.ended_at", f.ended_at),
    ):
        if asked is not None:
            found += compared(column, asked, p)
    if f.step_outcome is not None:
        found.append(_step_was(f.step_outcome, p))
    if f.search is not None and f.search.strip():
        found.append(
            "EXISTS (SELECT FROM contacts c WHERE c.workspace_id = $1 AND c.id = r.contact_id "
            f"AND {named(f.search, p)})"
        )
    found += [_all(child, p) for child in f.all_of]
    if f.any_of is not None:
        found.append(any_of(_all(child, p) for child in f.any_of))
    if f.none_of is not None:
        # A comparison with a column that is empty is neither true nor false in SQL; "not" keeps what is not true.
        found.append(f"({_all(f.none_of, p)}) IS NOT TRUE")
    return found


def _step_was(asked: StepOutcomes, p: Parameters) -> str:
    """The same as rules/tally.entries says of one step."""
    step = p.add(asked.step_id, "uuid")
    done = (
        "EXISTS (SELECT FROM recipient_steps o WHERE o.workspace_id = $1 AND o.recipient_id = r.id "
        f"AND o.step_id = {step} AND o.outcome "
    )
    at = "".join(f" AND {condition}" for condition in compared("o.done_at", asked.at, p)) if asked.at else ""
    conditions = {
        StepOutcome.WAITING: f"(r.current_step_id = {step} AND r.error_id IS NULL)",
        StepOutcome.FAILED: f"(r.current_step_id = {step} AND r.error_id IS NOT NULL)",
        StepOutcome.BOUNCED: f"r.bounced_step_id = {step}",
        StepOutcome.CARRIED_OUT: f"{done} = 'CARRIED_OUT'{at})",
        StepOutcome.SKIPPED: f"{done} = 'SKIPPED'{at})",
        StepOutcome.REPLIED: f"(r.replied_at IS NOT NULL AND {REPLIED_TO} = {step})",
        StepOutcome.REACHED: (
            f"({step} IN (r.current_step_id, r.left_step_id, r.bounced_step_id) OR {done} IS NOT NULL))"
        ),
    }
    return any_of(f"coalesce({conditions[outcome]}, false)" for outcome in asked.outcomes)


def _all(f: RecipientFilter, p: Parameters) -> str:
    return f"({' AND '.join(_conditions(f, p)) or 'true'})"


def any_of(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(conditions) or 'false'})"


def _texts(values: Iterable[str], p: Parameters) -> str:
    return p.add([str(value) for value in values], "text[]")


def in_status(statuses: Collection[Status], p: Parameters) -> str:
    """Return the condition that the status shown is one of these, in a form that an index on the stored one serves."""
    stored = f"r.status = ANY({_texts(statuses, p)})"
    if OPEN.isdisjoint(statuses) or set(statuses) >= OPEN:
        return stored
    paused = f"({_OPEN_ROW} AND {SEQUENCE_PAUSED})"
    return f"({stored} OR {paused})" if Status.PAUSED in statuses else f"({stored} AND NOT {paused})"


def in_stage(stages: Collection[Stage], p: Parameters) -> str:
    """Return the condition that the stage shown is one of these."""
    finished = ENDED - {Status.BOUNCED}
    going = OPEN - {Status.ERROR}
    parts = []
    if Stage.FINISHED in stages:
        parts.append(in_status(finished, p))
    if Stage.ERROR in stages:
        parts.append(in_status({Status.ERROR, Status.BOUNCED}, p))
    if Stage.SCHEDULED in stages:
        parts.append(f"({in_status(going, p)} AND r.contacted_at IS NULL)")
    if Stage.IN_PROGRESS in stages:
        parts.append(f"({in_status(going, p)} AND r.contacted_at IS NOT NULL)")
    return any_of(parts)


def allows(action: Action, p: Parameters) -> str:
    """Return the condition that an action is available, made from the lifecycle table."""
    running = {status for status in Status if action in available_actions(status, sequence_paused=False)}
    paused = {status for status in Status if action in available_actions(status, sequence_paused=True)}
    if running == paused:
        return f"r.status = ANY({_texts(running, p)})"
    # While the sequence is paused every open recipient is PAUSED, and the table has one answer for all of them.
    parts = [f"(NOT {SEQUENCE_PAUSED} AND r.status = ANY({_texts(running, p)}))"]
    if paused:
        parts.append(f"({SEQUENCE_PAUSED} AND r.status = ANY({_texts(paused, p)}))")
    return any_of(parts)


def compared(column: str, c: Compared, p: Parameters) -> list[str]:
    """Return the conditions that a column meets these comparisons."""
    found = []
    for sign, value in (("=", c.eq), (">", c.gt), (">=", c.gte), ("<", c.lt), ("<=", c.lte)):
        if value is not None:
            found.append(f"coalesce({column} {sign} {p.add(value, 'timestamptz')}, false)")
    if c.is_null is not None:
        found.append(f"{column} IS {'' if c.is_null else 'NOT '}NULL")
    return found


def prefixes(text: str) -> list[str]:
    """Return the LIKE patterns for what begins with this text, in any case, against a column in `lower()`.

    Its own wildcards are text. More than one: a database of the C locale lowers only ASCII letters.
    """
    text = text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    written = (text, text.lower(), text.title(), text.capitalize(), text.upper())
    lowered = (form.translate(_ASCII_LOWER) for form in written)
    return list(dict.fromkeys([text.lower() + "%", *(f"{form}%" for form in lowered)]))


def named(search: str, p: Parameters) -> str:
    """Return the condition that a contact `c` is meant by a search."""
    patterns = p.add(prefixes(search), "text[]")
    columns = (
        "c.email_key",
        "lower(c.first_name)",
        "lower(c.last_name)",
        "lower(c.company)",
        "lower(c.first_name || ' ' || c.last_name)",
    )
    return any_of(f"coalesce({column} LIKE ANY({patterns}), false)" for column in columns)
