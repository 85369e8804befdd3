"""Refusals as mutations tell them: entries of `errors`, with what a client needs to act on each.

To add one, give the refusal a code in `domain`, the code a sentence here and, where a client can act on facts, a type.

Source: api.md "Mutations"; architecture.md "Habits".
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import strawberry

from api.context import Info
from api.types.actors import Actor
from api.types.enums import PendingActionAction, PendingOutcome
from api.types.fields import resolved
from api.types.recipients import Recipient
from api.types.step_errors import SuggestedFix
from domain.refusals import (
    ActionNotAvailable,
    AlreadyEnrolled,
    ExclusiveElsewhere,
    PendingActionNotAvailable,
    Refusal,
    SequenceActionNotAvailable,
)
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Action, Status
from domain.rules.plan import SequenceStatus
from domain.rules.step_errors import FixCode


class BatchTooLarge(Refusal):
    """More was given at once than one mutation takes."""

    code = "BATCH_TOO_LARGE"

    def __init__(self, what: str, given: int, allowed: int, field: str) -> None:
        super().__init__(f"These are {given} {what}; one call takes at most {allowed}. Send several.", field=[field])


class MailboxNotConnected(Refusal):
    """The sign-in to a mailbox's server was tried and did not work."""

    code = "MAILBOX_NOT_CONNECTED"

    def __init__(self, message: str, fix: SuggestedFix) -> None:
        super().__init__(message)
        self.fix = fix


_MEANING: Final[Mapping[str, str]] = {
    "NOT_FOUND": "There is no such object in this workspace.",
    "INVALID": "A value is not acceptable; `field` names it.",
    "BATCH_TOO_LARGE": "More was given at once than one call takes.",
    "ACTION_NOT_AVAILABLE": "The recipient's status, or its sequence, does not allow this.",
    "VERSION_MISMATCH": "The recipient has changed since the version that was named.",
    "STEP_BEING_SENT": "The message of this step is being handed over right now.",
    "RETRY_NOT_AVAILABLE": "There is no open error that could be retried or resolved so.",
    "SEQUENCE_ACTION_NOT_AVAILABLE": "The sequence's status, or what it lacks, does not allow this.",
    "PENDING_ACTION_NOT_AVAILABLE": "The pending action is closed already, or as it stands does not allow this.",
    "IDEMPOTENCY_IN_PROGRESS": "The same change, under the same key, is being made at this moment.",
    "IDEMPOTENCY_KEY_REUSED": "The idempotency key was used for another change.",
    "ALREADY_ENROLLED": "The person is in the sequence already.",
    "REENROLMENT_NOT_ALLOWED": "The person was in the sequence before, and its settings do not allow it (yet) again.",
    "EXCLUSIVE_ELSEWHERE": "The person is open in another sequence, and one of the two shares nobody.",
    "SUPPRESSED": "The person must not be written to.",
    "EMAIL_BOUNCED_BEFORE": "Mail to the contact's address bounced for good.",
    "EMAIL_MISSING": "The first step needs an email address, and the contact has none.",
    "PHONE_MISSING": "The first step needs a phone number, and the contact has none.",
    "SEQUENCE_ARCHIVED": "The sequence is archived.",
    "SEQUENCE_EMPTY": "The sequence has no steps.",
    "CONTACT_AMBIGUOUS": "The id, the external id and the address name different contacts.",
    "DUPLICATE_IN_BATCH": "The same person stands earlier in this list.",
    "BULK_OPERATION_ENDED": "The operation has gone through all already.",
    "WEBHOOK_DISABLED": "The webhook endpoint is switched off.",
    "TOO_OLD": "What is to be taken back is so long ago that it is not known any more.",
    "CURSOR_INVALID": "The text is not a cursor of the event feed.",
    "RESYNC_REQUIRED": "The events of that cursor are not kept any more.",
    "CONTENT_NOT_READY": "The texts have an error, or lack a value; the sentence names the first.",
    "MAILBOX_DISCONNECTED": "The mailbox cannot send: it is disconnected, or there is none.",
    "GUARDRAIL_HOLD": "A guardrail holds the mailbox, because too much of it bounced or was complained about.",
    "MAILBOX_LIMIT_REACHED": "The mailbox has sent as much as it may for now.",
    "MAILBOX_NOT_CONNECTED": "The sign-in to the mailbox's server did not work.",
}

# Made of the table, so that no code lacks its sentence.
MutationErrorCode = StrEnum("MutationErrorCode", {code: code for code in _MEANING})  # type: ignore[misc]
strawberry.enum(MutationErrorCode, description="Why a mutation was refused. Codes are stable.")
for _value in MutationErrorCode.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = _MEANING[_value.name]

_FIXES: Final[Mapping[str, tuple[FixCode, str]]] = {
    "EMAIL_MISSING": (FixCode.ADD_EMAIL, "Add an email address to the contact, then enrol again."),
    "PHONE_MISSING": (FixCode.ADD_PHONE, "Add a phone number to the contact, then enrol again."),
    "EMAIL_BOUNCED_BEFORE": (FixCode.CORRECT_EMAIL, "Give the contact another email address, then enrol again."),
}


