"""Whom nobody in the workspace may write to: addresses, domains and contacts.

Source: product.md section 5.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from domain.database import Tx
from domain.rules.ids import new_id

# A contact `c` is suppressed while any of these is in force. Also read inside the second mark.
IN_FORCE: Final = """
    EXISTS (
        SELECT FROM suppressions s WHERE s.workspace_id = c.workspace_id AND s.lifted_at IS NULL
            AND ((s.kind = 'CONTACT' AND s.value = c.id::text) OR (s.kind = 'ADDRESS' AND s.value = c.email_key)
                OR (s.kind = 'DOMAIN' AND s.value = split_part(c.email_key, '@', 2)))
    )
"""


async def suppressed_contacts(t: Tx, contact_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the contacts who must not be written to."""
    rows = await t.fetch(
        f"SELECT c.id FROM contacts c WHERE c.workspace_id = $1 AND c.id = ANY($2::uuid[]) AND {IN_FORCE}",
        t.workspace_id,
        list(contact_ids),
    )
    return {row["id"] for row in rows}


async def suppress(
    t: Tx, contact_id: UUID, email_key: str | None, reason: str, recipient_id: UUID, message_id: UUID | None
) -> None:
    """Bind a person and the address it came from, for all channels. What is in force already stays as it was."""
    bound = [("CONTACT", str(contact_id))] + ([("ADDRESS", email_key)] if email_key else [])
    await t.execute(
        """
        INSERT INTO suppressions (id, workspace_id, kind, value, reason, recipient_id, message_id, created_at)
        SELECT u.id, $1, u.kind, u.value, $5, $6, $7, $8
        FROM unnest($2::uuid[], $3::text[], $4::text[]) AS u (id, kind, value)
        ON CONFLICT DO NOTHING
        """,
        t.workspace_id,
        [new_id() for _ in bound],
        [kind for kind, _ in bound],
        [value for _, value in bound],
        reason,
        recipient_id,
        message_id,
        t.now,
    )
