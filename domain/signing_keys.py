"""The keys with which mailboxes sign their mail (DKIM): made here, kept sealed, published by whoever owns the domain.

Source: product.md section 5; RFC 6376; RFC 8301 3.2 (RSA with 2048 bits).
"""

import asyncio
import secrets
from base64 import b64encode
from typing import Final
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from domain.database import Tx, tx
from domain.refusals import Invalid, NotFound
from domain.rules.addresses import domain_key
from domain.rules.dkim import covers, is_selector
from domain.secrets import Vault

PLACE: Final = "mailboxes.dkim_key"
_KEY_BITS: Final = 2048


async def create(
    workspace_id: UUID, vault: Vault, mailbox_id: UUID, *, domain: str | None = None, selector: str | None = None
) -> UUID:
    """Make a key for the mailbox, in the place of the one it has, and return the mailbox's id. Mail that is composed
    from then on is signed.

    Without `domain` it is the one of the mailbox's address; without `selector`, one that nobody has.

    Raises:
        Invalid: the domain does not cover the address, or the selector is malformed or taken.
        NotFound
    """
    if selector is None:
        selector = f"relance-{secrets.token_hex(4)}"
    if not is_selector(selector):
        raise Invalid(
            "A selector has at most 63 lower-case letters, digits and hyphens, such as relance-1.", field=["selector"]
        )
    key = domain_key(domain) if domain is not None else None
    if domain is not None and key is None:
        raise Invalid("This is not a domain such as example.com.", field=["domain"])
    private, public = await asyncio.to_thread(_new_pair)

    async def work(t: Tx) -> UUID:
        mailbox = await _locked(t, mailbox_id)
        if mailbox["channel"] != "EMAIL":
            raise Invalid("A number for text messages sends no mail that could be signed.", field=["id"])
        own = domain_key(mailbox["address"].rpartition("@")[2]) or ""
        signs_for = key or own
        if not covers(signs_for, own):
            raise Invalid(
                f"Mail from {mailbox['address']} can be signed for {own} or a domain above it, not for {signs_for}.",
                field=["domain"],
            )
        if await t.fetchval(
            "SELECT EXISTS (SELECT FROM mailboxes WHERE workspace_id = $1 AND dkim_domain = $2 AND dkim_selector = $3)",
            t.workspace_id,
            signs_for,
            selector,
        ):
            raise Invalid(
                "This selector stands for another key already, with which mail under way is checked. Choose another.",
                field=["selector"],
            )
        await t.execute(
            "UPDATE mailboxes SET dkim_domain = $3, dkim_selector = $4, dkim_key = $5, dkim_public_key = $6, "
            "updated_at = $7 WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            mailbox_id,
            signs_for,
            selector,
            vault.seal(private, workspace_id, PLACE, mailbox_id),
            public,
            t.now,
        )
        return mailbox_id

    return await tx(workspace_id, work, rings=False)


async def remove(workspace_id: UUID, mailbox_id: UUID) -> UUID:
    """Forget the mailbox's key: its mail is not signed any more. One without a key stays as it is.

    Raises:
        NotFound
    """

    async def work(t: Tx) -> UUID:
        await _locked(t, mailbox_id)
        await t.execute(
            "UPDATE mailboxes SET dkim_domain = NULL, dkim_selector = NULL, dkim_key = NULL, dkim_public_key = NULL, "
            "updated_at = $3 WHERE workspace_id = $1 AND id = $2 AND dkim_key IS NOT NULL",
            t.workspace_id,
            mailbox_id,
            t.now,
        )
        return mailbox_id

    return await tx(workspace_id, work, rings=False)


async def _locked(t: Tx, mailbox_id: UUID) -> asyncpg.Record:
    row = await t.fetchrow(
        "SELECT address, channel FROM mailboxes WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE",
        t.workspace_id,
        mailbox_id,
    )
    if row is None:
        raise NotFound("mailbox", field=["id"])
    return row


def _new_pair() -> tuple[str, str]:
    """Return a fresh private key as PEM, and its public half as base64 of DER."""
    key = generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, b64encode(public).decode()
