"""Open errors grouped by their cause."""

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

from domain import causes
from domain.database import fetch
from domain.reading.history_rows import ErrorGroupRow, GroupRetryRow, SuggestedFix
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Parameters, Slice
from domain.reading.step_errors import OPEN_ONES, StepErrorFilter
from domain.refusals import Invalid
from domain.rules.error_groups import group_fix_sentence, group_sentence, shared_target
from domain.rules.ids import Prefix, to_public
from domain.rules.step_errors import CATALOGUE, FixTarget, StepErrorCode

NEWEST_FIRST: Final = Order(mark="grp.newest_desc", column="g.newest_at", id_column="g.cause_key")
_PREFIX: Final = {
    FixTarget.MAILBOX: Prefix.MAILBOX,
    FixTarget.STEP: Prefix.STEP,
    FixTarget.SEQUENCE: Prefix.SEQUENCE,
}


def _to_group(values: Sequence[Any]) -> ErrorGroupRow:
    (
        key, stored_code, count, newest_at, mailbox_key, step_key, sequence_key, detail, address,
        asked_at, matched, retried, refused, ended_at,
    ) = values  # fmt: skip
    code = StepErrorCode(stored_code)
    target = shared_target(code)
    keys = {FixTarget.MAILBOX: mailbox_key, FixTarget.STEP: step_key, FixTarget.SEQUENCE: sequence_key}
    target_key = keys.get(target)
    prefix = _PREFIX.get(target) if target_key is not None else None
    return ErrorGroupRow(
        key=key,
        code=code,
        message=group_sentence(code, count, mailbox_address=address, detail=detail),
        count=count,
        newest_at=newest_at,
        suggested_fix=SuggestedFix(
            CATALOGUE[code].fix,
            group_fix_sentence(code, mailbox_address=address),
            to_public(prefix, target_key) if prefix is not None and target_key is not None else None,
        ),
        target_prefix=prefix,
        target_key=target_key if prefix is not None else None,
        retry=GroupRetryRow(asked_at, matched, retried, refused, ended_at) if asked_at is not None else None,
    )


# An open error has a living, open recipient: the one writer closes it when its recipient ends or is deleted.
ERROR_GROUPS: Final = Listing(
    columns=(
        *("g.cause_key", "g.code", "g.count", "g.newest_at", "g.mailbox_id", "g.step_id", "g.sequence_id", "g.detail"),
        *("m.address", "k.asked_at", "k.matched", "k.retried", "k.refused", "k.ended_at"),
    ),
    source="""
        FROM (SELECT e.cause_key, max(e.code) AS code, count(*)::int AS count, max(e.occurred_at) AS newest_at,
                max(e.mailbox_id::text)::uuid AS mailbox_id, max(e.step_id::text)::uuid AS step_id,
                max(e.sequence_id::text)::uuid AS sequence_id, max(e.detail) AS detail
            FROM step_errors e WHERE e.workspace_id = $1 AND e.resolved_at IS NULL GROUP BY e.cause_key) g
        LEFT JOIN mailboxes m ON m.workspace_id = $1 AND m.id = g.mailbox_id
        LEFT JOIN error_group_retries k ON k.workspace_id = $1 AND k.cause_key = g.cause_key
    """,
    living=("g.count > 0",),
    make=_to_group,
)


async def page(
    workspace_id: UUID, *, filter: StepErrorFilter = OPEN_ONES, slice: Slice = FIRST_PAGE, counted: bool = False
) -> Page[ErrorGroupRow]:
    """Return one page of the groups that have an error which the filter keeps, those with the newest error first.

    Raises:
        Invalid, CursorInvalid
    """
    if filter.open is False:
        raise Invalid("Groups are made of open errors. Leave `open` out, or ask stepErrors.", field=["filter", "open"])

    def kept(p: Parameters) -> list[str]:
        conditions = " AND ".join(["e.resolved_at IS NULL", *filter.conditions(p)])
        return [f"g.cause_key IN (SELECT e.cause_key FROM step_errors e WHERE e.workspace_id = $1 AND {conditions})"]

    return await ERROR_GROUPS.page(workspace_id, NEWEST_FIRST, slice, kept, counted=counted)


async def by_ids(workspace_id: UUID, keys: Collection[UUID]) -> dict[UUID, ErrorGroupRow]:
    """Return those of the groups that have an open error, by key."""
    return await ERROR_GROUPS.by_ids(workspace_id, keys)


async def retryable(workspace_id: UUID, keys: Collection[UUID]) -> dict[UUID, int]:
    """Return of each group how many errors offer a retry at this moment."""
    codes = {True: [], False: []}  # type: dict[bool, list[str]]
    for code, definition in CATALOGUE.items():
        if definition.retryable:
            codes[definition.retry_finds_out].append(str(code))
    rows = await fetch(
        f"""
        SELECT e.cause_key, count(*)::int AS n
        FROM step_errors e JOIN recipients r ON r.workspace_id = e.workspace_id AND r.id = e.recipient_id
        {causes.JOINS}
        WHERE e.workspace_id = $1 AND e.cause_key = ANY($2::uuid[]) AND e.resolved_at IS NULL AND NOT {causes.HELD}
            AND (e.code = ANY($3::text[]) OR e.code = ANY($4::text[]) AND {causes.GONE_AT} IS NOT NULL)
        GROUP BY e.cause_key
        """,
        workspace_id,
        list(keys),
        codes[True],
        codes[False],
    )
    return dict.fromkeys(keys, 0) | {row["cause_key"]: row["n"] for row in rows}
