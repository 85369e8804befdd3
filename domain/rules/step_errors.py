"""Why a step failed, and what to do about it: the error catalogue as data.

To add an error, add its code and its definition here; the tests and docs/lifecycle.md follow.
Source: product.md section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

DETAIL_LENGTH_MAX = 300


class StepErrorCode(StrEnum):
    """The stable names of the errors. Public: a code is never renamed or used for something else."""

    MAILBOX_DISCONNECTED = "MAILBOX_DISCONNECTED"
    MAILBOX_CREDENTIALS_REFUSED = "MAILBOX_CREDENTIALS_REFUSED"
    MAILBOX_SUSPENDED = "MAILBOX_SUSPENDED"
    MAILBOX_SERVER_UNREACHABLE = "MAILBOX_SERVER_UNREACHABLE"
    MAILBOX_CERTIFICATE_INVALID = "MAILBOX_CERTIFICATE_INVALID"
    SENDER_NOT_ALLOWED = "SENDER_NOT_ALLOWED"
    PROVIDER_LIMIT_REACHED = "PROVIDER_LIMIT_REACHED"
    DOMAIN_NOT_AUTHENTICATED = "DOMAIN_NOT_AUTHENTICATED"
    EMAIL_MISSING = "EMAIL_MISSING"
    EMAIL_INVALID = "EMAIL_INVALID"
    EMAIL_BOUNCED_BEFORE = "EMAIL_BOUNCED_BEFORE"
    MAILBOX_FULL = "MAILBOX_FULL"
    RECIPIENT_REFUSED_CONTENT = "RECIPIENT_REFUSED_CONTENT"
    SOFT_BOUNCE_EXHAUSTED = "SOFT_BOUNCE_EXHAUSTED"
    PHONE_MISSING = "PHONE_MISSING"
    PHONE_INVALID = "PHONE_INVALID"
    VARIABLE_MISSING = "VARIABLE_MISSING"
    TEMPLATE_INVALID = "TEMPLATE_INVALID"
    CONTENT_EMPTY = "CONTENT_EMPTY"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    THREAD_PARENT_MISSING = "THREAD_PARENT_MISSING"
    WINDOW_NEVER_OPENS = "WINDOW_NEVER_OPENS"
    NO_MAILBOX = "NO_MAILBOX"
    DELIVERY_UNCONFIRMED = "DELIVERY_UNCONFIRMED"
    INTEGRATION_FAILED = "INTEGRATION_FAILED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class StepErrorAction(StrEnum):
    """What a person may do about an open error. The first belongs to every error but DELIVERY_UNCONFIRMED."""

    RETRY = "RETRY"
    CONFIRM_SENT = "CONFIRM_SENT"
    SEND_AGAIN = "SEND_AGAIN"


class FixCode(StrEnum):
    """The suggested fix as data: what a screen offers as a button."""

    RECONNECT_MAILBOX = "RECONNECT_MAILBOX"
    CHOOSE_MAILBOX = "CHOOSE_MAILBOX"
    ADD_EMAIL = "ADD_EMAIL"
    CORRECT_EMAIL = "CORRECT_EMAIL"
    ADD_PHONE = "ADD_PHONE"
    CORRECT_PHONE = "CORRECT_PHONE"
    FILL_VARIABLE = "FILL_VARIABLE"
    EDIT_CONTENT = "EDIT_CONTENT"
    REDUCE_SIZE = "REDUCE_SIZE"
    CHANGE_WINDOW = "CHANGE_WINDOW"
    AUTHENTICATE_DOMAIN = "AUTHENTICATE_DOMAIN"
    RESOLVE_DELIVERY = "RESOLVE_DELIVERY"
    WAIT = "WAIT"
    ASK_ADMIN = "ASK_ADMIN"
    CONTACT_SUPPORT = "CONTACT_SUPPORT"
    CHECK_SEQUENCE = "CHECK_SEQUENCE"
    RELEASE_GUARDRAIL = "RELEASE_GUARDRAIL"


class FixTarget(StrEnum):
    """On which object the fix is made. NONE: it is made outside Relance."""

    MAILBOX = "MAILBOX"
    CONTACT = "CONTACT"
    STEP = "STEP"
    SEQUENCE = "SEQUENCE"
    RECIPIENT = "RECIPIENT"
    NONE = "NONE"


class ClearedBy(StrEnum):
    """What makes the cause go away. When it happens the error is marked as such and the retry is offered."""

    MAILBOX_CONNECTED = "the mailbox connects again"
    EMAIL_CHANGED = "the contact gets another email address"
    PHONE_CHANGED = "the contact gets another phone number"
    WAY_CHANGED = "the contact gets another email address, or for a text message another phone number"
    CONTACT_OR_CONTENT_CHANGED = "the contact's fields or the step's content change"
    CONTENT_CHANGED = "the step's content changes"
    SEQUENCE_CHANGED = "the sequence's settings change"
    DELIVERY_RESOLVED = "proof arrives, or a person says what happened"
    NOT_SEEN = "nothing Relance can see: a retry finds out"


@dataclass(frozen=True, slots=True)
class Definition:
    """One error of the catalogue.

    In the sentences `{mailbox}` becomes “the mailbox jobs@example.com”, “the mailbox” where the address is unknown, or
    “the number +14155550100”; `{server}` is who takes its messages. `detailed` is the sentence used when a detail is
    known: a variable's name, the server's words.

    `retry_finds_out` says that the cause lies with others, who may have changed their mind unseen: it can be tried
    again at any time. Where Relance itself sees the cause last, a retry is offered once it has seen it go.
    """

    sentence: str
    detailed: str
    fix: FixCode
    fix_sentence: str
    target: FixTarget
    cleared_by: ClearedBy
    retryable: bool = True
    retry_finds_out: bool = False


def _said(
    sentence: str, fix: FixCode, fix_sentence: str, target: FixTarget, cleared_by: ClearedBy, finds_out: bool = False
) -> Definition:
    """Return an error whose detail is what the mail server or the partner system answered."""
    detailed = sentence + " The answer was: “{detail}”."
    return Definition(sentence, detailed, fix, fix_sentence, target, cleared_by, retry_finds_out=finds_out)


_CODE, _FIX, _ON, _BY = StepErrorCode, FixCode, FixTarget, ClearedBy

CATALOGUE: Mapping[StepErrorCode, Definition] = {
    _CODE.MAILBOX_DISCONNECTED: Definition(
        "{mailbox} is disconnected, so nothing can be sent from it.",
        "{mailbox} is disconnected, so nothing can be sent from it. What happened: “{detail}”.",
        _FIX.RECONNECT_MAILBOX, "Reconnect {mailbox}, then retry.", _ON.MAILBOX, _BY.MAILBOX_CONNECTED,
    ),
    _CODE.MAILBOX_CREDENTIALS_REFUSED: _said(
        "The provider refused the user name or password of {mailbox}.",
        _FIX.RECONNECT_MAILBOX, "Enter the password of {mailbox} again, then retry.", _ON.MAILBOX,
        _BY.MAILBOX_CONNECTED,
    ),
    _CODE.MAILBOX_SUSPENDED: _said(
        "The provider has suspended {mailbox}.",
        _FIX.ASK_ADMIN, "Ask your administrator to have {mailbox} released by the provider, then reconnect it.",
        _ON.MAILBOX, _BY.MAILBOX_CONNECTED,
    ),
    _CODE.MAILBOX_SERVER_UNREACHABLE: _said(
        "The {server} of {mailbox} cannot be reached.",
        _FIX.RECONNECT_MAILBOX, "Check the server in the settings of {mailbox} and reconnect it, or wait and retry.",
        _ON.MAILBOX, _BY.MAILBOX_CONNECTED,
    ),
    _CODE.MAILBOX_CERTIFICATE_INVALID: _said(
        "The {server} of {mailbox} could not prove who it is, so nothing was handed to it.",
        _FIX.ASK_ADMIN, "Ask your administrator to check the certificate and name of that {server}, then reconnect "
        "{mailbox}.", _ON.MAILBOX, _BY.MAILBOX_CONNECTED,
    ),
    _CODE.SENDER_NOT_ALLOWED: _said(
        "The {server} does not accept {mailbox} as the sender.",
        _FIX.RECONNECT_MAILBOX, "Check {mailbox} and the account it signs in with, then retry.",
        _ON.MAILBOX, _BY.MAILBOX_CONNECTED, True,
    ),
    _CODE.PROVIDER_LIMIT_REACHED: _said(
        "The provider does not take more messages from {mailbox} for now.",
        _FIX.WAIT, "Wait until tomorrow, then retry, or lower the daily limit of {mailbox}.",
        _ON.MAILBOX, _BY.NOT_SEEN, True,
    ),
    _CODE.DOMAIN_NOT_AUTHENTICATED: _said(
        "The other side refused the message because it cannot verify the sender's domain.",
        _FIX.AUTHENTICATE_DOMAIN, "Ask your administrator to set up SPF and DKIM for the sender's domain, then retry.",
        _ON.MAILBOX, _BY.NOT_SEEN, True,
    ),
    _CODE.EMAIL_MISSING: Definition(
        "This person has no email address.", "This person has no email address.",
        _FIX.ADD_EMAIL, "Add an email address to the contact, then retry.", _ON.CONTACT, _BY.EMAIL_CHANGED,
    ),
    _CODE.EMAIL_INVALID: Definition(
        "This person's email address is not valid.", "This person's email address is not valid: {detail}.",
        _FIX.CORRECT_EMAIL, "Correct the contact's email address, then retry.", _ON.CONTACT, _BY.EMAIL_CHANGED,
    ),
    _CODE.EMAIL_BOUNCED_BEFORE: Definition(
        "Mail to this person's address bounced before, so nothing more is sent to it.",
        "Mail to {detail} bounced before, so nothing more is sent to it.",
        _FIX.CORRECT_EMAIL, "Give the contact another email address, then retry.", _ON.CONTACT, _BY.EMAIL_CHANGED,
    ),
    _CODE.MAILBOX_FULL: _said(
        "This person's mailbox is full and did not take the message for days.",
        _FIX.WAIT, "Wait a few days and retry, or reach the person another way.", _ON.RECIPIENT, _BY.NOT_SEEN, True,
    ),
    _CODE.RECIPIENT_REFUSED_CONTENT: _said(
        "The other side refused the message because of its content or its sender, not because of the address.",
        _FIX.EDIT_CONTENT, "Change the text, above all its links, then retry.", _ON.STEP, _BY.CONTENT_CHANGED, True,
    ),
    _CODE.SOFT_BOUNCE_EXHAUSTED: _said(
        "The message did not get through: the other side could not take it for now, and it is not tried any longer.",
        _FIX.WAIT, "Wait a few days and retry, or check the contact's email address or phone number.", _ON.CONTACT,
        _BY.WAY_CHANGED, True,
    ),
    _CODE.PHONE_MISSING: Definition(
        "This person has no phone number.", "This person has no phone number.",
        _FIX.ADD_PHONE, "Add a phone number to the contact, then retry.", _ON.CONTACT, _BY.PHONE_CHANGED,
    ),
    _CODE.PHONE_INVALID: Definition(
        "This person's phone number is not valid.", "This person's phone number is not valid: {detail}.",
        _FIX.CORRECT_PHONE, "Correct the contact's phone number, then retry.", _ON.CONTACT, _BY.PHONE_CHANGED,
    ),
    _CODE.VARIABLE_MISSING: Definition(
        "A variable in the text has no value for this person and no default.",
        "The variable “{detail}” has no value for this person and no default.",
        _FIX.FILL_VARIABLE, "Fill in the contact's field, or give the variable a default in the text, then retry.",
        _ON.CONTACT, _BY.CONTACT_OR_CONTENT_CHANGED,
    ),
    _CODE.TEMPLATE_INVALID: Definition(
        "The text of this step has a mistake in its variables, so it cannot be written out.",
        "The text of this step has a mistake in its variables: {detail}.",
        _FIX.EDIT_CONTENT, "Correct the text of the step, then retry.", _ON.STEP, _BY.CONTENT_CHANGED,
    ),
    _CODE.CONTENT_EMPTY: Definition(
        "The message would have been empty.", "The message would have been empty: {detail}.",
        _FIX.EDIT_CONTENT, "Write a subject and a text for the step, then retry.", _ON.STEP,
        _BY.CONTACT_OR_CONTENT_CHANGED,
    ),
    _CODE.MESSAGE_TOO_LARGE: _said(
        "The message is larger than the {server} accepts.",
        _FIX.REDUCE_SIZE, "Shorten the text or use smaller images, then retry.", _ON.STEP, _BY.CONTENT_CHANGED,
    ),
    _CODE.THREAD_PARENT_MISSING: Definition(
        "This step answers in the thread of an earlier email, and there is none.",
        "This step answers in the thread of an earlier email, and there is none.",
        _FIX.EDIT_CONTENT, "Give the step a subject of its own, so that it starts a new thread, then retry.",
        _ON.STEP, _BY.CONTENT_CHANGED,
    ),
    _CODE.WINDOW_NEVER_OPENS: Definition(
        "The sequence's sending window never opens: its weekdays and blackout dates leave no day for two years.",
        "The sequence's sending window never opens: its weekdays and blackout dates leave no day for two years.",
        _FIX.CHANGE_WINDOW, "Change the sending window or the blackout dates of the sequence, then retry.",
        _ON.SEQUENCE, _BY.SEQUENCE_CHANGED,
    ),
    _CODE.NO_MAILBOX: Definition(
        "There is no mailbox to send from.", "There is no mailbox to send from.",
        _FIX.CHOOSE_MAILBOX, "Choose a mailbox for the sequence, then retry.", _ON.SEQUENCE, _BY.SEQUENCE_CHANGED,
    ),
    _CODE.DELIVERY_UNCONFIRMED: Definition(
        "The connection broke at the last moment: this message may or may not have been delivered.",
        "The connection broke at the last moment: this message may or may not have been delivered. "
        "What happened: “{detail}”.",
        _FIX.RESOLVE_DELIVERY, "Look into what {mailbox} has sent, then say whether it was sent or send it again.",
        _ON.RECIPIENT, _BY.DELIVERY_RESOLVED, retryable=False,
    ),
    _CODE.INTEGRATION_FAILED: _said(
        "A connected system did not do its part of this step.",
        _FIX.ASK_ADMIN, "Ask your administrator to check the connection to that system, then retry.",
        _ON.NONE, _BY.NOT_SEEN, True,
    ),
    _CODE.INTERNAL_ERROR: Definition(
        "Something went wrong on our side; nothing was sent.",
        "Something went wrong on our side; nothing was sent. For support it is number {detail}.",
        _FIX.CONTACT_SUPPORT, "Retry; if it fails again, tell support.", _ON.NONE, _BY.NOT_SEEN,
        retry_finds_out=True,
    ),
}  # fmt: skip


def sentence(code: StepErrorCode, *, mailbox_address: str | None = None, detail: str | None = None) -> str:
    """Return what happened, for a recruiter. What is not known is left out; there is never an empty gap.

    `detail` is put on one line and cut at DETAIL_LENGTH_MAX characters.
    """
    definition = CATALOGUE[code]
    known = _on_one_line(detail)
    return _filled(definition.detailed if known else definition.sentence, mailbox_address, known)


def fix_sentence(code: StepErrorCode, *, mailbox_address: str | None = None) -> str:
    """Return what to do about it, for a recruiter."""
    return _filled(CATALOGUE[code].fix_sentence, mailbox_address, "")


def available_error_actions(
    code: StepErrorCode, *, open: bool, recipient_ended: bool, cause_gone: bool, held: bool = False
) -> tuple[StepErrorAction, ...]:
    """Return what may be done about this error now, in the order of `StepErrorAction`.

    A closed error, and one of an ended recipient, offers nothing, nor does one whose cause is seen to last: the fix
    comes first. While the recipient is held, by its own pause or its sequence's, nothing is sent: what became of a
    message can be said, and the rest waits for the resume.
    """
    if not open or recipient_ended:
        return ()
    definition = CATALOGUE[code]
    if definition.retryable:
        may_work = cause_gone or definition.retry_finds_out
        return (StepErrorAction.RETRY,) if may_work and not held else ()
    return (StepErrorAction.CONFIRM_SENT,) if held else (StepErrorAction.CONFIRM_SENT, StepErrorAction.SEND_AGAIN)


def _on_one_line(detail: str | None) -> str:
    words = " ".join((detail or "").split()).rstrip(" .")
    return words if len(words) <= DETAIL_LENGTH_MAX else words[: DETAIL_LENGTH_MAX - 1].rstrip() + "…"


def _filled(template: str, mailbox_address: str | None, detail: str) -> str:
    is_number = (mailbox_address or "").startswith("+") and "@" not in (mailbox_address or "")
    mailbox = f"the {'number' if is_number else 'mailbox'} {mailbox_address or ''}".rstrip()
    # One pass each, the server's words last: braces in them are text.
    text = template.replace("{server}", "provider" if is_number else "mail server")
    text = text.replace("{mailbox}", mailbox).replace("{detail}", detail)
    return text[0].upper() + text[1:]
