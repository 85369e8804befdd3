"""What makes a due message wait: the other side said "later", or the sending window has shut since it came due.

These are timers: they move `due_at` and never raise the version. Source: product.md sections 3 and 6.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain.database import Tx, tx
from domain.plans import load_plans
from domain.rules import recipient as rules
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.outcomes import Later, LaterReason, retry_after
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.writing import Change, NewError, read, write, write_timers

MAILBOX_WAITS: Final = frozenset({LaterReason.TRANSPORT, LaterReason.THROTTLED})


async def wait(
    t: Tx, message: asyncpg.Record, outcome: Later, before: Recipient, plan: Plan, *, at_this_step: bool
) -> None:
    """Let the whole mailbox wait, or only this recipient, as the reason says."""
    if outcome.reason in MAILBOX_WAITS:
        await _hold_mailbox_back(t, message, outcome)
        return
    pause = retry_after(outcome.reason, message["tries"], random.random())
    if pause is not None and at_this_step:
        await write_timers(t, [(before, rules.try_later(before, plan, t.now + pause, t.now))])


async def _hold_mailbox_back(t: Tx, message: asyncpg.Record, outcome: Later) -> None:
    # Messages of one burst fail together: that is one failure, not ten.
    failures = await t.fetchval(
        "UPDATE mailboxes SET failures_in_a_row = failures_in_a_row + "
        "(failures_in_a_row = 0 OR held_back_by IS DISTINCT FROM 'MAILBOX_BACKOFF' OR next_send_at <= now())::int "
        "WHERE workspace_id = $1 AND id = $2 RETURNING failures_in_a_row",
        t.workspace_id,
        message["mailbox_id"],
    )
    pause = timedelta(days=1) if outcome.until_next_day else retry_after(outcome.reason, failures, random.random())
    # The limit's hold stands only while the day is full: it was set when the last place was claimed, and claims of
    # this mailbox have just come back unsent.
    await t.execute(
        """
        UPDATE mailboxes m SET held_back_by = 'MAILBOX_BACKOFF', next_send_at = CASE
            WHEN m.held_back_by = 'DAILY_LIMIT' AND m.daily_limit > (
                SELECT count(*) FROM messages x WHERE x.mailbox_id = m.id AND x.marked_at > now() - interval '24 hours')
            THEN now() + $3::interval ELSE greatest(m.next_send_at, now() + $3::interval) END
        WHERE m.workspace_id = $1 AND m.id = $2
        """,
        t.workspace_id,
        message["mailbox_id"],
        pause,
    )


async def wait_for_window(workspace_id: UUID, recipient_ids: Sequence[UUID]) -> None:
    """Move due recipients whose window has shut to its next opening; one that never opens again is an error."""

    async def work(t: Tx) -> None:
        recipients = await read(t, recipient_ids)
        plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
        moved, stranded = [], []
        for before in recipients.values():
            plan = plans[before.sequence_id]
            after = rules.wait_for_window(before, plan, t.now)
            if after.due_at is None and before.due_at is not None:
                stranded.append(_window_never_opens(t, before, plan))
            else:
                moved.append((before, after))
        await write_timers(t, moved)
        await write(t, stranded)

    await tx(workspace_id, work)


def _window_never_opens(t: Tx, before: Recipient, plan: Plan) -> Change:
    error = NewError(id=new_id(), code="WINDOW_NEVER_OPENS")
    return Change(
        before=before,
        after=rules.fail(before, plan, error.id, t.now),
        type=EventType.STEP_FAILED,
        actor=ENGINE,
        step_id=before.current_step_id,
        opens=error,
    )
