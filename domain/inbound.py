"""Taking in mail: read apart, matched to our messages, recorded once, and its effect applied, in one transaction.

A mail is matched by envelope token, returned headers, In-Reply-To, References from the right, the mail server's own id
of our message, and at last by its sender. A report counts only if it names one of our messages of this workspace:
anyone can write a mail that looks like one. What concerns nobody enrolled is not kept: only that it came.

Source: product.md sections 2 and 6; reliability.md 2.10 to 2.14.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from domain.database import Tx, fetch, tx
from domain.delivery import Result, record
from domain.erasing import keep_erased
from domain.mail_reader import read_apart
from domain.refusals import NotFound
from domain.rules.actor import ENGINE, Actor, ActorKind
from domain.rules.addresses import address_key
from domain.rules.fact import Fact
from domain.rules.ids import new_id
from domain.rules.inbound.absence import absence_key, hold_until, return_date
from domain.rules.inbound.intake import InboundOutcome, InboundSource
from domain.rules.inbound.mail import BYTES_AT_MOST
from domain.rules.inbound.reading import OF_FATE, REPORTS, Classification, Reading, Report, Unreadable, worst
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Sent
from domain.signals import apply_within

log = logging.getLogger("relance.inbound")

_SIGNALS: Final = {
    Classification.HUMAN_REPLY: Signal.HUMAN_REPLY,
    Classification.AUTOMATIC_ANSWER: Signal.AUTOMATIC_ANSWER,
    Classification.NOTICE: Signal.AUTOMATIC_ANSWER,
    Classification.OPT_OUT: Signal.OPT_OUT,
    Classification.HARD_BOUNCE: Signal.HARD_BOUNCE,
    Classification.DELIVERY_DELAYED: Signal.DELIVERY_DELAYED,
    Classification.DELIVERY_FAILED: Signal.DELIVERY_FAILED,
    Classification.COMPLAINT: Signal.COMPLAINT,
}
_BY_THE_PERSON: Final = frozenset({Classification.HUMAN_REPLY, Classification.OPT_OUT, Classification.COMPLAINT})
_STILL_ANSWERS: Final = timedelta(days=30)  # after the end, a mail by its sender alone still belongs to the run
_DATE_BELIEVED: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of a mail. `again` says that it had been taken in before, and nothing was done now."""

    outcome: InboundOutcome
    again: bool = False
    classification: Classification | None = None
    message_id: UUID | None = None  # the incoming message; set exactly when the outcome is RECORDED
    recipient_id: UUID | None = None
    reason: str | None = None  # why it could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """Whom a mail is about. `outgoing` is our message that it names, None where only its sender is known."""

    recipient_id: UUID
    sequence_id: UUID
    contact_id: UUID
    mailbox_id: UUID | None
    outgoing: asyncpg.Record | None = None


async def ingest(workspace_id: UUID, mailbox_id: UUID | None, raw: bytes, source: InboundSource) -> Ingested:
    """Take in one mail and return what became of it. Repeating it changes nothing more, by whatever door it comes.

    `mailbox_id` is the mailbox it was found in, None where that is not known. Never raises for what the mail is: one
    that cannot be read is recorded with the reason.

    Raises:
        WorkspaceUnknown
    """
    return await take_in(workspace_id, mailbox_id, raw, source, await understood(workspace_id, raw))


async def understood(workspace_id: UUID, raw: bytes) -> Reading | Unreadable:
    """Return the mail read, in seconds at most; what it proves about a message of ours is noted. The first half of
    `ingest`, which holds no transaction."""
    reading = await read_apart(raw)
    if isinstance(reading, Unreadable):
        log.warning("a mail could not be read: %s", reading.reason)
    else:
        await _prove_sent(workspace_id, reading)
    return reading


async def take_in(
    workspace_id: UUID, mailbox_id: UUID | None, raw: bytes, source: InboundSource, reading: Reading | Unreadable
) -> Ingested:
    """Record a mail that was read and apply its signal, in one transaction: the second half of `ingest`.

    Raises:
        NotFound: the workspace has no such mailbox.
        WorkspaceUnknown
    """

    async def work(t: Tx) -> Ingested:
        await _refuse_unknown_mailbox(t, mailbox_id)
        known = await _known(t, reading.fingerprint)
        if known is not None:
            return known
        match = None
        if isinstance(reading, Unreadable):
            found = Ingested(outcome=InboundOutcome.UNREADABLE, reason=reading.reason)
        elif await _is_own(t, reading):
            found = Ingested(outcome=InboundOutcome.OWN)
        elif match := await _match(t, reading):
            found = await _record_message(t, match, mailbox_id, reading)
        else:
            found = Ingested(outcome=InboundOutcome.NOT_OURS, classification=reading.classification)
        await _note(t, mailbox_id, raw, source, reading.fingerprint, found)
        if match is not None:
            await keep_erased(t, match.contact_id)
        return found

    return await tx(workspace_id, work)


