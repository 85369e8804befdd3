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
from domain.rules.ids import new_id
from domain.rules.inbound import quoting
from domain.rules.inbound.intake import InboundOutcome, InboundSource
from domain.rules.inbound.mail import TEXT_AT_MOST, storable
from domain.rules.inbound.reading import Classification
from domain.rules.lifecycle import Signal
from domain.signals import Fact, apply_within


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


async def report(
    workspace_id: UUID, actor: Actor, recipient_id: UUID, kind: PartnerReport, *, text: str | None = None
) -> UUID | None:
    """Apply what a partner reports and return the incoming message that was recorded; None where no text was given.

    The same report with the same text is taken in once. A report is never refused for the recipient's status.

    Raises:
        NotFound: there is no such recipient.
        Invalid: the text is longer than 256 kB.
    """
    if text is not None and len(text) > TEXT_AT_MOST:
        raise Invalid(f"The text has {len(text):,} characters; at most {TEXT_AT_MOST:,} are taken.", field=["text"])
    signal, classification = _MEANS[kind]

    async def work(t: Tx) -> UUID | None:
        about = await t.fetchrow(
            "SELECT r.*, (SELECT x.id FROM messages x WHERE x.workspace_id = r.workspace_id AND x.recipient_id = r.id "
            "AND x.direction = 'OUTGOING' AND x.marked_at IS NOT NULL ORDER BY x.marked_at DESC LIMIT 1) AS latest "
            "FROM recipients r WHERE r.workspace_id = $1 AND r.id = $2",
            t.workspace_id,
            recipient_id,
        )
        if about is None:
            raise NotFound("recipient", field=["id"])
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
                    VALUES ($1, $2, $3, $4, $5, $6, 'INCOMING', 'EMAIL', 'RECEIVED', $7, '[]', $8, $9, 1, 1, $10, now())
                )
                INSERT INTO inbound_mails (workspace_id, fingerprint, source, outcome, message_id, received_at)
                VALUES ($2, $11, $12, $13, $1, $10)
                """,
                message_id,
                t.workspace_id,
                recipient_id,
                about["sequence_id"],
                about["contact_id"],
                about["mailbox_id"],
                classification,
                parts.reply,
                parts.quoted or None,
                t.now,
                fingerprint,
                InboundSource.API,
                InboundOutcome.RECORDED,
            )
        fact = Fact(
            signal=signal,
            recipient_id=recipient_id,
            actor=actor,
            message_id=about["latest"],
            incoming_id=message_id,
        )
        await apply_within(t, fact)
        await keep_erased(t, about["contact_id"])
        return message_id

    return await tx(workspace_id, work)
