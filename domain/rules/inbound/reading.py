"""What came back, read: what kind of mail it is, which mail of ours it may be about, and what it says.

Looked at in this order: delivery report, complaint (its type says so itself), automatic answer, opt-out, human reply.
`read` never raises; what cannot be read comes back as Unreadable with the reason.

Source: product.md sections 2 and 6; reliability.md 2.10 to 2.14.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from domain.rules.html_text import sanitised, text_of
from domain.rules.inbound import automatic, bounces, complaints, opt_out, quoting, reports
from domain.rules.inbound.bounces import Fate, Verdict
from domain.rules.inbound.mail import Mail, addresses_in, message_ids, parse


class Classification(StrEnum):
    """What an incoming message was understood as."""

    HUMAN_REPLY = "HUMAN_REPLY"
    AUTOMATIC_ANSWER = "AUTOMATIC_ANSWER"
    OPT_OUT = "OPT_OUT"
    HARD_BOUNCE = "HARD_BOUNCE"
    DELIVERY_DELAYED = "DELIVERY_DELAYED"
    DELIVERY_FAILED = "DELIVERY_FAILED"
    COMPLAINT = "COMPLAINT"
    NOTICE = "NOTICE"


REPORTS: Final = frozenset(
    {
        Classification.HARD_BOUNCE,
        Classification.DELIVERY_DELAYED,
        Classification.DELIVERY_FAILED,
        Classification.COMPLAINT,
    }
)
"""What must name one of our messages to count: anyone can write such a mail."""

OF_FATE: Final = {
    Fate.HARD: Classification.HARD_BOUNCE,
    Fate.FAILED: Classification.DELIVERY_FAILED,
    Fate.DELAYED: Classification.DELIVERY_DELAYED,
    Fate.ARRIVED: Classification.NOTICE,
}

_TOKEN: Final = re.compile(r"(?<![a-z0-9])[a-z2-7]{26}(?![a-z0-9])")
_IDS_AT_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery report says of one address."""

    address: str | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A mail read. Addresses are in lower case, identifiers carry their brackets, times are UTC."""

    classification: Classification
    message_id: str | None
    fingerprint: str  # the same for the same mail, however it came to us
    from_address: str | None
    to_address: str | None
    subject: str
    text: str  # what was written, without quotes and signature
    quoted_text: str
    html: str  # sanitised
    sent_at: datetime | None
    in_reply_to: str | None
    named: Sequence[str]  # identifiers of mails it may be about, the likeliest first
    tokens: Sequence[str] = ()  # of ours, out of the addresses it was sent to and what it returns
    reports: Sequence[Report] = ()
    complainants: Sequence[str] = ()
    away: bool = False
    away_words: str = ""  # of an absence: what its return date is read from


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A mail that could not be read, and why."""

    reason: str
    fingerprint: str


def read(raw: bytes) -> Reading | Unreadable:
    """Return the mail read; never raises."""
    try:
        mail = parse(raw)
        if not mail.headers:
            return Unreadable("It has no headers: this is no mail.", _digest(raw))
        return _read(mail)
    except (Exception, RecursionError, MemoryError) as problem:
        return Unreadable(f"It could not be read ({type(problem).__name__}).", _digest(raw))


def _read(mail: Mail) -> Reading:
    html = sanitised(mail.html)
    plain = mail.plain if mail.plain.strip() else text_of(html)
    parts = quoting.split(plain)
    kind, told, feedback = _classified(mail, parts.reply)
    sent_at = _date(mail.header("date"))
    away = kind is Classification.AUTOMATIC_ANSWER and automatic.is_absence(mail, parts.reply)
    message_id = next(iter(message_ids(mail.header("message-id"))), None)
    from_address = next(iter(mail.addresses("from")), None) or next(iter(mail.addresses("sender")), None)
    about_report = kind in REPORTS or feedback is not None or kind is Classification.NOTICE
    return Reading(
        classification=kind,
        message_id=message_id,
        fingerprint=_fingerprint(message_id, from_address, mail, plain),
        from_address=from_address,
        to_address=next(iter(mail.addresses("to")), None),
        subject=mail.header("subject")[:1_000],
        text=plain.strip() if about_report else parts.reply,
        quoted_text="" if about_report else parts.quoted,
        html="" if about_report else html,
        sent_at=sent_at,
        in_reply_to=next(iter(message_ids(mail.header("in-reply-to"))), None),
        named=_named_by_report(mail) if about_report else _named_by_person(mail),
        tokens=_tokens(mail, with_returned=about_report),
        reports=told,
        complainants=feedback.addresses if feedback else (),
        away=away,
        away_words=f"{mail.header('subject')}\n\n{parts.reply}\n\n{mail.header('x-apple-criteria')}"[:4_000]
        if away
        else "",
    )


