"""The enums of the schema. They are the engine's own, so that no second list of the same words exists."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import strawberry

from api.types.words import Channel as Channel
from api.types.words import EmailState as EmailState
from api.types.words import MailboxState as MailboxState
from api.types.words import MessageDelivery as MessageDelivery
from api.types.words import MessageDirection as MessageDirection
from api.types.words import MessageState as MessageState
from api.types.words import OrderDirection as OrderDirection
from api.types.words import PendingOutcome as PendingOutcome
from api.types.words import RecipientOrderField as RecipientOrderField
from api.types.words import RecipientStepState as RecipientStepState
from api.types.words import ReenrolmentPolicy as ReenrolmentPolicy
from api.types.words import TaskKind as TaskKind
from api.types.words import UnconfirmedDeliveryPolicy as UnconfirmedDeliveryPolicy
from api.types.words import Weekday as Weekday
from domain.edit_effects import MEANING as EDIT_MEANING
from domain.edit_effects import Effect
from domain.reading.trial_mails import STATE_MEANING, TestEmailState
from domain.rules.access import ROLE_MEANING, Role
from domain.rules.actor import ActorKind
from domain.rules.bulk import ACTION_MEANING as BULK_ACTION_MEANING
from domain.rules.bulk import KIND_MEANING, BulkAction, BulkKind, BulkStatus
from domain.rules.bulk import STATUS_MEANING as BULK_STATUS_MEANING
from domain.rules.contact_csv import MEANING as COLUMN_MEANING
from domain.rules.contact_csv import Meaning
from domain.rules.filling_in import Problem, ProblemCode
from domain.rules.forecast import ASSUMPTION_MEANING, DAY_OFF_MEANING, Assumption, DayOffReason
from domain.rules.guardrails import CAUSE_MEANING, GuardrailCause
from domain.rules.inbound.reading import Classification as MessageClassification
from domain.rules.inbox import PendingActionAction as PendingActionAction
from domain.rules.lifecycle import MEANING as STATUS_MEANING
from domain.rules.lifecycle import Action, EndReason, Stage, Status
from domain.rules.meanings import ACTION, END_REASON, STAGE, STEP_OUTCOME
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.standing import (
    PAUSED_BY_MEANING,
    VIEW_MEANING,
    WAITING_MEANING,
    PausedBy,
    View,
    WaitingReason,
)
from domain.rules.step_errors import FixCode, StepErrorAction, StepErrorCode, sentence
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.rules.tally import StepOutcome
from domain.rules.timing import WaitUnit

E = TypeVar("E", bound=StrEnum)


def _publish(enum: type[E], name: str, description: str, meanings: Mapping[E, str]) -> None:
    """Make an enum one of the schema's, with a description for each value."""
    strawberry.enum(enum, name=name, description=description)
    for value in enum.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = meanings[enum(value.value)]


