"""What a claimed message holds: all that is needed to render it and to hand it over, read in one statement.

Source: architecture.md "The flow of one step".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain import turns, waiting
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.rules.timing import closed_because

LEASE: Final = timedelta(seconds=60)


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
    return email_account(row)


def email_account(row: asyncpg.Record) -> Account:
    """Return how to reach a mailbox, of a row with its columns, `mailbox_id` and the workspace's `test_mode`."""
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
