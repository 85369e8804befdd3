"""Due steps without a mailbox that could carry them out: each turns into an error that says so.

A lost mailbox never un-enrols anyone: a recipient turns to ERROR only when its step is due.

Source: product.md section 4.
"""

from uuid import UUID

import asyncpg

from domain.changes import Change, NewError
from domain.database import Tx, fetch, tx
from domain.plans import load_plans
from domain.rules import moves
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.turns import FOLLOWED, LANES, Lane, queues
from domain.writing import read, write


# Once for the queues of a lost mailbox, once for none: no index answers IS NOT DISTINCT FROM, nor a clock met only in
# the join.
def _due(lane: Lane) -> str:
    mine = f"r.due_kind = '{lane.due_kind}'"
    return f"""
    SELECT r.id, r.workspace_id, r.version, coalesce(m.state_code, 'MAILBOX_DISCONNECTED') AS code, m.state_message,
        m.id AS mailbox_id
    FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id
    CROSS JOIN LATERAL ({queues(lane)}) s
    CROSS JOIN LATERAL (
        SELECT r.id, r.workspace_id, r.version FROM recipients r
        WHERE r.{lane.mailbox_column} = m.id AND r.sequence_id = s.id AND {mine} AND {FOLLOWED}
            AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds)
            AND NOT EXISTS (SELECT FROM messages x WHERE x.recipient_id = r.id AND x.state = 'HANDING_OVER')
        ORDER BY r.due_at LIMIT $1
    ) r
    WHERE m.state = 'DISCONNECTED'
    UNION ALL
    SELECT r.id, r.workspace_id, r.version, 'NO_MAILBOX', NULL, NULL FROM recipients r
    JOIN sequences s ON s.id = r.sequence_id JOIN workspaces w ON w.id = r.workspace_id
    JOIN steps t ON t.id = r.current_step_id
    WHERE r.{lane.mailbox_column} IS NULL AND {mine} AND s.status = 'ACTIVE'
        AND s.pauses_to_follow IS NULL AND r.plan_revision >= t.revision
        AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds)
        AND r.due_at <= now() + make_interval(secs => (SELECT max(clock_offset_seconds) FROM workspaces))
        AND NOT EXISTS (SELECT FROM messages x WHERE x.recipient_id = r.id AND x.state = 'HANDING_OVER')
    LIMIT $1
"""


async def fail_due_without_mailbox(limit: int = 500) -> int:
    """Turn due emails that have no usable mailbox into errors, up to `limit` over all workspaces; return how many."""
    due = [row for lane in LANES for row in await fetch(_due(lane), limit)]
    count = 0
    for workspace_id in {row["workspace_id"] for row in due}:
        found = {row["id"]: row for row in due if row["workspace_id"] == workspace_id}

        async def work(t: Tx, found: dict[UUID, asyncpg.Record] = found) -> int:
            recipients = await read(t, found)
            plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
            changes = []
            for before in recipients.values():
                if before.version != found[before.id]["version"]:
                    continue
                error = NewError(
                    id=new_id(),
                    code=found[before.id]["code"],
                    detail=found[before.id]["state_message"],
                    mailbox_id=found[before.id]["mailbox_id"],
                )
                after = moves.fail(before, plans[before.sequence_id], error.id, t.now)
                changes.append(
                    Change(
                        before=before,
                        after=after,
                        type=EventType.STEP_FAILED,
                        actor=ENGINE,
                        step_id=before.current_step_id,
                        opens=error,
                    )
                )
            return len(await write(t, changes))

        count += await tx(workspace_id, work)
    return count