async def _refuse_unknown_mailbox(t: Tx, mailbox_id: UUID | None) -> None:
    if mailbox_id is not None and not await t.fetchval(
        "SELECT EXISTS (SELECT FROM mailboxes WHERE workspace_id = $1 AND id = $2)", t.workspace_id, mailbox_id
    ):
        raise NotFound("mailbox", field=["mailboxId"])


async def _known(t: Tx, fingerprint: str) -> Ingested | None:
    """Return what became of the same mail before. A twin that is taken in at this moment is waited for."""
    await t.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{t.workspace_id}{fingerprint}")
    row = await t.fetchrow(
        "SELECT i.outcome, i.reason, i.message_id, x.recipient_id, x.classification FROM inbound_mails i "
        "LEFT JOIN messages x ON x.workspace_id = i.workspace_id AND x.id = i.message_id "
        "WHERE i.workspace_id = $1 AND i.fingerprint = $2",
        t.workspace_id,
        fingerprint,
    )
    if row is None:
        return None
    return Ingested(
        outcome=InboundOutcome(row["outcome"]),
        again=True,
        classification=Classification(row["classification"]) if row["classification"] else None,
        message_id=row["message_id"],
        recipient_id=row["recipient_id"],
        reason=row["reason"],
    )


async def _note(
    t: Tx, mailbox_id: UUID | None, raw: bytes, source: InboundSource, fingerprint: str, found: Ingested
) -> None:
    await t.execute(
        "INSERT INTO inbound_mails (workspace_id, fingerprint, mailbox_id, source, outcome, reason, message_id, raw, "
        "received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        t.workspace_id,
        fingerprint,
        mailbox_id,
        source,
        found.outcome,
        found.reason,
        found.message_id,
        raw[:BYTES_AT_MOST] if found.message_id else None,
        t.now,
    )


async def _is_own(t: Tx, reading: Reading) -> bool:
    """Whether one of the workspace's own mailboxes wrote it. Reports are no one's letters, whoever signs them."""
    if reading.classification in REPORTS or reading.classification is Classification.NOTICE:
        return False
    own: bool = await t.fetchval(
        "SELECT EXISTS (SELECT FROM mailboxes WHERE workspace_id = $1 AND address_key = $2) "
        "OR EXISTS (SELECT FROM messages WHERE workspace_id = $1 AND rfc_message_id = $3 AND direction = 'OUTGOING')",
        t.workspace_id,
        address_key(reading.from_address) if reading.from_address else None,
        reading.message_id,
    )
    return own


_NAMED: Final = """
    WITH named AS (
        SELECT '<' || k.token || '@' || d.domain || '>' AS id, k.rank
        FROM unnest($2::text[]) WITH ORDINALITY AS k (token, rank)
        CROSS JOIN (SELECT DISTINCT split_part(address, '@', 2) AS domain FROM mailboxes WHERE workspace_id = $1) d
        UNION ALL
        SELECT n.id, 1000 + n.rank FROM unnest($3::text[]) WITH ORDINALITY AS n (id, rank)
    ), found AS (
        SELECT x.id, n.rank FROM named n JOIN messages x ON x.workspace_id = $1 AND x.rfc_message_id = n.id
        UNION ALL
        SELECT x.id, 2000 + p.rank FROM unnest($4::text[]) WITH ORDINALITY AS p (id, rank)
        JOIN messages x ON x.workspace_id = $1 AND x.state = 'SENT'
            AND substring(x.reply from '[A-Za-z0-9][A-Za-z0-9._=+-]{15,}') = p.id
    )
    SELECT x.* FROM found f JOIN messages x ON x.workspace_id = $1 AND x.id = f.id
    WHERE x.direction = 'OUTGOING' AND x.marked_at IS NOT NULL
    ORDER BY f.rank, x.marked_at DESC LIMIT 1
"""


def _names(reading: Reading) -> tuple[list[str], list[str], list[str]]:
    """Return the tokens, identifiers and mail servers' ids by which a mail may name one of our messages."""
    ids = list(reading.named)
    servers = [one.strip("<>").partition("@")[0] for one in ids]
    return list(reading.tokens[:20]), ids, [one for one in servers if len(one) > 15]


async def _prove_sent(workspace_id: UUID, reading: Reading) -> None:
    """Whoever answers to a message, or reports about it, proves that it was sent: its sender may not know."""
    rows = await fetch(_NAMED, workspace_id, *_names(reading))
    if rows and rows[0]["state"] == "UNCONFIRMED":
        proof = Sent("A mail that came back names it.")
        await record(workspace_id, [Result(rows[0]["id"], rows[0]["token"], proof)])


