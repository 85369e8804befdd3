"""Secrets at rest: mailbox passwords sealed with AES-256-GCM, bound to the row they belong to.

The key comes from the operator (`RELANCE_SECRET_KEY`, 32 random bytes in base64). What is stored is
`1` + nonce (12 bytes) + ciphertext; the associated text names workspace, table, column and row, so that a sealed value
copied to another row does not open. The same key, by HKDF with another label each, makes message ids, the signatures
of opt-out links and the pepper of hashed addresses.

Keys that were replaced go on opening what they sealed and reading the links they signed.

Source: reliability.md 2.23.
"""

import base64
import binascii
import os
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from hmac import digest
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.rules.opt_out_token import HASH_BYTES

_VERSION = b"\x01"


class SecretUnreadable(Exception):
    """The value was sealed with another key, or belongs to another row."""

    def __init__(self) -> None:
        super().__init__(
            "A stored password cannot be read with this RELANCE_SECRET_KEY. Set the key it was saved with."
        )


class Vault:
    """Seals and opens the secrets of this installation.

    `previous` are the keys it had before, the latest first. The oldest of all makes the pepper of hashed addresses,
    which must outlive every change of keys.
    """

    def __init__(self, key: bytes, previous: Sequence[bytes] = ()) -> None:
        keys = (key, *previous)
        if any(len(each) != 32 for each in keys):
            raise ValueError("the secret key must have 32 bytes")
        self._ciphers = [AESGCM(_derive(each, "sealing")) for each in keys]
        self.message_id_key = _derive(key, "message-id")
        self.link_keys = {_key_id(each): _derive(each, "opt-out-link") for each in keys}
        self.link_key_id = _key_id(key)
        self.pepper = _derive(keys[-1], "address-hash")
        self.input_key = _derive(keys[-1], "input-digest")

    def seal(self, plain: str, workspace_id: UUID, place: str, row_id: UUID) -> bytes:
        """Return the sealed text. `place` is "table.column"."""
        nonce = os.urandom(12)
        bound = self._bound(workspace_id, place, row_id)
        return _VERSION + nonce + self._ciphers[0].encrypt(nonce, plain.encode(), bound)

    def open(self, sealed: bytes, workspace_id: UUID, place: str, row_id: UUID) -> str:
        """Return the text again.

        Raises:
            SecretUnreadable: another key, another row, or damaged.
        """
        bound = self._bound(workspace_id, place, row_id)
        for cipher in self._ciphers if sealed[:1] == _VERSION else ():
            try:
                return cipher.decrypt(sealed[1:13], sealed[13:], bound).decode()
            except InvalidTag:
                continue
        raise SecretUnreadable

    @staticmethod
    def _bound(workspace_id: UUID, place: str, row_id: UUID) -> bytes:
        return f"{workspace_id}|{place}|{row_id}".encode()


def _derive(key: bytes, label: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=f"relance/{label}".encode()).derive(key)


def _key_id(key: bytes) -> str:
    """Return a name for a key that says nothing about it."""
    return sha256(_derive(key, "key-id")).hexdigest()[:8]


def hashed_address(pepper: bytes, workspace_id: UUID, key: str) -> bytes:
    """Return the keyed hash by which a workspace knows an address or a number without keeping it.

    `key` is what is compared: `addresses.address_key` or `addresses.phone_key`. Source: reliability.md 2.31.
    """
    return digest(_key_of_workspace(pepper, workspace_id), key.encode(), "sha256")[:HASH_BYTES]


@lru_cache(maxsize=64)
def _key_of_workspace(pepper: bytes, workspace_id: UUID) -> bytes:
    return digest(pepper, workspace_id.bytes, "sha256")


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
