"""What makes a due message wait: the other side said "later", the sending window has shut since it came due, the person
is away, or the domain it goes to has had its message.

These are timers: they move `due_at` and never raise the version. Source: product.md sections 3 and 6.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain.changes import Change, NewError
from domain.database import Tx, tx
from domain.plans import load_plans
from domain.rules import moves, timers
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.outcomes import Later, retry_after
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.turns import EMAILS, LANES, Lane
from domain.writing import read, write, write_timers

# The automated messages that one person got or is getting, each with its time: what the frequency cap counts.
COUNTED: Final = """
    SELECT coalesce(x.at, x.marked_at + make_interval(secs => (
            SELECT o.clock_offset_seconds FROM workspaces o WHERE o.id = x.workspace_id))) AS at
    FROM messages x JOIN steps y ON y.workspace_id = x.workspace_id AND y.id = x.step_id
    WHERE x.workspace_id = {contact}.workspace_id AND x.contact_id = {contact}.contact_id
        AND x.direction = 'OUTGOING' AND x.state IN ('HANDING_OVER', 'SENT', 'UNCONFIRMED')
        AND y.kind IN ('AUTOMATED_EMAIL', 'SMS')
"""
# Until when the contact of a recipient `r` of the workspace `w` has been written to often enough; in the past or NULL:
# it may be written to.
CAPPED_UNTIL: Final = f"""
    CASE WHEN w.frequency_cap_messages IS NOT NULL THEN (
        SELECT k.at + make_interval(days => w.frequency_cap_days) FROM ({COUNTED.format(contact="r")}) k
        ORDER BY k.at DESC OFFSET w.frequency_cap_messages - 1 LIMIT 1) END
"""
_PUT_OFF_AT_ONCE: Final = 500
_SPREAD_AHEAD: Final = timedelta(minutes=15)


async def wait(
    t: Tx, message: asyncpg.Record, outcome: Later, before: Recipient, plan: Plan, *, at_this_step: bool
) -> None:
    """Let a recipient that is still at the step of this message wait for its next try."""
    pause = retry_after(outcome.reason, message["tries"], random.random())
    if pause is not None and at_this_step:
        await write_timers(t, [(before, timers.try_later(before, plan, t.now + pause, t.now))])


# What cannot go out yet, and the first due beside it in its queues. A row that another changes at this moment is left
# to the next time.
def _due_in_queues(lane: Lane) -> str:
    return f"""
    SELECT r.id, {CAPPED_UNTIL} AS capped_until, d.domain, m.id AS mailbox_id, d.next_at + $7::interval AS next_at,
        m.domain_gap_seconds
    FROM recipients r
    JOIN mailboxes m ON m.workspace_id = r.workspace_id AND m.id = r.{lane.mailbox_column}
    JOIN contacts c ON c.id = r.contact_id
    JOIN workspaces w ON w.id = r.workspace_id
    LEFT JOIN domain_turns d ON m.domain_gap_seconds > 0 AND d.workspace_id = r.workspace_id
        AND d.mailbox_id = m.id
        AND d.domain = split_part(c.email_key, '@', 2) AND d.next_at > now()
    WHERE r.workspace_id = $1 AND r.id <> ALL($5::uuid[]) AND r.id = ANY($2::uuid[] || ARRAY(
        SELECT q.id FROM unnest($3::uuid[], $4::uuid[]) AS u (mailbox_id, sequence_id) CROSS JOIN LATERAL (
            SELECT r.id FROM recipients r
            WHERE r.workspace_id = $1 AND r.{lane.mailbox_column} = u.mailbox_id AND r.sequence_id = u.sequence_id
                AND r.due_kind = '{lane.due_kind}' AND r.due_at <= $6
            ORDER BY r.due_at, r.id LIMIT $8) q))
    ORDER BY r.due_at, r.id
    FOR NO KEY UPDATE OF r SKIP LOCKED
