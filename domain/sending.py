"""Taking up due emails and text messages: the claim and the second mark.

A claim is the insert of the outgoing Message, unique for recipient, step and run; there is no second table of
attempts and no lease on recipients. Whose turn it is stands in turns.py.

Two marks. CLAIMED is committed before anything; HANDING_OVER immediately before DATA, and is refused when the
recipient moved or anything forbids sending. Dead before the second mark: provably unsent, claimed anew. Dead after
it: DELIVERY_UNCONFIRMED. Never a second copy.

Leases, turns and limits are machine time; when a step is due is business time.

Source: architecture.md "The flow of one step"; reliability.md 2.1, 2.2, 2.15.
"""

import logging
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain import turns, waiting
from domain.database import Tx, fetch, tx
from domain.plans import SequenceSettings
from domain.rules.ids import new_id
from domain.rules.mime import message_token
from domain.rules.timing import closed_because
from domain.suppression import IN_FORCE

log = logging.getLogger("relance.sending")

LEASE: Final = timedelta(seconds=60)
_ROUNDS: Final = 5  # of a claim that meets only what cannot go out yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How to reach a mailbox's SMTP server. The password is still sealed."""

    mailbox_id: UUID
    address: str
    display_name: str | None
    host: str
    port: int
    security: str
    username: str | None
    sealed_password: bytes | None
    dkim: "SealedSigner | None"
    test_mode: bool  # nothing of its workspace leaves


@dataclass(frozen=True, slots=True)
class SealedSigner:
    """With what a mailbox signs its mail; the private key is still sealed."""

    domain: str
    selector: str
    sealed_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAccount:
    """How to reach the provider of a number that text messages are sent from. The token is still sealed."""

    mailbox_id: UUID
    address: str  # the number, E.164
    display_name: str | None
    api_url: str
    account: str
    sealed_token: bytes
    test_mode: bool  # nothing of its workspace leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One message to be handed over, with all that is needed to render it."""

    message_id: UUID
    token: int
    tries: int
    workspace_id: UUID
    recipient_id: UUID
    recipient_version: int
    sequence_id: UUID
    sequence_revision: int
    step_id: UUID
    step_run: int
    rfc_message_id: str
    now: datetime  # business time of the claim: the Date of the mail
    account: Account | TextAccount
    subject: str | None
    body: str | None
    send_as_reply: bool
    contact: Mapping[str, Any]
    address_bounced: bool  # the contact's present address is known to be dead
    number_dead: bool  # likewise its number
    thread: Sequence[Mapping[str, Any]]  # what was sent to this recipient before, oldest first
    settings: str  # of the sequence, as stored
    released: bool  # subject and body are the words that a person has read and released, not templates
    away_until: datetime | None  # the contact's absence
    capped_until: datetime | None  # the contact has been written to often enough until then
    frequency_cap: bool  # its workspace caps how often a person is written to
    contact_id: UUID
    domain_paced: bool  # its mailbox spreads out the messages to one domain

    @property
    def lane(self) -> turns.Lane:
        return turns.TEXTS if isinstance(self.account, TextAccount) else turns.EMAILS

    @property
    def may_go(self) -> bool:
        """Whether neither the sequence's window, an absence nor the frequency cap holds it now. It came due in an open
        window, but may have waited for its turn; a time that a person chose is held by none of them."""
        if self.released:
            return True
        if any(until is not None and until > self.now for until in (self.away_until, self.capped_until)):
            return False
        window = settings_of(self.settings).window
        return window is None or closed_because(self.now, window, window.zone_for(self.contact["time_zone"])) is None


@lru_cache(maxsize=1_000)
def settings_of(stored: str) -> SequenceSettings:
    return SequenceSettings.from_json(stored)