def _classified(mail: Mail, said: str) -> tuple[Classification, Sequence[Report], complaints.Feedback | None]:
    if reports.is_report(mail):
        told = [Report(one.address, bounces.verdict(one)) for one in reports.undelivered(mail)]
        return OF_FATE[worst(told).verdict.fate], told, None
    if automatic.is_receipt(mail):
        return Classification.NOTICE, (), None
    feedback = complaints.feedback(mail)
    if feedback is not None:
        if feedback.is_opt_out:
            return Classification.OPT_OUT, (), feedback
        return (Classification.COMPLAINT if feedback.is_complaint else Classification.NOTICE), (), feedback
    by_program = opt_out.is_request_by_subject(mail.header("subject")) and not mail.header("auto-submitted")
    if not by_program and automatic.is_automatic(mail, said):
        return Classification.AUTOMATIC_ANSWER, (), None
    if opt_out.asks_to_stop(mail.header("subject"), said):
        return Classification.OPT_OUT, (), None
    return Classification.HUMAN_REPLY, (), None


def worst(told: Sequence[Report]) -> Report:
    """Return the entry that matters most: a dead address before a failure before a delay."""
    order = list(Fate)
    return min(told, key=lambda one: order.index(one.verdict.fate))


def _named_by_person(mail: Mail) -> list[str]:
    """In-Reply-To, then References from the right."""
    found = message_ids(mail.header("in-reply-to"))
    found += reversed([one for value in mail.all("references") for one in message_ids(value)])
    return list(dict.fromkeys(found))[:_IDS_AT_MOST]


def _named_by_report(mail: Mail) -> list[str]:
    """The identifier of the mail that came back, then any other that the report names."""
    found = message_ids(mail.returned_header("message-id"))
    own = set(message_ids(mail.header("message-id")))
    for text in reports.original_ids(mail):
        found += message_ids(text)
        found += [
            f"<{bare}>" for bare in re.findall(r"(?im)^\s*message-id:\s*([^\s<>]{3,300}@[^\s<>]{1,90})\s*$", text)
        ]
    return [one for one in dict.fromkeys(found) if one not in own][:_IDS_AT_MOST]


def _tokens(mail: Mail, *, with_returned: bool) -> list[str]:
    names = ("to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "cc")
    locals_ = [address.partition("@")[0] for address in mail.addresses(*names)]
    if with_returned:
        for name in ("return-path", "x-envelope-from", "message-id", "list-unsubscribe"):
            locals_ += [address.partition("@")[0] for address in addresses_in(mail.returned_header(name))]
        locals_ += [address.partition("@")[0] for address in mail.addresses("return-path")]
        for text in reports.original_ids(mail):
            locals_ += _TOKEN.findall(text[:200_000].lower())
    return list(dict.fromkeys(token for local in locals_ for token in _TOKEN.findall(local.lower())))[:_IDS_AT_MOST]


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


def _fingerprint(message_id: str | None, from_address: str | None, mail: Mail, plain: str) -> str:
    words = " ".join(plain.split())[:64_000]
    stable = (message_id or "", from_address or "", mail.header("date"), mail.header("subject"), words)
    return _digest("\0".join(stable).encode("utf-8", "replace"))


def _digest(octets: bytes) -> str:
    return sha256(octets).hexdigest()
