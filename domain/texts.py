"""Text messages that come in, and what providers report about those that went out: recorded once, and applied.

An incoming one belongs to whoever was written to at that number last; a STOP from somebody else still binds the
number. Each is one transaction, and is recognised by the provider's id when it comes again.

Source: product.md sections 2 and 5.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

import asyncpg

from domain.database import Tx, tx
from domain.delivery import PHONE_INVALID, Result, note_dead_number, record
from domain.erasing import keep_erased
from domain.inbound import Ingested
from domain.refusals import NotFound
from domain.rules.actor import ENGINE, Actor, ActorKind
from domain.rules.addresses import phone_key
from domain.rules.fact import Fact
from domain.rules.ids import new_id
from domain.rules.inbound.intake import InboundOutcome, InboundSource
from domain.rules.inbound.reading import Classification
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import OptedOut, Sent
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.rules.text_answers import failure_of
from domain.rules.text_messages import Said, said
from domain.signals import apply_within
from domain.suppression import Entry, suppress

_TEXT_AT_MOST: Final = 20_000
_MEANS: Final = {
    Said.STOP: (Classification.OPT_OUT, Signal.OPT_OUT),
    # Whoever wants to be written to again is lifted from the list by a person, with a reason.
    Said.START: (Classification.NOTICE, Signal.AUTOMATIC_ANSWER),
    Said.WORDS: (Classification.HUMAN_REPLY, Signal.HUMAN_REPLY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingText:
    """One text message as the provider hands it on."""

    provider_id: str
    from_number: str
    to_number: str
    text: str
    opts_out: bool = False  # the provider itself understood it as one


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReport:
    """What a provider says became of a message: its id, its word for the state, and an error code where it failed."""

    provider_id: str
    state: str
    error_code: int | None = None


async def take_in(workspace_id: UUID, mailbox_id: UUID, incoming: IncomingText) -> Ingested:
    """Take in one text message and return what became of it. Repeating it changes nothing more.

    Raises:
        WorkspaceUnknown
    """
    fingerprint = sha256(f"sms\0{mailbox_id}\0{incoming.provider_id}".encode("utf-8", "replace")).hexdigest()

    async def work(t: Tx) -> Ingested:
        await t.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{t.workspace_id}{fingerprint}")
        known = await t.fetchrow(
            "SELECT i.outcome, i.message_id FROM inbound_mails i WHERE i.workspace_id = $1 AND i.fingerprint = $2",
            t.workspace_id,
            fingerprint,
        )
        if known is not None:
            return Ingested(outcome=InboundOutcome(known["outcome"]), again=True, message_id=known["message_id"])
        meaning = Said.STOP if incoming.opts_out else said(incoming.text)
        match = await _match(t, mailbox_id, incoming.from_number)
        if match is None:
            if meaning is Said.STOP:
                await _bind_number(t, incoming.from_number)
            found = Ingested(outcome=InboundOutcome.NOT_OURS, classification=_MEANS[meaning][0])
        else:
            found = await _record(t, mailbox_id, match, meaning, incoming)
        await t.execute(
            "INSERT INTO inbound_mails (workspace_id, fingerprint, mailbox_id, source, outcome, message_id, "
            "received_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            t.workspace_id,
            fingerprint,
            mailbox_id,
            InboundSource.PROVIDER,
            found.outcome,
            found.message_id,
            t.now,
        )
        if match is not None:
            await keep_erased(t, match["contact_id"])
        return found

    return await tx(workspace_id, work)


async def _match(t: Tx, mailbox_id: UUID, number: str) -> asyncpg.Record | None:
    """Return whom a message from this number is from: who was last written to there, else who has the number now."""
    key = phone_key(number)
    row = await t.fetchrow(
        """
        SELECT x.recipient_id, x.sequence_id, x.contact_id, x.id AS outgoing_id
        FROM contacts c JOIN messages x ON x.workspace_id = c.workspace_id AND x.contact_id = c.id
        WHERE c.workspace_id = $1 AND c.phone_key = $2 AND x.channel = 'SMS' AND x.direction = 'OUTGOING'
            AND x.marked_at IS NOT NULL AND x.to_address = '+' || $2
        ORDER BY x.mailbox_id = $3 DESC, x.marked_at DESC LIMIT 1
        """,
        t.workspace_id,
        key,
        mailbox_id,
    )
    if row is not None:
        return row
    return await t.fetchrow(
        """
        SELECT r.id AS recipient_id, r.sequence_id, r.contact_id, NULL::uuid AS outgoing_id
        FROM contacts c JOIN recipients r ON r.workspace_id = c.workspace_id AND r.contact_id = c.id
        WHERE c.workspace_id = $1 AND c.phone_key = $2 AND r.deleted_at IS NULL
        ORDER BY r.end_reason IS NULL DESC, r.contacted_at DESC NULLS LAST, r.enrolled_at DESC, r.id LIMIT 1
        """,
        t.workspace_id,
        key,
    )


async def _record(t: Tx, mailbox_id: UUID, match: asyncpg.Record, meaning: Said, incoming: IncomingText) -> Ingested:
    classification, signal = _MEANS[meaning]
    message_id = new_id()
    await t.execute(
        """
        INSERT INTO messages (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, direction, channel,
            state, classification, "references", from_address, to_address, text, token, tries, at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'INCOMING', 'SMS', 'RECEIVED', $7, '[]', $8, $9, $10, 1, 1, $11, now())
        """,
        message_id,
        t.workspace_id,
        match["recipient_id"],
        match["sequence_id"],
        match["contact_id"],
        mailbox_id,
        classification,
        incoming.from_number[:320],
        incoming.to_number[:320],
        incoming.text.replace("\0", "")[:_TEXT_AT_MOST],
        t.now,
    )
    by_person = meaning is not Said.START
    fact = Fact(
        signal=signal,
        recipient_id=match["recipient_id"],
        actor=Actor(ActorKind.CONTACT, match["contact_id"]) if by_person else ENGINE,
        message_id=match["outgoing_id"],
        incoming_id=message_id,
        phone=incoming.from_number if meaning is Said.STOP else None,
    )
    await apply_within(t, fact)
    return Ingested(
        outcome=InboundOutcome.RECORDED,
        classification=classification,
        message_id=message_id,
        recipient_id=match["recipient_id"],
    )


async def _bind_number(t: Tx, number: str) -> None:
    """Suppress a number, and whoever has it, of whom nobody was ever enrolled: so that nobody is from now on."""
    key = phone_key(number)
    if key is None:
        return
    owners = await t.fetch("SELECT id FROM contacts WHERE workspace_id = $1 AND phone_key = $2", t.workspace_id, key)
    persons = [Entry(SuppressionKind.CONTACT, str(row["id"]), row["id"]) for row in owners]
    await suppress(
        t,
        [Entry(SuppressionKind.PHONE, key), *persons],
        reason=SuppressionReason.UNSUBSCRIBED,
        source=SuppressionSource.REPLY,
        actor=ENGINE,
    )


async def report(workspace_id: UUID, message_id: UUID, told: TextReport) -> bool:
    """Take in what a provider reports about one of our messages; return whether it was news.

    Whatever it reports proves that it took the message. Reports may come late, twice and in any order: the first
    that is final stands.

    Raises:
        NotFound: there is no such message.
    """
    await _prove_sent(workspace_id, message_id, told)
    failed = told.state in ("undelivered", "failed")
    if not failed and told.state not in ("delivered", "read"):
        return False

    async def work(t: Tx) -> bool:
        row = await t.fetchrow(
            "WITH changed AS (UPDATE messages SET delivery = $3, delivery_at = $4 WHERE workspace_id = $1 AND id = $2 "
            "AND channel = 'SMS' AND direction = 'OUTGOING' AND delivery IS NULL AND state = 'SENT' "
            "RETURNING recipient_id, contact_id, mailbox_id, step_id, to_address) SELECT * FROM changed",
            t.workspace_id,
            message_id,
            "FAILED" if failed else "DELIVERED",
            t.now,
        )
        if row is None:
            return False
        if failed:
            await _failed(t, message_id, row, told)
        return True

    return await tx(workspace_id, work)


async def _failed(t: Tx, message_id: UUID, row: asyncpg.Record, told: TextReport) -> None:
    why = failure_of(told.error_code)
    if isinstance(why, OptedOut):
        fact = Fact(
            signal=Signal.OPT_OUT,
            recipient_id=row["recipient_id"],
            actor=Actor(ActorKind.CONTACT, row["contact_id"]),
            message_id=message_id,
            source=SuppressionSource.REPLY,
        )
    else:
        if why.code == PHONE_INVALID:
            await note_dead_number(t, row["contact_id"], row["to_address"])
        fact = Fact(
            signal=Signal.DELIVERY_FAILED,
            recipient_id=row["recipient_id"],
            actor=ENGINE,
            message_id=message_id,
            step_id=row["step_id"],
            mailbox_id=row["mailbox_id"],
            code=why.code,
            detail=why.words,
        )
    await apply_within(t, fact)


async def _prove_sent(workspace_id: UUID, message_id: UUID, told: TextReport) -> None:
    """A report about a message proves that it was taken over, to whoever waits for its answer or has lost it."""

    async def look(t: Tx) -> asyncpg.Record | None:
        return await t.fetchrow(
            "SELECT state, token FROM messages WHERE workspace_id = $1 AND id = $2 AND channel = 'SMS' "
            "AND direction = 'OUTGOING'",
            t.workspace_id,
            message_id,
        )

    row = await tx(workspace_id, look)
    if row is None:
        raise NotFound("message")
    if row["state"] in ("UNCONFIRMED", "HANDING_OVER"):
        proof = Sent(f"{told.provider_id} reported by the provider.")
        await record(workspace_id, [Result(message_id, row["token"], proof)])
