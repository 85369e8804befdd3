"""What a gateway for text messages can do, whoever the provider is.

Source: product.md sections 2 and 6; reliability.md 2.1.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.claims import TextAccount
from domain.rules.outcomes import MailboxBroken, Outcome
from domain.secrets import SecretUnreadable, Vault
from domain.text_mailboxes import TOKEN_PLACE


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """A number and how to sign in at its provider."""

    number: str
    api_url: str
    account: str
    token: str = field(repr=False)
    test_mode: bool = False


@dataclass(frozen=True, slots=True)
class TextMessage:
    """One text message about to be handed over; `reports_url` is where the provider says what became of it."""

    to: str
    text: str
    reports_url: str


class TextGateway(Protocol):
    """Hands text messages over to a provider. Nothing here raises for what a provider or a network does."""

    async def send(self, account: OpenedAccount, message: TextMessage) -> Outcome:
        """Hand one over, once: whatever happens after its first byte has left is no reason to try again.

        `Later` and `MailboxBroken` mean that provably nothing was taken; a lost answer is `Unknown`.
        """
        ...

    async def ids_of(self, account: OpenedAccount, to: str, text: str, since: datetime) -> list[str] | None:
        """Return the ids of the messages of exactly this text that the provider has taken for a number since then;
        None when it could not be asked."""
        ...

    async def try_account(self, account: OpenedAccount) -> Outcome | None:
        """Sign in without sending; None when messages can be sent from the number."""
        ...


def open_text_account(vault: Vault, workspace_id: UUID, account: TextAccount) -> OpenedAccount | MailboxBroken:
    """Return the account with its token opened, or why that cannot be."""
    try:
        token = vault.open(bytes(account.sealed_token), workspace_id, TOKEN_PLACE, account.mailbox_id)
    except SecretUnreadable as problem:
        return MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", str(problem))
    return OpenedAccount(account.address, account.api_url, account.account, token, account.test_mode)
