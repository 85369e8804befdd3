"""Operations on many recipients: how far each is, and whom it refused."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson

from domain.database import fetch
from domain.reading.columns import columns_of
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Slice
from domain.rules.actor import ActorKind
from domain.rules.bulk import BulkAction, BulkKind, BulkStatus, RefusedAlike, summary
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Status


@dataclass(frozen=True, slots=True)
class BulkOperationRow:
    type_name: ClassVar[str] = "BulkOperation"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "action", "step_id", "dry_run", "status", "matched", "done", "changed", "unchanged", "refused"),
        *("in_flight", "actor_kind", "actor_id", "created_at", "ended_at", "sequence_id", "counts"),
    )

    key: UUID
    kind: BulkKind
    step_key: UUID | None
    dry_run: bool
    status: BulkStatus
    matched: int
    done: int
    changed: int
    unchanged: int
    refused: int
    in_flight: int
    actor_kind: ActorKind
    actor_key: UUID | None
    created_at: datetime
    ended_at: datetime | None
    sequence_key: UUID | None
    counts: Mapping[str, int] = field(hash=False)
    file_name: str | None

    @property
    def id(self) -> str:
        return to_public(Prefix.BULK_OPERATION, self.key)

    @property
    def action(self) -> BulkAction | None:
        return _ACTIONS.get(self.kind)

    @property
    def import_counts(self) -> "ImportCounts | None":
        if self.kind is not BulkKind.IMPORT:
            return None
        return ImportCounts(**(dict.fromkeys(_COUNTED, 0) | dict(self.counts)))


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What became of the rows of a file so far. Those created and updated also count where the enrolment was
    refused."""

    created: int
    updated: int
    enrolled: int
    already_enrolled: int
    not_enrolled: int


_ACTIONS: Final = {BulkKind(action): action for action in BulkAction}
_FIELDS: Final = tuple(one.name for one in fields(BulkOperationRow))
_COUNTED: Final = tuple(one.name for one in fields(ImportCounts))


@dataclass(frozen=True, slots=True)
class BulkRefusalRow:
    key: UUID
    recipient_key: UUID | None
    contact_key: UUID | None
    line: int | None
    code: str
    message: str

    @property
    def recipient_id(self) -> str | None:
        return to_public(Prefix.RECIPIENT, self.recipient_key) if self.recipient_key else None

    @property
    def contact_id(self) -> str | None:
        return to_public(Prefix.CONTACT, self.contact_key) if self.contact_key else None


def _to_operation(values: Sequence[Any]) -> BulkOperationRow:
    row: dict[str, Any] = dict(zip(_FIELDS, values, strict=True))
    row["kind"], row["status"] = BulkKind(row["kind"]), BulkStatus(row["status"])
    row["actor_kind"], row["counts"] = ActorKind(row["actor_kind"]), orjson.loads(row["counts"])
    return BulkOperationRow(**row)


def _to_refusal(values: Sequence[Any]) -> BulkRefusalRow:
    return BulkRefusalRow(*values)


NEWEST_FIRST: Final = Order(mark="blk.created_at_desc", column="o.created_at", id_column="o.id")
OPERATIONS: Final = Listing(
    columns=[*columns_of("o", BulkOperationRow.COLUMNS), "i.name"],
    source="FROM bulk_operations o LEFT JOIN import_files i ON i.workspace_id = o.workspace_id AND i.id = o.file_id",
    living=("o.workspace_id = $1",),
    make=_to_operation,
)
_AS_REFUSED: Final = Order(mark="blk.refused_at_asc", column="f.refused_at", id_column="f.id", descending=False)
REFUSALS: Final = Listing(
    columns=("f.id", "f.recipient_id", "f.contact_id", "f.line", "f.code", "f.message"),
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
        summary(
            one.kind,
            dry_run=one.dry_run,
            changed=one.changed,
            unchanged=one.unchanged,
            refused=one.refused,
            alike=alike[one.key],
        )
        for one in operations
    ]
