"""What a delivery report means: the address is dead, delivery failed for another reason, or it only takes longer.

Looked at in this order: whether the refusal is for good, the stage it came at, the enhanced status code that the mail
server itself named, its words, and at last the report's own Status. What speaks of policy, content, a full mailbox,
the sender or the network never makes an address dead; of two readings the milder is taken.

Source: RFC 3463, RFC 3464; product.md sections 4 and 6; reliability.md 2.9, 2.10, M25.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.rules.inbound.report_words import SAID_AT_MOST
from domain.rules.inbound.reports import Undelivered
from domain.rules.refusal_words import About, about, is_sure, says_it_so, without_links, words_alone
from domain.rules.step_errors import StepErrorCode

DETAIL_AT_MOST: Final = 500


class Fate(StrEnum):
    """What became of a mail, as a report tells it."""

    HARD = "HARD"
    FAILED = "FAILED"
    DELAYED = "DELAYED"
    ARRIVED = "ARRIVED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` says why, for a step error; `detail` keeps the words it was read from."""

    fate: Fate
    code: StepErrorCode
    detail: str


_DELAYED: Final = re.compile(
    r"\bdelay(?:ed)?\b|still being retried|will be retried|will (?:continue to )?(?:keep )?try|temporary failure"
    r" report|"
    r"delivery attempts will continue|not yet (?:been )?delivered|warning message only|does not need to be resent|"
    r"do not need to re-?send|message will be retried|has not been delivered yet|no action is required",
    re.IGNORECASE,
)
_GIVEN_UP: Final = re.compile(
    r"not going to try again|giving up|gave up|delivery (?:has )?failed|permanent|will not be retried|returned"
    r" to sender",
    re.IGNORECASE,
)

_ENHANCED: Final = re.compile(r"(?<![\d.])([45])\.(\d{1,2})\.(\d{1,3})(?![\d.]*\d)")
_REPLY_CODE: Final = re.compile(r"(?<![\d.-])([45][0-5]\d)(?=[ \-:#,]|$)")
_NAMELESS: Final = re.compile(r"\b550[ :]*: user unknown", re.IGNORECASE)
_NAMED: Final = re.compile(r"\b550 <[^<>\s]+@[^<>\s]+>: user unknown", re.IGNORECASE)
_NO_RECIPIENT: Final = re.compile(
    r"\b(?:invalid|unknown|no such|bad|unrecogni[sz]ed) recipient\b|\brecipient (?:not found|unknown|does not exist)|"
    r"\bno (?:such )?(?:user|mailbox|account) (?:here|by that name)\b",
    re.IGNORECASE,
)
_QUOTED_ANSWER: Final = re.compile(
    r"(?:error that the other server returned was|remote host said|server response was|responded as follows|"
    r"server message|response from the remote server(?: was)?|following error message|host \S+ said|\bsaid)\s*[:\n]",
    re.IGNORECASE,
)
_IN_TRANSCRIPT: Final = re.compile(r"^[^\n]{0,60}(?:<--|<<<|Received >>>) ?([45]\d\d[^\n]*)", re.MULTILINE)
_RECIPIENT_OR_SENDER_REFUSED: Final = re.compile(r"(?:sender|recipient) address rejected", re.IGNORECASE)
_MTA_TYPE: Final = re.compile(r"^\s*[A-Za-z][A-Za-z0-9-]*;")

_MILDER: Final = {
    About.FULL: StepErrorCode.MAILBOX_FULL,
    About.TOO_LARGE: StepErrorCode.MESSAGE_TOO_LARGE,
    About.UNPROVEN: StepErrorCode.DOMAIN_NOT_AUTHENTICATED,
    About.POLICY: StepErrorCode.RECIPIENT_REFUSED_CONTENT,
    About.SUSPENDED: StepErrorCode.SOFT_BOUNCE_EXHAUSTED,
    About.SENDER: StepErrorCode.SENDER_NOT_ALLOWED,
}
"""What says nothing against the address: the mailbox's state, the message, the sender, a policy."""

