"""The closed lists of what can happen: to a recipient (an event is one version of one recipient), and to the other
things of a workspace.
"""

from collections.abc import Mapping, Sequence
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


class WorkspaceEventType(StrEnum):
    MAILBOX_CONNECTED = "mailbox.connected"
    MAILBOX_STATE_CHANGED = "mailbox.state_changed"
    MAILBOX_CHANGED = "mailbox.changed"
    SEQUENCE_CREATED = "sequence.created"
    SEQUENCE_STATUS_CHANGED = "sequence.status_changed"
    SEQUENCE_CHANGED = "sequence.changed"
    SEQUENCE_DELETED = "sequence.deleted"
    CONTACT_CREATED = "contact.created"
    CONTACT_CHANGED = "contact.changed"
    CONTACT_ERASED = "contact.erased"
    PENDING_CREATED = "pending.created"
    PENDING_CHANGED = "pending.changed"
    PENDING_CLOSED = "pending.closed"
    BULK_STARTED = "bulk.started"
    BULK_PROGRESSED = "bulk.progressed"
    BULK_ENDED = "bulk.ended"
    SUPPRESSION_CREATED = "suppression.created"
    SUPPRESSION_LIFTED = "suppression.lifted"
    SUPPRESSION_ERASED = "suppression.erased"


WORKSPACE_MEANING: Mapping[WorkspaceEventType, str] = {
    WorkspaceEventType.MAILBOX_CONNECTED: "A mailbox was connected for the first time.",
    WorkspaceEventType.MAILBOX_STATE_CHANGED: "A mailbox was lost, held, released or connected again.",
    WorkspaceEventType.MAILBOX_CHANGED: "Settings of a mailbox were changed, or its mail cannot be read, or can again.",
    WorkspaceEventType.SEQUENCE_CREATED: "A sequence was created.",
    WorkspaceEventType.SEQUENCE_STATUS_CHANGED: "A sequence was activated, paused, resumed or archived.",
    WorkspaceEventType.SEQUENCE_CHANGED: "Settings or steps of a sequence were changed, or it was held or released.",
    WorkspaceEventType.SEQUENCE_DELETED: "A draft was deleted.",
    WorkspaceEventType.CONTACT_CREATED: "A contact was created.",
    WorkspaceEventType.CONTACT_CHANGED: "A contact was changed, is absent or back, or its address bounced.",
    WorkspaceEventType.CONTACT_ERASED: "A contact was erased.",
    WorkspaceEventType.PENDING_CREATED: "A manual email or a task was put before a person.",
    WorkspaceEventType.PENDING_CHANGED: "It was assigned, edited or scheduled.",
    WorkspaceEventType.PENDING_CLOSED: "It was carried out, or closed by itself.",
    WorkspaceEventType.BULK_STARTED: "A bulk operation was asked for.",
    WorkspaceEventType.BULK_PROGRESSED: "It has got further.",
    WorkspaceEventType.BULK_ENDED: "It has ended, or was cancelled.",
    WorkspaceEventType.SUPPRESSION_CREATED: "Somebody is not written to any more; look at `Contact.suppressed`.",
    WorkspaceEventType.SUPPRESSION_LIFTED: "A suppression was lifted; look at `Contact.suppressed`.",
    WorkspaceEventType.SUPPRESSION_ERASED: "It is about an erased person now, and names nobody.",
}


def chosen_types(asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the types that are meant by names and by beginnings such as `mailbox.*`, and what means none."""
    found: dict[str, None] = {}
    unknown = []
    for text in asked:
        meant = [str(one) for one in WorkspaceEventType if one == text or f"{one.partition('.')[0]}.*" == text]
        found |= dict.fromkeys(meant)
        if not meant:
            unknown.append(text)
    return list(found), unknown
