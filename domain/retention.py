"""How long events are kept: the oldest of each feed are removed, in order, a bounded piece at a time.

What was removed is below the feed's `first_seq`: a cursor that points there is answered with ResyncRequired, never with
a gap. Counts and reports do not need the events, they were folded in when these were numbered.

Times here are machine time. Source: reliability.md 2.17.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from domain.database import Tx, fetch, tx

PRUNED_AT_ONCE: Final = 2_000  # events of one feed in one transaction, which numbering waits for
FEEDS_AT_ONCE: Final = 50

_WITH_OLD: Final = """
    SELECT f.workspace_id FROM feeds f CROSS JOIN LATERAL (
        SELECT e.recorded_at FROM events e
        WHERE e.workspace_id = f.workspace_id AND e.seq >= f.first_seq ORDER BY e.seq LIMIT 1
    ) oldest
    WHERE oldest.recorded_at < now() - $1::interval LIMIT $2
"""

# Only what stands before the first event that is young enough: what is kept begins at one number and has no gap.
_PRUNE: Final = """
    WITH feed AS (
        SELECT first_seq FROM feeds WHERE workspace_id = $1 FOR UPDATE
    ), piece AS (
        SELECT e.seq, e.recorded_at < now() - $2::interval AS old FROM events e, feed
        WHERE e.workspace_id = $1 AND e.seq >= feed.first_seq ORDER BY e.seq LIMIT $3
    ), bound AS (
        SELECT coalesce(min(seq) FILTER (WHERE NOT old), max(seq) + 1) AS first_seq FROM piece
    ), gone AS (
        DELETE FROM events e USING bound WHERE e.workspace_id = $1 AND e.seq < bound.first_seq
        RETURNING e.recipient_id, e.version
    ), moved AS (
        UPDATE feeds f SET first_seq = bound.first_seq FROM bound
        WHERE f.workspace_id = $1 AND bound.first_seq > f.first_seq
    ), undeliverable AS (
        SELECT d.id FROM gone JOIN webhook_endpoints w ON w.workspace_id = $1
        JOIN webhook_deliveries d ON d.workspace_id = $1 AND d.endpoint_id = w.id
            AND d.recipient_id = gone.recipient_id AND d.event_version = gone.version
    ), tries AS (
        DELETE FROM webhook_attempts a USING undeliverable u WHERE a.workspace_id = $1 AND a.delivery_id = u.id
    ), forgotten AS (
        DELETE FROM webhook_deliveries d USING undeliverable u WHERE d.workspace_id = $1 AND d.id = u.id
    )
    SELECT count(*) AS n FROM gone
"""

_WITH_OLD_OF_WORKSPACE: Final = """
    SELECT f.workspace_id FROM feeds f CROSS JOIN LATERAL (
        SELECT e.recorded_at FROM workspace_events e WHERE e.workspace_id = f.workspace_id
            AND (e.xid, e.id) > (f.pruned_xid, f.pruned_id) ORDER BY e.xid, e.id LIMIT 1
    ) oldest
    WHERE oldest.recorded_at < now() - $1::interval LIMIT $2
"""
_PRUNE_WORKSPACE: Final = """
    WITH piece AS (
        SELECT e.xid, e.id, e.recorded_at FROM workspace_events e, feeds f
        WHERE e.workspace_id = $1 AND f.workspace_id = $1 AND (e.xid, e.id) > (f.pruned_xid, f.pruned_id)
        ORDER BY e.xid, e.id LIMIT $3
    ), bound AS (
        SELECT xid, id FROM piece WHERE recorded_at < now() - $2::interval ORDER BY xid DESC, id DESC LIMIT 1
    ), gone AS (
        DELETE FROM workspace_events e USING bound b WHERE e.workspace_id = $1 AND (e.xid, e.id) <= (b.xid, b.id)
        RETURNING e.id
    ), moved AS (
        UPDATE feeds f SET pruned_xid = b.xid, pruned_id = b.id FROM bound b WHERE f.workspace_id = $1
    )
    SELECT count(*) AS n FROM gone
"""


async def prune(kept: timedelta) -> bool:
    """Remove events that were recorded more than `kept` ago: of each of up to FEEDS_AT_ONCE feeds at most
    PRUNED_AT_ONCE, with what a webhook's log says of them. Return whether there may be more."""
    more = False
    for looking, pruning in ((_WITH_OLD, _PRUNE), (_WITH_OLD_OF_WORKSPACE, _PRUNE_WORKSPACE)):
        feeds = [row["workspace_id"] for row in await fetch(looking, kept, FEEDS_AT_ONCE)]
        more = more or len(feeds) >= FEEDS_AT_ONCE
        for workspace_id in feeds:
            more = await _prune_feed(pruning, workspace_id, kept) >= PRUNED_AT_ONCE or more
    return more


async def _prune_feed(pruning: str, workspace_id: UUID, kept: timedelta) -> int:
    async def work(t: Tx) -> int:
        count: int = await t.fetchval(pruning, t.workspace_id, kept, PRUNED_AT_ONCE)
        return count

    return await tx(workspace_id, work, rings=False)
