"""What the world does to a recipient: replies, bounces, opt-outs, complaints, late facts. Never refused.

What each signal does to each status stands in one table, `lifecycle.SIGNALS`; this module applies it, together with
what it means for the person: a reply ends every sequence of the contact that stops on reply, an opt-out binds the
person in the whole workspace, in the same transaction.

Source: product.md section 2 "What the world does to a recipient", section 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from domain import guardrails
from domain.changes import Change, NewError
from domain.database import Tx, fetch, tx
from domain.guardrails import Harm
from domain.plans import SequenceSettings, load_plans
from domain.refusals import NotFound
from domain.rules import moves
from domain.rules.actor import ENGINE, Actor, ActorKind
from domain.rules.addresses import address_key, phone_key
from domain.rules.event_types import EventType
from domain.rules.free_mail import is_free_mail
from domain.rules.ids import new_id
from domain.rules.lifecycle import Effect, EndReason, Signal, effect_of
from domain.rules.plan import Plan, SequenceStatus
from domain.rules.recipient import Recipient
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.suppression import IN_FORCE, Entry, suppress
from domain.writing import read, write

_AT_ONCE: Final = 2_000
_OPTS_OUT = {
    Signal.OPT_OUT: SuppressionReason.UNSUBSCRIBED,
    Signal.COMPLAINT: SuppressionReason.COMPLAINED,
}
_HARMS = {Signal.HARD_BOUNCE: Harm.BOUNCED, Signal.COMPLAINT: Harm.COMPLAINED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One signal about one recipient."""

    signal: Signal
    recipient_id: UUID
    actor: Actor
    message_id: UUID | None = None  # the message of ours that it is about
    incoming_id: UUID | None = None  # the message that brought it, recorded in the same transaction
    from_address: str | None = None  # who wrote that one
    step_id: UUID | None = None
    code: str = "MAILBOX_FULL"  # why a delivery failed: a step error code
    detail: str | None = None
    source: SuppressionSource | None = None  # how an opt-out came; None: by what brought the signal
    mailbox_id: UUID | None = None  # what the message in question came from; None: the recipient's mailbox
    phone: str | None = None  # of a text message: the number an opt-out is about
    address_hash: str | None = None  # of the address an opt-out is about, where that is all that is known


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
    await _bind_person(t, fact, named)
    told: Fact | None = fact
    if fact.signal is Signal.DELIVERY_FAILED:
        told = await _placed(t, fact, named)
    elif fact.signal is Signal.HARD_BOUNCE and fact.step_id is None:
        told = replace(fact, step_id=await _step_that_bounced(t, fact))
    if told is None:
        if fact.incoming_id is None:
            return set()
        told = replace(fact, signal=Signal.DELIVERY_DELAYED)  # recorded, and nothing else
    changed: set[UUID] = set()
    concerned = await _concerned(t, told, named)
    for start in range(0, len(concerned), _AT_ONCE):
        waiting = concerned[start : start + _AT_ONCE]
        while waiting:
            rows = await read(t, waiting)
            plans = await load_plans(t, [row.sequence_id for row in rows.values()])
            stops = await _stopping_on_reply(t, list(plans))
            changes = []
            for before in rows.values():
                if told.signal is Signal.HUMAN_REPLY and before.contact_id != named.contact_id:
                    change = _colleague_replied(t, told, before, plans[before.sequence_id])
                else:
                    change = _decide(t, told, before, plans[before.sequence_id], before.sequence_id in stops)
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


