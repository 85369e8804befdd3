"""Operations on many recipients: how far each is, and whom it refused."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from domain.database import fetch
from domain.reading.columns import columns_of
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Slice
from domain.rules.actor import ActorKind
from domain.rules.bulk import BulkAction, BulkStatus, RefusedAlike, summary
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Status


@dataclass(frozen=True, slots=True)
class BulkOperationRow:
    type_name: ClassVar[str] = "BulkOperation"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "action", "step_id", "dry_run", "status", "matched", "done", "changed", "refused", "in_flight"),
        *("actor_kind", "actor_id", "created_at", "ended_at"),
    )

    key: UUID
    action: BulkAction
    step_key: UUID | None
    dry_run: bool
    status: BulkStatus
    matched: int
    done: int
    changed: int
    refused: int
    in_flight: int
    actor_kind: ActorKind
    actor_key: UUID | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def id(self) -> str:
        return to_public(Prefix.BULK_OPERATION, self.key)


@dataclass(frozen=True, slots=True)
class BulkRefusalRow:
    recipient_key: UUID
    code: str
    message: str

    @property
    def recipient_id(self) -> str:
        return to_public(Prefix.RECIPIENT, self.recipient_key)


def _to_operation(values: Sequence[Any]) -> BulkOperationRow:
    key, action, step_key, dry_run, status, matched, done, changed, refused, in_flight, actor_kind, *rest = values
    counts = matched, done, changed, refused, in_flight
    return BulkOperationRow(
        key, BulkAction(action), step_key, dry_run, BulkStatus(status), *counts, ActorKind(actor_kind), *rest
    )


def _to_refusal(values: Sequence[Any]) -> BulkRefusalRow:
    return BulkRefusalRow(*values)


NEWEST_FIRST: Final = Order(mark="blk.created_at_desc", column="o.created_at", id_column="o.id")
OPERATIONS: Final = Listing(
    columns=columns_of("o", BulkOperationRow.COLUMNS),
    source="FROM bulk_operations o",
    living=("o.workspace_id = $1",),
    make=_to_operation,
)
_AS_REFUSED: Final = Order(
    mark="blk.refused_at_asc", column="f.refused_at", id_column="f.recipient_id", descending=False
)
REFUSALS: Final = Listing(
    columns=("f.recipient_id", "f.code", "f.message"),
    source="FROM bulk_refusals f",
    living=("f.workspace_id = $1",),
    make=_to_refusal,
)


async def page(workspace_id: UUID, *, slice: Slice = FIRST_PAGE, counted: bool = False) -> Page[BulkOperationRow]:
    """Return one page, the newest first.

    Raises:
        Invalid, CursorInvalid
    """
    return await OPERATIONS.page(workspace_id, NEWEST_FIRST, slice, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, BulkOperationRow]:
    """Return those of the operations that are there, by key."""
    return await OPERATIONS.by_ids(workspace_id, ids)


async def refusals_of(
    workspace_id: UUID, ids: Sequence[UUID], *, slice: Slice = FIRST_PAGE, counted: bool = False
) -> list[Page[BulkRefusalRow]]:
    """Return one page of refusals for each operation, in the order in which they were refused.

    Raises:
        Invalid, CursorInvalid
    """
    return await REFUSALS.pages_by_owner(workspace_id, "f.operation_id", ids, _AS_REFUSED, slice, counted=counted)


async def summaries(workspace_id: UUID, operations: Sequence[BulkOperationRow]) -> list[str]:
    """Return of each operation one sentence for a person: how many it changed and refused so far, and why."""
    rows = await fetch(
        "SELECT operation_id, code, status, count(*)::int AS n FROM bulk_refusals "
        "WHERE workspace_id = $1 AND operation_id = ANY($2::uuid[]) GROUP BY 1, 2, 3",
        workspace_id,
        [one.key for one in operations],
    )
    alike: dict[UUID, list[RefusedAlike]] = {one.key: [] for one in operations}
    for row in rows:
        status = Status(row["status"]) if row["status"] is not None else None
        alike[row["operation_id"]].append(RefusedAlike(row["code"], status, row["n"]))
    return [
        summary(one.action, dry_run=one.dry_run, changed=one.changed, refused=one.refused, alike=alike[one.key])
        for one in operations
    ]
