"""Step errors: why steps failed, what to do about it, and what may be done now."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from domain import causes
from domain.reading.history_rows import StepErrorRow, SuggestedFix
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Parameters, Slice
from domain.rules.ids import Prefix, to_public
from domain.rules.step_errors import (
    CATALOGUE,
    FixTarget,
    StepErrorCode,
    available_error_actions,
    fix_sentence,
    sentence,
)

NEWEST_FIRST: Final = Order(mark="err.occurred_at_desc", column="e.occurred_at", id_column="e.id")
_COLUMNS: Final = (
    *("e.id", "e.recipient_id", "e.sequence_id", "e.contact_id", "e.mailbox_id", "e.step_id", "e.code", "e.detail"),
    *("e.occurred_at", "e.resolved_at", "r.end_reason IS NOT NULL", causes.HELD, "m.address"),
    f"CASE WHEN e.resolved_at IS NULL THEN {causes.GONE_AT} END",
)
_PREFIX: Final = {
    FixTarget.MAILBOX: Prefix.MAILBOX,
    FixTarget.CONTACT: Prefix.CONTACT,
    FixTarget.STEP: Prefix.STEP,
    FixTarget.SEQUENCE: Prefix.SEQUENCE,
    FixTarget.RECIPIENT: Prefix.RECIPIENT,
}


def _to_step_error(values: Sequence[Any]) -> StepErrorRow:
    (
        key, recipient_key, sequence_key, contact_key, mailbox_key, step_key, stored_code, detail, occurred_at,
        resolved_at, ended, held, address, cause_gone_at,
    ) = values  # fmt: skip
    code = StepErrorCode(stored_code)
    target = CATALOGUE[code].target
    targets = {
        FixTarget.MAILBOX: mailbox_key,
        FixTarget.CONTACT: contact_key,
        FixTarget.STEP: step_key,
        FixTarget.SEQUENCE: sequence_key,
        FixTarget.RECIPIENT: recipient_key,
    }
    target_key = targets.get(target)
    return StepErrorRow(
        key=key,
        recipient_key=recipient_key,
        step_key=step_key,
        code=code,
        message=sentence(code, mailbox_address=address, detail=detail),
        suggested_fix=SuggestedFix(
            CATALOGUE[code].fix,
            fix_sentence(code, mailbox_address=address),
            to_public(_PREFIX[target], target_key) if target_key is not None else None,
        ),
        available_actions=available_error_actions(
            code, open=resolved_at is None, recipient_ended=ended, cause_gone=cause_gone_at is not None, held=held
        ),
        cause_gone_at=cause_gone_at,
        occurred_at=occurred_at,
        resolved_at=resolved_at,
    )


STEP_ERRORS: Final = Listing(
    columns=_COLUMNS,
    source=f"""
        FROM step_errors e JOIN recipients r ON r.workspace_id = e.workspace_id AND r.id = e.recipient_id
        {causes.JOINS}
    """,
    living=("e.workspace_id = $1", "r.deleted_at IS NULL"),
    make=_to_step_error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepErrorFilter:
    """Which errors. None does not filter."""

    recipient_id: UUID | None = None
    contact_id: UUID | None = None
    sequence_id: UUID | None = None
    mailbox_id: UUID | None = None
    codes: Collection[StepErrorCode] | None = None
    open: bool | None = None

    def conditions(self, p: Parameters) -> list[str]:
        found = [
            f"e.{name} = {p.add(value, 'uuid')}"
            for name, value in (
                ("recipient_id", self.recipient_id),
                ("contact_id", self.contact_id),
                ("sequence_id", self.sequence_id),
                ("mailbox_id", self.mailbox_id),
            )
            if value is not None
        ]
        if self.codes is not None:
            found.append(f"e.code = ANY({p.add([str(code) for code in self.codes], 'text[]')})")
        if self.open is not None:
            found.append(f"e.resolved_at IS {'' if self.open else 'NOT '}NULL")
        return found


OPEN_ONES: Final = StepErrorFilter(open=True)


async def page(
    workspace_id: UUID, *, filter: StepErrorFilter = StepErrorFilter(), slice: Slice = FIRST_PAGE, counted: bool = False
) -> Page[StepErrorRow]:
    """Return one page, newest first.

    Raises:
        Invalid, CursorInvalid
    """
    return await STEP_ERRORS.page(workspace_id, NEWEST_FIRST, slice, filter.conditions, counted=counted)


async def pages_of(
    workspace_id: UUID,
    owner: str,
    ids: Sequence[UUID],
    *,
    filter: StepErrorFilter = OPEN_ONES,
    slice: Slice = FIRST_PAGE,
    counted: bool = False,
) -> list[Page[StepErrorRow]]:
    """Return one page for each "recipient" or "contact", newest first.

    Raises:
        Invalid, CursorInvalid
    """
    column = {"recipient": "e.recipient_id", "contact": "e.contact_id"}[owner]
    return await STEP_ERRORS.pages_by_owner(
        workspace_id, column, ids, NEWEST_FIRST, slice, filter.conditions, counted=counted
    )


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, StepErrorRow]:
    """Return those of the errors that are there, by key."""
    return await STEP_ERRORS.by_ids(workspace_id, ids)