async def _match(t: Tx, reading: Reading) -> _Match | None:
    row = await t.fetchrow(_NAMED, t.workspace_id, *_names(reading))
    if row is not None:
        return _Match(
            recipient_id=row["recipient_id"],
            sequence_id=row["sequence_id"],
            contact_id=row["contact_id"],
            mailbox_id=row["mailbox_id"],
            outgoing=row,
        )
    by_machine = reading.classification in REPORTS or reading.classification is Classification.NOTICE
    if by_machine or reading.complainants or not reading.from_address:
        return None
    row = await t.fetchrow(
        """
        SELECT r.id, r.sequence_id, r.contact_id, r.mailbox_id
        FROM contacts c JOIN recipients r ON r.workspace_id = c.workspace_id AND r.contact_id = c.id
        WHERE c.workspace_id = $1 AND c.email_key = $2 AND r.deleted_at IS NULL
            AND (r.end_reason IS NULL OR r.ended_at > $3)
        ORDER BY r.end_reason IS NULL DESC, r.contacted_at DESC NULLS LAST, r.enrolled_at DESC, r.id LIMIT 1
        """,
        t.workspace_id,
        address_key(reading.from_address),
        t.now - _STILL_ANSWERS,
    )
    if row is None:
        return None
    return _Match(
        recipient_id=row["id"],
        sequence_id=row["sequence_id"],
        contact_id=row["contact_id"],
        mailbox_id=row["mailbox_id"],
    )


async def _record_message(t: Tx, match: _Match, mailbox_id: UUID | None, reading: Reading) -> Ingested:
    told = _told(reading, match)
    kind = OF_FATE[told.verdict.fate] if told else reading.classification
    message_id = new_id()
    at = _arrived_at(reading.sent_at, t.now)
    away_key, held_until = await _hold(t, match.contact_id, reading, at) if reading.away else (None, None)
    await t.execute(
        """
        INSERT INTO messages (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, direction, channel,
            state, classification, rfc_message_id, in_reply_to, "references", from_address, to_address, subject, text,
            html, quoted_text, absence_key, held_until, token, tries, at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'INCOMING', 'EMAIL', 'RECEIVED', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            $17, $18, 1, 1, $19, now())
        """,
        message_id,
        t.workspace_id,
        match.recipient_id,
        match.sequence_id,
        match.contact_id,
        mailbox_id or match.mailbox_id,
        kind,
        reading.message_id,
        reading.in_reply_to,
        orjson.dumps(list(reading.named[:50])).decode(),
        (reading.from_address or "")[:320] or None,
        (reading.to_address or "")[:320] or None,
        reading.subject,
        reading.text,
        reading.html or None,
        reading.quoted_text or None,
        away_key,
        held_until,
        at,
    )
    await apply_within(t, _fact(kind, told, match, reading, message_id))
    return Ingested(
        outcome=InboundOutcome.RECORDED,
        classification=kind,
        message_id=message_id,
        recipient_id=match.recipient_id,
    )


def _told(reading: Reading, match: _Match) -> Report | None:
    """Return what a delivery report says about the address of our message; of several others, what matters most."""
    if not reading.reports:
        return None
    to_address = match.outgoing["to_address"] if match.outgoing else None
    same = [one for one in reading.reports if one.address and to_address and one.address == address_key(to_address)]
    return same[0] if same else worst(reading.reports)


def _fact(kind: Classification, told: Report | None, match: _Match, reading: Reading, message_id: UUID) -> Fact:
    more: dict[str, Any] = {}
    if told is not None:
        more = {"code": told.verdict.code, "detail": told.verdict.detail or None}
    if kind is Classification.OPT_OUT and not reading.complainants:
        more = {"from_address": reading.from_address}
    by_person = kind in _BY_THE_PERSON
    return Fact(
        signal=_SIGNALS[kind],
        recipient_id=match.recipient_id,
        actor=Actor(ActorKind.CONTACT, match.contact_id) if by_person else ENGINE,
        message_id=match.outgoing["id"] if match.outgoing else None,
        incoming_id=message_id,
        **more,
    )


def _arrived_at(sent_at: datetime | None, now: datetime) -> datetime:
    """Return when it was written, where that can be believed; else now."""
    return sent_at if sent_at is not None and now - _DATE_BELIEVED < sent_at < now else now


async def _hold(t: Tx, contact_id: UUID, reading: Reading, at: datetime) -> tuple[str, datetime | None]:
    """Hold the contact for an absence that has not held before; return which absence it is, and until when it holds."""
    zone = await t.fetchval(
        "SELECT time_zone FROM contacts WHERE workspace_id = $1 AND id = $2", t.workspace_id, contact_id
    )
    returns_on = return_date(reading.away_words, at.date())
    key = absence_key(reading.away_words, returns_on)
    held_before = await t.fetchval(
        "SELECT EXISTS (SELECT FROM messages WHERE workspace_id = $1 AND contact_id = $2 AND absence_key = $3)",
        t.workspace_id,
        contact_id,
        key,
    )
    until = hold_until(returns_on, at, ZoneInfo(zone or "UTC"))
    if held_before or until <= t.now:
        return key, None
    await t.execute(
        "UPDATE contacts SET out_of_office_until = greatest(out_of_office_until, $3::timestamptz) "
        "WHERE workspace_id = $1 AND id = $2",
        t.workspace_id,
        contact_id,
        until,
    )
    return key, until
