"""What a mail server's answer means.

Read in this order: the stage that was answered, then the enhanced status code, then the text. Where the basic
and the enhanced code disagree, the basic one says whether it is for good (5) or for now (4), and the enhanced
one says why.

Source: RFC 5321 section 4.2, RFC 3463; product.md sections 4 and 6.
"""

import re
from dataclasses import dataclass

from domain.rules.outcomes import (
    ERROR_WHEN_PATIENCE_IS_OUT,
    Later,
    LaterReason,
    MailboxBroken,
    Outcome,
    Refused,
    Sent,
    Stage,
    Unknown,
    retry_after,
)
from domain.rules.refusal_words import About, about

__all__ = [
    "ERROR_WHEN_PATIENCE_IS_OUT",
    "REPLY_LENGTH_MAX",
    "Later",
    "LaterReason",
    "MailboxBroken",
    "Outcome",
    "Refused",
    "Sent",
    "Stage",
    "Unknown",
    "classify",
    "retry_after",
]

REPLY_LENGTH_MAX = 1000


def classify(stage: Stage, smtp_code: int | None, text: str) -> Outcome:
    """The outcome of one reply. `smtp_code` is None when no usable reply came; `text` then says what happened.

    Source: product.md sections 4 and 6; RFC 3463. Policy refusals (x.7.x) never mark an address as dead.
    """
    answer = _Answer(stage, smtp_code or 0, _enhanced_reason(text), _wording(text), _one_line(smtp_code, text))
    if smtp_code is None or not 200 <= smtp_code < 600:
        return _without_a_usable_reply(answer)
    if stage is Stage.DOT and smtp_code < 400:
        return Sent(answer.reply) if smtp_code < 300 else Unknown(f"The server answered the message with {smtp_code}.")
    if smtp_code < 400 or stage is Stage.CONNECT:
        return Later(LaterReason.TRANSPORT, answer.reply)
    if stage is Stage.GREETING:
        return _greeting(answer)
    if stage is Stage.TLS:
        return _tls(answer)
    if stage is Stage.AUTH:
        return _sign_in(answer)
    if daily := _daily_limit(answer):
        return daily
    if not answer.for_good:
        return _not_now(answer)
    return _sender_refused(answer) if stage is Stage.MAIL_FROM else _recipient_or_content_refused(answer)


@dataclass(frozen=True, slots=True)
class _Answer:
    stage: Stage
    code: int
    reason: str | None  # subject and detail of the enhanced code: "1.10"
    text: str  # see _wording
    reply: str

    @property
    def for_good(self) -> bool:
        return self.code >= 500

    @property
    def is_policy(self) -> bool:
        return self.reason is not None and self.reason.startswith("7.")

    def says(self, pattern: re.Pattern[str]) -> bool:
        return pattern.search(self.text) is not None


