"""Webhooks as data: what an endpoint may look like, how a delivery is signed, and when it is tried again.

Source: the Standard Webhooks specification; api.md "Events"; reliability.md 2.20.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import idna

from domain.rules.event_types import EventType

URL_LENGTH_MAX: Final = 2_000
SECRET_PREFIX: Final = "whsec_"
SECRET_OVERLAP: Final = timedelta(hours=24)
TEST_TYPE: Final = "webhook.test"
RESYNC_TYPE: Final = "feed.resync_required"
PORTS: Final = (443, 8443)

# After the first, second … failure; the last one is a little over a day after the event.
RETRIES: Final[Sequence[timedelta]] = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 30_600)
)
_RETRY_AFTER_MAX: Final = timedelta(hours=12)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


class UrlInvalid(ValueError):
    """The text cannot be the address of an endpoint; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an endpoint listens: `host` in ASCII, without brackets."""

    scheme: str
    host: str
    port: int
    path: str  # with the query

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.scheme == "https" else 80) else f"{name}:{self.port}"


def target_of(url: str) -> Target:
    """Return where a URL leads.

    Raises:
        UrlInvalid
    """
    if len(url) > URL_LENGTH_MAX or _CONTROL.search(url):
        raise UrlInvalid(f"The URL must be at most {URL_LENGTH_MAX:,} letters long, without spaces.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlInvalid("This is not a URL.") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise UrlInvalid("The URL must begin with https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise UrlInvalid("The URL must not have a user name or a password in it. Check the signature instead.")
    if parts.fragment:
        raise UrlInvalid("The URL must not have a part behind “#”: it would never arrive.")
    host = parts.hostname
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise UrlInvalid("The host of the URL is not a name.") from None
    path = parts.path or "/"
    return Target(
        parts.scheme,
        host,
        port or (443 if parts.scheme == "https" else 80),
        f"{path}?{parts.query}" if parts.query else path,
    )


def new_secret() -> str:
    """Return a fresh signing secret: `whsec_` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(keys: Iterable[str], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature for each secret that is in force."""
    signed = b".".join((webhook_id.encode(), str(timestamp).encode(), body))
    return " ".join(f"v1,{_signed(key, signed)}" for key in keys)


def _signed(key: str, text: bytes) -> str:
    secret = base64.b64decode(key.removeprefix(SECRET_PREFIX))
    return base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()


def wants(event_types: Sequence[str] | None, type_: str) -> bool:
    """Return whether an endpoint that asked for these types (None: all) gets an event of this one."""
    return event_types is None or type_ in event_types or type_ in (TEST_TYPE, RESYNC_TYPE)


def unknown_types(event_types: Iterable[str]) -> list[str]:
    """Return those of the types that no event has."""
    known = {str(type_) for type_ in EventType}
    return [type_ for type_ in event_types if type_ not in known]


def retry_after(attempts: int, asked: timedelta | None, share: float) -> timedelta | None:
    """Return the pause after that many failed attempts, up to a tenth longer by `share` (0 to 1); None when patience
    is out. What the receiver asked for (Retry-After) counts when it is longer, up to twelve hours."""
    if attempts > len(RETRIES):
        return None
    pause = RETRIES[attempts - 1] * (1 + 0.1 * share)
    return max(pause, min(asked, _RETRY_AFTER_MAX)) if asked else pause
