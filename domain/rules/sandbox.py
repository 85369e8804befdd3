"""The simulated outside of test workspaces: which address or number brings what about.

Nothing of a test workspace leaves. Whatever is not listed here is taken over and answered by silence. The part behind
a `+` makes further people of the same kind: `reply+anna@sandbox.example`.

To add an address, add it here; docs/sandbox.md and its test follow.
Source: RFC 2606 (`.example` can never exist), RFC 3464, RFC 5965; product.md sections 2, 4 and 6; numbers 555-01xx of
the United States are given to nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum
from typing import Final

from domain.rules.lifecycle import Signal
from domain.rules.outcomes import MailboxBroken, OptedOut, Outcome, Refused, Sent, Stage, Unknown
from domain.rules.smtp_replies import classify
from domain.rules.step_errors import StepErrorCode

DOMAIN: Final = "sandbox.example"
TAKEN: Final = Sent("250 2.0.0 Kept in the sandbox: nothing has left")
_POLICY: Final = SMTP.clone(max_line_length=998)


class Back(StrEnum):
    """What comes back some time after a message was taken over."""

    REPLY = "REPLY"
    OUT_OF_OFFICE = "OUT_OF_OFFICE"
    OPT_OUT = "OPT_OUT"
    BOUNCED = "BOUNCED"
    DELAYED = "DELAYED"
    FAILED = "FAILED"
    COMPLAINT = "COMPLAINT"


@dataclass(frozen=True, slots=True)
class Magic:
    """What one address brings about. `name` is the part before the @-sign, or a whole number.

    `outcome` ends the hand-over at `stage`; `back` comes in after it was taken over.
    """

    name: str
    means: str
    gives: Signal | StepErrorCode
    outcome: Outcome | None = None
    stage: Stage = Stage.RCPT_TO
    back: Back | None = None


def _at(stage: Stage, name: str, means: str, gives: Signal | StepErrorCode, code: int, words: str) -> Magic:
    return Magic(name, means, gives, classify(stage, code, words), stage)


def _broken(name: str, means: str, code: StepErrorCode, words: str) -> Magic:
    return Magic(name, means, code, MailboxBroken(code, words), Stage.CONNECT)


_E, _S = StepErrorCode, Signal
_PATIENCE: Final = "after three days of tries"

RECIPIENTS: Final[Sequence[Magic]] = (
    Magic("reply", "answers in its own words", _S.HUMAN_REPLY, back=Back.REPLY),
    Magic("out-of-office", "is away for a week, and says so", _S.AUTOMATIC_ANSWER, back=Back.OUT_OF_OFFICE),
    Magic("opt-out", "asks in its own words not to be written to", _S.OPT_OUT, back=Back.OPT_OUT),
    Magic("complaint", "is reported as spam by its provider", _S.COMPLAINT, back=Back.COMPLAINT),
    Magic("bounced", "a delivery report says that there is no such address", _S.HARD_BOUNCE, back=Back.BOUNCED),
    Magic("failed", "a delivery report says that the content was refused", _S.DELIVERY_FAILED, back=Back.FAILED),
    Magic("delayed", "a delivery report says that it is still being tried", _S.DELIVERY_DELAYED, back=Back.DELAYED),
    _at(Stage.RCPT_TO, "unknown", "the server knows no such address", _S.HARD_BOUNCE, 550, "5.1.1 User unknown"),
    _at(
        Stage.RCPT_TO, "mailbox-full", f"the person's mailbox is full; {_PATIENCE}", _E.MAILBOX_FULL, 452, "4.2.2 Full"
    ),
    _at(
        Stage.RCPT_TO,
        "try-later",
        f"the server always says to try later; {_PATIENCE}",
        _E.SOFT_BOUNCE_EXHAUSTED,
        *(451, "4.3.0 Try again later"),
    ),
    _at(
        Stage.DOT,
        "content-refused",
        "the server takes the words for spam",
        _E.RECIPIENT_REFUSED_CONTENT,
        *(554, "5.7.1 Message rejected as spam"),
    ),
    _at(Stage.DOT, "too-large", "the server finds it too large", _E.MESSAGE_TOO_LARGE, 552, "5.3.4 Message too big"),
    _at(
        Stage.DOT,
        "not-authenticated",
        "the server asks for SPF or DKIM of your domain",
        _E.DOMAIN_NOT_AUTHENTICATED,
        *(550, "5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy"),
    ),
    Magic(
        "lost-answer",
        "the connection is lost after the message was written",
        _E.DELIVERY_UNCONFIRMED,
        Unknown("The server did not say whether it took the message: the connection was lost."),
        Stage.DOT,
    ),
)

MAILBOXES: Final[Sequence[Magic]] = (
    _at(
        Stage.AUTH,
        "credentials-refused",
        "the password is refused",
        _E.MAILBOX_CREDENTIALS_REFUSED,
        *(535, "5.7.8 Authentication credentials invalid"),
    ),
    _at(Stage.AUTH, "suspended", "the account is suspended", _E.MAILBOX_SUSPENDED, 535, "5.7.8 Account suspended"),
    _broken("unreachable", "the server is never reached", _E.MAILBOX_SERVER_UNREACHABLE, "The name is not known."),
    _broken("certificate", "the certificate is wrong", _E.MAILBOX_CERTIFICATE_INVALID, "The certificate has expired."),
    _at(
        Stage.MAIL_FROM,
        "sender-not-allowed",
        "the account may not send as this address",
        _E.SENDER_NOT_ALLOWED,
        *(550, "5.7.60 Client does not have permissions to send as this sender"),
    ),
    _at(
        Stage.MAIL_FROM,
        "provider-limit",
        "the provider takes nothing more today, any day; after three days of real time",
        _E.PROVIDER_LIMIT_REACHED,
        *(550, "5.4.5 Daily sending quota exceeded"),
    ),
)

NUMBERS: Final[Sequence[Magic]] = (
    Magic("+12025550101", "answers in its own words", _S.HUMAN_REPLY, back=Back.REPLY),
    Magic("+12025550102", "answers STOP", _S.OPT_OUT, back=Back.OPT_OUT),
    Magic("+12025550103", "the receipt says that the network filtered it", _S.DELIVERY_FAILED, back=Back.FAILED),
    Magic(
        "+12025550104",
        "the provider says that there is no such number",
        _E.PHONE_INVALID,
        Refused(_E.PHONE_INVALID, "21211 Invalid 'To' Phone Number"),
        Stage.DOT,
    ),
    Magic(
        "+12025550105",
        "the provider's answer is lost",
        _E.DELIVERY_UNCONFIRMED,
        Unknown("The provider did not say whether it took the message."),
        Stage.DOT,
    ),
    Magic(
        "+12025550106",
        "the provider knows that the person has opted out",
        _S.OPT_OUT,
        OptedOut("21610 Attempt to send to unsubscribed recipient"),
        Stage.DOT,
    ),
)

_RECIPIENTS: Final = {magic.name: magic for magic in RECIPIENTS}
_MAILBOXES: Final = {magic.name: magic for magic in MAILBOXES}
_NUMBERS: Final = {magic.name: magic for magic in NUMBERS}
PEOPLE_WHO_ANSWER: Final = tuple(magic.name for magic in RECIPIENTS if magic.back)
NUMBERS_THAT_ANSWER: Final = tuple(magic.name for magic in NUMBERS if magic.back)


def _name(address: str) -> str:
    local, _, domain = address.lower().rpartition("@")
    return local.partition("+")[0] if domain == DOMAIN else ""


def of_person(address: str) -> Magic | None:
    """Return what an address or number of a person brings about; None where it is an ordinary one."""
    return _NUMBERS.get(address) or _RECIPIENTS.get(_name(address))


def of_mailbox(address: str) -> Magic | None:
    """Return what a mailbox's own address brings about; None where it is an ordinary one."""
    return _MAILBOXES.get(_name(address))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that the simulated outside has taken over."""

    id: str  # of the message, for the identifiers of what comes back
    rfc_message_id: str
    from_address: str
    to_address: str
    subject: str
    at: datetime  # business time of what comes back


def answer_id(message_id: str) -> str:
    """Return the Message-ID of what comes back to a message."""
    return f"<answer-{message_id}@{DOMAIN}>"


def answer(back: Back, to: Outgoing) -> bytes:
    """Return the mail that comes back, as other people's programs write it. Pure: the same message, the same mail."""
    mail = EmailMessage(policy=_POLICY)
    mail["Message-ID"] = answer_id(to.id)
    mail["Date"] = format_datetime(to.at)
    mail["To"] = to.from_address
    if back in (Back.REPLY, Back.OUT_OF_OFFICE, Back.OPT_OUT):
        return _letter(mail, back, to)
    mail["From"] = f"mailer-daemon@{DOMAIN}"
    returned = f"From: {to.from_address}\r\nTo: {to.to_address}\r\nSubject: {_line(to.subject)}\r\n"
    returned += f"Message-ID: {to.rfc_message_id}\r\n"
    if back is Back.COMPLAINT:
        mail["Subject"] = f"FW: {_line(to.subject)}"
        parts = [
            ("text/plain", "This is an email abuse report for a message of yours.\r\n"),
            ("message/feedback-report", "Feedback-Type: abuse\r\nUser-Agent: Sandbox/1.0\r\nVersion: 1\r\n"),
            ("text/rfc822-headers", returned),
        ]
        return _report(mail, "feedback-report", parts)
    action, status, words = {
        Back.BOUNCED: ("failed", "5.1.1", "550 5.1.1 User unknown"),
        Back.FAILED: ("failed", "5.7.1", "554 5.7.1 Message rejected as spam"),
        Back.DELAYED: ("delayed", "4.4.1", "451 4.4.1 Connection timed out"),
    }[back]
    mail["Subject"] = "Delayed Mail (still being retried)" if back is Back.DELAYED else "Undelivered Mail"
    mail["Auto-Submitted"] = "auto-replied"
    told = f"Reporting-MTA: dns; mx.{DOMAIN}\r\n\r\nFinal-Recipient: rfc822; {to.to_address}\r\nAction: {action}\r\n"
    told += f"Status: {status}\r\nDiagnostic-Code: smtp; {words}\r\n"
    parts = [
        ("text/plain", f"<{to.to_address}>: host mx.{DOMAIN} said: {words}\r\n"),
        ("message/delivery-status", told),
        ("text/rfc822-headers", returned),
    ]
    return _report(mail, "delivery-status", parts)