@strawberry.interface(description="Why a mutation was refused. When there is one, nothing was changed.")
class MutationError:
    code: MutationErrorCode = strawberry.field(description="Why, as a stable code.")
    message: str = strawberry.field(description="Why, and the way out, in plain words for a person.")
    field: list[str] | None = strawberry.field(description="Which field of the input, from the outside in.")
    suggested_fix: SuggestedFix | None = strawberry.field(description="What to do about it, as data.")


@strawberry.type(description="A refusal that its code and its sentence explain.")
class UserError(MutationError):
    pass


@strawberry.type(description="The recipient's status, or its sequence, does not allow this.")
class ActionNotAvailableError(MutationError):
    current_status: Status = strawberry.field(description="The status the recipient has now.")
    available_actions: list[Action] = strawberry.field(description="What is available now.")


@strawberry.type(description="The pending action is closed already, or as it stands does not allow this.")
class PendingActionNotAvailableError(MutationError):
    outcome: PendingOutcome | None = strawberry.field(description="How it was closed; null while it is open.")
    available_actions: list[PendingActionAction] = strawberry.field(
        description="What is available now. A document that selects it beside the `availableActions` of "
        "ActionNotAvailableError gives one of the two an alias: their types differ."
    )
    actor_kind: strawberry.Private[str | None]
    actor_key: strawberry.Private[UUID | None]

    @resolved("Who or what closed it, or released it to be sent.")
    async def closed_by(self, info: Info) -> Actor | None:
        actor: Actor | None = await info.context.loaders.actor_of(self) if self.actor_kind else None
        return actor


@strawberry.type(description="The sequence's status, or what it lacks, does not allow this.")
class SequenceActionNotAvailableError(MutationError):
    sequence_status: SequenceStatus = strawberry.field(description="The status the sequence has now.")
    open_recipients: int | None = strawberry.field(description="How many recipients are open, where that is why.")


@strawberry.type(description="The person is in the sequence already.")
class AlreadyEnrolledError(MutationError):
    recipient_key: strawberry.Private[UUID]

    @resolved("The recipient that is open.")
    async def recipient(self, info: Info) -> Recipient | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found


@strawberry.type(description="The person is open in another sequence, and one of the two shares nobody.")
class ExclusiveElsewhereError(MutationError):
    recipient_key: strawberry.Private[UUID]

    @resolved("The recipient that is open there.")
    async def recipient(self, info: Info) -> Recipient | None:
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found


ERROR_TYPES: Final = (
    UserError,
    ActionNotAvailableError,
    PendingActionNotAvailableError,
    SequenceActionNotAvailableError,
    AlreadyEnrolledError,
    ExclusiveElsewhereError,
)


def told(refusal: Refusal) -> MutationError:
    """Return a refusal as an entry of `errors`."""
    shared: dict[str, Any] = {
        "code": MutationErrorCode(refusal.code),
        "message": refusal.message,
        "field": list(refusal.field) if refusal.field else None,
        "suggested_fix": _fix(refusal),
    }
    if isinstance(refusal, ActionNotAvailable):
        return ActionNotAvailableError(
            **shared, current_status=refusal.status, available_actions=list(refusal.available)
        )
    if isinstance(refusal, PendingActionNotAvailable):
        outcome = PendingOutcome(refusal.outcome) if refusal.outcome else None
        return PendingActionNotAvailableError(
            **shared,
            outcome=outcome,
            available_actions=list(refusal.available),
            actor_kind=refusal.by_kind,
            actor_key=refusal.by_id,
        )
    if isinstance(refusal, SequenceActionNotAvailable):
        status = SequenceStatus(refusal.status)
        return SequenceActionNotAvailableError(
            **shared, sequence_status=status, open_recipients=refusal.open_recipients
        )
    if isinstance(refusal, AlreadyEnrolled):
        return AlreadyEnrolledError(**shared, recipient_key=refusal.recipient_id)
    if isinstance(refusal, ExclusiveElsewhere):
        return ExclusiveElsewhereError(**shared, recipient_key=refusal.recipient_id)
    return UserError(**shared)


def _fix(refusal: Refusal) -> SuggestedFix | None:
    if isinstance(refusal, MailboxNotConnected):
        return refusal.fix
    if isinstance(refusal, SequenceActionNotAvailable) and refusal.lacking is not None:
        return SuggestedFix(
            code=FixCode.CHECK_SEQUENCE,
            message="Ask sequencePreflight what else would fail, and for whom, before you activate it.",
            target_id=strawberry.ID(to_public(Prefix.SEQUENCE, refusal.lacking)),
        )
    if refusal.code not in _FIXES:
        return None
    code, message = _FIXES[refusal.code]
    return SuggestedFix(code=code, message=message, target_id=None)
