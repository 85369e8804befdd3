"""What happens to mailboxes, sequences, contacts, pending actions, bulk work and the suppression list, in one order.

Triggers write these events in the transaction of the change, so that no verb can forget one (migrations 0029, 0031).
They have no number: their order is that of transactions, then of ids, and a reader looks only at transactions older
than all that are still open, so that none can come in before what was read (reliability.md M2). A cursor is
`epoch.w.xid.id`.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final
from uuid import UUID

from domain.database import fetch
from domain.feed import CursorForeign, ResyncRequired
from domain.rules.ids import Prefix, to_public

_MARK: Final = "w"
_NUMBER_AT_MOST: Final = 2**62
_SUBJECT: Final = {
    "mailbox": Prefix.MAILBOX,
    "sequence": Prefix.SEQUENCE,
    "contact": Prefix.CONTACT,
    "pending": Prefix.PENDING_ACTION,
    "bulk": Prefix.BULK_OPERATION,
    "suppression": Prefix.SUPPRESSION,
}

_AFTER: Final = """
    WITH horizon AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xid)
    SELECT f.epoch, f.pruned_xid, f.pruned_id, h.xid AS horizon, e.xid, e.id, e.type, e.subject_id, e.recorded_at
    FROM feeds f CROSS JOIN horizon h LEFT JOIN LATERAL (
        SELECT * FROM workspace_events e
        WHERE e.workspace_id = $1 AND (e.xid, e.id) > ($2::bigint, $3::bigint) AND e.xid < h.xid
            AND ($4::text[] IS NULL OR e.type = ANY($4::text[]))
        ORDER BY e.xid, e.id LIMIT $5
    ) e ON true
    WHERE f.workspace_id = $1 ORDER BY e.xid, e.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceEventRow:
    """One change of one thing. Holds ids and a type, never words."""

    type_name: ClassVar[str] = "WorkspaceEvent"

    seq: int  # tells it from the others; not its place
    cursor: str
    type: str
    occurred_at: datetime
    subject_key: UUID

    @property
    def subject_id(self) -> str:
        return to_public(_SUBJECT[self.type.partition(".")[0]], self.subject_key)


@dataclass(frozen=True, slots=True)
class Found:
    """What comes after a cursor, and the cursor to go on from, which is as late as can be."""

    events: list[WorkspaceEventRow]
    cursor: str


async def after(
    workspace_id: UUID, cursor: str | None, *, types: Sequence[str] | None = None, limit: int = 100
) -> Found:
    """Return the events after a cursor, in order, at most `limit`, of some types where they are named; with None no
    event, but the cursor of now.

    Raises:
        CursorForeign: not a cursor of these events.
        ResyncRequired: of another epoch, of the future, or pruned already.
    """
    epoch, xid, id = ("", _NUMBER_AT_MOST, _NUMBER_AT_MOST) if cursor is None else _from_cursor(cursor)
    rows = await fetch(_AFTER, workspace_id, xid, id, None if types is None else list(types), limit)
    if not rows:
        raise ResyncRequired("")
    head = rows[0]
    now = _to_cursor(head["epoch"], head["horizon"] - 1, _NUMBER_AT_MOST)
    if cursor is None:
        return Found([], now)
    if epoch != head["epoch"] or xid >= head["horizon"] or (xid, id) < (head["pruned_xid"], head["pruned_id"]):
        raise ResyncRequired(now)
    events = [
        WorkspaceEventRow(
            seq=row["id"],
            cursor=_to_cursor(row["epoch"], row["xid"], row["id"]),
            type=row["type"],
            occurred_at=row["recorded_at"],
            subject_key=row["subject_id"],
        )
        for row in rows
        if row["id"] is not None
    ]
    return Found(events, events[-1].cursor if len(events) == limit else now)


def _to_cursor(epoch: str, xid: int, id: int) -> str:
    return base64.urlsafe_b64encode(f"{epoch}.{_MARK}.{xid}.{id}".encode()).decode().rstrip("=")


def _from_cursor(cursor: str) -> tuple[str, int, int]:
    try:
        text = base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4)).encode()).decode()
        epoch, mark, xid, id = text.split(".")
        if mark == _MARK:
            return epoch, min(max(int(xid), 0), _NUMBER_AT_MOST), min(max(int(id), 0), _NUMBER_AT_MOST)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise CursorForeign
