"""What a signal binds beyond the recipient it is about: the person and the address or number that was written to.

Source: product.md section 5; section 2 "A hard bounce marks the address".
"""

from typing import Final

from domain.database import Tx
from domain.rules.actor import ActorKind
from domain.rules.addresses import address_key, phone_key
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.recipient import Recipient
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.suppression import Entry, suppress

OPTS_OUT: Final = {
    Signal.OPT_OUT: SuppressionReason.UNSUBSCRIBED,
    Signal.COMPLAINT: SuppressionReason.COMPLAINED,
}


async def bind_person(t: Tx, fact: Fact, named: Recipient) -> bool:
    """Bind the person and the address that was written to, which need not be the contact's present one. Return whether
    this is a ground that nobody may write to them on which was not known."""
    if fact.signal in OPTS_OUT:
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
        made = await suppress(
            t,
            bound,
            reason=OPTS_OUT[fact.signal],
            source=fact.source or _source_of(fact),
            actor=fact.actor,
            recipient_id=named.id,
            message_id=fact.incoming_id or fact.message_id,
        )
        return bool(made)
    if fact.signal is Signal.HARD_BOUNCE:
        await t.execute(
            "UPDATE contacts SET email_bounced_at = $3 "
            "WHERE erased_at IS NULL AND workspace_id = $1 AND id = $2 AND ($4::text IS NULL OR email_key = $4)",
            t.workspace_id,
            named.contact_id,
            t.now,
            await _written_to(t, fact),
        )
    return False


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