"""


_DUE_IN_QUEUES: Final = {lane: _due_in_queues(lane) for lane in LANES}


async def put_off(
    workspace_id: UUID,
    recipient_ids: Sequence[UUID],
    queues: Collection[tuple[UUID, UUID]],
    under_way: Sequence[UUID] = (),
    *,
    lane: Lane = EMAILS,
) -> None:
    """Move these due recipients, and up to 500 beside them in each queue (mailbox, sequence), to when they may be
    written to: the window's next opening, the person's return, their domain's turn. A window that never opens again is
    an error. Those `under_way` are left alone; those that may go out now stay as they are.

    Many of one domain are spread over its next turns, a quarter of an hour ahead at most: so that they are not all
    moved with each message, and a change of the pacing is felt soon.
    """

    async def work(t: Tx) -> None:
        offset = await t.fetchval("SELECT $1::timestamptz - now()", t.now)
        due = await t.fetch(
            _DUE_IN_QUEUES[lane],
            t.workspace_id,
            list(recipient_ids),
            [mailbox_id for mailbox_id, _ in queues],
            [sequence_id for _, sequence_id in queues],
            list(under_way),
            t.now,
            offset,
            _PUT_OFF_AT_ONCE,
        )
        recipients = await read(t, [row["id"] for row in due])
        plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
        turns_ahead: dict[tuple[UUID, str], int] = {}
        moved, stranded = [], []
        for row in due:
            before = recipients[row["id"]]
            plan = plans[before.sequence_id]
            capped_until = row["capped_until"]
            if capped_until is not None and capped_until > t.now and before.pending_id is None:
                after = timers.put_off(before, plan, t.now, capped_until, frequency_capped=True)
            else:
                after = timers.put_off(before, plan, t.now, _turn_of_domain(row, turns_ahead, t.now))
            if after.due_at is None and before.due_at is not None:
                stranded.append(_window_never_opens(t, before, plan))
            elif after != before:
                moved.append((before, after))
        await write_timers(t, moved)
        await write(t, stranded)

    await tx(workspace_id, work)


def _turn_of_domain(row: asyncpg.Record, turns_ahead: dict[tuple[UUID, str], int], now: datetime) -> datetime | None:
    next_at: datetime | None = row["next_at"]
    if next_at is None:
        return None
    ahead = turns_ahead.get((row["mailbox_id"], row["domain"]), 0)
    turns_ahead[row["mailbox_id"], row["domain"]] = ahead + 1
    return min(next_at + ahead * timedelta(seconds=row["domain_gap_seconds"]), max(next_at, now + _SPREAD_AHEAD))


async def let_go_on(t: Tx, contact_id: UUID) -> None:
    """Let the due times of a contact's recipients follow what has become of its absence: it has ended or was released.
    An absence that begins needs no such word: it is met when a message comes due."""
    rows = await t.fetch(
        "SELECT id FROM recipients WHERE workspace_id = $1 AND contact_id = $2 "
        "AND due_kind IN ('AUTOMATED_EMAIL', 'SMS') "
        "ORDER BY id FOR NO KEY UPDATE",
        t.workspace_id,
        contact_id,
    )
    recipients = await read(t, [row["id"] for row in rows])
    plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
    await write_timers(t, [(one, timers.settle(one, plans[one.sequence_id], t.now)) for one in recipients.values()])


async def forget_caps(workspace_id: UUID, at_most: int) -> int:
    """Let up to `at_most` recipients that wait for the frequency cap come due by their other timers; return how many.
    Where the cap still holds one it is put off anew when it is met."""

    async def work(t: Tx) -> int:
        rows = await t.fetch(
            "SELECT id FROM recipients WHERE workspace_id = $1 AND frequency_capped "
            "AND deleted_at IS NULL ORDER BY id LIMIT $2 "
            "FOR NO KEY UPDATE",
            t.workspace_id,
            at_most,
        )
        recipients = await read(t, [row["id"] for row in rows])
        plans = await load_plans(t, [one.sequence_id for one in recipients.values()])
        freed = [(one, replace(one, paced_until=None, frequency_capped=False)) for one in recipients.values()]
        await write_timers(t, [(one, timers.settle(free, plans[one.sequence_id], t.now)) for one, free in freed])
        return len(rows)

    return await tx(workspace_id, work)


def _window_never_opens(t: Tx, before: Recipient, plan: Plan) -> Change:
    error = NewError(id=new_id(), code="WINDOW_NEVER_OPENS")
    return Change(
        before=before,
        after=moves.fail(before, plan, error.id, t.now),
        type=EventType.STEP_FAILED,
        actor=ENGINE,
        step_id=before.current_step_id,
        opens=error,
    )
