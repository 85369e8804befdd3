"""What the world does to a recipient: replies, bounces, opt-outs, complaints, late facts. Never refused.

What each signal does to each status stands in one table, `lifecycle.SIGNALS`; this module applies it, together with
what it means for the person: a reply ends every sequence of the contact that stops on reply, an opt-out binds the
person in the whole workspace, in the same transaction.

Source: product.md section 2 "What the world does to a recipient", section 5.
"""

from dataclasses import replace
from typing import Final
from uuid import UUID

from domain import guardrails
from domain.binding import OPTS_OUT, bind_person
from domain.changes import Change, NewError
from domain.concerned import placed, recipients_concerned, step_that_bounced, stopping_on_reply
from domain.database import Tx, fetch, tx
from domain.guardrails import Harm
from domain.plans import load_plans
from domain.refusals import NotFound
from domain.rules import moves
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.fact import Fact
from domain.rules.ids import new_id
from domain.rules.lifecycle import Effect, EndReason, Signal, effect_of
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.suppression import IN_FORCE
from domain.writing import read, write

_AT_ONCE: Final = 2_000
_HARMS = {Signal.HARD_BOUNCE: Harm.BOUNCED, Signal.COMPLAINT: Harm.COMPLAINED}


async def apply(workspace_id: UUID, fact: Fact) -> set[UUID]:
    """Apply a signal and return the recipients that changed by it, the named one or others of the same contact.

    A signal about a deleted recipient is taken in without an error and binds the person all the same.

    Raises:
        NotFound: there never was such a recipient in this workspace.
    """

    return await tx(workspace_id, lambda t: apply_within(t, fact))


async def apply_within(t: Tx, fact: Fact) -> set[UUID]:
    """As `apply`, within a transaction that has more to do.

    Raises:
        NotFound: there never was such a recipient in this workspace.
    """
    named = (await read(t, [fact.recipient_id], deleted=True)).get(fact.recipient_id)
    if named is None:
        raise NotFound("recipient", field=["id"])
    is_news = await bind_person(t, fact, named) and fact.message_id is not None
    told: Fact | None = fact
    if fact.signal is Signal.DELIVERY_FAILED:
        told = await placed(t, fact, named)
    elif fact.signal is Signal.HARD_BOUNCE and fact.step_id is None:
        told = replace(fact, step_id=await step_that_bounced(t, fact))
    if told is None:
        if fact.incoming_id is None:
            return set()
        told = replace(fact, signal=Signal.DELIVERY_DELAYED)  # recorded, and nothing else
    changed: set[UUID] = set()
    concerned = await recipients_concerned(t, told, named)
    for start in range(0, len(concerned), _AT_ONCE):
        waiting = concerned[start : start + _AT_ONCE]
        while waiting:
            rows = await read(t, waiting)
            plans = await load_plans(t, [row.sequence_id for row in rows.values()])
            stops = await stopping_on_reply(t, list(plans))
            changes = []
            for before in rows.values():
                if told.signal is Signal.HUMAN_REPLY and before.contact_id != named.contact_id:
                    change = _colleague_replied(t, told, before, plans[before.sequence_id])
                else:
                    plan = plans[before.sequence_id]
                    change = _decide(t, told, before, plan, before.sequence_id in stops, is_news)
                if change is not None:
                    changes.append(change)
            written = await write(t, changes)
            changed |= written
            waiting = [change.before.id for change in changes if change.before.id not in written]
    if told.signal in _HARMS:  # also of a recipient that had ended, or was deleted
        await guardrails.note_about(t, _HARMS[told.signal], named.id, told.message_id)
    return changed


async def end_if_suppressed(workspace_id: UUID, recipient_id: UUID) -> None:
    """End a recipient whose person must not be written to any more: found out at the last moment before a send."""
    rows = await fetch(
        f"""
        SELECT r.id FROM recipients r JOIN contacts c ON c.id = r.contact_id AND c.workspace_id = r.workspace_id
        WHERE r.workspace_id = $1 AND r.id = $2 AND r.deleted_at IS NULL AND {IN_FORCE}
        """,
        workspace_id,
        recipient_id,
    )
    if rows:
        fact = Fact(signal=Signal.SUPPRESSION_ELSEWHERE, recipient_id=recipient_id, actor=ENGINE)
        await apply(workspace_id, fact)


def _colleague_replied(t: Tx, fact: Fact, before: Recipient, plan: Plan) -> Change | None:
    if before.ended:
        return None
    return Change(
        before=before,
        after=moves.end(before, plan, EndReason.COMPANY_REPLIED, t.now),
        type=EventType.STATUS_CHANGED,
        actor=fact.actor,
        message_id=fact.incoming_id or fact.message_id,
    )


def _decide(t: Tx, fact: Fact, before: Recipient, plan: Plan, stops_on_reply: bool, is_news: bool) -> Change | None:
    """Return what the signal makes of one recipient; None when it shows nothing new.

    `is_news`: the person asked in a new way to be left alone, which is recorded even where nothing else changes."""
    signal = fact.signal
    if before.id != fact.recipient_id and signal in OPTS_OUT:
        signal = Signal.SUPPRESSION_ELSEWHERE
    effect = effect_of(signal, before.status)
    if effect is Effect.END_REPLIED and not stops_on_reply:
        effect = Effect.NOTE_REPLY
    error = None
    kind = EventType.STATUS_CHANGED
    done = None
    if effect.end_reason is not None:
        after = moves.end(before, plan, effect.end_reason, t.now, bounced_step_id=fact.step_id)
    elif effect is Effect.NOTE_REPLY:
        after, kind = replace(before, replied_at=before.replied_at or t.now), EventType.MESSAGE_RECORDED
    elif effect is Effect.OPEN_ERROR and before.error_id is None:
        error = NewError(
            id=new_id(), code=fact.code, detail=fact.detail, message_id=fact.message_id, mailbox_id=fact.mailbox_id
        )
        after, kind = (
            moves.fail(before, plan, error.id, t.now, step_id=fact.step_id),
            EventType.STEP_FAILED,
        )
    elif effect is Effect.CARRY_OUT:
        step_id = fact.step_id or before.current_step_id
        after = moves.carry_out(before, plan, step_id, t.now, t.now)
        kind, done = EventType.STEP_CARRIED_OUT, "CARRIED_OUT"
    elif (fact.incoming_id is not None or is_news) and before.id == fact.recipient_id:
        after, kind = before, EventType.MESSAGE_RECORDED
    else:
        return None
    return Change(
        before=before,
        after=after,
        type=kind,
        actor=fact.actor,
        step_id=fact.step_id or before.current_step_id if done or error else None,
        message_id=fact.incoming_id or fact.message_id,
        opens=error,
        done=done,
    )
