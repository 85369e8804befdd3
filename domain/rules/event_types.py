"""The closed list of what can happen to a recipient. An event is one version of one recipient."""

from collections.abc import Mapping
from enum import StrEnum


class EventType(StrEnum):
    ENROLLED = "recipient.enrolled"
    STATUS_CHANGED = "recipient.status_changed"
    STEP_CARRIED_OUT = "recipient.step_carried_out"
    STEP_SKIPPED = "recipient.step_skipped"
    STEP_CHANGED = "recipient.step_changed"
    STEP_FAILED = "recipient.step_failed"
    STEP_RETRIED = "recipient.step_retried"
    ACTION_PENDING = "recipient.action_pending"
    ACTION_SCHEDULED = "recipient.action_scheduled"
    ACTION_UNSCHEDULED = "recipient.action_unscheduled"
    ACTION_ASSIGNED = "recipient.action_assigned"
    CONTENT_EDITED = "recipient.content_edited"
    HOLD_CHANGED = "recipient.hold_changed"
    MESSAGE_RECORDED = "recipient.message_recorded"
    DELETED = "recipient.deleted"


MEANING: Mapping[EventType, str] = {
    EventType.ENROLLED: "A contact was enrolled; the recipient exists from now on.",
    EventType.STATUS_CHANGED: "The status changed by an action or a signal that has no type of its own.",
    EventType.STEP_CARRIED_OUT: "A step was carried out: its message was sent, or its task completed.",
    EventType.STEP_SKIPPED: "A step was skipped by a person, or by its removal while it waited for one or had failed.",
    EventType.STEP_CHANGED: "The sequence was edited, and another step is the next one.",
    EventType.STEP_FAILED: "A step could not be carried out; `stepError` says why.",
    EventType.STEP_RETRIED: "An error was closed and its step is tried again, or its delivery was confirmed.",
    EventType.ACTION_PENDING: "A manual email or a task has come due and waits for a person.",
    EventType.ACTION_SCHEDULED: "A person released a pending email: it is sent now, or at the time they chose.",
    EventType.ACTION_UNSCHEDULED: "A person took that back: the email waits for a person again.",
    EventType.ACTION_ASSIGNED: "A pending action was given to another user, or to nobody.",
    EventType.CONTENT_EDITED: "The text of a step was changed or reset for this recipient.",
    EventType.HOLD_CHANGED: "A pause flag was set or lifted without a change of the status.",
    EventType.MESSAGE_RECORDED: "A fact about a message was recorded; the status stays.",
    EventType.DELETED: "The recipient was deleted; remove it from lists.",
}
