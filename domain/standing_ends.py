"""What else would have ended a recipient, when the message that did turns out to be something else: another ground
of the suppression list, another reply.

Source: product.md section 2 "only what that message did is undone".
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from domain.concerned import stopping_on_reply
from domain.database import Tx
from domain.rules.inbound.reading import Classification
from domain.rules.lifecycle import OPEN, EndReason, Signal, Status, effect_of
from domain.rules.recipient import Recipient
from domain.rules.suppressed import SuppressionReason
from domain.suppression import suppressed_contacts

_ENDS_BY: Final = {
    SuppressionReason.UNSUBSCRIBED: Signal.OPT_OUT,
    SuppressionReason.COMPLAINED: Signal.COMPLAINT,
    SuppressionReason.LISTED: Signal.SUPPRESSION_ELSEWHERE,
}


async def other_reply(t: Tx, row: Recipient, message_id: UUID) -> datetime | None:
    """Return when the first other reply came that the person has written since this run began; None: there is none."""
    found: datetime | None = await t.fetchval(
        "SELECT min(coalesce(e.occurred_at, m.at)) FROM recipients r "
        "JOIN messages m ON m.workspace_id = r.workspace_id AND m.contact_id = r.contact_id AND m.at >= r.enrolled_at "
        "LEFT JOIN events e ON e.workspace_id = r.workspace_id AND e.recipient_id = r.id AND e.message_id = m.id "
        "WHERE r.workspace_id = $1 AND r.id = $2 AND m.direction = 'INCOMING' AND m.classification = $3 AND m.id <> $4",
        t.workspace_id,
        row.id,
        Classification.HUMAN_REPLY,
        message_id,
    )
    return found


async def end_that_stands(t: Tx, row: Recipient, previous: Status, replied_at: datetime | None) -> EndReason | None:
    """Return what a recipient of this status before has ended by without the message; None: by nothing, it is open."""
    signals = []
    if await suppressed_contacts(t, [row.contact_id]):
        own = await t.fetchval(
            "SELECT reason FROM suppressions WHERE workspace_id = $1 AND recipient_id = $2 AND lifted_at IS NULL "
            "ORDER BY created_at, id LIMIT 1",
            t.workspace_id,
            row.id,
        )
        signals.append(_ENDS_BY[SuppressionReason(own or SuppressionReason.LISTED)])
    if replied_at is not None and row.sequence_id in await stopping_on_reply(t, [row.sequence_id]):
        signals.append(Signal.HUMAN_REPLY)
    ends = [end for signal in signals if (end := effect_of(signal, previous).end_reason) is not None]
    if ends:
        return ends[0]
    return None if previous in OPEN else EndReason(previous)
