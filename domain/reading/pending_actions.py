"""Pending actions: the inbox of the workspace."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from domain.reading.filters import Compared, compared
from domain.reading.history_rows import PendingActionRow
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Parameters, Slice
from domain.reading.pending_rows import PENDING_COLUMNS, to_pending
from domain.rules.plan import StepKind

LONGEST_WAITING_FIRST: Final = Order(mark="pnd.due_since_asc", column="p.due_since", id_column="p.id", descending=False)


def _to_pending(values: Sequence[Any]) -> PendingActionRow:
    return to_pending(values[:-1], held=values[-1])


PENDING_ACTIONS: Final = Listing(
    columns=(
        *PENDING_COLUMNS,
        "r.paused_at IS NOT NULL OR r.sequence_paused_at IS NOT NULL OR s.status = 'PAUSED'",
    ),
    source="""
        FROM pending_actions p JOIN recipients r ON r.workspace_id = p.workspace_id AND r.id = p.recipient_id
        JOIN sequences s ON s.workspace_id = p.workspace_id AND s.id = p.sequence_id
        CROSS JOIN (SELECT now() + make_interval(secs => clock_offset_seconds) AS now FROM workspaces WHERE id = $1) w
    """,
    living=("p.workspace_id = $1",),
    make=_to_pending,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingActionFilter:
    """Which pending actions; the open ones unless `open` says otherwise. None elsewhere does not filter."""

    recipient_id: UUID | None = None
    sequence_id: UUID | None = None
    kinds: Collection[StepKind] | None = None
    assignee_id: UUID | None = None
    assigned: bool | None = None
    due_since: Compared | None = None
    scheduled: bool | None = None
    open: bool = True

    def conditions(self, p: Parameters) -> list[str]:
        found = [f"p.closed_at IS {'' if self.open else 'NOT '}NULL"]
        if self.recipient_id is not None:
            found.append(f"p.recipient_id = {p.add(self.recipient_id, 'uuid')}")
        if self.sequence_id is not None:
            found.append(f"p.sequence_id = {p.add(self.sequence_id, 'uuid')}")
        if self.kinds is not None:
            found.append(f"p.kind = ANY({p.add([str(kind) for kind in self.kinds], 'text[]')})")
        if self.assignee_id is not None:
            found.append(f"p.assignee_id = {p.add(self.assignee_id, 'uuid')}")
        if self.assigned is not None:
            found.append(f"p.assignee_id IS {'NOT ' if self.assigned else ''}NULL")
        if self.due_since is not None:
            found += compared("p.due_since", self.due_since, p)
        if self.scheduled is not None:
            found.append(f"(r.pending_id = p.id AND r.scheduled_for IS NOT NULL) = {p.add(self.scheduled, 'bool')}")
        return found


async def page(
    workspace_id: UUID,
    *,
    filter: PendingActionFilter = PendingActionFilter(),
    slice: Slice = FIRST_PAGE,
    counted: bool = False,
) -> Page[PendingActionRow]:
    """Return one page, the longest waiting first.

    Raises:
        Invalid, CursorInvalid
    """
    return await PENDING_ACTIONS.page(workspace_id, LONGEST_WAITING_FIRST, slice, filter.conditions, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, PendingActionRow]:
    """Return those of the pending actions that are there, by key; closed ones too."""
    return await PENDING_ACTIONS.by_ids(workspace_id, ids)
