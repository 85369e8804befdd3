"""A stored password is only ever sent where whoever gave it said, whoever asks the engine for the change."""

from uuid import UUID

import pytest

from domain import mailboxes
from domain.database import fetch
from domain.mailbox_fields import MailboxFields
from domain.refusals import Invalid
from domain.secrets import Vault
from tests.world import HERE, make_mailbox


@pytest.mark.parametrize("kind", ["smtp", "imap"])
@pytest.mark.parametrize(
    "change", [{"host": "mail.evil.example"}, {"port": 2526}, {"security": "TLS"}, {"username": "other"}]
)
async def test_a_change_of_where_a_password_goes_needs_it_again_and_changes_nothing_without(
    workspace_id: UUID, vault: Vault, kind: str, change: dict[str, object]
) -> None:
    kept = {f"{kind}_{name}": value for name, value in {"username": "jobs", "password": "right"}.items()}
    mailbox_id = await make_mailbox(workspace_id, vault, **kept)
    before = await fetch("SELECT * FROM mailboxes WHERE workspace_id = $1", workspace_id)
    moved = {f"{kind}_{name}": value for name, value in change.items()}
    with pytest.raises(Invalid, match=f"Give {kind}Password again"):
        await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(**moved))  # type: ignore[arg-type]
    assert await fetch("SELECT * FROM mailboxes WHERE workspace_id = $1", workspace_id) == before
    again = MailboxFields(**moved, **{f"{kind}_password": "again"})  # type: ignore[arg-type]
    await mailboxes.update(workspace_id, vault, mailbox_id, again, HERE)


async def test_a_password_that_no_key_opens_any_more_follows_nobody_either(workspace_id: UUID, vault: Vault) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, smtp_username="jobs", smtp_password="right")
    other = Vault(bytes(reversed(range(32))))
    with pytest.raises(Invalid):
        await mailboxes.update(workspace_id, other, mailbox_id, MailboxFields(smtp_host="mail.evil.example"))
    await mailboxes.update(workspace_id, other, mailbox_id, MailboxFields(smtp_host="127.0.0.1", daily_limit=7), HERE)
