"""Secrets at rest: mailbox passwords sealed with AES-256-GCM, bound to the row they belong to.

The key comes from the operator (`RELANCE_SECRET_KEY`, 32 random bytes in base64). What is stored is
`1` + nonce (12 bytes) + ciphertext; the associated text names workspace, table, column and row, so that a sealed value
copied to another row does not open. The same key, by HKDF with another label each, makes message ids and signatures.

Source: reliability.md 2.23.
"""

import base64
import binascii
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"


class SecretUnreadable(Exception):
    """The value was sealed with another key, or belongs to another row."""

    def __init__(self) -> None:
        super().__init__(
            "A stored password cannot be read with this RELANCE_SECRET_KEY. Set the key it was saved with."
        )


class Vault:
    """Seals and opens the secrets of this installation."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("the secret key must have 32 bytes")
        self._key = key
        self._cipher = AESGCM(self._derive("sealing"))
        self.message_id_key = self._derive("message-id")

    def _derive(self, label: str) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=f"relance/{label}".encode()).derive(self._key)

    def seal(self, plain: str, workspace_id: UUID, place: str, row_id: UUID) -> bytes:
        """Return the sealed text. `place` is "table.column"."""
        nonce = os.urandom(12)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain.encode(), self._bound(workspace_id, place, row_id))

    def open(self, sealed: bytes, workspace_id: UUID, place: str, row_id: UUID) -> str:
        """Return the text again.

        Raises:
            SecretUnreadable: another key, another row, or damaged.
        """
        if sealed[:1] != _VERSION:
            raise SecretUnreadable
        try:
            return self._cipher.decrypt(sealed[1:13], sealed[13:], self._bound(workspace_id, place, row_id)).decode()
        except InvalidTag:
            raise SecretUnreadable from None

    @staticmethod
    def _bound(workspace_id: UUID, place: str, row_id: UUID) -> bytes:
        return f"{workspace_id}|{place}|{row_id}".encode()


def read_key(text: str) -> bytes:
    """Return the key of a base64 text.

    Raises:
        ValueError: it is not base64 of exactly 32 bytes.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise ValueError("expected 32 random bytes in base64; make one with: openssl rand -base64 32")
    return key


def new_key() -> str:
    """Return a fresh key in the form `read_key` takes."""
    return base64.b64encode(os.urandom(32)).decode()
