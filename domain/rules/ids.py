"""Identifiers: UUIDv7 keys inside, opaque prefixed text outside.

A key is made in Python before the row exists, so that arrays of rows can be inserted in one statement and a
mutation can be repeated with the same keys. Source: RFC 9562 section 5.7 (UUIDv7); api.md ("IDs").
"""

import secrets
import time
from enum import StrEnum
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: no letter looks like a digit
_DIGIT_OF = {letter: digit for digit, letter in enumerate(_ALPHABET)}
_LENGTH = 26  # 26 * 5 = 130 bits hold the 128 of a UUID


class Prefix(StrEnum):
    """What an outside id names. The text before the underscore."""

    WORKSPACE = "wsp"
    API_KEY = "key"
    CONTACT = "con"
    MAILBOX = "mbx"
    SEQUENCE = "seq"
    STEP = "stp"
    RECIPIENT = "rcp"
    MESSAGE = "msg"
    STEP_ERROR = "err"
    ERROR_GROUP = "grp"
    PENDING_ACTION = "pnd"
    EVENT = "evt"
    USER = "usr"
    WEBHOOK_ENDPOINT = "whe"
    WEBHOOK_DELIVERY = "whd"
    SUPPRESSION = "sup"
    AUDIT_ENTRY = "aud"
    TEST_EMAIL = "tst"
    BULK_OPERATION = "blk"
    IMPORT_FILE = "fil"


class IdMalformed(Exception):
    """The text is not an id of this API at all."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"“{text[:60]}” is not an id. Use an id exactly as the API returned it.")


def new_id() -> UUID:
    """Return a fresh UUIDv7: 48 bits of Unix milliseconds, then 74 random bits. Later ids sort after earlier ones."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(80)
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62
    return UUID(int=value | random & (2**62 - 1))


def to_public(prefix: Prefix, key: UUID) -> str:
    """Return the outside form of a key: `rcp_` and 26 letters and digits."""
    value = key.int
    letters = [_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix.value}_{''.join(letters)}"


def from_public(text: str) -> tuple[Prefix, UUID]:
    """Return what an outside id names, and its key.

    Raises:
        IdMalformed: the prefix is unknown, or the rest is not 26 letters of the alphabet within 128 bits.
    """
    prefix, _, letters = text.partition("_")
    try:
        kind = Prefix(prefix)
        value = 0
        for letter in letters:
            value = value << 5 | _DIGIT_OF[letter]
    except (ValueError, KeyError):
        raise IdMalformed(text) from None
    if len(letters) != _LENGTH or value >= 2**128:
        raise IdMalformed(text)
    return kind, UUID(int=value)
