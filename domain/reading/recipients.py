"""Recipients: one page, some by id, or a page for each of many owners.

`wants` names what is needed beyond the plain columns, each as the screen calls it: contact, sequence, mailbox,
current_step, next_step, steps, pending_action, opens, status_message, waiting_reason, next_attempt_at, total_count.

Source: product.md sections 2 and 3; architecture.md "The flow of one read".
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.database import fetch
from domain.reading import recipient_rows
from domain.reading.filters import EVERYTHING, RecipientFilter, compile_filter
from domain.reading.pages import FIRST_PAGE, Order, Page, Parameters, Slice, check_text, conditions, cut, ordering
from domain.reading.recipient_rows import Reader
from domain.reading.rows import RecipientRow

_ID: Final = "r.id"


def _order(field: str, column: str, *, type_: str = "timestamptz", nullable: bool = False) -> dict[str, Order]:
    return {
        f"{field}_{word}": Order(
            mark=f"rcp.{field}_{word}".lower(),
            column=column,
            id_column=_ID,
            type=type_,
            descending=word == "DESC",
            nullable=nullable,
        )
        for word in ("ASC", "DESC")
    }


ORDERS: Final[Mapping[str, Order]] = {
    **_order("ENROLLED_AT", "r.enrolled_at"),
    **_order("STATUS_CHANGED_AT", "r.status_changed_at"),
    **_order("UPDATED_AT", "r.updated_at"),
    **_order("NEXT_ATTEMPT_AT", "r.due_at", nullable=True),
    **_order("CONTACT_NAME", "r.sort_name", type_="text"),
}
NEWEST_FIRST: Final = ORDERS["ENROLLED_AT_DESC"]
_CAUSE: Final = "(SELECT e.cause_key FROM step_errors e WHERE e.workspace_id = $1 AND e.id = r.error_id)"
# The owner of a recipient, and the condition that it is a given one, in a form that an index serves.
OWNERS: Final = {"sequence": "r.sequence_id", "contact": "r.contact_id", "error_group": _CAUSE}
OWNED: Final = {
    "sequence": "r.sequence_id = {}",
    "contact": "r.contact_id = {}",
    "error_group": (
        "r.id IN (SELECT e.recipient_id FROM step_errors e "
        "WHERE e.workspace_id = $1 AND e.resolved_at IS NULL AND e.cause_key = {})"
    ),
}
_LIVING: Final = ("r.workspace_id = $1", "r.deleted_at IS NULL")


async def page(
    workspace_id: UUID,
    *,
    filter: RecipientFilter = EVERYTHING,
    order: Order = NEWEST_FIRST,
    slice: Slice = FIRST_PAGE,
    wants: Collection[str] = (),
) -> Page[RecipientRow]:
    """Return one page.

    Raises:
        Invalid: the size or the filter is out of bounds.
        CursorInvalid: a cursor is not of this list in this order.
    """
    parameters = Parameters([workspace_id])
    reader = Reader(workspace_id, wants, order.column)
    kept = [*_LIVING, *compile_filter(filter, parameters)]
    part = [*kept, *conditions(order, slice, parameters)]
    records = await fetch(reader.statement(part, ordering(order, slice)), *parameters.values)
    rows = await reader.rows(records)
    total = await count(workspace_id, filter) if "total_count" in wants else None
    return cut(workspace_id, slice, order, _placed(records, rows), total)


def _placed(records: Sequence[asyncpg.Record], rows: Sequence[RecipientRow]) -> list[tuple[Any, UUID, RecipientRow]]:
    return [(record["place"], row.key, row) for record, row in zip(records, rows, strict=True)]


async def count(workspace_id: UUID, filter: RecipientFilter = EVERYTHING) -> int:
    """Return how many recipients a filter keeps."""
    parameters = Parameters([workspace_id])
    kept = " AND ".join([*_LIVING, *compile_filter(filter, parameters)])
    rows = await fetch(f"SELECT count(*) AS n {recipient_rows.FROM} WHERE {kept}", *parameters.values)
    found: int = rows[0]["n"]
    return found


async def pages_by_owner(
    workspace_id: UUID,
    owner: str,
    owner_ids: Sequence[UUID],
    *,
    filter: RecipientFilter = EVERYTHING,
    order: Order = NEWEST_FIRST,
    slice: Slice = FIRST_PAGE,
    wants: Collection[str] = (),
) -> list[Page[RecipientRow]]:
    """Return one page for each owner ("sequence", "contact" or "error_group"), in the order given, from one statement.

    Raises:
        Invalid, CursorInvalid
    """
    parameters = Parameters([workspace_id])
    owners = parameters.add(list(owner_ids), "uuid[]")
    reader = Reader(workspace_id, wants, order.column)
    kept = [*_LIVING, OWNED[owner].format("o.owner_id"), *compile_filter(filter, parameters)]
    part = [*kept, *conditions(order, slice, parameters)]
    inner = reader.statement(part, ordering(order, slice))
    records = await fetch(
        f"SELECT * FROM unnest({owners}) AS o (owner_id) CROSS JOIN LATERAL ({inner}) AS found", *parameters.values
    )
    reader.shift(1)
    rows = await reader.rows(records)
    totals = await _totals(workspace_id, owner, owner_ids, filter) if "total_count" in wants else {}
    found: dict[UUID, list[tuple[Any, UUID, RecipientRow]]] = {owner_id: [] for owner_id in owner_ids}
    for record, placed in zip(records, _placed(records, rows), strict=True):
        found[record["owner_id"]].append(placed)
    return [
        cut(workspace_id, slice, order, found[owner_id], totals.get(owner_id, 0) if "total_count" in wants else None)
        for owner_id in owner_ids
    ]


async def _totals(
    workspace_id: UUID, owner: str, owner_ids: Sequence[UUID], filter: RecipientFilter
) -> dict[UUID, int]:
    parameters = Parameters([workspace_id])
    kept = [*_LIVING, OWNED[owner].format(f"ANY({parameters.add(list(owner_ids), 'uuid[]')})")]
    kept += compile_filter(filter, parameters)
    rows = await fetch(
        f"SELECT {OWNERS[owner]} AS owner_id, count(*) AS n {recipient_rows.FROM} "
        f"WHERE {' AND '.join(kept)} GROUP BY 1",
        *parameters.values,
    )
    return {row["owner_id"]: row["n"] for row in rows}


async def by_ids(workspace_id: UUID, ids: Collection[UUID], *, wants: Collection[str] = ()) -> dict[UUID, RecipientRow]:
    """Return those of the recipients that are there, by key. Deleted ones, and another workspace's, are not."""
    reader = Reader(workspace_id, wants, _ID)
    records = await fetch(reader.statement([*_LIVING, "r.id = ANY($2::uuid[])"], ""), workspace_id, list(ids))
    return {row.key: row for row in await reader.rows(records)}


async def by_external_id(workspace_id: UUID, external_id: str, *, wants: Collection[str] = ()) -> RecipientRow | None:
    """Return the recipient that a partner calls so; None when there is none.

    Raises:
        Invalid: the text cannot be an id.
    """
    check_text(external_id)
    reader = Reader(workspace_id, wants, _ID)
    records = await fetch(reader.statement([*_LIVING, "r.external_id = $2::text"], ""), workspace_id, external_id)
    rows = await reader.rows(records)
    return rows[0] if rows else None
