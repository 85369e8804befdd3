"""Every refusal of the engine: a class named as a sentence, with the facts a client needs to act on it.

`code` is stable and public, the sentence is for a recruiter. One place in `api/` translates them, and a test walks
them all. Anything else that is raised is a bug: masked to clients, and logged.
"""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from domain.rules.inbox import PendingActionAction
from domain.rules.lifecycle import Action, Status


def api_name(name: str) -> str:
    """Return a name as the API writes it: `smtp_host` is `smtpHost`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Refusal(Exception):
    """A request that was understood and is not carried out. Nothing has changed."""

    code: ClassVar[str] = "REFUSED"
    field: tuple[str, ...] | None = None

    def __init__(self, message: str, *, field: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = tuple(field) if field else None


class WorkspaceUnknown(Refusal):
    code = "NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("This workspace does not exist any more.")


class DatabaseUnreachable(Refusal):
    code = "DATABASE_UNREACHABLE"

    def __init__(self, url: str, problem: BaseException) -> None:
        place = url.rpartition("@")[2].partition("?")[0]
        super().__init__(
            f"PostgreSQL at {place} cannot be reached: {problem or type(problem).__name__}. "
            "Check that it runs and that DATABASE_URL is right."
        )


class NotFound(Refusal):
    """No such object in this workspace. Another workspace's id gets exactly the same answer."""

    code = "NOT_FOUND"

    def __init__(self, what: str, *, field: Sequence[str] | None = None) -> None:
        super().__init__(f"There is no such {what}. It may have been deleted.", field=field)


class Invalid(Refusal):
    """A value is not acceptable; the sentence says which and what would be."""

    code = "INVALID"


class EffectForgotten(Refusal):
    """What an incoming message did cannot be taken back: the events that say so are not kept any more."""

    code = "TOO_OLD"

    def __init__(self) -> None:
        super().__init__(
            "This message came so long ago that what it did is not known any more, so it cannot be taken back. "
            "Lift the suppression, if there is one, and enrol the person again.",
            field=["id"],
        )


class ActionNotAvailable(Refusal):
    """The recipient's status, or its sequence, does not allow this."""

    code = "ACTION_NOT_AVAILABLE"

    def __init__(self, reason: str, status: Status, available: Sequence[Action]) -> None:
        super().__init__(reason)
        self.status = status
        self.available = tuple(available)


class VersionMismatch(ActionNotAvailable):
    """The recipient has changed since the caller looked."""

    code = "VERSION_MISMATCH"

    def __init__(self, expected: int, found: int, status: Status, available: Sequence[Action]) -> None:
        super().__init__(
            f"It has changed since you looked (version {found}, you acted on {expected}). Look again, then decide.",
            status,
            available,
        )


class StepBeingSent(ActionNotAvailable):
    """The message of this step is being handed over and cannot be called back."""

    code = "STEP_BEING_SENT"

    def __init__(self, status: Status, available: Sequence[Action]) -> None:
        super().__init__("This step's message is being sent right now. Try again in a minute.", status, available)


class BulkOperationEnded(Refusal):
    """All that an operation meant was looked at already: there is nothing to cancel."""

    code = "BULK_OPERATION_ENDED"

    def __init__(self) -> None:
        super().__init__("This operation has gone through all of its recipients already. What it did stays done.")