_LOAD = f"""
    SELECT x.id AS message_id, x.token, x.tries, x.workspace_id, x.recipient_id, r.version, x.sequence_id, x.step_id,
        x.step_run, x.rfc_message_id, now() + make_interval(secs => w.clock_offset_seconds) AS now,
        m.id AS mailbox_id, m.address, m.display_name, m.smtp_host, m.smtp_port, m.smtp_security, m.smtp_username,
        m.smtp_password, m.dkim_domain, m.dkim_selector, m.dkim_key, m.channel, m.sms_api_url, m.sms_account,
        m.sms_token, w.test_mode, t.send_as_reply,
        q.settings, q.revision AS sequence_revision, a.id IS NOT NULL AS released,
        CASE WHEN a.id IS NULL THEN coalesce(o.subject, t.subject) ELSE a.subject END AS subject,
        CASE WHEN a.id IS NULL THEN coalesce(o.body, t.body) ELSE a.body END AS body,
        c.first_name, c.last_name, c.email, c.phone, c.company, c.time_zone, c.custom_fields, c.email_bounced_at,
        c.phone_invalid_at, c.out_of_office_until, r.contact_id, w.frequency_cap_messages IS NOT NULL AS frequency_cap,
        {waiting.CAPPED_UNTIL} AS capped_until, m.domain_gap_seconds > 0 AS domain_paced,
        (SELECT coalesce(json_agg(json_build_object('id', p.rfc_message_id, 'subject', p.subject)
                ORDER BY p.at, p.id), '[]')
            FROM messages p
            WHERE t.send_as_reply AND p.workspace_id = x.workspace_id AND p.recipient_id = x.recipient_id
                AND p.direction = 'OUTGOING' AND p.state = 'SENT')::text AS thread
    -- Joined by their keys alone: the composite foreign keys hold them to one workspace, and a planner that may
    -- choose joins whole workspaces while it knows nothing of the tables yet.
    FROM messages x
    JOIN recipients r ON r.id = x.recipient_id
    JOIN workspaces w ON w.id = r.workspace_id
    JOIN sequences q ON q.id = r.sequence_id
    JOIN contacts c ON c.id = r.contact_id
    JOIN mailboxes m ON m.id = x.mailbox_id
    JOIN steps t ON t.id = x.step_id
    LEFT JOIN recipient_steps o ON o.recipient_id = x.recipient_id AND o.step_id = x.step_id
    LEFT JOIN pending_actions a ON a.id = r.pending_id AND a.step_id = x.step_id
    WHERE x.id = ANY($1::uuid[]) AND x.state = 'CLAIMED'
    ORDER BY x.id
"""


async def claim(
    free_slots: int,
    message_id_key: bytes,
    *,
    per_mailbox: int | None = None,
    lease: timedelta = LEASE,
    but_of: Collection[UUID] = (),
) -> list[Claim]:
    """Claim up to `free_slots` due emails and text messages of all workspaces but those named; [] when none is due.

    A mailbox has at most `per_mailbox` in hand, over all workers (None: any number); one when its server failed last.
    What came due and cannot go out yet (a shut window, an absence, the pacing of a domain) is put off, and costs
    its mailbox no turn. The claims are committed when this returns: whoever dies with them leaves nothing that was
    sent.
    """
    for _ in range(_ROUNDS):
        ids = [new_id() for _ in range(free_slots)]
        local_parts = [message_token(message_id_key, message_id) for message_id in ids]

        async def work(t: Tx, ids: list[UUID] = ids, local_parts: list[str] = local_parts) -> list[UUID]:
            claimed: list[UUID] = []
            # Neither way of sending waits until the other has nothing left.
            for lane in random.sample(turns.LANES, len(turns.LANES)):
                if (left := free_slots - len(claimed)) > 0:
                    names = ids[-left:], local_parts[-left:]
                    rows = await t.fetch(turns.CLAIMS[lane], left, per_mailbox, *names, lease, list(but_of))
                    claimed += [row["id"] for row in rows]
            return claimed

        claimed = await tx(None, work, rings=False)
        if not claimed:
            return []
        if ready := await _put_off_what_cannot_go(await load(claimed)):
            return ready
    return []


