"""The signed token of an opt-out link: it names a message and its recipient, cannot be guessed, and never expires.

It carries all that an opt-out needs, the keyed hash of the address included, so that a link works years later: after
its recipient was deleted, or its contact erased.

Source: product.md section 5; reliability.md 2.13.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest, digest
from typing import Final
from uuid import UUID

HASH_BYTES: Final = 16
"""Bytes of the address's keyed hash that the token carries and a suppression keeps."""

_FORM: Final = re.compile(r"v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]{88})\.([A-Za-z0-9_-]{22})", re.ASCII)
_NO_LANGUAGE: Final = b"--"
_LANGUAGE: Final = re.compile(r"[a-z]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OptOutLink:
    """What a link says. `language` is a hint of two letters for the page, from what was known of the person."""

    workspace_id: UUID
    recipient_id: UUID
    message_id: UUID
    address_hash: bytes
    language: str | None = None


def sign(link: OptOutLink, key_id: str, key: bytes) -> str:
    """The token: version, key id, 66 bytes of payload and 16 bytes of HMAC-SHA256. Equal links give equal tokens."""
    language = link.language.encode() if link.language and _LANGUAGE.fullmatch(link.language) else _NO_LANGUAGE
    payload = (
        link.workspace_id.bytes + link.recipient_id.bytes + link.message_id.bytes + link.address_hash[:HASH_BYTES]
    ) + language
    signed = f"v1.{key_id}.{_written(payload)}"
    return f"{signed}.{_written(_signature(key, signed))}"


def read(token: str, keys: Mapping[str, bytes]) -> OptOutLink | None:
    """What the token says; None when it was not made by one of these keys. The comparison takes constant time."""
    found = _FORM.fullmatch(token)
    key = keys.get(found[1]) if found else None
    if found is None or key is None:
        return None
    expected = _written(_signature(key, token.rpartition(".")[0]))
    if not compare_digest(expected, found[3]):
        return None
    try:
        payload = base64.urlsafe_b64decode(found[2])
    except binascii.Error:
        return None
    language = payload[64:]
    return OptOutLink(
        UUID(bytes=payload[:16]),
        UUID(bytes=payload[16:32]),
        UUID(bytes=payload[32:48]),
        payload[48:64],
        None if language == _NO_LANGUAGE else language.decode("ascii", "replace"),
    )


def _signature(key: bytes, signed: str) -> bytes:
    return digest(key, signed.encode(), "sha256")[:16]


def _written(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
