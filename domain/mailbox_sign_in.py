"""What it takes to sign in to a mailbox's server, opened from the vault for one try.

Source: product.md section 4; reliability.md 2.23.
"""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from domain.database import fetch
from domain.refusals import NotFound
from domain.rules.network import PUBLIC_ONLY, Reach
from domain.secrets import Vault
from domain.text_mailboxes import TOKEN_PLACE, account_of

Security = Literal["NONE", "STARTTLS", "TLS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSignIn:
    """Where and as whom to send, and what may be called for it."""

    address: str
    host: str
    port: int
    security: Security
    username: str | None
    password: str | None = field(repr=False)
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapSignIn:
    """Where and as whom to read, and what may be called for it."""

    host: str
    port: int
    security: Security
    username: str
    password: str | None = field(repr=False)
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSignIn:
    """Where and as whom to send text messages, and what may be called for it."""

    address: str  # the number
    api_url: str
    account: str
    token: str = field(repr=False)
    reach: Reach


async def sending_sign_in(workspace_id: UUID, vault: Vault, mailbox_id: UUID, reach: Reach) -> SmtpSignIn | TextSignIn:
    """Return how to sign in for sending, emails or text messages.

    Raises:
        NotFound
        SecretUnreadable: the password or token was saved with another key.
    """
    account = await account_of(workspace_id, mailbox_id)
    if account is None:
        return await smtp_sign_in(workspace_id, vault, mailbox_id, reach)
    return TextSignIn(
        address=account.address,
        api_url=account.api_url,
        account=account.account,
        token=vault.open(bytes(account.sealed_token), workspace_id, TOKEN_PLACE, mailbox_id),
        reach=reach,
    )


async def smtp_sign_in(workspace_id: UUID, vault: Vault, mailbox_id: UUID, reach: Reach = PUBLIC_ONLY) -> SmtpSignIn:
    """Return how to sign in for sending.

    Raises:
        NotFound
        SecretUnreadable: the password was saved with another key.
    """
    rows = await fetch(
        "SELECT address, smtp_host, smtp_port, smtp_security, smtp_username, smtp_password FROM mailboxes "
        "WHERE workspace_id = $1 AND id = $2",
        workspace_id,
        mailbox_id,
    )
    if not rows:
        raise NotFound("mailbox", field=["id"])
    row = rows[0]
    sealed = row["smtp_password"]
    return SmtpSignIn(
        address=row["address"],
        host=row["smtp_host"],
        port=row["smtp_port"],
        security=row["smtp_security"],
        username=row["smtp_username"],
        password=vault.open(bytes(sealed), workspace_id, "mailboxes.smtp_password", mailbox_id) if sealed else None,
        reach=reach,
    )


async def imap_sign_in(
    workspace_id: UUID, vault: Vault, mailbox_id: UUID, reach: Reach = PUBLIC_ONLY
) -> ImapSignIn | None:
    """Return how to sign in for reading; None when the mailbox has no IMAP server.

    Raises:
        NotFound
        SecretUnreadable: the password was saved with another key.
    """
    rows = await fetch(
        "SELECT address, imap_host, imap_port, imap_security, imap_username, imap_password FROM mailboxes "
        "WHERE workspace_id = $1 AND id = $2",
        workspace_id,
        mailbox_id,
    )
    if not rows:
        raise NotFound("mailbox", field=["id"])
    row = rows[0]
    if row["imap_host"] is None:
        return None
    sealed = row["imap_password"]
    return ImapSignIn(
        host=row["imap_host"],
        port=row["imap_port"],
        security=row["imap_security"],
        username=row["imap_username"] or row["address"],
        password=vault.open(bytes(sealed), workspace_id, "mailboxes.imap_password", mailbox_id) if sealed else None,
        reach=reach,
    )
