"""Enums that only the schema speaks of; `enums.py` describes and publishes them."""

from enum import StrEnum


class TaskKind(StrEnum):
    CALL = "CALL"
    SOCIAL = "SOCIAL"
    OTHER = "OTHER"


class RecipientStepState(StrEnum):
    CARRIED_OUT = "CARRIED_OUT"
    SKIPPED = "SKIPPED"
    CURRENT = "CURRENT"
    UPCOMING = "UPCOMING"


class EmailState(StrEnum):
    UNKNOWN = "UNKNOWN"
    DELIVERABLE = "DELIVERABLE"
    BOUNCED = "BOUNCED"
    MISSING = "MISSING"


class MailboxState(StrEnum):
    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    HELD = "HELD"


class MessageDirection(StrEnum):
    OUTGOING = "OUTGOING"
    INCOMING = "INCOMING"


class Channel(StrEnum):
    EMAIL = "EMAIL"
    SMS = "SMS"


class MessageDelivery(StrEnum):
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class MessageState(StrEnum):
    CLAIMED = "CLAIMED"
    HANDING_OVER = "HANDING_OVER"
    SENT = "SENT"
    REFUSED = "REFUSED"
    DEFERRED = "DEFERRED"
    UNCONFIRMED = "UNCONFIRMED"
    DROPPED = "DROPPED"
    RECEIVED = "RECEIVED"


class PendingOutcome(StrEnum):
    SENT = "SENT"
    COMPLETED = "COMPLETED"
    SKIPPED = "SKIPPED"
    REPLIED = "REPLIED"
    STOPPED = "STOPPED"
    OPTED_OUT = "OPTED_OUT"
    BOUNCED = "BOUNCED"
    DELETED = "DELETED"


class ReenrolmentPolicy(StrEnum):
    NEVER = "NEVER"
    AFTER_END = "AFTER_END"
    AFTER_END_PLUS_DAYS = "AFTER_END_PLUS_DAYS"


class UnconfirmedDeliveryPolicy(StrEnum):
    ASK = "ASK"
    ASSUME_SENT = "ASSUME_SENT"


class Weekday(StrEnum):
    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class RecipientOrderField(StrEnum):
    ENROLLED_AT = "ENROLLED_AT"
    STATUS_CHANGED_AT = "STATUS_CHANGED_AT"
    UPDATED_AT = "UPDATED_AT"
    NEXT_ATTEMPT_AT = "NEXT_ATTEMPT_AT"
    CONTACT_NAME = "CONTACT_NAME"


class OrderDirection(StrEnum):
    ASC = "ASC"
    DESC = "DESC"
