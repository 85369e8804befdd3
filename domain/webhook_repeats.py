"""Events that are asked for: a test, one event again, or a span of the feed again, under the webhook ids of before.

Source: api.md "Events"; the Standard Webhooks specification.
"""

from typing import Final
from uuid import UUID

from domain import feed
from domain.database import Tx, tx
from domain.refusals import Invalid, NotFound
from domain.rules.ids import new_id
from domain.rules.webhooks import TEST_TYPE
from domain.webhooks import locked, refuse_disabled

REPLAYED_AT_MOST: Final = 10_000
# Patience begins anew. One that a worker has in hand stays in hand: it is being sent at this moment.
_AGAIN: Final = "state = 'PENDING', attempts_before = {0}attempts, next_at = now()"


async def send_test(workspace_id: UUID, endpoint_id: UUID) -> UUID:
    """Send an event of type `webhook.test`; return the delivery's id.

    Raises:
        NotFound, WebhookDisabled
    """
    delivery_id = new_id()

    async def work(t: Tx) -> UUID:
        refuse_disabled(await locked(t, endpoint_id))
        await t.execute(
            "INSERT INTO webhook_deliveries (id, workspace_id, endpoint_id, type, state, attempts, attempts_before, "
            "token, next_at, created_at) VALUES ($2, $1, $3, $4, 'PENDING', 0, 0, 0, now(), now())",
            t.workspace_id,
            delivery_id,
            endpoint_id,
            TEST_TYPE,
        )
        return delivery_id

    return await tx(workspace_id, work)


async def redeliver(workspace_id: UUID, delivery_id: UUID) -> UUID:
    """Send one event again now, whatever became of it, under the same webhook id; return the delivery's id.

    Raises:
        NotFound, WebhookDisabled
    """

    async def work(t: Tx) -> UUID:
        row = await t.fetchrow(
            "SELECT endpoint_id FROM webhook_deliveries WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            delivery_id,
        )
        if row is None:
            raise NotFound("delivery", field=["id"])
        refuse_disabled(await locked(t, row["endpoint_id"]))
        await t.execute(
            f"UPDATE webhook_deliveries SET {_AGAIN.format('')} WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            delivery_id,
        )
        return delivery_id

    return await tx(workspace_id, work)


async def replay(workspace_id: UUID, endpoint_id: UUID, after: str, until: str | None = None) -> int:
    """Send a span of the feed again: the events after the cursor `after`, up to `until` or to where the endpoint
    stands, those of its types only; return how many. Each keeps its webhook id, so that a receiver knows it again.

    Raises:
        NotFound, WebhookDisabled, CursorForeign, ResyncRequired
        Invalid: the span has more than REPLAYED_AT_MOST events.
    """
    await feed.after(workspace_id, after, limit=1)
    _, first = feed.from_cursor(after)
    last = feed.from_cursor(until)[1] if until is not None else None

    async def work(t: Tx) -> int:
        row = await locked(t, endpoint_id)
        refuse_disabled(row)
        end = min(row["last_seq"], last if last is not None else row["last_seq"])
        if end - first > REPLAYED_AT_MOST:
            raise Invalid(
                f"The span has {end - first:,} events; at most {REPLAYED_AT_MOST:,} are sent again at once. "
                "Name an earlier end with `until`.",
                field=["until"],
            )
        rows = await t.fetch(
            f"""
            WITH span AS (
                SELECT recipient_id, version, seq, type FROM events
                WHERE workspace_id = $1 AND seq > $3 AND seq <= $4
                    AND ($5::jsonb IS NULL OR $5::jsonb ? type)
            ), numbered AS (SELECT *, row_number() OVER (ORDER BY seq) AS n FROM span)
            INSERT INTO webhook_deliveries (id, workspace_id, endpoint_id, recipient_id, event_version, seq, type,
                state, attempts, attempts_before, token, next_at, created_at)
            SELECT ($6::uuid[])[n], $1, $2, recipient_id, version, seq, type, 'PENDING', 0, 0, 0, now(), now()
            FROM numbered
            ON CONFLICT (endpoint_id, recipient_id, event_version) DO UPDATE SET
                {_AGAIN.format("webhook_deliveries.")}
            RETURNING id
            """,
            t.workspace_id,
            endpoint_id,
            first,
            end,
            row["event_types"],
            [new_id() for _ in range(max(0, end - first))],
        )
        return len(rows)

    return await tx(workspace_id, work)
