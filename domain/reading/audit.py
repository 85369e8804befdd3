"""The audit trail: who did what, newest first. It holds ids and names of mutations, and nothing of what was written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson

from domain.reading.columns import columns_of
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Parameters, Slice
from domain.rules.ids import Prefix, to_public


@dataclass(frozen=True, slots=True)
class AuditRow:
    COLUMNS: ClassVar[tuple[str, ...]] = ("id", "at", "actor_kind", "actor_id", "action", "object_ids", "request_id")

    key: UUID
    at: datetime
    actor_kind: str
    actor_key: UUID | None
    action: str
    stored_object_ids: str  # JSON as it is stored
    request_id: str

    @property
    def id(self) -> str:
        return to_public(Prefix.AUDIT_ENTRY, self.key)

    @property
    def object_ids(self) -> list[str]:
        found: list[str] = orjson.loads(self.stored_object_ids)
        return found


def _to_entry(values: Sequence[Any]) -> AuditRow:
    return AuditRow(*values)


NEWEST: Final = Order(mark="aud.at_desc", column="a.at", id_column="a.id", type="timestamptz", descending=True)
ENTRIES: Final = Listing(
    columns=columns_of("a", AuditRow.COLUMNS),
    source="FROM audit_entries a",
    living=("a.workspace_id = $1",),
    make=_to_entry,
)


async def page(
    workspace_id: UUID, *, object_id: str | None = None, slice: Slice = FIRST_PAGE, counted: bool = False
) -> Page[AuditRow]:
    """Return one page, newest first; with `object_id`, an outside id, only what touched that object.

    Raises:
        Invalid, CursorInvalid
    """

    def kept(parameters: Parameters) -> list[str]:
        if object_id is None:
            return []
        return [f"a.object_ids @> {parameters.add(orjson.dumps([object_id]).decode(), 'jsonb')}"]

    return await ENTRIES.page(workspace_id, NEWEST, slice, kept, counted=counted)
