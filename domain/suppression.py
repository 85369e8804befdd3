"""Whom nobody in the workspace may write to: addresses, domains, phone numbers and contacts, and the ledger of why.

A domain covers the domains below it. An address or a number whose person was erased is kept as a keyed hash alone. A
row is never removed: lifting it notes who did so and why. Each ground is a row of its own, and whoever has one that is
not lifted is not written to.

Source: product.md section 5; reliability.md 2.31.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.database import Tx
from domain.rules.actor import Actor
from domain.rules.ids import new_id
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource

# A contact `c` is suppressed while any of these is in force. Also read inside the second mark. Each is one look into
# the index of what is in force, by any plan: joined without LIMIT, the whole list is read for each contact as soon as
# the database takes it for short. A contact has a handful.
IN_FORCE: Final = """
    EXISTS (
        SELECT FROM (
            VALUES ('CONTACT', c.id::text), ('ADDRESS', c.email_key), ('PHONE', c.phone_key), ('ERASED', c.email_hash),
                ('ERASED', c.phone_hash)
            UNION ALL
            SELECT 'DOMAIN', array_to_string(d.labels[n:], '.')
            FROM (SELECT string_to_array(split_part(c.email_key, '@', 2), '.') AS labels) d,
                generate_subscripts(d.labels, 1) AS n
        ) v (kind, value) CROSS JOIN LATERAL (
            SELECT FROM suppressions s WHERE s.workspace_id = c.workspace_id AND s.kind = v.kind AND s.value = v.value
                AND s.lifted_at IS NULL LIMIT 1
        ) s
    )
"""

_HASHED: Final = frozenset({SuppressionKind.ADDRESS, SuppressionKind.PHONE})
_KNOWN_AS_ERASED: Final = """
    SELECT h.hash FROM unnest($2::text[]) AS h (hash) CROSS JOIN LATERAL (
        SELECT coalesce(bool_and(k.erased), false) AS erased FROM (
            SELECT c.erased_at IS NOT NULL AS erased FROM contacts c WHERE c.workspace_id = $1 AND c.email_hash = h.hash
            UNION ALL
            SELECT c.erased_at IS NOT NULL FROM contacts c WHERE c.workspace_id = $1 AND c.phone_hash = h.hash
            UNION ALL
            SELECT true FROM suppressions s WHERE s.workspace_id = $1 AND s.kind = 'ERASED' AND s.value = h.hash
                AND s.lifted_at IS NULL
        ) k
    ) known
    WHERE known.erased
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that must not be written to, as it is compared: a key of an address, a domain, a contact's id."""

    kind: SuppressionKind
    value: str
    contact_id: UUID | None = None


async def suppressed_contacts(t: Tx, contact_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the contacts who must not be written to."""
    rows = await t.fetch(
        f"SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND c.id = ANY($2::uuid[]) AND {IN_FORCE}",
        t.workspace_id,
        list(contact_ids),
    )
    return {row["id"] for row in rows}


async def kept_as(t: Tx, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries as they are kept: an address or number that is known as an erased person's, and as nobody
    else's by now, is kept as its keyed hash alone."""
    hashes = {t.hashed(one.value): one for one in entries if one.kind in _HASHED}
    rows = await t.fetch(_KNOWN_AS_ERASED, t.workspace_id, list(hashes)) if hashes else []
    erased = {hashes[row["hash"]]: row["hash"] for row in rows}
    return [Entry(SuppressionKind.ERASED, erased[one]) if one in erased else one for one in entries]


async def suppress(
    t: Tx,
    entries: Sequence[Entry],
    *,
    reason: SuppressionReason,
    source: SuppressionSource,
    actor: Actor,
    note: str | None = None,
    recipient_id: UUID | None = None,
    message_id: UUID | None = None,
    settling: bool = False,
) -> list[UUID]:
    """Put entries in force and return those that are new. What is in force already on the same ground (why, how and
    through which message and run) stays as it was; another ground is an entry of its own.

    With `settling` a worker ends the open recipients concerned. What is kept of an erased person is a keyed hash,
    without a note."""
    entries = await kept_as(t, entries)
    rows = await t.fetch(
        """
        INSERT INTO suppressions (id, workspace_id, kind, value, contact_id, reason, source, note, created_by_kind,
            created_by_id, recipient_id, message_id, settling, created_at)
        SELECT u.id, $1, u.kind, u.value, u.contact_id, $6, $7, CASE WHEN u.kind <> 'ERASED' THEN $8::text END, $9,
            $10, $11, $12, $14, $13
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[]) AS u (id, kind, value, contact_id)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        t.workspace_id,
        [new_id() for _ in entries],
        [entry.kind for entry in entries],
        [entry.value for entry in entries],
        [entry.contact_id for entry in entries],
        reason,
        source,
        note,
        actor.kind,
        actor.id,
        recipient_id,
        message_id,
        t.now,
        settling,
    )
    return [row["id"] for row in rows]