_publish(BulkAction, "BulkAction", "What can be done to many recipients at once.", BULK_ACTION_MEANING)
_publish(BulkKind, "BulkKind", "What an operation on many does.", KIND_MEANING)
_publish(Meaning, "ImportColumnMeaning", "What a column of an imported file says.", COLUMN_MEANING)
_publish(BulkStatus, "BulkStatus", "How far an operation on many is.", BULK_STATUS_MEANING)
_publish(Role, "UserRole", "What a person may do.", ROLE_MEANING)
_publish(Status, "RecipientStatus", "Where a recipient stands.", STATUS_MEANING)
_publish(Stage, "RecipientStage", "A coarser word for the status.", STAGE)
_publish(Action, "RecipientAction", "What a person may do about one recipient.", ACTION)
_publish(EndReason, "EndReason", "Why an ended recipient ended.", END_REASON)
_publish(View, "RecipientView", "Where a click on the status leads.", VIEW_MEANING)
_publish(Effect, "StepEditEffect", "What an edit of a sequence does to a recipient.", EDIT_MEANING)
_publish(PausedBy, "PausedBy", "Whose pause holds a recipient.", PAUSED_BY_MEANING)
_publish(StepOutcome, "StepOutcome", "What a step was for a recipient, as reports count it.", STEP_OUTCOME)
_publish(WaitingReason, "WaitingReason", "Why nothing is happening at the moment.", WAITING_MEANING)
_publish(Assumption, "ScheduleAssumption", "What has to happen first for a schedule to hold.", ASSUMPTION_MEANING)
_publish(DayOffReason, "DayOffReason", "Why the sending window does not open on a day.", DAY_OFF_MEANING)
_publish(
    StepErrorCode,
    "StepErrorCode",
    "Why a step failed. Codes are stable.",
    {code: sentence(code) for code in StepErrorCode},
)
_publish(
    StepErrorAction,
    "StepErrorAction",
    "What a person may do about an open error.",
    {
        StepErrorAction.RETRY: "Try the step again, as a new message.",
        StepErrorAction.CONFIRM_SENT: "Say that the message was sent after all; the step counts as carried out.",
        StepErrorAction.SEND_AGAIN: "Send the message again, knowing that it may arrive twice.",
    },
)
_publish(
    FixCode,
    "FixCode",
    "Which fix is suggested: what a screen offers as a button.",
    {
        FixCode.RECONNECT_MAILBOX: "Connect the mailbox again.",
        FixCode.CHOOSE_MAILBOX: "Choose a mailbox to send from.",
        FixCode.ADD_EMAIL: "Add an email address to the contact.",
        FixCode.CORRECT_EMAIL: "Correct the contact's email address.",
        FixCode.ADD_PHONE: "Add a phone number to the contact.",
        FixCode.CORRECT_PHONE: "Correct the contact's phone number.",
        FixCode.FILL_VARIABLE: "Fill in the field that the text uses, or give the variable a default.",
        FixCode.EDIT_CONTENT: "Change the text of the step.",
        FixCode.REDUCE_SIZE: "Shorten the message.",
        FixCode.CHANGE_WINDOW: "Change the sending window or the blackout dates of the sequence.",
        FixCode.AUTHENTICATE_DOMAIN: "Set up SPF and DKIM for the sender's domain.",
        FixCode.RESOLVE_DELIVERY: "Find out whether the message was sent, and say so.",
        FixCode.WAIT: "Wait, then retry.",
        FixCode.ASK_ADMIN: "Ask an administrator.",
        FixCode.CONTACT_SUPPORT: "Retry; if it fails again, tell support.",
        FixCode.RELEASE_GUARDRAIL: "Look at the figures of the guardrail, then release it.",
        FixCode.CHECK_SEQUENCE: "Ask `sequencePreflight`, which lists everything that would fail.",
    },
)
_publish(TestEmailState, "TestEmailState", "What has become of a test mail.", STATE_MEANING)
_publish(
    ProblemCode,
    "ProblemCode",
    "Why a step would fail, before it does. Codes are stable.",
    {code: Problem(code).sentence for code in ProblemCode},
)
_publish(
    StepKind,
    "StepKind",
    "What a step does.",
    {
        StepKind.AUTOMATED_EMAIL: "An email that goes out by itself.",
        StepKind.MANUAL_EMAIL: "An email that is prepared and waits for a person to send it.",
        StepKind.TASK: "Something a person does: a call, a visit to a profile, anything else.",
        StepKind.SMS: "A text message that goes out by itself.",
    },
)
_publish(
    WaitUnit,
    "WaitUnit",
    "What the amount of a wait counts.",
    {
        WaitUnit.MINUTES: "Minutes.",
        WaitUnit.HOURS: "Hours.",
        WaitUnit.DAYS: "Days; the time of day is kept.",
        WaitUnit.BUSINESS_DAYS: "Days without Saturdays and Sundays; the time of day is kept.",
    },
)
_publish(
    SequenceStatus,
    "SequenceStatus",
    "Where a sequence stands.",
    {
        SequenceStatus.DRAFT: "Being written. People can be enrolled; their waits start when it is activated.",
        SequenceStatus.ACTIVE: "Steps are carried out.",
        SequenceStatus.PAUSED: "No step runs; its open recipients are paused. People can be enrolled.",
        SequenceStatus.ARCHIVED: "Put away; nobody can be enrolled.",
    },
)
_publish(
    ActorKind,
    "ActorKind",
    "Who or what made a change.",
    {
        ActorKind.USER: "A person who signed in.",
        ActorKind.API_KEY: "A program with an API key.",
        ActorKind.ENGINE: "Relance itself.",
        ActorKind.CONTACT: "The person who is written to.",
    },
)
_publish(
    TaskKind,
    "TaskKind",
    "What a task asks for.",
    {TaskKind.CALL: "A call.", TaskKind.SOCIAL: "Something on a social network.", TaskKind.OTHER: "Anything else."},
)
_publish(
    RecipientStepState,
    "RecipientStepState",
    "Where one step stands for one recipient.",
    {
        RecipientStepState.CARRIED_OUT: "Done: its message was sent or its task completed.",
        RecipientStepState.SKIPPED: "Skipped.",
        RecipientStepState.CURRENT: "The step the recipient is at or waits for.",
        RecipientStepState.UPCOMING: "Still to come.",
    },
)
_publish(
    EmailState,
    "EmailState",
    "What is known about a contact's email address.",
    {
        EmailState.UNKNOWN: "Nothing was sent to it yet.",
        EmailState.DELIVERABLE: "A mail server has taken a message for it.",
        EmailState.BOUNCED: "Mail to it bounced for good; nothing more is sent to it.",
        EmailState.MISSING: "The contact has no address.",
    },
)
_publish(
    MailboxState,
    "MailboxState",
    "Whether a mailbox can send.",
    {
        MailboxState.CONNECTED: "It sends.",
        MailboxState.DISCONNECTED: "It cannot send until it is connected again.",
        MailboxState.HELD: "It is held back by a guardrail until a person releases it.",
    },
)
_publish(GuardrailCause, "GuardrailCause", "Why a guardrail holds sending back.", CAUSE_MEANING)
_publish(
    MessageDirection,
    "MessageDirection",
    "Which way a message went.",
    {MessageDirection.OUTGOING: "From the workspace.", MessageDirection.INCOMING: "To the workspace."},
)
_publish(Channel, "Channel", "How a message travels.", {Channel.EMAIL: "By email.", Channel.SMS: "By text message."})
_publish(
    MessageDelivery,
    "MessageDelivery",
    "What the receipt of a text message said.",
    {
        MessageDelivery.DELIVERED: "It arrived.",
        MessageDelivery.FAILED: "The provider had taken it and could not deliver it.",
    },
)
_publish(
    MessageState,
    "MessageState",
    "What became of a message.",
    {
        MessageState.CLAIMED: "Being prepared; nothing has left.",
        MessageState.HANDING_OVER: "Being handed over right now; it cannot be called back.",
        MessageState.SENT: "The mail server, or the provider of text messages, has taken it.",
        MessageState.REFUSED: "The mail server refused it for good; it was not sent.",
        MessageState.DEFERRED: "Not taken for now; it is tried again.",
        MessageState.UNCONFIRMED: "It may or may not have been sent; a person must say.",
        MessageState.DROPPED: "Not sent: the recipient moved on, or something forbade it.",
        MessageState.RECEIVED: "It came in.",
    },
)
_publish(
    MessageClassification,
    "MessageClassification",
    "What an incoming message was understood as.",
    {
        MessageClassification.HUMAN_REPLY: "A person answered.",
        MessageClassification.AUTOMATIC_ANSWER: "An automatic answer, such as an absence note.",
        MessageClassification.OPT_OUT: "The person does not want to be written to.",
        MessageClassification.HARD_BOUNCE: "A report that the address is dead.",
        MessageClassification.DELIVERY_DELAYED: "A report that delivery takes longer.",
        MessageClassification.DELIVERY_FAILED: "A report that delivery failed, not because of the address.",
        MessageClassification.COMPLAINT: "A spam complaint.",
        MessageClassification.NOTICE: "A machine's notice from which nothing follows, such as a read receipt.",
    },
)
_publish(
    PendingActionAction,
    "PendingActionAction",
    "What a person may do about a pending action.",
    {
        PendingActionAction.SEND_NOW: "Send the email now, as prepared or as edited.",
        PendingActionAction.SCHEDULE: "Choose a time at which the email goes out.",
        PendingActionAction.CANCEL_SCHEDULE: "Take the chosen time back.",
        PendingActionAction.COMPLETE: "Say that the task is done, with a note.",
        PendingActionAction.SKIP: "Skip the step; the next one's wait starts now.",
    },
)
_publish(
    PendingOutcome,
    "PendingOutcome",
    "How a pending action was closed.",
    {
        PendingOutcome.SENT: "The email was sent.",
        PendingOutcome.COMPLETED: "The task was completed.",
        PendingOutcome.SKIPPED: "The step was skipped.",
        PendingOutcome.REPLIED: "The person answered first.",
        PendingOutcome.STOPPED: "The recipient was stopped.",
        PendingOutcome.OPTED_OUT: "The person opted out.",
        PendingOutcome.BOUNCED: "The person's address bounced.",
        PendingOutcome.DELETED: "The recipient was deleted.",
    },
)
_publish(
    ReenrolmentPolicy,
    "ReenrolmentPolicy",
    "Whether a person can be enrolled in the same sequence again.",
    {
        ReenrolmentPolicy.NEVER: "Never.",
        ReenrolmentPolicy.AFTER_END: "Once the earlier run has ended.",
        ReenrolmentPolicy.AFTER_END_PLUS_DAYS: "Some days after the earlier run has ended.",
    },
)
_publish(
    UnconfirmedDeliveryPolicy,
    "UnconfirmedDeliveryPolicy",
    "What becomes of a message of which nobody knows whether it was delivered. None sends it again by itself.",
    {
        UnconfirmedDeliveryPolicy.ASK: "The recipient turns to ERROR until a person says, or proof arrives.",
        UnconfirmedDeliveryPolicy.ASSUME_SENT: "It counts as sent, and the next step's wait starts.",
    },
)
_publish(
    SuppressionKind,
    "SuppressionKind",
    "What a suppression is about.",
    {
        SuppressionKind.ADDRESS: "An email address.",
        SuppressionKind.DOMAIN: "A domain and every domain below it.",
        SuppressionKind.PHONE: "A phone number.",
        SuppressionKind.CONTACT: "A person, whatever address they have now or later.",
        SuppressionKind.ERASED: "The address or number of a person who was erased; kept as a keyed hash alone.",
    },
)
_publish(
    SuppressionReason,
    "SuppressionReason",
    "Why somebody must not be written to.",
    {
        SuppressionReason.UNSUBSCRIBED: "They opted out.",
        SuppressionReason.COMPLAINED: "They reported a message as spam.",
        SuppressionReason.LISTED: "Somebody of the workspace, or a system of theirs, put it on the list.",
    },
)
_publish(
    SuppressionSource,
    "SuppressionSource",
    "How a suppression came.",
    {
        SuppressionSource.LINK: "The opt-out link of a message: its page's button, or the mail program's.",
        SuppressionSource.REPLY: "A message that asked for it.",
        SuppressionSource.COMPLAINT: "A complaint from the mail provider.",
        SuppressionSource.API: "A call of the API.",
        SuppressionSource.IMPORT: "A file that was imported.",
        SuppressionSource.ENGINE: "Relance itself.",
    },
)
_publish(Weekday, "Weekday", "A day of the week.", {day: f"{day.capitalize()}." for day in Weekday})
_publish(
    RecipientOrderField,
    "RecipientOrderField",
    "What a list of recipients can be sorted by. Ties are broken by id.",
    {
        RecipientOrderField.ENROLLED_AT: "When they were enrolled.",
        RecipientOrderField.STATUS_CHANGED_AT: "When their status last changed.",
        RecipientOrderField.UPDATED_AT: "When anything about them last changed.",
        RecipientOrderField.NEXT_ATTEMPT_AT: "When their next step is due; those without such a time come last.",
        RecipientOrderField.CONTACT_NAME: "Last name, first name, address.",
    },
)
_publish(
    OrderDirection,
    "OrderDirection",
    "Which end of a list comes first.",
    {OrderDirection.ASC: "Smallest, oldest or A first.", OrderDirection.DESC: "Largest, newest or Z first."},
)
