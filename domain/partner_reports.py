"""What a partner reports about a recipient: the same door as a mail that came in.

Source: product.md section 2 (signals); api.md.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from domain.database import Tx, tx
from domain.erasing import keep_erased
from domain.refusals import Invalid, NotFound
from domain.rules.actor import Actor
from domain.rules.fact import Fact
from domain.rules.ids import new_id
from domain.rules.inbound import quoting
from domain.rules.inbound.intake import InboundOutcome, InboundSource
from domain.rules.inbound.mail import TEXT_AT_MOST, storable
from domain.rules.inbound.reading import Classification
from domain.rules.lifecycle import Signal
from domain.signals import apply_within


class PartnerReport(StrEnum):
    """What a partner can report."""

    HARD_BOUNCED = "HARD_BOUNCED"
    REPLIED = "REPLIED"
    OPTED_OUT = "OPTED_OUT"
    COMPLAINED = "COMPLAINED"


_MEANS: Final = {
    PartnerReport.HARD_BOUNCED: (Signal.HARD_BOUNCE, Classification.HARD_BOUNCE),
    PartnerReport.REPLIED: (Signal.HUMAN_REPLY, Classification.HUMAN_REPLY),
    PartnerReport.OPTED_OUT: (Signal.OPT_OUT, Classification.OPT_OUT),
    PartnerReport.COMPLAINED: (Signal.COMPLAINT, Classification.COMPLAINT),
}


# What bounces is an address.
_BY_EMAIL_ALONE: Final = frozenset({PartnerReport.HARD_BOUNCED})
_ABOUT: Final = """
    SELECT r.sequence_id, r.contact_id, r.mailbox_id, r.sms_mailbox_id, c.phone, l.id AS latest, l.channel
    FROM recipients r JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id
    LEFT JOIN LATERAL (
        SELECT x.id, x.channel FROM messages x
        WHERE x.workspace_id = r.workspace_id AND x.recipient_id = r.id AND x.direction = 'OUTGOING'
            AND x.marked_at IS NOT NULL AND x.channel = coalesce($3, x.channel)
        ORDER BY x.marked_at DESC LIMIT 1
    ) l ON true
    WHERE r.workspace_id = $1 AND r.id = $2
"""


async def report(
    workspace_id: UUID,
    actor: Actor,
    recipient_id: UUID,
    kind: PartnerReport,
    *,
    text: str | None = None,
    channel: str | None = None,
) -> UUID | None:
    """Apply what a partner reports and return the incoming message that was recorded; None where no text was given.

    `channel` is how it came (EMAIL or SMS), and says which of our messages it is about: the latest of that channel.
    Left out: that of the latest message of all. The same report with the same text is taken in once. A report is never
    refused for the recipient's status.

    Raises:
        NotFound: there is no such recipient.
        Invalid: the text is longer than 256 kB, or a number is said to have bounced.
    """
    if text is not None and len(text) > TEXT_AT_MOST:
        raise Invalid(f"The text has {len(text):,} characters; at most {TEXT_AT_MOST:,} are taken.", field=["text"])
    if kind in _BY_EMAIL_ALONE and channel not in (None, "EMAIL"):
        raise Invalid("Only an email bounces. Leave the channel out.", field=["channel"])
    asked = "EMAIL" if kind in _BY_EMAIL_ALONE else channel
    signal, classification = _MEANS[kind]

    async def work(t: Tx) -> UUID | None:
        about = await t.fetchrow(_ABOUT, t.workspace_id, recipient_id, asked)
        if about is None:
            raise NotFound("recipient", field=["id"])
        by_text = (asked or about["channel"]) == "SMS"
        message_id = None
        if text is not None:
            message_id = new_id()
            fingerprint = sha256(f"{recipient_id}\0{kind}\0{text}".encode("utf-8", "replace")).hexdigest()
            known = await t.fetchrow(
                "SELECT message_id FROM inbound_mails WHERE workspace_id = $1 AND fingerprint = $2",
                t.workspace_id,
                fingerprint,
            )
            if known is not None:
                earlier: UUID = known["message_id"]
                return earlier
            parts = quoting.split(storable(text))
            await t.execute(
                """
                WITH made AS (
                    INSERT INTO messages (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id,
                        direction, channel, state, classification, "references", text, quoted_text, token, tries, at,
                        created_at)
                    VALUES ($1, $2, $3, $4, $5, $6, 'INCOMING', $14, 'RECEIVED', $7, '[]', $8, $9, 1, 1, $10, now())
                )
                INSERT INTO inbound_mails (workspace_id, fingerprint, source, outcome, message_id, received_at)
                VALUES ($2, $11, $12, $13, $1, $10)
                """,
                message_id,
                t.workspace_id,
                recipient_id,
                about["sequence_id"],
                about["contact_id"],
                about["sms_mailbox_id" if by_text else "mailbox_id"],
                classification,
                parts.reply,
                parts.quoted or None,
                t.now,
                fingerprint,
                InboundSource.API,
                InboundOutcome.RECORDED,
                "SMS" if by_text else "EMAIL",
            )
        fact = Fact(
            signal=signal,
            recipient_id=recipient_id,
            actor=actor,
            message_id=about["latest"],
            incoming_id=message_id,
            phone=about["phone"] if by_text and about["latest"] is None else None,
        )
        await apply_within(t, fact)
        await keep_erased(t, about["contact_id"])
        return message_id

    return await tx(workspace_id, work)
