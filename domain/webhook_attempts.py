"""What became of each attempt to deliver an event: noted, tried again later, and what it says about its endpoint.

Times here are machine time. Source: api.md "Events"; reliability.md 2.17, 2.20.
"""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from domain.database import Tx, tx
from domain.rules.webhooks import retry_after
from domain.webhook_delivery import Delivery

GONE_STATUS: Final = 410
_GONE_WORDS: Final = "The receiver answered 410: it does not want these events any more."
_GIVEN_UP_WORDS: Final = "It took no event for more than a day, so it was switched off."


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of one attempt. `status` is HTTP's; None when there was no answer, and `problem` says why."""

    delivery: Delivery
    status: int | None
    problem: str | None = None
    answer: str | None = None  # the beginning of what was answered
    retry_after: timedelta | None = None
    took: timedelta = timedelta(0)

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def record(attempt: Attempt) -> bool:
    """Record an attempt: delivered, tried again later, or given up after a little over a day, which switches the
    endpoint off; a receiver that answers 410 switches it off at once. Return whether it still was this worker's."""
    delivery = attempt.delivery

    async def work(t: Tx) -> bool:
        endpoint = await t.fetchrow(
            "SELECT * FROM webhook_endpoints WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE",
            t.workspace_id,
            delivery.endpoint_id,
        )
        row = await t.fetchrow(
            "SELECT attempts, attempts_before, recipient_id FROM webhook_deliveries "
            "WHERE workspace_id = $1 AND id = $2 AND token = $3 FOR NO KEY UPDATE",
            t.workspace_id,
            delivery.id,
            delivery.token,
        )
        if endpoint is None or row is None:
            return False
        attempts = row["attempts"] + 1
        pause = retry_after(attempts - row["attempts_before"], attempt.retry_after, random.random())
        gone = attempt.status == GONE_STATUS
        state = "DELIVERED" if attempt.delivered else "FAILED" if pause is None or gone else "PENDING"
        kept = attempt
        if await _is_erased(t, row["recipient_id"]):  # a receiver may say who it was
            kept = replace(attempt, delivery=replace(delivery, body=b""), answer=None, problem=None)
        await _note(t, kept, attempts, state, pause)
        await _judge(t, attempt, given_up=state == "FAILED", gone=gone)
        return True

    return await tx(delivery.workspace_id, work, rings=False)


async def _is_erased(t: Tx, recipient_id: UUID | None) -> bool:
    """Return whether the person of a delivery is erased; an erasing that is under way is waited for, and a later one
    finds what this transaction writes."""
    return recipient_id is not None and bool(
        await t.fetchval(
            "SELECT c.erased_at IS NOT NULL FROM recipients r JOIN contacts c ON c.workspace_id = r.workspace_id "
            "AND c.id = r.contact_id WHERE r.workspace_id = $1 AND r.id = $2 FOR KEY SHARE OF c",
            t.workspace_id,
            recipient_id,
        )
    )


async def _note(t: Tx, attempt: Attempt, attempts: int, state: str, pause: timedelta | None) -> None:
    delivery = attempt.delivery
    await t.execute(
        """
        UPDATE webhook_deliveries SET state = $3::text, attempts = $4, lease_until = NULL, last_status = $5,
            last_problem = $6, next_at = CASE WHEN $3::text = 'PENDING' THEN now() + $7::interval END,
            delivered_at = CASE WHEN $3::text = 'DELIVERED' THEN now() ELSE delivered_at END
        WHERE workspace_id = $1 AND id = $2
        """,
        t.workspace_id,
        delivery.id,
        state,
        attempts,
        attempt.status,
        attempt.problem,
        pause,
    )
    await t.execute(
        """
        INSERT INTO webhook_attempts (workspace_id, delivery_id, number, endpoint_id, url, request, status, problem,
            answer, took_seconds, attempted_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())
        """,
        t.workspace_id,
        delivery.id,
        attempts,
        delivery.endpoint_id,
        delivery.url,
        delivery.body.decode(),
        attempt.status,
        attempt.problem,
        attempt.answer,
        attempt.took.total_seconds(),
    )


async def _judge(t: Tx, attempt: Attempt, *, given_up: bool, gone: bool) -> None:
    """Note on the endpoint how the attempt went; switch it off when it answered nothing for the whole patience."""
    await t.execute(
        """
        UPDATE webhook_endpoints SET failures_in_a_row = CASE WHEN $3 THEN 0 ELSE failures_in_a_row + 1 END,
            failing_since = CASE WHEN $3 THEN NULL ELSE coalesce(failing_since, now()) END
        WHERE workspace_id = $1 AND id = $2
        """,
        t.workspace_id,
        attempt.delivery.endpoint_id,
        attempt.delivered,
    )
    if gone or given_up:
        await t.execute(
            """
            UPDATE webhook_endpoints SET enabled = false, disabled_at = now(), disabled_because = $4
            WHERE workspace_id = $1 AND id = $2 AND enabled AND ($3 OR failing_since < now() - interval '1 day')
            """,
            t.workspace_id,
            attempt.delivery.endpoint_id,
            gone,
            _GONE_WORDS if gone else _GIVEN_UP_WORDS,
        )
