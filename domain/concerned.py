"""Whom and what a signal is about: the step of the message in question, and the recipients that it concerns.

Source: product.md section 2 "What the world does to a recipient".
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from domain.binding import OPTS_OUT
from domain.database import Tx
from domain.plans import SequenceSettings
from domain.rules.fact import Fact
from domain.rules.free_mail import is_free_mail
from domain.rules.lifecycle import Signal
from domain.rules.plan import SequenceStatus
from domain.rules.recipient import Recipient


async def recipients_concerned(t: Tx, fact: Fact, named: Recipient) -> list[UUID]:
    """Return the recipients to look at: the named one, and the person's others where the signal is about the person."""
    if fact.signal is not Signal.HUMAN_REPLY and fact.signal not in OPTS_OUT:
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
        fact.signal in OPTS_OUT,
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


async def placed(t: Tx, fact: Fact, named: Recipient) -> Fact | None:
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


async def step_that_bounced(t: Tx, fact: Fact) -> UUID | None:
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


async def stopping_on_reply(t: Tx, sequence_ids: Sequence[UUID]) -> set[UUID]:
    rows = await t.fetch(
        "SELECT id, settings FROM sequences WHERE workspace_id = $1 AND id = ANY($2::uuid[])",
        t.workspace_id,
        sequence_ids,
    )
    return {row["id"] for row in rows if SequenceSettings.from_json(row["settings"]).stop_on_reply}