_DEAD: Final = frozenset({"1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "4.4"})


def verdict(one: Undelivered) -> Verdict:
    """Return what became of the mail to this address."""
    if one.action in ("delivered", "relayed", "expanded"):
        return Verdict(Fate.ARRIVED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED, _short(one.said))
    if _is_delayed(one):
        return Verdict(Fate.DELAYED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED, _short(one.said))
    said = one.said[:SAID_AT_MOST]
    for words in dict.fromkeys((_answer(said), said, one.notice, one.subject[:SAID_AT_MOST])):
        found = _of_words(_MTA_TYPE.sub(" ", words), one)
        if found is not None:
            return Verdict(*found, _short(words))
    code = one.status.partition(".")[2]
    if one.status.startswith("5.") and code in _DEAD - {"1.0"} and one.command != "MAIL":
        return Verdict(Fate.HARD, StepErrorCode.EMAIL_INVALID, _short(one.said or one.status))
    return Verdict(Fate.FAILED, _by_status(one.status), _short(one.said or one.notice))


def _answer(words: str) -> str:
    """Return the mail server's own words, where a report quotes them."""
    if answers := _IN_TRANSCRIPT.findall(words):
        return " ".join(answers)
    found = _QUOTED_ANSWER.search(words)
    if found is None or _RECIPIENT_OR_SENDER_REFUSED.search(words, 0, found.start()):
        return words  # what is quoted inside an answer is the reason of that answer
    return words[found.end() :]


def _is_delayed(one: Undelivered) -> bool:
    if one.action:
        return one.action == "delayed"
    if one.status.startswith("5."):
        return False
    return bool(_DELAYED.search(one.notice)) and not _GIVEN_UP.search(one.notice)


def _of_words(text: str, one: Undelivered) -> tuple[Fate, StepErrorCode] | None:
    """Return what the words say; None when they say nothing that is known."""
    bare = words_alone(text)
    codes = [
        f"{major}.{int(subject)}.{int(detail)}" for major, subject, detail in _ENHANCED.findall(without_links(text))
    ]
    reasons = {code[2:] for code in codes}
    replies = [reply for reply in _REPLY_CODE.findall(bare) if reply[1:] != "00"]
    for_now = bool(codes and all(code[0] == "4" for code in codes)) or bool(
        replies and not codes and all(reply[0] == "4" for reply in replies)
    )
    for_now = for_now or (not codes and not replies and one.status.startswith("4."))
    found = about(text, reasons)
    if found in _MILDER:
        return Fate.FAILED, _MILDER[found]
    if (for_now or one.command in ("MAIL", "HELO", "EHLO")) and not says_it_so(text, reasons):
        return (Fate.FAILED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED) if codes or replies else None
    if found is About.NO_HOST or (reasons & _DEAD and found is not About.WAY):
        return Fate.HARD, StepErrorCode.EMAIL_INVALID
    if found is About.NOBODY:
        return _nobody(text, one, reasons, bool(replies or codes))
    return (Fate.FAILED, StepErrorCode.SOFT_BOUNCE_EXHAUSTED) if found is About.WAY else None


def _nobody(text: str, one: Undelivered, reasons: set[str], has_code: bool) -> tuple[Fate, StepErrorCode] | None:
    """Return what it means that the words speak of an unknown user: who says it, and in answer to what?

    To RCPT it is about the address; so is what the reporting system says itself. After DATA, or where the stage is not
    told, the same words are also used for a refused message.
    """
    names_recipient = bool(_NAMED.search(text)) or (not one.command and bool(_NO_RECIPIENT.search(text)))
    about_address = one.command == "RCPT" or not has_code or names_recipient
    if _NAMELESS.search(text) or (one.command == "DATA" and not is_sure(text)):
        about_address = bool(reasons & _DEAD or one.status[2:] in _DEAD)
    if says_it_so(text, reasons) or (is_sure(text) and one.command):
        about_address = True
    if about_address:
        return Fate.HARD, StepErrorCode.EMAIL_INVALID
    if one.status.startswith("5.") and one.status[2:] in _DEAD - {"1.0"}:
        return None
    return Fate.FAILED, StepErrorCode.RECIPIENT_REFUSED_CONTENT


def _by_status(status: str) -> StepErrorCode:
    if status.endswith(".2.2"):
        return StepErrorCode.MAILBOX_FULL
    if status.endswith((".2.3", ".3.4")):
        return StepErrorCode.MESSAGE_TOO_LARGE
    if status.startswith(("5.7.", "5.6.")):
        return StepErrorCode.RECIPIENT_REFUSED_CONTENT
    return StepErrorCode.SOFT_BOUNCE_EXHAUSTED if status.startswith("4.") else StepErrorCode.RECIPIENT_REFUSED_CONTENT


def _short(words: str) -> str:
    return " ".join(words.split())[:DETAIL_AT_MOST]
