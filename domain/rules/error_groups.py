"""Errors grouped by their cause: what errors of one cause share, and what is said of all of them at once.

A cause is a code and where it lies: in a mailbox, a step, a sequence; for a missing variable, in the step and the
variable. What lies with each person (no address, a full mailbox) is one group for the workspace.

Source: product.md section 4.
"""

from collections.abc import Mapping
from hashlib import md5
from typing import Final
from uuid import UUID

from domain.rules.step_errors import CATALOGUE, FixTarget, StepErrorCode, fix_sentence, sentence

_CODE = StepErrorCode

# The catalogue's target is where one error is mended; these lie elsewhere for all of a group.
_ELSEWHERE: Final[Mapping[StepErrorCode, FixTarget]] = {
    _CODE.VARIABLE_MISSING: FixTarget.STEP,
    _CODE.DELIVERY_UNCONFIRMED: FixTarget.MAILBOX,
}
_SHARED: Final = frozenset({FixTarget.MAILBOX, FixTarget.STEP, FixTarget.SEQUENCE})

# What is said of many, where the sentence for one speaks of "this person" or "this message".
_OF_MANY: Final[Mapping[StepErrorCode, str]] = {
    _CODE.EMAIL_MISSING: "they have no email address.",
    _CODE.EMAIL_INVALID: "their email addresses are not valid.",
    _CODE.EMAIL_BOUNCED_BEFORE: "mail to their addresses bounced before, so nothing more is sent to them.",
    _CODE.MAILBOX_FULL: "their mailboxes are full and did not take the message for days.",
    _CODE.PHONE_MISSING: "they have no phone number.",
    _CODE.PHONE_INVALID: "their phone numbers are not valid.",
    _CODE.DELIVERY_UNCONFIRMED: (
        "the connection broke at the last moment, so their messages may or may not have been delivered."
    ),
}
_FIX_OF_MANY: Final[Mapping[StepErrorCode, str]] = {
    _CODE.EMAIL_MISSING: "Add an email address to each contact, then retry.",
    _CODE.EMAIL_INVALID: "Correct each contact's email address, then retry.",
    _CODE.EMAIL_BOUNCED_BEFORE: "Give each contact another email address, then retry.",
    _CODE.MAILBOX_FULL: "Wait a few days and retry, or reach them another way.",
    _CODE.SOFT_BOUNCE_EXHAUSTED: "Wait a few days and retry, or check the contacts' email addresses or phone numbers.",
    _CODE.PHONE_MISSING: "Add a phone number to each contact, then retry.",
    _CODE.PHONE_INVALID: "Correct each contact's phone number, then retry.",
    _CODE.VARIABLE_MISSING: "Fill in the contacts' field, or give the variable a default in the text, then retry.",
}


def shared_target(code: StepErrorCode) -> FixTarget:
    """Return what the errors of one group with this code have in common. NONE: each lies with its person or us."""
    target = _ELSEWHERE.get(code, CATALOGUE[code].target)
    return target if target in _SHARED else FixTarget.NONE


def cause_key(
    workspace_id: UUID,
    code: StepErrorCode,
    *,
    mailbox_id: UUID | None,
    step_id: UUID | None,
    sequence_id: UUID,
    detail: str | None,
) -> UUID:
    """Return the key of an error's group: the same for the same cause, at any time and in any process."""
    shared = {FixTarget.MAILBOX: mailbox_id, FixTarget.STEP: step_id, FixTarget.SEQUENCE: sequence_id}
    place = shared.get(shared_target(code))
    variable = detail if code is StepErrorCode.VARIABLE_MISSING else None
    text = f"{workspace_id}:{code}:{place or ''}:{variable or ''}"
    return UUID(bytes=md5(text.encode(), usedforsecurity=False).digest())


def group_sentence(code: StepErrorCode, count: int, *, mailbox_address: str | None, detail: str | None) -> str:
    """Return how many recipients have the error, and which: “37 recipients: the mailbox … is disconnected …”."""
    variable = detail if code is StepErrorCode.VARIABLE_MISSING else None
    said = _OF_MANY.get(code) if count != 1 else None
    said = said or sentence(code, mailbox_address=mailbox_address, detail=variable)
    if variable and count != 1:
        said = said.replace("for this person", "for them")
    return f"{count:,} recipient{'' if count == 1 else 's'}: {said[0].lower()}{said[1:]}"


def group_fix_sentence(code: StepErrorCode, *, mailbox_address: str | None) -> str:
    """Return what to do about all of them at once."""
    return _FIX_OF_MANY.get(code) or fix_sentence(code, mailbox_address=mailbox_address)
