"""Events as a screen reads them: what the feed says, with the ids in their outside form.

An event's id is `evt_`, the recipient's 26 letters, and the version: an event is one version of one recipient.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain import feed
from domain.database import fetch
from domain.feed import FIELDS, Event
from domain.reading.pages import FIRST_PAGE, Slice
from domain.rules.ids import IdMalformed, Prefix, from_public, to_public


@dataclass(frozen=True, slots=True)
class EventRow:
    type_name: ClassVar[str] = "RecipientEvent"

    event: Event

    @property
    def id(self) -> str:
        return f"{to_public(Prefix.EVENT, self.event.recipient_id)}-{self.event.version}"

    @property
    def cursor(self) -> str:
        return self.event.cursor

    @property
    def type(self) -> str:
        return self.event.type

    @property
    def recipient_id(self) -> str:
        return to_public(Prefix.RECIPIENT, self.event.recipient_id)

    @property
    def sequence_id(self) -> str:
        return to_public(Prefix.SEQUENCE, self.event.sequence_id)

    @property
    def previous_status(self) -> str | None:
        return self.event.previous_status

    @property
    def status(self) -> str | None:
        return self.event.status

    @property
    def end_reason(self) -> str | None:
        return self.event.end_reason

    @property
    def version(self) -> int:
        return self.event.version

    @property
    def occurred_at(self) -> datetime:
        return self.event.occurred_at

    # what the loaders go by
    @property
    def recipient_key(self) -> UUID:
        return self.event.recipient_id

    @property
    def step_key(self) -> UUID | None:
        return self.event.step_id

    @property
    def message_key(self) -> UUID | None:
        return self.event.message_id

    @property
    def step_error_key(self) -> UUID | None:
        return self.event.step_error_id

    @property
    def actor_kind(self) -> str:
        return self.event.actor_kind

    @property
    def actor_key(self) -> UUID | None:
        return self.event.actor_id


def from_public_event(text: str) -> tuple[UUID, int]:
    """Return recipient and version of an event's id.

    Raises:
        IdMalformed
    """
    stem, dash, version = text.partition("-")
    prefix, recipient_id = from_public(stem)
    if prefix is not Prefix.EVENT or not dash or not (version.isascii() and version.isdigit()) or len(version) > 9:
        raise IdMalformed(text)
    return recipient_id, int(version)


async def by_id(workspace_id: UUID, recipient_id: UUID, version: int) -> EventRow | None:
    """Return one numbered event; None when there is none (yet)."""
    rows = await fetch(
        f"SELECT {FIELDS} FROM events e JOIN feeds f ON f.workspace_id = e.workspace_id "
        "WHERE e.workspace_id = $1 AND e.recipient_id = $2 AND e.version = $3 AND e.seq IS NOT NULL",
        workspace_id,
        recipient_id,
        version,
    )
    return EventRow(Event(**dict(rows[0].items()))) if rows else None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events. Its cursors are those of the feed."""

    rows: Sequence[EventRow]
    has_next_page: bool
    has_previous_page: bool
    total_count: int | None = None

    def cursor(self, index: int) -> str:
        return self.rows[index].cursor

    @property
    def cursors(self) -> Sequence[str]:
        return [row.cursor for row in self.rows]


def _page(events: Sequence[Event], slice: Slice, total_count: int | None = None) -> EventPage:
    kept = [EventRow(event) for event in events[: slice.size]]
    return EventPage(kept, len(events) > slice.size, slice.after is not None, total_count)


async def page(
    workspace_id: UUID, *, sequence_id: UUID | None = None, slice: Slice = FIRST_PAGE, counted: bool = False
) -> EventPage:
    """Return the events after a cursor in the order of the feed; from the oldest kept one where there is no cursor.

    Raises:
        Invalid, CursorForeign, ResyncRequired
    """
    size = slice.size
    events = await feed.after(workspace_id, slice.after, limit=size + 1, sequence_id=sequence_id)
    total = None
    if counted:
        rows = await fetch(
            "SELECT count(*) AS n FROM events WHERE workspace_id = $1 AND seq IS NOT NULL "
            "AND ($2::uuid IS NULL OR sequence_id = $2)",
            workspace_id,
            sequence_id,
        )
        total = rows[0]["n"]
    return _page(events, slice, total)


async def pages_of_recipients(
    workspace_id: UUID, ids: Sequence[UUID], *, slice: Slice = FIRST_PAGE, counted: bool = False
) -> list[EventPage]:
    """Return one page for each recipient, oldest first.

    Raises:
        Invalid, CursorForeign, ResyncRequired
    """
    after = 0
    if slice.after is not None:
        epoch, after = feed.from_cursor(slice.after)
        head = await feed.state(workspace_id)
        if epoch != head.epoch or not head.first_seq - 1 <= after <= head.last_seq:
            raise feed.ResyncRequired(head.cursor)
    records = await fetch(
        f"""
        SELECT found.* FROM unnest($2::uuid[]) AS o (owner_id) CROSS JOIN LATERAL (
            SELECT {FIELDS} FROM events e JOIN feeds f ON f.workspace_id = e.workspace_id
            WHERE e.workspace_id = $1 AND e.recipient_id = o.owner_id AND e.seq > $3 ORDER BY e.version LIMIT $4
        ) AS found
        """,
        workspace_id,
        list(ids),
        after,
        slice.size + 1,
    )
    totals = await _totals(workspace_id, ids) if counted else {}
    found: dict[UUID, list[Event]] = {key: [] for key in ids}
    for record in records:
        found[record["recipient_id"]].append(Event(**dict(record.items())))
    return [_page(found[key], slice, totals.get(key, 0) if counted else None) for key in ids]


async def _totals(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, int]:
    rows = await fetch(
        "SELECT recipient_id, count(*) AS n FROM events WHERE workspace_id = $1 AND recipient_id = ANY($2::uuid[]) "
        "AND seq IS NOT NULL GROUP BY 1",
        workspace_id,
        list(ids),
    )
    return {row["recipient_id"]: row["n"] for row in rows}
