"""From the feed to the endpoints: who is told of what, and what is due.

`fan_out` reads the feed for each endpoint from its stored cursor, through the one reader, and moves the cursor in the
transaction that writes the deliveries: a crash repeats nothing and loses nothing. `claim` hands due deliveries to a
worker under a lease; one whose worker died is tried again, so that an endpoint hears of each event at least once.

Times here are machine time. Source: api.md "Events"; reliability.md 2.17, 2.20.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain import feed
from domain.database import Tx, fetch, tx
from domain.feed import Event, ResyncRequired
from domain.reading.events import EventRow
from domain.rules.ids import Prefix, new_id, to_public
from domain.rules.webhooks import RESYNC_TYPE, wants

FANNED_OUT_AT_ONCE: Final = 500
LEASE: Final = timedelta(seconds=30)  # twice what an attempt may take; endpoints of a dead worker wait so long
KEPT: Final = timedelta(days=30)
_IN_HAND_PER_ENDPOINT: Final = 4

_BEHIND: Final = """
    SELECT w.id, w.workspace_id, w.epoch, w.last_seq, w.event_types
    FROM webhook_endpoints w JOIN feeds f ON f.workspace_id = w.workspace_id
    WHERE w.enabled AND (f.last_seq <> w.last_seq OR f.epoch <> w.epoch) ORDER BY w.id
"""


async def fan_out() -> bool:
    """Write deliveries for what endpoints have not been told of yet; return whether there is more."""
    more = False
    for endpoint in await fetch(_BEHIND):
        more = await _fan_out_to(endpoint) or more
    return more


async def _fan_out_to(endpoint: asyncpg.Record) -> bool:
    workspace_id, endpoint_id = endpoint["workspace_id"], endpoint["id"]
    types = orjson.loads(endpoint["event_types"]) if endpoint["event_types"] else None
    try:
        cursor = feed.to_cursor(endpoint["epoch"], endpoint["last_seq"])
        events = await feed.after(workspace_id, cursor, limit=FANNED_OUT_AT_ONCE)
        head = (endpoint["epoch"], events[-1].seq) if events else None
        rows: list[tuple[str, UUID | None, int | None, int | None]] = [
            (event.type, event.recipient_id, event.version, event.seq) for event in events if wants(types, event.type)
        ]
    except ResyncRequired as lost:
        # The feed was restored, or what was missed is not kept any more: the receiver is told to read afresh.
        head = feed.from_cursor(lost.cursor)
        rows, events = [(RESYNC_TYPE, None, None, head[1])], []
    if head is None:
        return False
    moved = head

    async def work(t: Tx) -> None:
        taken = await t.fetchval(
            "UPDATE webhook_endpoints SET epoch = $3, last_seq = $4 WHERE workspace_id = $1 AND id = $2 AND enabled "
            "AND epoch = $5 AND last_seq = $6 RETURNING true",
            t.workspace_id,
            endpoint_id,
            *moved,
            endpoint["epoch"],
            endpoint["last_seq"],
        )
        if not taken or not rows:  # another worker was faster, or nothing that it wants
            return
        await t.execute(
            """
            INSERT INTO webhook_deliveries (id, workspace_id, endpoint_id, type, recipient_id, event_version, seq,
                state, attempts, attempts_before, token, next_at, created_at)
            SELECT u.id, $1, $2, u.type, u.recipient_id, u.version, u.seq, 'PENDING', 0, 0, 0, now(), now()
            FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::int[], $7::bigint[])
                AS u (id, type, recipient_id, version, seq)
            ON CONFLICT (endpoint_id, recipient_id, event_version) DO NOTHING
            """,
            t.workspace_id,
            endpoint_id,
            [new_id() for _ in rows],
            *(list(column) for column in zip(*rows, strict=True)),
        )

    await tx(workspace_id, work, rings=False)
    return len(events) >= FANNED_OUT_AT_ONCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint. The secrets are still sealed."""

    id: UUID
    token: int
    workspace_id: UUID
    endpoint_id: UUID
    url: str
    secret: bytes = field(repr=False)
    previous_secret: bytes | None = field(repr=False)
    webhook_id: str
    body: bytes


_CLAIM: Final = """
    WITH due AS (
        SELECT d.id FROM webhook_endpoints w
        CROSS JOIN LATERAL (
            SELECT count(*) AS in_hand FROM webhook_deliveries h WHERE h.endpoint_id = w.id AND h.lease_until > now()
        ) h
        CROSS JOIN LATERAL (
            SELECT d.id, d.next_at FROM webhook_deliveries d
            WHERE d.endpoint_id = w.id AND d.state = 'PENDING' AND d.next_at <= now()
                AND (d.lease_until IS NULL OR d.lease_until < now())
            ORDER BY d.next_at, d.seq NULLS FIRST, d.id
            -- One that fails is asked one thing at a time, so that it takes no place from those that answer.
            LIMIT greatest(0, CASE WHEN w.failures_in_a_row = 0 THEN $2::int ELSE 1 END - h.in_hand)
            FOR NO KEY UPDATE SKIP LOCKED
        ) d
        WHERE w.enabled
        ORDER BY w.failures_in_a_row > 0, d.next_at LIMIT $1
    )
    UPDATE webhook_deliveries d SET lease_until = now() + $3::interval, token = d.token + 1
    FROM due WHERE d.id = due.id
    RETURNING d.id
"""