async def _put_off_what_cannot_go(claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims that may go out now; move the others' recipients to when they may, and give their turns back.

    Beside them, all that waits in the same queues for the same reasons is moved: it is not claimed to find out.
    """
    ready = [claim for claim in claims if claim.may_go]
    if paced := [claim.message_id for claim in ready if claim.domain_paced]:
        on_turn = await turns.take_domain_turns(paced)
        ready = [claim for claim in ready if not claim.domain_paced or claim.message_id in on_turn]
    going = {claim.message_id for claim in ready}
    for workspace_id in {claim.workspace_id for claim in claims if claim.message_id not in going}:
        mine = [claim for claim in claims if claim.workspace_id == workspace_id]
        off = [claim for claim in mine if claim.message_id not in going]
        under_way = [claim.recipient_id for claim in mine if claim.message_id in going]
        try:
            for lane in turns.LANES:
                here = [claim for claim in off if claim.lane is lane]
                queues = {(claim.account.mailbox_id, claim.sequence_id) for claim in here}
                if here:
                    await waiting.put_off(
                        workspace_id, [claim.recipient_id for claim in here], queues, under_way, lane=lane
                    )
            await release(off)
        except Exception:  # one workspace's trouble must not keep the others waiting; these leases run out
            log.exception("%s messages of workspace %s are not put off yet", len(off), workspace_id)
    return ready


async def load(message_ids: Sequence[UUID]) -> list[Claim]:
    """Return the claims of these messages as they are now."""
    return [_to_claim(row) for row in await fetch(_LOAD, list(message_ids))]


def _to_claim(row: asyncpg.Record) -> Claim:
    return Claim(
        message_id=row["message_id"],
        token=row["token"],
        tries=row["tries"],
        workspace_id=row["workspace_id"],
        recipient_id=row["recipient_id"],
        recipient_version=row["version"],
        sequence_id=row["sequence_id"],
        sequence_revision=row["sequence_revision"],
        step_id=row["step_id"],
        step_run=row["step_run"],
        rfc_message_id=row["rfc_message_id"],
        now=row["now"],
        account=_account(row),
        subject=row["subject"],
        body=row["body"],
        send_as_reply=row["send_as_reply"],
        contact={name: row[name] for name in ("first_name", "last_name", "email", "phone", "company", "time_zone")}
        | {"fields": orjson.loads(row["custom_fields"])},
        address_bounced=row["email_bounced_at"] is not None,
        number_dead=row["phone_invalid_at"] is not None,
        thread=orjson.loads(row["thread"]),
        settings=row["settings"],
        released=row["released"],
        away_until=row["out_of_office_until"],
        capped_until=row["capped_until"],
        frequency_cap=row["frequency_cap"],
        contact_id=row["contact_id"],
        domain_paced=row["domain_paced"],
    )


def _account(row: asyncpg.Record) -> Account | TextAccount:
    if row["channel"] == turns.TEXTS.channel:
        return TextAccount(
            mailbox_id=row["mailbox_id"],
            address=row["address"],
            display_name=row["display_name"],
            api_url=row["sms_api_url"],
            account=row["sms_account"],
            sealed_token=row["sms_token"],
            test_mode=row["test_mode"],
        )
    return Account(
        mailbox_id=row["mailbox_id"],
        address=row["address"],
        display_name=row["display_name"],
        host=row["smtp_host"],
        port=row["smtp_port"],
        security=row["smtp_security"],
        username=row["smtp_username"],
        sealed_password=row["smtp_password"],
        dkim=SealedSigner(row["dkim_domain"], row["dkim_selector"], row["dkim_key"]) if row["dkim_key"] else None,
        test_mode=row["test_mode"],
    )


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


async def release(claims: Sequence[Claim]) -> None:
    """Give claims back unsent; they are claimed anew when their recipient is still due."""
    if claims:
        await fetch(
            f"""
            WITH freed AS (
                UPDATE messages x SET state = 'DROPPED', lease_until = NULL
                FROM unnest($1::uuid[], $2::int[]) AS u (id, token)
                WHERE x.id = u.id AND x.token = u.token AND x.state = 'CLAIMED'
                RETURNING x.id, x.mailbox_id, false AS touched
            ), turn_back AS ({turns.TURN_BACK}) SELECT id FROM freed
            """,
            [claim.message_id for claim in claims],
            [claim.token for claim in claims],
        )


async def renew(held: Sequence[tuple[UUID, int]], *, lease: timedelta = LEASE) -> set[UUID]:
    """Lengthen the leases of (message, token) pairs; return the messages that are still this worker's."""
    rows = await fetch(
        """
        WITH kept AS (
            UPDATE messages x SET lease_until = now() + $3::interval
            FROM unnest($1::uuid[], $2::int[]) AS u (id, token)
            WHERE x.id = u.id AND x.token = u.token AND x.state IN ('CLAIMED', 'HANDING_OVER') AND x.lease_until > now()
            RETURNING x.id
        ) SELECT id FROM kept
        """,
        [message_id for message_id, _ in held],
        [token for _, token in held],
        lease,
    )
    return {row["id"] for row in rows}


async def drop_abandoned() -> int:
    """Free the claims whose worker died before the second mark; return how many. Nothing of them was sent."""
    rows = await fetch(
        f"""
        WITH freed AS (
            UPDATE messages SET state = 'DROPPED', lease_until = NULL
            WHERE state = 'CLAIMED' AND lease_until < now() - interval '1 second'
            RETURNING id, mailbox_id, false AS touched
        ), turn_back AS ({turns.TURN_BACK}) SELECT count(*) AS freed FROM freed
        """
    )
    freed: int = rows[0]["freed"]
    return freed
