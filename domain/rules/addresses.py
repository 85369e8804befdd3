"""What may stand in an envelope or a header: addresses, time zones, names of headers.

Everything a tenant or a file gives us passes here before it is stored, so that nothing that is stored can break a
message later.

Source: RFC 5321 4.5.3.1, RFC 5891, RFC 8058; product.md 3 ("refused when written, never discovered when sending").
"""

import difflib
import re
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import email_validator

# The library refuses names such as x.localhost; a mail catcher on one's own machine is a fair place to send to, and
# its documentation names this list as the way to say so.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

LOCAL_PART_LIMIT: Final = 64
"""Characters before the @-sign (RFC 5321 4.5.3.1.1)."""

ADDRESS_LIMIT: Final = 254
"""Characters of a whole address (RFC 5321 4.5.3.1.3, less the angle brackets)."""

# Nine in ten addresses have this form, which the library accepts unchanged; it takes forty times as long to say so.
_PLAIN: Final = re.compile(
    r"[A-Za-z0-9_+-]{1,64}(?:\.[A-Za-z0-9_+-]{1,64})*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9]|-(?!-)){0,61}(?<!-)\.){1,8}[A-Za-z]{2,63}"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_NOT_A_DIGIT: Final = re.compile(r"[^0-9]")

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_RESERVED_HEADERS: Final = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id", "in-reply-to", "references"}
    | {"mime-version", "return-path", "received", "received-spf", "delivered-to", "errors-to", "apparently-to"}
    | {"disposition-notification-to", "auto-submitted", "precedence", "authentication-results"}
    | {"list-unsubscribe", "list-unsubscribe-post"}
)
_RESERVED_PREFIXES: Final = ("content-", "dkim-", "arc-", "resent-", "x-relance-")


class EmailInvalid(ValueError):
    """This text is not one email address that can be written to."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text[:120]!r} is not an email address: {reason}")
        self.text = text
        self.reason = reason


class TimeZoneUnknown(ValueError):
    """No time zone of the IANA database has this name."""

    def __init__(self, name: str, suggestions: tuple[str, ...]) -> None:
        hint = f" Did you mean {' or '.join(suggestions)}?" if suggestions else " Use a name such as Europe/Paris."
        super().__init__(f"There is no time zone {name[:80]!r}.{hint}")
        self.name = name
        self.suggestions = suggestions


def normalise_email(text: str) -> str:
    """The address as it is stored and handed to a server: domain in lower-case A-labels, local part as written.

    Spaces around it are taken off. At most 254 characters, ASCII only.

    Raises:
        EmailInvalid: it is not exactly one address; the reason is a sentence for people.
    """
    if len(text) > ADDRESS_LIMIT * 2:
        raise EmailInvalid(text, f"It is longer than {ADDRESS_LIMIT} characters.")
    if _CONTROL.search(text):
        raise EmailInvalid(text, "It contains a line break or another control character.")
    bare = text.strip()
    if not bare:
        raise EmailInvalid(text, "It is empty.")
    local, at, domain = bare.rpartition("@")
    if not at:
        raise EmailInvalid(text, "It has no @-sign.")
    if len(local) > LOCAL_PART_LIMIT:
        raise EmailInvalid(text, f"The part before the @-sign is longer than {LOCAL_PART_LIMIT} characters.")
    if len(bare) <= ADDRESS_LIMIT and _PLAIN.fullmatch(bare):
        return f"{local}@{domain.lower()}"
    return _normalised_by_the_library(text, bare)


def _normalised_by_the_library(text: str, bare: str) -> str:
    try:
        found = email_validator.validate_email(bare, check_deliverability=False, allow_smtputf8=False)
    except email_validator.EmailNotValidError as refusal:
        raise EmailInvalid(text, str(refusal)) from None
    address = f"{found.local_part}@{found.ascii_domain.lower()}"
    if len(address) > ADDRESS_LIMIT:
        raise EmailInvalid(text, f"It is longer than {ADDRESS_LIMIT} characters.")
    return address


def address_key(email: str) -> str:
    """What two spellings of one mailbox have in common: the normalised address in lower case.

    No server in use tells `Ann@` from `ann@`; treating them as two people would write to one twice.
    """
    return email.lower()


def domain_key(text: str) -> str | None:
    """The domain of mail as it is compared: lower-case A-labels, at least two; None when the text is none."""
    try:
        return normalise_email(f"x@{text.strip().removeprefix('@').rstrip('.')}").rpartition("@")[2]
    except EmailInvalid:
        return None


def phone_key(text: str) -> str | None:
    """What two spellings of one phone number have in common: its digits, with its country and without 00 or (0).

    None when these are not 5 to 15 digits (ITU-T E.164 section 6). What is stored has passed `phones.normalise_phone`.
    """
    digits = _NOT_A_DIGIT.sub("", text.replace("(0)", "")).removeprefix("00")
    return digits if 5 <= len(digits) <= 15 else None


def check_time_zone(name: str) -> ZoneInfo:
    """The zone of this IANA name, spelled exactly.

    Raises:
        TimeZoneUnknown: there is none; it carries at most three near names.
    """
    if name not in _zone_names():
        raise TimeZoneUnknown(name, _near_zone_names(name))
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})


@lru_cache(maxsize=256)
def _near_zone_names(name: str) -> tuple[str, ...]:
    wanted = name.strip().replace(" ", "_").lower()[:80]
    by_key: dict[str, str] = {}
    for zone in sorted(_zone_names()):
        by_key.setdefault(zone.rpartition("/")[2].lower(), zone)
        by_key[zone.lower()] = zone
    if wanted in by_key:
        return (by_key[wanted],)
    near = (by_key[key] for key in difflib.get_close_matches(wanted, by_key, n=4, cutoff=0.75))
    return tuple(dict.fromkeys(near))[:3]