def _letter(mail: EmailMessage, back: Back, to: Outgoing) -> bytes:
    mail["From"] = to.to_address
    mail["In-Reply-To"] = mail["References"] = to.rfc_message_id
    mail["Subject"] = f"Re: {_line(to.subject)}"
    match back:
        case Back.REPLY:
            mail.set_content("Thank you for writing. Could we talk about it on Thursday?\n")
        case Back.OPT_OUT:
            mail.set_content("Please remove me from your list and do not write to me again.\n")
        case _:
            mail.replace_header("Subject", f"Out of office: {_line(to.subject)}")
            mail["Auto-Submitted"] = "auto-replied"
            mail.set_content("I am out of the office and will answer when I am back.\n")
    return mail.as_bytes()


def _report(mail: EmailMessage, kind: str, parts: Sequence[tuple[str, str]]) -> bytes:
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = f'multipart/report; report-type={kind}; boundary="sandbox-report"'
    head = mail.as_bytes().partition(b"\r\n\r\n")[0]
    body = "".join(f"--sandbox-report\r\nContent-Type: {type_}\r\n\r\n{text}\r\n" for type_, text in parts)
    return head + b"\r\n\r\n" + f"{body}--sandbox-report--\r\n".encode()


def _line(text: str) -> str:
    return " ".join(text.split())[:200] or "(no subject)"
