"""The numbered feed: every change of every recipient of a workspace, in an order that everyone sees alike.

Events are written with their change and have no number then. Numbering is one statement under an advisory lock,
which whoever wakes may run: it gives each event the next number of its workspace (dense, version order within a
recipient), and folds the batch into the tallies, so that counts always equal the feed at its number.

A cursor is `epoch.seq`, opaque to clients; the epoch changes when a database is restored. `after` is the one reader:
subscriptions, the query and webhooks all read through it.

Source: architecture.md "The flow of one change"; reliability.md 2.17.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx, fetch, tx
from domain.metrics import EVENTS_NUMBERED, NUMBERING_DELAY_SECONDS
from domain.recounting import NUMBERING_LOCK, REPORT_DELTAS, STATUS_DELTAS
from domain.refusals import Refusal

NUMBERED_AT_ONCE: Final = 5_000
WIRE_CHANNEL: Final = "relance:feed"  # of Redis: numbered events, one message per workspace and batch


class CursorForeign(Refusal):
    """The text is not a cursor of this workspace's feed."""

    code = "CURSOR_INVALID"

    def __init__(self) -> None:
        super().__init__("This is not a cursor of the event feed. Use an `eventsCursor` or the `cursor` of an event.")


class ResyncRequired(Refusal):
    """The reader is too far behind, or the feed was restored: read the list afresh and go on from its cursor."""

    code = "RESYNC_REQUIRED"

    def __init__(self, cursor: str) -> None:
        super().__init__("Events were missed. Read the list again, and go on from its eventsCursor.")
        self.cursor = cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of one recipient. Holds ids, codes and statuses, never names, addresses or text."""

    workspace_id: UUID
    epoch: str
    seq: int
    recipient_id: UUID
    version: int
    sequence_id: UUID
    type: str
    previous_status: str | None
    status: str | None
    end_reason: str | None
    actor_kind: str
    actor_id: UUID | None
    step_id: UUID | None
    message_id: UUID | None
    step_error_id: UUID | None
    mailbox_id: UUID | None
    occurred_at: datetime

    @property
    def cursor(self) -> str:
        return to_cursor(self.epoch, self.seq)


def to_cursor(epoch: str, seq: int) -> str:
    return base64.urlsafe_b64encode(f"{epoch}.{seq}".encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> tuple[str, int]:
    """Return epoch and number.

    Raises:
        CursorForeign: the text is not a cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        epoch, _, seq = base64.urlsafe_b64decode(padded.encode()).decode().partition(".")
        return epoch, int(seq)
    except (binascii.Error, UnicodeError, ValueError):
        raise CursorForeign from None


FIELDS = (
    "e.workspace_id, f.epoch, e.seq, e.recipient_id, e.version, e.sequence_id, e.type, e.previous_status, e.status, "
    "e.end_reason, e.actor_kind, e.actor_id, e.step_id, e.message_id, e.step_error_id, e.mailbox_id, e.occurred_at"
)

_NAMES: Final = tuple(name.rpartition(".")[2] for name in FIELDS.split(", "))
_IDS: Final = tuple(name for name in _NAMES if name.endswith("_id"))
_values: Final = attrgetter(*_NAMES)

# Order: as recorded, but never a version before the one below it. A version that is visible has its predecessors
# visible, so no number is ever given out of order within a recipient.
_NUMBER = f"""
    WITH fresh AS (
        SELECT recipient_id, version, workspace_id,
            max(recorded_at) OVER of_recipient AS at, row_number() OVER of_recipient AS rank
        FROM (SELECT * FROM events WHERE seq IS NULL ORDER BY recorded_at, version LIMIT $1) AS oldest
        WINDOW of_recipient AS (PARTITION BY recipient_id ORDER BY version)
    ), complete AS (
        -- A batch cut in the middle of a recipient must not skip a version: all those below are in it. Counted along
        -- the key of the events, for each event by itself, which is cheap by any plan: a comparison of the two sets
        -- took seconds by the plan that PostgreSQL keeps. FILTER, so that no index of the unnumbered can be chosen.
        SELECT f.* FROM fresh f CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE e.seq IS NULL) AS waiting FROM events e
            WHERE e.recipient_id = f.recipient_id AND e.version <= f.version
        ) b WHERE b.waiting = f.rank
    ), places AS (
        SELECT c.*, row_number() OVER (PARTITION BY workspace_id ORDER BY at, recipient_id, version) AS place
        FROM complete c
    ), moved AS (
        UPDATE feeds f SET last_seq = f.last_seq + b.size
        FROM (SELECT workspace_id, count(*) AS size FROM places GROUP BY workspace_id) b
        WHERE f.workspace_id = b.workspace_id
        RETURNING f.workspace_id, f.epoch, f.last_seq - b.size AS before
    ), numbered AS (
        UPDATE events e SET seq = m.before + p.place
        FROM places p JOIN moved m USING (workspace_id)
        WHERE e.recipient_id = p.recipient_id AND e.version = p.version
        RETURNING e.*
    ), folded AS (
        INSERT INTO tallies AS a (workspace_id, sequence_id, mailbox_id, status, stage, count)
        {STATUS_DELTAS.format("numbered")}
        ON CONFLICT (sequence_id, mailbox_id, status, stage) DO UPDATE SET count = a.count + excluded.count
    ), counted AS (
        INSERT INTO report_tallies AS a (workspace_id, sequence_id, mailbox_id, step_id, measure, quarter, count)
        {REPORT_DELTAS.format("numbered")}
        ON CONFLICT (sequence_id, mailbox_id, step_id, measure, quarter) DO UPDATE SET count = a.count + excluded.count
    )
    SELECT {FIELDS.replace("f.epoch", "m.epoch")},
        extract(epoch FROM clock_timestamp() - e.recorded_at)::float AS waited_seconds
    FROM numbered e JOIN moved m USING (workspace_id) ORDER BY e.workspace_id, e.seq
"""