async def _bind_person(t: Tx, fact: Fact, named: Recipient) -> None:
    """Bind the person and the address that was written to, which need not be the contact's present one."""
    if fact.signal in _OPTS_OUT:
        bound = [Entry(SuppressionKind.CONTACT, str(named.contact_id), named.contact_id)]
        number, key = await _number_of(t, fact), None
        if number is None:
            key = await _written_to(t, fact) or await t.fetchval(
                "SELECT email_key FROM contacts WHERE workspace_id = $1 AND id = $2", t.workspace_id, named.contact_id
            )
            written_from = address_key(fact.from_address) if fact.from_address else None
            bound += [Entry(SuppressionKind.ADDRESS, each) for each in dict.fromkeys((key, written_from)) if each]
        else:
            bound.append(Entry(SuppressionKind.PHONE, number))
        if key is None and fact.address_hash is not None:
            bound.append(Entry(SuppressionKind.ERASED, fact.address_hash))
        await suppress(
            t,
            bound,
            reason=_OPTS_OUT[fact.signal],
            source=fact.source or _source_of(fact),
            actor=fact.actor,
            recipient_id=named.id,
            message_id=fact.incoming_id or fact.message_id,
        )
    elif fact.signal is Signal.HARD_BOUNCE:
        await t.execute(
            "UPDATE contacts SET email_bounced_at = $3 "
            "WHERE erased_at IS NULL AND workspace_id = $1 AND id = $2 AND ($4::text IS NULL OR email_key = $4)",
            t.workspace_id,
            named.contact_id,
            t.now,
            await _written_to(t, fact),
        )


def _source_of(fact: Fact) -> SuppressionSource:
    if fact.signal is Signal.COMPLAINT:
        return SuppressionSource.COMPLAINT
    if fact.actor.kind in (ActorKind.USER, ActorKind.API_KEY):
        return SuppressionSource.API
    return SuppressionSource.REPLY if fact.incoming_id is not None else SuppressionSource.ENGINE


async def _written_to(t: Tx, fact: Fact) -> str | None:
    """Return the key of the address that the message in question went to; None when it is not known."""
    to_address: str | None = await t.fetchval(
        "SELECT to_address FROM messages WHERE workspace_id = $1 AND id = $2 AND direction = 'OUTGOING'",
        t.workspace_id,
        fact.message_id,
    )
    return address_key(to_address) if to_address else None


async def _number_of(t: Tx, fact: Fact) -> str | None:
    """Return the key of the number that an opt-out came from or was written to; None where it is about an address."""
    number = fact.phone or await t.fetchval(
        "SELECT to_address FROM messages WHERE workspace_id = $1 AND id = $2 AND direction = 'OUTGOING' "
        "AND channel = 'SMS'",
        t.workspace_id,
        fact.message_id,
    )
    return phone_key(number) if number else None


async def _placed(t: Tx, fact: Fact, named: Recipient) -> Fact | None:
    """Return the report of a failed delivery with the step and run of the message it is about.

    None: it is only recorded, because the sequence is archived, because the person was erased, because it is not about
    the latest message, because its step was removed (nobody is sent back to it), or because the person has a newer run
    through this sequence, which a reopened one must not stand beside.
    """
    # FOR SHARE: an archiving is either seen or waits, and then finds the recipient open.
    status = await t.fetchval(
        "SELECT status FROM sequences WHERE workspace_id = $1 AND id = $2 FOR SHARE", t.workspace_id, named.sequence_id
    )
    if status == SequenceStatus.ARCHIVED or await _is_erased(t, named.contact_id):
        return None
    latest = await t.fetchrow(
        "SELECT id, step_id FROM messages WHERE workspace_id = $1 AND recipient_id = $2 "
        "AND direction = 'OUTGOING' AND marked_at IS NOT NULL ORDER BY marked_at DESC, id DESC LIMIT 1",
        t.workspace_id,
        named.id,
    )
    if latest is not None and fact.message_id not in (None, latest["id"]):
        return None
    if latest is not None and await _is_removed(t, latest["step_id"]):
        return None
    if named.ended and await t.fetchval(
        "SELECT EXISTS (SELECT FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND contact_id = $3 "
        "AND end_reason IS NULL AND deleted_at IS NULL)",
        t.workspace_id,
        named.sequence_id,
        named.contact_id,
    ):
        return None
    if latest is None:  # who has ended goes back to a step, and nobody knows to which
        return None if named.ended and fact.step_id is None else fact
    return replace(fact, message_id=latest["id"], step_id=latest["step_id"])


async def _is_erased(t: Tx, contact_id: UUID) -> bool:
    erased: bool = await t.fetchval(
        "SELECT erased_at IS NOT NULL FROM contacts WHERE workspace_id = $1 AND id = $2", t.workspace_id, contact_id
    )
    return erased