_ENHANCED = r"[245]\.(\d{1,3}\.\d{1,3})(?![\d.]*\d)"
_ENHANCED_CODE = (
    re.compile(rf"^[ \t]{{0,20}}{_ENHANCED}", re.MULTILINE),  # where RFC 2034 puts it
    re.compile(rf"[#(\[]\s*#?{_ENHANCED}"),  # qmail: (#5.1.1)
    re.compile(rf"\b[245]\d\d[ -]{_ENHANCED}"),  # a relay that quotes: host said: 550 5.1.1 …
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

_SUSPENDED = re.compile(r"suspend|account\b.{0,40}\b(?:locked|blocked)")
_DAY = r"\b(?:daily|per day|24.?hours?)\b"
_LIMIT = r"(?:limit|quota|exceed)"
_DAILY = re.compile(rf"{_DAY}.{{0,80}}{_LIMIT}|{_LIMIT}.{{0,80}}{_DAY}")
_RATE = re.compile(r"\brate\b|too (?:many|fast|much)|throttl|limit|quota")
_GREY = re.compile(r"gr[ea]y.?list")
_TRY_LATER = re.compile(r"(?:try|retry)\b.{0,20}\b(?:later|again|in )")
_FULL = re.compile(r"\bfull\b|quota|storage|out of space")
_SIZE = re.compile(r"too (?:large|big|long)|size|exceeds")
_SEND_AS = re.compile(
    r"not owned by user|sendasdenied|(?:not (?:allowed|permitted|authori[sz]ed)|permissions?) to send (?:as|on)\b"
)
_OF_RFC_5321 = re.compile(r"requested (?:mail )?action (?:not taken|aborted)")

_DEAD_ADDRESS = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10", "4.4"})
_REASON_LEFT_OPEN = frozenset({None, "0.0", "1.0", "2.0", "3.0", "4.0", "4.1", "5.0"})
_TOO_LARGE = frozenset({"3.4", "2.3"})
_SEND_AS_DENIED = frozenset({"7.60", "2.252"})
_SENDER_UNKNOWN = frozenset({"1.7", "1.8"})
_NOT_AUTHENTICATED = frozenset({*(f"7.{detail}" for detail in range(20, 28)), "7.509", "7.515"})
_BAD_SIGN_IN = frozenset({534, 535})
_SIGN_IN_MISSING = frozenset({400, 401, 530, 538})  # 400 and 401: the status inside a refused XOAUTH2


def _enhanced_reason(text: str) -> str | None:
    for pattern in _ENHANCED_CODE:
        if found := pattern.search(text):
            return ".".join(part.lstrip("0") or "0" for part in found[1].split("."))
    return None


def _wording(text: str) -> str:
    """The text in lower case as one line, without the code that RFC 2034 repeats in front of each line."""
    return _CONTROL.sub(" ", _ENHANCED_CODE[0].sub(" ", text)).lower()


def _one_line(smtp_code: int | None, text: str) -> str:
    words = _CONTROL.sub(" ", text).strip()
    return (f"{smtp_code} {words}" if smtp_code else words)[:REPLY_LENGTH_MAX].strip()


def _without_a_usable_reply(answer: _Answer) -> Outcome:
    if answer.stage in (Stage.DATA, Stage.DOT):
        return Unknown(answer.reply or "The server did not answer.")
    if answer.stage is Stage.TLS:
        return MailboxBroken("MAILBOX_CERTIFICATE_INVALID", answer.reply)
    return Later(LaterReason.TRANSPORT, answer.reply)


def _greeting(answer: _Answer) -> Outcome:
    if not answer.for_good:
        return Later(LaterReason.TRANSPORT, answer.reply)
    blocked = answer.code in (521, 554) or answer.is_policy
    return MailboxBroken("MAILBOX_SUSPENDED" if blocked else "MAILBOX_SERVER_UNREACHABLE", answer.reply)


def _tls(answer: _Answer) -> Outcome:
    if answer.for_good:
        return MailboxBroken("MAILBOX_CERTIFICATE_INVALID", answer.reply)
    return Later(LaterReason.TRANSPORT, answer.reply)


def _sign_in(answer: _Answer) -> Outcome:
    if answer.code in _SIGN_IN_MISSING:
        return MailboxBroken("MAILBOX_DISCONNECTED", answer.reply)
    if not answer.for_good:
        return Later(LaterReason.TRANSPORT, answer.reply)
    return MailboxBroken(
        "MAILBOX_SUSPENDED" if answer.says(_SUSPENDED) else "MAILBOX_CREDENTIALS_REFUSED", answer.reply
    )


def _daily_limit(answer: _Answer) -> Outcome | None:
    named = answer.for_good and answer.reason in ("4.5", "1.90")
    told = answer.says(_DAILY) and (answer.is_policy or not answer.for_good)
    return Later(LaterReason.THROTTLED, answer.reply, until_next_day=True) if named or told else None


def _not_now(answer: _Answer) -> Outcome:
    if answer.reason == "2.2" or (answer.reason is None and answer.code == 452 and answer.says(_FULL)):
        reason = LaterReason.MAILBOX_FULL
    elif _is_greylisting(answer):
        reason = LaterReason.GREYLISTED
    elif answer.is_policy or answer.reason in ("4.5", "3.2"):
        reason = LaterReason.THROTTLED
    else:
        reason = LaterReason.SOFT
    return Later(reason, answer.reply)


def _is_greylisting(answer: _Answer) -> bool:
    if answer.code not in (450, 451) or answer.stage is Stage.MAIL_FROM:
        return False
    if answer.says(_GREY):
        return True
    if answer.stage is Stage.DOT:
        return False
    return (answer.reason == "7.1" and not answer.says(_RATE)) or (
        answer.reason == "2.0" and answer.says(_TRY_LATER) and not answer.says(_RATE)
    )


def _sender_refused(answer: _Answer) -> Outcome:
    if answer.code in _BAD_SIGN_IN or answer.code in _SIGN_IN_MISSING:
        return _sign_in(answer)
    if answer.code == 553 or answer.reason in _SENDER_UNKNOWN or answer.reason in _SEND_AS_DENIED:
        return MailboxBroken("SENDER_NOT_ALLOWED", answer.reply)
    if answer.says(_SEND_AS):
        return MailboxBroken("SENDER_NOT_ALLOWED", answer.reply)
    if answer.says(_SUSPENDED):
        return MailboxBroken("MAILBOX_SUSPENDED", answer.reply)
    if answer.reason in _NOT_AUTHENTICATED:
        return Refused("DOMAIN_NOT_AUTHENTICATED", answer.reply)
    if answer.reason in _TOO_LARGE or (answer.code == 552 and not answer.is_policy):
        return Refused("MESSAGE_TOO_LARGE", answer.reply)
    return Refused("SENDER_NOT_ALLOWED", answer.reply, recognised=False)


def _recipient_or_content_refused(answer: _Answer) -> Outcome:
    if answer.code in _SIGN_IN_MISSING:
        return _sign_in(answer)
    if answer.reason in _SEND_AS_DENIED or answer.says(_SEND_AS):
        return MailboxBroken("SENDER_NOT_ALLOWED", answer.reply)
    if answer.is_policy:
        unproven = answer.reason in _NOT_AUTHENTICATED
        return Refused("DOMAIN_NOT_AUTHENTICATED" if unproven else "RECIPIENT_REFUSED_CONTENT", answer.reply)
    if answer.reason in _TOO_LARGE:
        return Refused("MESSAGE_TOO_LARGE", answer.reply)
    if answer.reason == "2.2":
        return Later(LaterReason.MAILBOX_FULL, answer.reply)
    found = about(answer.text, {answer.reason or ""})
    if answer.reason in _REASON_LEFT_OPEN | _DEAD_ADDRESS:
        if found is About.TOO_LARGE:
            return Refused("MESSAGE_TOO_LARGE", answer.reply)
        if found is About.FULL or (answer.code == 552 and found is None):
            return Later(LaterReason.MAILBOX_FULL, answer.reply)
        if found is About.UNPROVEN:
            return Refused("DOMAIN_NOT_AUTHENTICATED", answer.reply)
    if answer.reason in _SENDER_UNKNOWN:
        return Refused("SENDER_NOT_ALLOWED", answer.reply)
    if _is_a_dead_address(answer, found):
        return Refused("EMAIL_INVALID", answer.reply, hard_bounce=True)
    if found is About.SUSPENDED:
        return Refused("SOFT_BOUNCE_EXHAUSTED", answer.reply)
    known = (answer.reason or "").startswith("6.") or found not in (None, About.WAY)
    return Refused("RECIPIENT_REFUSED_CONTENT", answer.reply, recognised=known)


def _is_a_dead_address(answer: _Answer, found: About | None) -> bool:
    if answer.reason in _DEAD_ADDRESS:
        return found in (None, About.NOBODY, About.NO_HOST)
    if answer.stage is not Stage.RCPT_TO and (answer.code not in (550, 551, 553) or answer.says(_OF_RFC_5321)):
        return False  # of a message, the same words are used for a refused content
    return found in (About.NOBODY, About.NO_HOST)
