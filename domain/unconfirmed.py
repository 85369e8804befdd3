"""Messages of which nobody knows whether they were delivered: flagged, and moved only by proof or by a person.

Source: product.md section 2 "Retry belongs to the error"; reliability.md 2.1.
"""

import logging
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from domain.after_hand_over import UNCONFIRMED
from domain.changes import Change
from domain.database import Tx, fetch, tx
from domain.delivery import Result, record
from domain.plans import load_plans
from domain.refusals import ActionNotAvailable, NotFound, RetryNotAvailable
from domain.rules import moves
from domain.rules.actor import Actor
from domain.rules.event_types import EventType
from domain.rules.outcomes import Unknown
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient, present, why_held
from domain.settling import catch_up
from domain.writing import read, write

log = logging.getLogger("relance.unconfirmed")

_ROUNDS: Final = 20  # a row that moves more often between two statements does not exist in practice


async def give_up_lost_hand_overs() -> int:
    """Flag the hand-overs whose worker died after the second mark as DELIVERY_UNCONFIRMED; return how many."""
    rows = await fetch(
        "SELECT id, token, workspace_id FROM messages WHERE state = 'HANDING_OVER' AND lease_until < now() LIMIT 500"
    )
    lost = Unknown("The sender stopped in the middle of handing the message over.")
    count = 0
    for workspace_id in {row["workspace_id"] for row in rows}:
        results = [Result(row["id"], row["token"], lost) for row in rows if row["workspace_id"] == workspace_id]
        try:
            count += len(await record(workspace_id, results))
        except Exception:  # one workspace's trouble must not keep the others waiting
            log.exception("the lost hand-overs of workspace %s are not flagged yet", workspace_id)
    return count


async def resolve(workspace_id: UUID, actor: Actor, error_id: UUID, *, was_sent: bool) -> UUID:
    """Say what became of an unconfirmed message: it was sent, or it is to be sent again. Return the recipient's id.

    Raises:
        NotFound
        RetryNotAvailable: the error is closed already, or is of another kind.
        ActionNotAvailable: the recipient is paused; sending again waits until it is resumed.
    """

    async def work(t: Tx) -> UUID:
        failed = await t.fetch(
            "SELECT recipient_id FROM step_errors WHERE workspace_id = $1 AND id = $2", t.workspace_id, error_id
        )
        await catch_up(t, [row["recipient_id"] for row in failed])
        error = await t.fetchrow(
            "SELECT * FROM step_errors WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, error_id
        )
        if error is None:
            raise NotFound("error", field=["errorId"])
        if error["code"] != UNCONFIRMED or error["resolved_at"] is not None:
            raise RetryNotAvailable("Only an open error about an unconfirmed delivery can be resolved so.")
        for _ in range(_ROUNDS):
            before = (await read(t, [error["recipient_id"]])).get(error["recipient_id"])
            if before is None or before.error_id != error_id:
                raise NotFound("error", field=["errorId"])
            plan = (await load_plans(t, [before.sequence_id]))[before.sequence_id]
            if await write(t, [_resolution(before, plan, error, actor, was_sent, t.now)]):
                break
        else:
            raise RetryNotAvailable("Others are changing this recipient at this moment. Try again.")
        if was_sent:
            await t.execute(
                "UPDATE messages SET state = 'SENT', at = coalesce(at, marked_at) WHERE workspace_id = $1 AND id = $2",
                t.workspace_id,
                error["message_id"],
            )
        recipient_id: UUID = before.id
        return recipient_id

    return await tx(workspace_id, work)


def _resolution(
    before: Recipient, plan: Plan, error: asyncpg.Record, actor: Actor, was_sent: bool, now: datetime
) -> Change:
    if was_sent:
        after = moves.carry_out(before, plan, error["step_id"], error["occurred_at"], now)
        kind, done = EventType.STEP_CARRIED_OUT, "CARRIED_OUT"
    else:
        if (held := why_held(before, plan, "Resume it first, then send again.")) is not None:
            raise ActionNotAvailable(held, *present(before, plan))
        after, kind, done = moves.send_again(before, plan, now), EventType.STEP_RETRIED, None
    return Change(
        before=before,
        after=after,
        type=kind,
        actor=actor,
        step_id=error["step_id"],
        message_id=error["message_id"] if was_sent else None,
        done=done,
    )