async def _step_that_bounced(t: Tx, fact: Fact) -> UUID | None:
    """Return the step of the message in question; of the last that was sent where none is named."""
    step_id: UUID | None = await t.fetchval(
        "SELECT step_id FROM messages WHERE workspace_id = $1 AND recipient_id = $2 AND direction = 'OUTGOING' "
        "AND (id = $3 OR ($3 IS NULL AND state = 'SENT')) ORDER BY marked_at DESC, id DESC LIMIT 1",
        t.workspace_id,
        fact.recipient_id,
        fact.message_id,
    )
    return step_id


async def _is_removed(t: Tx, step_id: UUID) -> bool:
    removed: bool = await t.fetchval(
        "SELECT removed_at IS NOT NULL FROM steps WHERE workspace_id = $1 AND id = $2", t.workspace_id, step_id
    )
    return removed


async def _concerned(t: Tx, fact: Fact, named: Recipient) -> list[UUID]:
    """Return the recipients to look at: the named one, and the person's others where the signal is about the person."""
    if fact.signal is not Signal.HUMAN_REPLY and fact.signal not in _OPTS_OUT:
        return [named.id]
    # An opt-out binds the address, too: another contact may have it by now.
    rows = await t.fetch(
        """
        SELECT r.id FROM recipients r WHERE r.workspace_id = $1 AND r.deleted_at IS NULL AND (r.id = $3
            OR (r.end_reason IS NULL AND r.contact_id = $2)
            OR (r.end_reason IS NULL AND $4 AND r.contact_id IN (
                SELECT c.id FROM contacts c JOIN suppressions b ON b.workspace_id = c.workspace_id
                    AND b.lifted_at IS NULL AND b.recipient_id = $3
                    AND (b.kind, b.value)
                        IN (('ADDRESS', c.email_key), ('ERASED', c.email_hash), ('PHONE', c.phone_key))
                WHERE c.workspace_id = $1)))
        ORDER BY r.id
        """,
        t.workspace_id,
        named.contact_id,
        named.id,
        fact.signal in _OPTS_OUT,
    )
    found = [row["id"] for row in rows]
    return sorted({*found, *await _colleagues(t, found, named)}) if fact.signal is Signal.HUMAN_REPLY else found


async def _colleagues(t: Tx, recipient_ids: Sequence[UUID], named: Recipient) -> list[UUID]:
    """Return the open recipients of the same company in those of these sequences that stop on one reply of a company.
    A domain at which anyone can have an address is no company."""
    key = await t.fetchval(
        "SELECT email_key FROM contacts WHERE workspace_id = $1 AND id = $2", t.workspace_id, named.contact_id
    )
    domain = (key or "").rpartition("@")[2]
    if not domain or is_free_mail(domain):
        return []
    rows = await t.fetch(
        """
        SELECT r.id FROM recipients mine
        JOIN sequences s ON s.workspace_id = mine.workspace_id AND s.id = mine.sequence_id
        JOIN recipients r ON r.workspace_id = mine.workspace_id AND r.sequence_id = mine.sequence_id
        JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id
        WHERE mine.workspace_id = $1 AND mine.id = ANY($2::uuid[]) AND (s.settings ->> 'stopOnCompanyReply')::bool
            AND r.end_reason IS NULL AND r.deleted_at IS NULL AND r.contact_id <> $3
            AND split_part(c.email_key, '@', 2) = $4
        """,
        t.workspace_id,
        recipient_ids,
        named.contact_id,
        domain,
    )
    return [row["id"] for row in rows]


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


async def _stopping_on_reply(t: Tx, sequence_ids: Sequence[UUID]) -> set[UUID]:
    rows = await t.fetch(
        "SELECT id, settings FROM sequences WHERE workspace_id = $1 AND id = ANY($2::uuid[])",
        t.workspace_id,
        sequence_ids,
    )
    return {row["id"] for row in rows if SequenceSettings.from_json(row["settings"]).stop_on_reply}


def _decide(t: Tx, fact: Fact, before: Recipient, plan: Plan, stops_on_reply: bool) -> Change | None:
    """Return what the signal makes of one recipient; None when it shows nothing new."""
    signal = fact.signal
    if before.id != fact.recipient_id and signal in _OPTS_OUT:
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
    elif fact.incoming_id is not None and before.id == fact.recipient_id:
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