async def number() -> list[Event]:
    """Give every event that has none its number; return the events numbered now, by workspace and number.

    Returns nothing when another process is numbering at this moment: that one finds these events too, or the next
    ring or poll does.
    """

    async def work(t: Tx) -> list[asyncpg.Record]:
        if not await t.fetchval("SELECT pg_try_advisory_xact_lock($1)", NUMBERING_LOCK):
            return []
        return await t.fetch(_NUMBER, NUMBERED_AT_ONCE)

    rows = await tx(None, work, rings=False)
    if rows:
        EVENTS_NUMBERED.inc(len(rows))
        NUMBERING_DELAY_SECONDS.observe(max(row["waited_seconds"] for row in rows))
    return [_to_event(row) for row in rows]


# One statement, so that nothing is pruned between the look at what is kept and the reading of it.
_AFTER = f"""
    SELECT {FIELDS}, f.workspace_id AS feed_id, f.last_seq AS newest, f.first_seq AS oldest
    FROM feeds f LEFT JOIN LATERAL (
        SELECT * FROM events e
        WHERE e.workspace_id = $1 AND e.seq > $2::bigint AND ($3::uuid IS NULL OR e.sequence_id = $3)
        ORDER BY e.seq LIMIT $4
    ) e ON true
    WHERE f.workspace_id = $1 ORDER BY e.seq
"""
_SEQ_AT_MOST: Final = 2**62


async def after(
    workspace_id: UUID, cursor: str | None, *, limit: int = 100, sequence_id: UUID | None = None
) -> list[Event]:
    """Return the events after a cursor, in order: at most `limit`, of one sequence where it is named. None begins with
    the oldest that is kept.

    Raises:
        CursorForeign: not a cursor.
        ResyncRequired: of another epoch, of the future, or pruned already.
    """
    epoch, seq = (None, 0) if cursor is None else from_cursor(cursor)
    rows = await fetch(_AFTER, workspace_id, max(-1, min(seq, _SEQ_AT_MOST)), sequence_id, limit)
    head = Head(rows[0]["epoch"], rows[0]["newest"], rows[0]["oldest"]) if rows else Head("", 0, 1)
    if cursor is not None and (epoch != head.epoch or seq > head.last_seq or seq < head.first_seq - 1):
        raise ResyncRequired(head.cursor)
    return [_to_event(row) for row in rows if row["seq"] is not None]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the feed of a workspace stands."""

    epoch: str
    last_seq: int
    first_seq: int

    @property
    def cursor(self) -> str:
        return to_cursor(self.epoch, self.last_seq)


async def state(workspace_id: UUID) -> Head:
    """Return where the feed stands. Read it before a page: page + events after it then misses nothing."""
    rows = await fetch("SELECT epoch, last_seq, first_seq FROM feeds WHERE workspace_id = $1", workspace_id)
    return Head(rows[0]["epoch"], rows[0]["last_seq"], rows[0]["first_seq"]) if rows else Head("", 0, 1)


async def heads(workspace_ids: Sequence[UUID]) -> dict[UUID, Head]:
    """Return where the feeds of these workspaces stand, in one statement."""
    rows = await fetch(
        "SELECT workspace_id, epoch, last_seq, first_seq FROM feeds WHERE workspace_id = ANY($1::uuid[])",
        list(workspace_ids),
    )
    return {row["workspace_id"]: Head(row["epoch"], row["last_seq"], row["first_seq"]) for row in rows}


async def start_new_epoch() -> int:
    """Give every feed a new epoch, after a restore from a backup: every reader then reads afresh. Return how many."""
    rows = await fetch(
        "WITH u AS (UPDATE feeds SET epoch = substr(md5(random()::text), 1, 8) RETURNING 1) SELECT count(*) AS n FROM u"
    )
    count: int = rows[0]["n"]
    return count


def _to_event(row: asyncpg.Record) -> Event:
    return Event(**{name: row[name] for name in _NAMES})


def to_wire(events: Sequence[Event]) -> bytes:
    """Return events of one workspace as one message between processes."""
    # Not asdict, which copies each value. str, as asyncpg has a UUID class of its own.
    return orjson.dumps([dict(zip(_NAMES, _values(event), strict=True)) for event in events], default=str)


def from_wire(message: bytes) -> list[Event]:
    """Return the events of such a message."""
    ids: dict[str | None, UUID | None] = {None: None}  # most events of a message share most of theirs
    events: list[Event] = []
    for raw in orjson.loads(message):
        for name in _IDS:
            text = raw[name]
            if text not in ids:
                ids[text] = UUID(text)
            raw[name] = ids[text]
        raw["occurred_at"] = datetime.fromisoformat(raw["occurred_at"])
        events.append(Event(**raw))
    return events
