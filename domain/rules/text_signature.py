"""The signature with which a provider of text messages proves that a request is its own.

Source: Twilio's "Validating requests": the whole URL, then each field's name and value in the order of the names,
HMAC-SHA1 with the account's token, in base64.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def text_signature(token: str, url: str, fields: Iterable[tuple[str, str]]) -> str:
    """Return the value of `X-Twilio-Signature` for a request to this URL with these fields."""
    signed = url + "".join(f"{name}{value}" for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(token.encode(), signed.encode("utf-8", "replace"), hashlib.sha1).digest()).decode()


def is_signed(given: str, token: str, url: str, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether that is this signature; compared in the same time whatever it is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), text_signature(token, url, fields).encode())