_LOAD: Final = f"""
    SELECT d.id AS delivery_id, d.token AS delivery_token, d.type AS delivery_type, d.seq AS delivery_seq,
        d.created_at AS delivery_created_at, w.id AS endpoint_id, w.url, w.secret,
        CASE WHEN w.previous_until > now() THEN w.previous_secret END AS previous_secret, w.workspace_id AS owner_id,
        r.external_id AS recipient_external_id, r.deleted_at IS NOT NULL AS recipient_deleted,
        f.epoch AS feed_epoch, {feed.FIELDS}
    FROM webhook_deliveries d
    JOIN webhook_endpoints w ON w.id = d.endpoint_id AND w.workspace_id = d.workspace_id
    JOIN feeds f ON f.workspace_id = d.workspace_id
    LEFT JOIN events e ON e.recipient_id = d.recipient_id AND e.version = d.event_version
        AND e.workspace_id = d.workspace_id
    LEFT JOIN recipients r ON r.id = d.recipient_id AND r.workspace_id = d.workspace_id
    WHERE d.id = ANY($1::uuid[])
"""


async def claim(free: int, *, lease: timedelta = LEASE) -> list[Delivery]:
    """Take up to `free` due deliveries, over as many endpoints as possible; [] when none is due."""

    async def work(t: Tx) -> list[UUID]:
        return [row["id"] for row in await t.fetch(_CLAIM, free, _IN_HAND_PER_ENDPOINT, lease)]

    claimed = await tx(None, work, rings=False)
    return [_to_delivery(row) for row in await fetch(_LOAD, claimed)] if claimed else []


def _to_delivery(row: asyncpg.Record) -> Delivery:
    webhook_id, payload = _payload(row)
    return Delivery(
        id=row["delivery_id"],
        token=row["delivery_token"],
        workspace_id=row["owner_id"],
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        secret=bytes(row["secret"]),
        previous_secret=bytes(row["previous_secret"]) if row["previous_secret"] else None,
        webhook_id=webhook_id,
        body=orjson.dumps(payload),
    )


def _payload(row: asyncpg.Record) -> tuple[str, dict[str, Any]]:
    """Return the webhook id and what is sent: ids, codes and statuses, never names, addresses or text."""
    type_ = row["delivery_type"]
    if row["recipient_id"] is None:
        created_at: datetime = row["delivery_created_at"]
        data: dict[str, Any] = {}
        if type_ == RESYNC_TYPE:
            data = {"cursor": feed.to_cursor(row["feed_epoch"], row["delivery_seq"])}
        webhook_id = to_public(Prefix.WEBHOOK_DELIVERY, row["delivery_id"])
        return webhook_id, {"type": type_, "timestamp": created_at.isoformat(), "data": data}
    event = EventRow(Event(**{name: row[name] for name in Event.__dataclass_fields__}))
    return event.id, {
        "type": type_,
        "timestamp": event.occurred_at.isoformat(),
        "data": {
            "id": event.id,
            "cursor": event.cursor,
            "type": type_,
            "recipientId": event.recipient_id,
            "recipientExternalId": None if row["recipient_deleted"] else row["recipient_external_id"],
            "sequenceId": event.sequence_id,
            "previousStatus": event.previous_status,
            "status": event.status,
            "endReason": event.end_reason,
            "version": event.version,
            "actor": {"kind": event.actor_kind},
            "step": _reference(Prefix.STEP, event.step_key),
            "message": _reference(Prefix.MESSAGE, event.message_key),
            "stepError": _reference(Prefix.STEP_ERROR, event.step_error_key),
            "occurredAt": event.occurred_at.isoformat(),
        },
    }


def _reference(prefix: Prefix, key: UUID | None) -> dict[str, str] | None:
    return {"id": to_public(prefix, key)} if key is not None else None


async def forget_old(limit: int = 5_000) -> bool:
    """Remove what was sent more than KEPT ago, and what belonged to removed endpoints, a bounded piece; return whether
    there is more."""

    async def work(t: Tx) -> int:
        gone = await t.fetch(
            """
            WITH old AS (
                SELECT d.id FROM webhook_deliveries d JOIN webhook_endpoints w ON w.id = d.endpoint_id
                WHERE (d.created_at < now() - $1::interval AND d.state <> 'PENDING') OR w.removed_at IS NOT NULL
                LIMIT $2
            ), tried AS (DELETE FROM webhook_attempts a USING old WHERE a.delivery_id = old.id)
            DELETE FROM webhook_deliveries d USING old WHERE d.id = old.id RETURNING d.id
            """,
            KEPT,
            limit,
        )
        await t.execute(
            "DELETE FROM webhook_endpoints w WHERE w.removed_at IS NOT NULL "
            "AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = w.id)"
        )
        return len(gone)

    return await tx(None, work, rings=False) >= limit
