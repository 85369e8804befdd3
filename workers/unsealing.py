"""The secrets of a mailbox, opened for one hand-over: how to reach its server, and the message signed with its key.

A secret that cannot be read is the mailbox's trouble: nothing goes out without its password, and nothing unsigned where
there is a key.
"""

from uuid import UUID

from domain import signing_keys
from domain.claims import Account
from domain.rules.dkim import Signer
from domain.rules.network import Reach
from domain.rules.outcomes import MailboxBroken
from domain.secrets import SecretUnreadable, Vault
from workers.smtp_account import SmtpAccount

_PASSWORD = "mailboxes.smtp_password"


def reached(vault: Vault, workspace_id: UUID, account: Account, reach: Reach) -> SmtpAccount | MailboxBroken:
    """Return how the SMTP client reaches a mailbox."""
    password = None
    if account.sealed_password is not None:
        try:
            password = vault.open(account.sealed_password, workspace_id, _PASSWORD, account.mailbox_id)
        except SecretUnreadable as problem:
            return MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", str(problem))
    return SmtpAccount(
        host=account.host,
        port=account.port,
        security=account.security,  # type: ignore[arg-type]  # the CHECK constraint keeps it to the three
        username=account.username,
        password=password,
        local_hostname=account.address.rpartition("@")[2],
        reach=reach,
        test_mode=account.test_mode,
    )


def signed(vault: Vault, workspace_id: UUID, account: Account, mime: bytes) -> bytes | MailboxBroken:
    """Return the message, signed where its mailbox has a key."""
    key = account.dkim
    if key is None:
        return mime
    try:
        private = vault.open(key.sealed_key, workspace_id, signing_keys.PLACE, account.mailbox_id)
    except SecretUnreadable as problem:
        return MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", str(problem))
    return Signer(key.domain, key.selector, private).signed(mime)
