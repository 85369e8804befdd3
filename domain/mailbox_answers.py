"""What an answer of its server means for a mailbox, whatever was being handed over: it works, it waits, it is broken.

Source: product.md sections 4 and 6; reliability.md 2.8, 2.9.
"""

import random
import re
from datetime import timedelta
from typing import Final
from uuid import UUID

from domain.database import Tx
from domain.rules.outcomes import (
    MAILBOX_WAITS,
    Later,
    LaterReason,
    MailboxBroken,
    NotSendable,
    Outcome,
    retry_after,
    server_answered,
)
from domain.turns import HANDED_OVER, LIMIT_NOW

_ADDRESS: Final = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")


async def note(t: Tx, mailbox_id: UUID, outcome: Outcome | NotSendable) -> None:
    """Note on the mailbox what came of a hand-over: its failures are over, it is held back, or it is disconnected."""
    if server_answered(outcome):
        await t.execute(
            "UPDATE mailboxes SET failures_in_a_row = 0, throttled_since = NULL "
            "WHERE workspace_id = $1 AND id = $2 AND failures_in_a_row > 0",
            t.workspace_id,
            mailbox_id,
        )
    elif isinstance(outcome, MailboxBroken):
        await t.execute(
            "UPDATE mailboxes SET state = 'DISCONNECTED', state_code = $3, state_message = $4, updated_at = $5 "
            "WHERE workspace_id = $1 AND id = $2 AND state = 'CONNECTED'",
            t.workspace_id,
            mailbox_id,
            outcome.code,
            _ADDRESS.sub("(an address)", outcome.reply),  # shown, and kept, for everyone it sends to
            t.now,
        )
    elif isinstance(outcome, Later) and outcome.reason in MAILBOX_WAITS:
        await _hold_back(t, mailbox_id, outcome)


async def _hold_back(t: Tx, mailbox_id: UUID, outcome: Later) -> None:
    # Messages of one burst fail together: that is one failure, not ten.
    failures = await t.fetchval(
        "UPDATE mailboxes SET failures_in_a_row = failures_in_a_row + "
        "(failures_in_a_row = 0 OR held_back_by IS DISTINCT FROM 'MAILBOX_BACKOFF' OR next_send_at <= now())::int "
        ", throttled_since = CASE WHEN $3 THEN coalesce(throttled_since, now()) ELSE throttled_since END "
        "WHERE workspace_id = $1 AND id = $2 RETURNING failures_in_a_row",
        t.workspace_id,
        mailbox_id,
        outcome.reason is LaterReason.THROTTLED,
    )
    pause = timedelta(days=1) if outcome.until_next_day else retry_after(outcome.reason, failures, random.random())
    # The limit's hold stands only while the day is full: it was set when the last place was claimed, and claims of
    # this mailbox have just come back unsent.
    await t.execute(
        f"""
        UPDATE mailboxes m SET held_back_by = 'MAILBOX_BACKOFF', next_send_at = CASE
            WHEN m.held_back_by = 'DAILY_LIMIT' AND {LIMIT_NOW} > (
                SELECT count(*) FROM ({HANDED_OVER}) x)
            THEN now() + $3::interval ELSE greatest(m.next_send_at, now() + $3::interval) END
        WHERE m.workspace_id = $1 AND m.id = $2
        """,
        t.workspace_id,
        mailbox_id,
        pause,
    )
