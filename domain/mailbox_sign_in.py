"""What it takes to sign in to a mailbox's server, opened from the vault for one try.

Source: product.md section 4; reliability.md 2.23.
"""

from dataclasses import dataclass, field
from uuid import UUID

from domain.database import fetch
from domain.refusals import NotFound
from domain.secrets import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSignIn:
    """Where and as whom."""

    address: str
    host: str
    port: int
    security: str  # NONE, STARTTLS or TLS
    username: str | None
    password: str | None = field(repr=False)


async def smtp_sign_in(workspace_id: UUID, vault: Vault, mailbox_id: UUID) -> SmtpSignIn:
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
    )
