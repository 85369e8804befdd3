"""The second mark: the last look at whether a message may go out, committed immediately before it is handed over.

CLAIMED is committed before anything; HANDING_OVER immediately before DATA, and is refused when the recipient moved or
anything forbids sending. Dead before the second mark: provably unsent, claimed anew. Dead after it:
DELIVERY_UNCONFIRMED. Never a second copy.

Source: architecture.md "The flow of one step"; reliability.md 2.1, 2.2, 2.15.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import orjson

from domain import waiting
from domain.claims import LEASE, Claim
from domain.database import Tx, tx
from domain.suppression import IN_FORCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A rendered message about to be handed over. A text message has a text alone."""

    claim: Claim
    to_address: str
    subject: str | None = None
    text: str
    html: str | None = None
    in_reply_to: str | None = None
    references: Sequence[str] = ()


_MARK = f"""
    WITH u AS (
        SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $11::int[])
            AS u (id, token, version, to_address, subject, text, html, in_reply_to, refs, sequence_revision)
    ), allowed AS (
        SELECT x.id
        FROM u JOIN messages x ON x.id = u.id
        JOIN recipients r ON r.id = x.recipient_id AND r.workspace_id = x.workspace_id
        JOIN sequences q ON q.id = r.sequence_id
        JOIN mailboxes m ON m.id = x.mailbox_id
        JOIN contacts c ON c.id = r.contact_id
        JOIN steps t ON t.id = x.step_id
        WHERE x.state = 'CLAIMED' AND x.token = u.token AND x.lease_until > now() AND r.version = u.version
            AND r.current_step_id = x.step_id AND r.step_run = x.step_run
            AND r.due_at IS NOT NULL AND q.status = 'ACTIVE' AND q.guardrail_hold IS NULL
            AND q.revision = u.sequence_revision
            AND t.removed_at IS NULL AND r.plan_revision >= t.revision AND m.state = 'CONNECTED' AND NOT {IN_FORCE}
            AND CASE x.channel WHEN 'SMS' THEN c.phone = u.to_address AND c.phone_invalid_at IS NULL
                ELSE c.email = u.to_address AND c.email_bounced_at IS NULL END
        ORDER BY r.id
        -- A person being changed right now is not waited for, whoever changes the contact may want the recipient: the
        -- message is given back and claimed anew with what they have become.
        FOR NO KEY UPDATE OF x FOR SHARE OF q FOR KEY SHARE OF m FOR SHARE OF r, c SKIP LOCKED
    )
    , numbered AS (
        SELECT x.id, x.workspace_id, x.contact_id, w.frequency_cap_messages AS at_most, w.frequency_cap_days AS days,
            now() + make_interval(secs => w.clock_offset_seconds) AS now, t.kind,
            row_number() OVER (PARTITION BY x.contact_id, t.kind ORDER BY x.id) AS place
        FROM allowed JOIN messages x USING (id)
        JOIN workspaces w ON w.id = x.workspace_id
        JOIN steps t ON t.id = x.step_id
    ), going AS (
        SELECT n.id FROM numbered n
        WHERE n.at_most IS NULL OR n.kind = 'MANUAL_EMAIL' OR n.at_most >= n.place + (
            SELECT count(*) FROM ({waiting.COUNTED.format(contact="n")}) k
            WHERE k.at > n.now - make_interval(days => n.days))
    )
    UPDATE messages x SET state = 'HANDING_OVER', marked_at = now(), lease_until = now() + $10::interval,
        from_address = m.address, to_address = u.to_address, subject = u.subject, text = u.text, html = u.html,
        in_reply_to = u.in_reply_to, "references" = u.refs::jsonb
    FROM u JOIN going USING (id), mailboxes m
    WHERE x.id = u.id AND m.id = x.mailbox_id
    RETURNING x.id
"""


async def mark(marks: Sequence[Mark], *, lease: timedelta = LEASE) -> set[UUID]:
    """Set the second mark on those messages that may go out right now, and return their ids.

    A missing id means: do not send. Its recipient moved, or its sequence was edited, or its sequence, its mailbox, a
    guardrail or a suppression forbids it, or the person has been written to often enough, or has another address by now
    or a dead one, or the claim is not this worker's any more. The mark and a pause, stop, edit, hold, opt-out or change
    of address exclude each other by row locks: after one of those has answered, no mark against it is committed.
    """

    async def work(t: Tx) -> set[UUID]:
        going = await _alone_with_their_contacts(t, marks)
        return await _marked(t, going, lease) if going else set()

    return await tx(None, work, rings=False)


async def _alone_with_their_contacts(t: Tx, marks: Sequence[Mark]) -> Sequence[Mark]:
    """Return those that may be counted now: where a cap counts, nobody else marks a message to the same person until
    the end of this transaction. Locked in a statement of its own: the next one sees what was committed before."""
    capped = {(m.claim.workspace_id, m.claim.contact_id) for m in marks if m.claim.frequency_cap}
    if not capped:
        return marks
    rows = await t.fetch(
        "SELECT c.id FROM unnest($1::uuid[], $2::uuid[]) AS u (workspace_id, id) "
        "JOIN contacts c ON c.workspace_id = u.workspace_id AND c.id = u.id "
        "ORDER BY c.id FOR NO KEY UPDATE OF c SKIP LOCKED",
        [workspace_id for workspace_id, _ in capped],
        [contact_id for _, contact_id in capped],
    )
    locked = {row["id"] for row in rows}
    return [m for m in marks if not m.claim.frequency_cap or m.claim.contact_id in locked]


async def _marked(t: Tx, marks: Sequence[Mark], lease: timedelta) -> set[UUID]:
    rows = await t.fetch(
        _MARK,
        [m.claim.message_id for m in marks],
        [m.claim.token for m in marks],
        [m.claim.recipient_version for m in marks],
        [m.to_address for m in marks],
        [m.subject for m in marks],
        [m.text for m in marks],
        [m.html for m in marks],
        [m.in_reply_to for m in marks],
        [orjson.dumps(list(m.references)).decode() for m in marks],
        lease,
        [m.claim.sequence_revision for m in marks],
    )
    return {row["id"] for row in rows}
