"""Holding a mailbox back when too much of what it sends bounces or is complained about, until a person releases it.

A rate only rises with a bounce or a complaint, so it is looked at then, and in a slow round for samples that were too
small. No more messages are counted than it takes to know that the rate is low enough.

Source: product.md section 6.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from domain.database import Tx, fetch, tx
from domain.refusals import NotFound

BOUNCE_RATE: Final = 0.05
COMPLAINT_RATE: Final = 0.001
SAMPLE: Final = 50
"""Messages of the window below which no rate is judged."""
WINDOW: Final = timedelta(days=7)

# A person's end is business time and a hand-over machine time: $3 is business now, and now() the same moment.
_HOLD: Final = """
    WITH harmed AS (
        SELECT m.id, greatest(now() - $4::interval, m.guardrail_released_at) AS since,
            count(*) FILTER (WHERE r.end_reason = 'BOUNCED') AS bounced,
            count(*) FILTER (WHERE r.end_reason = 'COMPLAINED') AS complained
        FROM mailboxes m JOIN recipients r ON r.workspace_id = m.workspace_id AND r.mailbox_id = m.id
        WHERE m.workspace_id = $1 AND m.id = ANY($2::uuid[]) AND m.state = 'CONNECTED'
            AND r.end_reason IN ('BOUNCED', 'COMPLAINED')
            AND r.ended_at > $3::timestamptz - $4::interval
            AND (m.guardrail_released_at IS NULL OR r.ended_at > m.guardrail_released_at + ($3::timestamptz - now()))
        GROUP BY m.id
    ), counted AS (
        SELECT h.id, h.bounced, h.complained, greatest(h.bounced, (
            SELECT count(*) FROM (
                SELECT FROM messages x WHERE x.workspace_id = $1 AND x.mailbox_id = h.id AND x.marked_at > h.since
                LIMIT greatest($5::bigint, ceil(h.bounced / $6::float8), ceil(h.complained / $7::float8)) + 1
            ) enough)) AS sent
        FROM harmed h
    )
    UPDATE mailboxes m SET state = 'HELD', guardrail_since = $3, state_code = NULL, updated_at = $3,
        state_message = CASE WHEN c.bounced > c.sent * $6::float8
            THEN c.bounced || ' of the last messages bounced: more than ' || $6::float8 * 100 || ' %.'
            ELSE c.complained || ' of the last messages were reported as spam: more than ' || $7::float8 * 100 || ' %.'
            END || ' Sending is held until a person releases it.'
    FROM counted c
    WHERE m.workspace_id = $1 AND m.id = c.id AND c.sent >= $5
        AND (c.bounced > c.sent * $6::float8 OR c.complained > c.sent * $7::float8)
    RETURNING m.id
"""


async def check(t: Tx, mailbox_ids: Collection[UUID]) -> set[UUID]:
    """Hold those of the mailboxes back whose rates are too high, and return them."""
    ids = sorted(set(mailbox_ids))
    rows = await t.fetch(_HOLD, t.workspace_id, ids, t.now, WINDOW, SAMPLE, BOUNCE_RATE, COMPLAINT_RATE) if ids else []
    return {row["id"] for row in rows}


async def check_all() -> None:
    """Look at every mailbox with a bounce or complaint within the window: its sample may have grown large enough."""
    rows = await fetch(
        "SELECT DISTINCT workspace_id, mailbox_id FROM recipients WHERE end_reason IN ('BOUNCED', 'COMPLAINED') "
        "AND mailbox_id IS NOT NULL AND ended_at > now() - $1::interval",
        WINDOW,
    )
    for workspace_id in {row["workspace_id"] for row in rows}:
        ids = [row["mailbox_id"] for row in rows if row["workspace_id"] == workspace_id]

        async def work(t: Tx, ids: list[UUID] = ids) -> None:
            await check(t, ids)

        await tx(workspace_id, work)


async def release(workspace_id: UUID, mailbox_id: UUID) -> UUID:
    """Let a held mailbox send again; what happened before counts no more. One that is not held stays as it is.

    Raises:
        NotFound
    """

    async def work(t: Tx) -> UUID:
        known = await t.fetchval(
            "SELECT id FROM mailboxes WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, mailbox_id
        )
        if known is None:
            raise NotFound("mailbox", field=["mailboxId"])
        await t.execute(
            "UPDATE mailboxes SET guardrail_since = NULL, guardrail_released_at = now(), updated_at = $3, "
            "state_message = CASE WHEN state = 'HELD' THEN NULL ELSE state_message END, "
            "state = CASE WHEN state = 'HELD' THEN 'CONNECTED' ELSE state END "
            "WHERE workspace_id = $1 AND id = $2 AND guardrail_since IS NOT NULL",
            t.workspace_id,
            mailbox_id,
            t.now,
        )
        return mailbox_id

    return await tx(workspace_id, work)
