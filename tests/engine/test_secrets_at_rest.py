"""Nothing secret stands readable in the database: not in any column of any table.

Source: reliability.md 2.23 and 2.24.
"""

from uuid import UUID, uuid4

import pytest

from domain import keys, mailboxes, signing_keys
from domain.database import fetch
from domain.mailbox_fields import MailboxFields
from domain.mailbox_sign_in import smtp_sign_in
from domain.secrets import SecretUnreadable, Vault
from tests.world import make_mailbox

PLACE = "mailboxes.smtp_password"


async def _whole_database() -> str:
    tables = await fetch("SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'")
    rows = [row for table in tables for row in await fetch(f"SELECT t::text AS text FROM {table['name']} t")]
    return "\n".join(row["text"] for row in rows)


async def test_passwords_and_keys_stand_nowhere_in_the_database_as_they_are(workspace_id: UUID, vault: Vault) -> None:
    secrets = {"smtp_password": "canary-smtp-1", "imap_password": "canary-imap-2"}
    mailbox_id = await make_mailbox(workspace_id, vault, smtp_username="jobs", imap_username="jobs", **secrets)
    await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(smtp_password="canary-smtp-3"))
    key = await keys.create(workspace_id, "canary")
    there = await _whole_database()
    assert "jobs@sender.example" in there
    for secret in ("canary-smtp", "canary-imap", key.secret, key.secret.rpartition("_")[2]):
        assert secret not in there
        assert secret.encode().hex() not in there
    assert (await smtp_sign_in(workspace_id, vault, mailbox_id)).password == "canary-smtp-3"
    await signing_keys.create(workspace_id, vault, mailbox_id)
    (row,) = await fetch("SELECT dkim_key, dkim_public_key FROM mailboxes WHERE id = $1", mailbox_id)
    private = vault.open(row["dkim_key"], workspace_id, signing_keys.PLACE, mailbox_id)
    assert "PRIVATE KEY" in private
    there = await _whole_database()
    assert row["dkim_public_key"] in there
    for line in ("PRIVATE KEY", *private.splitlines()[1:-1]):
        assert line not in there
        assert line.encode().hex() not in there
    assert "canary" not in repr(await smtp_sign_in(workspace_id, vault, mailbox_id))


def test_a_sealed_secret_opens_with_its_key_in_its_place_alone(vault: Vault) -> None:
    workspace_id, row_id = uuid4(), uuid4()
    sealed = vault.seal("right", workspace_id, PLACE, row_id)
    assert vault.open(sealed, workspace_id, PLACE, row_id) == "right"
    assert vault.seal("right", workspace_id, PLACE, row_id) != sealed
    elsewhere = [
        (uuid4(), PLACE, row_id),
        (workspace_id, "mailboxes.imap_password", row_id),
        (workspace_id, PLACE, uuid4()),
    ]
    for place in elsewhere:
        with pytest.raises(SecretUnreadable):
            vault.open(sealed, *place)
    other = Vault(bytes(reversed(range(32))))
    for wrong, text in (
        (other, sealed),
        (vault, sealed[:-1]),
        (vault, b""),
        (vault, sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(SecretUnreadable):
            wrong.open(text, workspace_id, PLACE, row_id)
