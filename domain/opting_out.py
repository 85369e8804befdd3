"""Opting out by a link: what a mail carries for it, and what happens when its button is pressed.

Source: product.md section 5; RFC 8058.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from domain import signals
from domain.refusals import NotFound, WorkspaceUnknown
from domain.rules.actor import Actor, ActorKind
from domain.rules.addresses import address_key
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.opt_out_token import OptOutLink, read, sign
from domain.rules.suppressed import SuppressionSource
from domain.secrets import Vault, hashed_address

PATH: Final = "/u/"
"""Where the API serves the pages of these links, below its public address."""

_LANGUAGE_FIELDS: Final = ("language", "locale", "lang")


@dataclass(frozen=True, slots=True)
class OptOutLinks:
    """Makes and reads the links of this installation. `base_url` has no slash at its end."""

    vault: Vault
    base_url: str

    def url(
        self, workspace_id: UUID, recipient_id: UUID, message_id: UUID, address: str, custom_fields: Mapping[str, Any]
    ) -> str:
        """Return the link of one message. Equal messages to equal addresses have equal links."""
        link = OptOutLink(
            workspace_id,
            recipient_id,
            message_id,
            hashed_address(self.vault.pepper, workspace_id, address_key(address)),
            _language_of(custom_fields),
        )
        return (
            f"{self.base_url}{PATH}{sign(link, self.vault.link_key_id, self.vault.link_keys[self.vault.link_key_id])}"
        )

    def read(self, token: str) -> OptOutLink | None:
        """Return what a token says; None when this installation never made it."""
        return read(token, self.vault.link_keys)


async def opt_out(link: OptOutLink) -> None:
    """Opt the person and the address out, everywhere in the workspace, in one transaction. Repeating it adds nothing.

    A recipient or workspace that is gone is no reason to answer otherwise than for any other.
    """
    contact = Actor(ActorKind.CONTACT)
    fact = Fact(
        signal=Signal.OPT_OUT,
        recipient_id=link.recipient_id,
        actor=contact,
        message_id=link.message_id,
        source=SuppressionSource.LINK,
        address_hash=link.address_hash.hex(),
    )
    try:
        await signals.apply(link.workspace_id, fact)
    except (NotFound, WorkspaceUnknown):
        return


def _language_of(custom_fields: Mapping[str, Any]) -> str | None:
    """Return the two letters of the language that the workspace has noted for a person, under a usual name."""
    for name, value in custom_fields.items():
        if name.lower() in _LANGUAGE_FIELDS and isinstance(value, str):
            return value.strip().lower()[:2]
    return None