class SequenceActionNotAvailable(Refusal):
    code = "SEQUENCE_ACTION_NOT_AVAILABLE"

    def __init__(
        self, message: str, status: str, open_recipients: int | None = None, lacking: UUID | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.open_recipients = open_recipients
        self.lacking = lacking  # the sequence, where it lacks what it needs to run


class PendingActionNotAvailable(Refusal):
    """The pending action is closed, or what it waits for does not allow this; somebody else may have been faster."""

    code = "PENDING_ACTION_NOT_AVAILABLE"

    def __init__(
        self,
        message: str,
        *,
        outcome: str | None = None,
        by_kind: str | None = None,
        by_id: UUID | None = None,
        available: Sequence[PendingActionAction] = (),
    ):
        super().__init__(message)
        self.outcome = outcome  # how it was closed; None while it is open
        self.by_kind = by_kind  # who closed it, or released it to be sent
        self.by_id = by_id
        self.available = tuple(available)


class RetryNotAvailable(Refusal):
    code = "RETRY_NOT_AVAILABLE"


class IdempotencyInProgress(Refusal):
    """The same change, under the same key, is being made at this moment."""

    code = "IDEMPOTENCY_IN_PROGRESS"

    def __init__(self) -> None:
        super().__init__(
            "A change with this idempotency key is being made right now. Send it again in a moment: you then get its "
            "answer.",
            field=["idempotencyKey"],
        )


class IdempotencyKeyReused(Refusal):
    """The key stands for another change."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__(
            "This idempotency key was used for another change within the last 24 hours. Use a new key for a new "
            "change, and the same key only to repeat the same one.",
            field=["idempotencyKey"],
        )


class TrialRefused(Refusal):
    """A test mail was not ordered. The subclasses are the reasons."""


class ContentNotReady(TrialRefused):
    code = "CONTENT_NOT_READY"


class MailboxCannotSend(TrialRefused):
    code = "MAILBOX_DISCONNECTED"

    def __init__(self, state: str) -> None:
        super().__init__(
            {
                "NO_MAILBOX": "There is no mailbox to send from. Choose one, or give `mailboxId`.",
            }.get(state, "The mailbox is disconnected, so nothing can be sent from it. Connect it first."),
            field=["mailboxId"],
        )


class MailboxHeld(TrialRefused):
    code = "GUARDRAIL_HOLD"

    def __init__(self) -> None:
        super().__init__(
            "A guardrail holds this mailbox: too much of what it sent bounced or was reported as spam. See "
            "`guardrail`, then release it with guardrailRelease, or send from another one.",
            field=["mailboxId"],
        )


class MailboxLimitReached(TrialRefused):
    code = "MAILBOX_LIMIT_REACHED"

    def __init__(self) -> None:
        super().__init__(
            "The mailbox has sent as much as it may within 24 hours, or 20 test mails wait for it already. Try again "
            "later, or raise its limit.",
            field=["mailboxId"],
        )


class AddressNotToBeWrittenTo(TrialRefused):
    code = "SUPPRESSED"

    def __init__(self, *, bounced: bool) -> None:
        super().__init__(
            "Mail to this address bounced before. Give another one."
            if bounced
            else "This address is on the suppression list, for test mails too. Give another one.",
            field=["to"],
        )


class EnrolmentRefused(Refusal):
    """One contact was not enrolled. The subclasses are the reasons of product.md section 3."""


class AlreadyEnrolled(EnrolmentRefused):
    code = "ALREADY_ENROLLED"

    def __init__(self, recipient_id: UUID) -> None:
        super().__init__(
            "This person is in the sequence already. Let that run go on, or stop it and enrol the person again."
        )
        self.recipient_id = recipient_id


class ExclusiveElsewhere(EnrolmentRefused):
    code = "EXCLUSIVE_ELSEWHERE"

    def __init__(self, recipient_id: UUID, sequence_name: str) -> None:
        super().__init__(
            f"This person is in the sequence “{sequence_name}”, and one of the two sequences shares nobody. "
            "Enrol again once that has ended, or stop it there."
        )
        self.recipient_id = recipient_id


class ReenrolmentNotAllowed(EnrolmentRefused):
    code = "REENROLMENT_NOT_ALLOWED"


class Suppressed(EnrolmentRefused):
    code = "SUPPRESSED"

    def __init__(self) -> None:
        super().__init__(
            "This person must not be written to: they opted out, complained or are on the suppression list. "
            "Only an entry of the list that is lifted changes that."
        )


class PersonErased(EnrolmentRefused):
    code = "SUPPRESSED"

    def __init__(self) -> None:
        super().__init__(
            "This person asked not to be written to and was erased, so nothing about them is taken in again. "
            "Only an entry of the suppression list that is lifted changes that."
        )


class EmailBouncedBefore(EnrolmentRefused):
    code = "EMAIL_BOUNCED_BEFORE"

    def __init__(self) -> None:
        super().__init__("Mail to this address bounced before. Give the contact another address, then enrol again.")


class EmailMissing(EnrolmentRefused):
    code = "EMAIL_MISSING"

    def __init__(self) -> None:
        super().__init__("This contact has no email address, and the first step needs one. Add an address.")


class PhoneMissing(EnrolmentRefused):
    code = "PHONE_MISSING"

    def __init__(self) -> None:
        super().__init__("This contact has no phone number, and the first step needs one. Add a number.")


class SequenceArchived(EnrolmentRefused):
    code = "SEQUENCE_ARCHIVED"

    def __init__(self) -> None:
        super().__init__("The sequence is archived. Unarchive it first.")


class SequenceEmpty(EnrolmentRefused):
    code = "SEQUENCE_EMPTY"

    def __init__(self) -> None:
        super().__init__("The sequence has no steps. Add a step first.")


class ContactAmbiguous(EnrolmentRefused):
    code = "CONTACT_AMBIGUOUS"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class DuplicateInBatch(EnrolmentRefused):
    code = "DUPLICATE_IN_BATCH"

    def __init__(self, first_index: int, message: str | None = None) -> None:
        super().__init__(message or f"The same person stands at position {first_index + 1} of this list already.")
        self.first_index = first_index
