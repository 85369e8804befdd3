"""Saying what an incoming message really was: only what that message did is undone, for a person to go on with.

Source: product.md section 2 "A human can reclassify an incoming message".
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

import asyncpg

from domain import waiting
from domain.changes import Change, NewError
from domain.database import Tx, tx
from domain.plans import load_plans
from domain.refusals import EffectForgotten, Invalid, NotFound
from domain.rules import moves, timers
from domain.rules.actor import Actor
from domain.rules.event_types import EventType
from domain.rules.fact import Fact
from domain.rules.ids import new_id
from domain.rules.inbound.reading import Classification
from domain.rules.lifecycle import EndReason, Signal, Status
from domain.rules.plan import Plan, SequenceStatus
from domain.rules.recipient import Recipient
from domain.rules.suppressed import SuppressionReason
from domain.settling import catch_up
from domain.signals import apply_within
from domain.standing_ends import end_that_stands, other_reply
from domain.writing import read, write

CHOICES: Final = (Classification.HUMAN_REPLY, Classification.AUTOMATIC_ANSWER, Classification.OPT_OUT)
_SIGNALS: Final = {
    Classification.HUMAN_REPLY: Signal.HUMAN_REPLY,
    Classification.AUTOMATIC_ANSWER: Signal.AUTOMATIC_ANSWER,
    Classification.OPT_OUT: Signal.OPT_OUT,
}
_UNDOABLE: Final = (EndReason.REPLIED, EndReason.UNSUBSCRIBED, EndReason.SUPPRESSED)
_LIFTED_BECAUSE: Final = "The message that asked for it was reclassified: it did not ask."


async def reclassify(workspace_id: UUID, actor: Actor, message_id: UUID, classification: Classification) -> set[UUID]:
    """Say what an incoming message was, and return the recipients that changed by it.

    Ends by reply or by opt-out text that this message brought about are taken back: their recipients are PAUSED, until
    a person resumes them. STOPPED, BOUNCED and opt-outs by link stay, and whoever would have ended by another message
    or opt-out, too, has ended by that. Then the message has the effect of what it is.

    Raises:
        NotFound: there is no such message.
        Invalid: it was not received, it is a complaint, or this is not what a person decides.
        EffectForgotten: it ended somebody's sequences so long ago that what it did is not known any more.
    """
    if classification not in CHOICES:
        names = ", ".join(CHOICES)
        raise Invalid(f"A person can say that a message is one of {names}.", field=["classification"])

    async def work(t: Tx) -> set[UUID]:
        message = await t.fetchrow(
            "SELECT * FROM messages WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, message_id
        )
        if message is None:
            raise NotFound("message", field=["id"])
        if message["direction"] != "INCOMING":
            raise Invalid("Only a message that came in can be reclassified; this one was sent.", field=["id"])
        before = Classification(message["classification"])
        if before is classification:
            return set()
        if before is Classification.COMPLAINT:
            raise Invalid(
                "The mail provider reported this as a spam complaint, and that stands. To write to the person again, "
                "lift the suppression, with the reason.",
                field=["id"],
            )
        await t.execute(
            "UPDATE messages SET classification = $3, reclassified_at = $4 WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            message_id,
            classification,
            t.now,
        )
        await _hold_or_let_go(t, message, classification)
        undone: set[UUID] = set()
        if (before, classification) != (Classification.HUMAN_REPLY, Classification.OPT_OUT):
            done = await _what_it_did(t, message)
            await _lift(t, actor, message_id)
            undone = await _take_back(t, actor, done)
        fact = Fact(
            signal=_SIGNALS[classification],
            recipient_id=message["recipient_id"],
            actor=actor,
            incoming_id=message_id,
            from_address=message["from_address"],
        )
        if classification is not Classification.AUTOMATIC_ANSWER or message["recipient_id"] not in undone:
            return undone | await apply_within(t, fact)
        return undone

    return await tx(workspace_id, work)


async def _lift(t: Tx, actor: Actor, message_id: UUID) -> None:
    await t.execute(
        "UPDATE suppressions SET lifted_at = $3, lifted_because = $4, lifted_by_kind = $5, lifted_by_id = $6 "
        "WHERE workspace_id = $1 AND message_id = $2 AND lifted_at IS NULL AND reason = $7",
        t.workspace_id,
        message_id,
        t.now,
        _LIFTED_BECAUSE,
        actor.kind,
        actor.id,
        SuppressionReason.UNSUBSCRIBED,
    )


async def _hold_or_let_go(t: Tx, message: asyncpg.Record, classification: Classification) -> None:
    """Take back the hold that an absence note put on its contact, or hold again; what other notes hold stays held."""
    until, contact_id = message["held_until"], message["contact_id"]
    if until is None:
        return
    if classification is Classification.AUTOMATIC_ANSWER:
        await t.execute(
            "UPDATE contacts SET out_of_office_until = greatest(out_of_office_until, $3::timestamptz) "
            "WHERE workspace_id = $1 AND id = $2 AND erased_at IS NULL AND $3::timestamptz > $4::timestamptz",
            t.workspace_id,
            contact_id,
            until,
            t.now,
        )
        return
    shortened = await t.fetchval(
        "UPDATE contacts SET out_of_office_until = (SELECT max(held_until) FROM messages WHERE workspace_id = $1 "
        "AND contact_id = $2 AND held_until > $5 AND classification = $4) "
        "WHERE workspace_id = $1 AND id = $2 AND out_of_office_until = $3 RETURNING id",
        t.workspace_id,
        contact_id,
        until,
        Classification.AUTOMATIC_ANSWER,
        t.now,
    )
    if shortened is not None:
        await waiting.let_go_on(t, contact_id)


async def _what_it_did(t: Tx, message: asyncpg.Record) -> dict[UUID, asyncpg.Record]:
    """Return the last event that the message brought about, for each recipient.

    Raises:
        EffectForgotten: there may have been some that are not kept any more.
    """
    events = {
        row["recipient_id"]: row
        for row in await t.fetch(
            "SELECT * FROM events WHERE workspace_id = $1 AND message_id = $2 "
            "AND type IN ('recipient.status_changed', 'recipient.message_recorded') ORDER BY version",
            t.workspace_id,
            message["id"],
        )
    }
    effective = message["classification"] in (Classification.HUMAN_REPLY, Classification.OPT_OUT)
    if effective and not events and await _may_be_forgotten(t, message):
        raise EffectForgotten
    return events


async def _may_be_forgotten(t: Tx, message: asyncpg.Record) -> bool:
    """Return whether the message is older than the events that are kept, and something stands at its person's
    recipients that a reply or an opt-out leaves there."""
    found: bool = await t.fetchval(
        "SELECT f.first_seq > 1 AND $3 < coalesce((SELECT e.recorded_at FROM events e WHERE e.workspace_id = $1 "
        "AND e.seq >= f.first_seq ORDER BY e.seq LIMIT 1), 'infinity') AND EXISTS (SELECT FROM recipients "
        "WHERE workspace_id = $1 AND contact_id = $2 AND deleted_at IS NULL "
        "AND (replied_at IS NOT NULL OR end_reason = ANY($4))) FROM feeds f WHERE f.workspace_id = $1",
        t.workspace_id,
        message["contact_id"],
        message["created_at"],
        list(_UNDOABLE),
    )
    return found


async def _take_back(t: Tx, actor: Actor, events: Mapping[UUID, asyncpg.Record]) -> set[UUID]:
    """Take back what these events of one message did to recipients, and return those that changed."""
    waiting: Collection[UUID] = list(events)
    changed: set[UUID] = set()
    while waiting:
        await catch_up(t, waiting)
        rows = await read(t, waiting)
        plans = await load_plans(t, [row.sequence_id for row in rows.values()])
        changes = []
        for row in rows.values():
            change = await _taken_back(t, actor, row, plans[row.sequence_id], events[row.id])
            if change is not None:
                changes.append(change)
        written = await write(t, changes)
        changed |= written
        waiting = [change.before.id for change in changes if change.before.id not in written]
    return changed


async def _taken_back(t: Tx, actor: Actor, row: Recipient, plan: Plan, event: asyncpg.Record) -> Change | None:
    """Return the recipient without what this event did to it; None when that stands, or nothing is left of it."""
    after = row
    error = None
    replied_at = await other_reply(t, row, event["message_id"])
    if row.replied_at == event["occurred_at"]:
        after = replace(after, replied_at=replied_at)
    previous = Status(event["previous_status"]) if event["previous_status"] else None
    is_its_end = event["end_reason"] in _UNDOABLE and row.ended and row.ended_at == event["occurred_at"]
    if is_its_end and row.end_reason == event["end_reason"] and previous is not None:
        ends_by = await end_that_stands(t, row, previous, replied_at)
        if ends_by is EndReason.REPLIED:
            after = replace(after, end_reason=ends_by, replied_at=after.replied_at or replied_at)
        elif ends_by is not None:
            after = replace(after, end_reason=ends_by)
        elif plan.status is not SequenceStatus.ARCHIVED and not await _has_newer_run(t, row):
            after, error = await _reopened(t, after, plan)
    if after == row:
        return None
    same_status = after.status is row.status
    return Change(
        before=row,
        after=after,
        type=EventType.MESSAGE_RECORDED if same_status else EventType.STATUS_CHANGED,
        actor=actor,
        step_id=after.current_step_id if error else None,
        message_id=event["message_id"],
        opens=error,
    )


async def _has_newer_run(t: Tx, row: Recipient) -> bool:
    found: bool = await t.fetchval(
        "SELECT EXISTS (SELECT FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND contact_id = $3 "
        "AND end_reason IS NULL AND deleted_at IS NULL)",
        t.workspace_id,
        row.sequence_id,
        row.contact_id,
    )
    return found


async def _reopened(t: Tx, row: Recipient, plan: Plan) -> tuple[Recipient, NewError | None]:
    """Return the recipient at the first step after its last done one, paused. What was never known to be sent is asked
    about again, and what was refused is a new message."""
    done = await t.fetch(
        "SELECT step_id, done_at FROM recipient_steps WHERE workspace_id = $1 AND recipient_id = $2 "
        "AND outcome IS NOT NULL",
        t.workspace_id,
        row.id,
    )
    done_at = {one["step_id"]: one["done_at"] for one in done}
    step = plan.next_after(row.last_step_id, row.done)
    if step is None:
        return row, None
    enrolled_at = await t.fetchval(
        "SELECT enrolled_at FROM recipients WHERE workspace_id = $1 AND id = $2", t.workspace_id, row.id
    )
    after = moves.take_back_end(row, plan, step, done_at.get(row.last_step_id, enrolled_at), t.now)
    sent = await t.fetchrow(
        "SELECT id, state FROM messages WHERE workspace_id = $1 AND recipient_id = $2 AND step_id = $3 "
        "AND step_run = $4",
        t.workspace_id,
        row.id,
        step.id,
        row.step_run,
    )
    if sent is not None and sent["state"] == "REFUSED":
        return replace(after, step_run=row.step_run + 1), None
    if sent is not None and sent["state"] == "UNCONFIRMED":
        error = NewError(id=new_id(), code="DELIVERY_UNCONFIRMED", message_id=sent["id"])
        return timers.settle(replace(after, error_id=error.id), plan, t.now), error
    return after, None
