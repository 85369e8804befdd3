"""Where a recipient stands at the moment of reading: what holds it back, until when, and the sentence about it.

Nothing here is stored. The values are computed from a row, its sequence, its mailbox's turn and the time of reading.
`filters.py` of the reading package asks the same questions in SQL; a test compares the two.

Source: product.md section 2 (`statusMessage`, `pausedBy`, `opens`) and section 3 (`waitingReason`, `nextAttemptAt`).
"""

from collections.abc import Mapping
from enum import StrEnum


class PausedBy(StrEnum):
    RECIPIENT = "RECIPIENT"
    SEQUENCE = "SEQUENCE"


class View(StrEnum):
    EMAIL = "EMAIL"
    TASK = "TASK"
    ERRORS = "ERRORS"


class WaitingReason(StrEnum):
    WAIT = "WAIT"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    BLACKOUT_DATE = "BLACKOUT_DATE"
    DAILY_LIMIT = "DAILY_LIMIT"
    MINIMUM_GAP = "MINIMUM_GAP"
    DOMAIN_PACING = "DOMAIN_PACING"
    MAILBOX_BACKOFF = "MAILBOX_BACKOFF"
    RETRY_BACKOFF = "RETRY_BACKOFF"
    FREQUENCY_CAP = "FREQUENCY_CAP"
    GUARDRAIL = "GUARDRAIL"
    OUT_OF_OFFICE = "OUT_OF_OFFICE"
    SEND_SCHEDULED = "SEND_SCHEDULED"
    SEQUENCE_NOT_ACTIVE = "SEQUENCE_NOT_ACTIVE"
    BEING_SENT = "BEING_SENT"


PAUSED_BY_MEANING: Mapping[PausedBy, str] = {
    PausedBy.RECIPIENT: "A person paused this recipient.",
    PausedBy.SEQUENCE: "The whole sequence is paused; resume the sequence to go on.",
}

VIEW_MEANING: Mapping[View, str] = {
    View.EMAIL: "The prepared email that waits for a person.",
    View.TASK: "The task that waits for a person.",
    View.ERRORS: "The open errors.",
}

WAITING_MEANING: Mapping[WaitingReason, str] = {
    WaitingReason.WAIT: "The wait before the step is not over.",
    WaitingReason.OUTSIDE_WINDOW: "The sending window of the sequence is shut at this time of the day or week.",
    WaitingReason.BLACKOUT_DATE: "Today is one of the dates on which the sequence sends nothing.",
    WaitingReason.DAILY_LIMIT: "The mailbox has sent as much as it may within 24 hours.",
    WaitingReason.MINIMUM_GAP: "The mailbox keeps its gap between two messages.",
    WaitingReason.DOMAIN_PACING: "Messages to the same domain are spread out.",
    WaitingReason.MAILBOX_BACKOFF: "The mail provider asked the whole mailbox to slow down, or could not be reached.",
    WaitingReason.RETRY_BACKOFF: "The other side asked to try this message again later.",
    WaitingReason.FREQUENCY_CAP: "The person has been written to often enough for now.",
    WaitingReason.GUARDRAIL: "Sending is held because too many messages bounced; a person must release it.",
    WaitingReason.OUT_OF_OFFICE: "The person is away; automated messages wait for the return.",
    WaitingReason.SEND_SCHEDULED: "A person chose a later time for this email.",
    WaitingReason.SEQUENCE_NOT_ACTIVE: "The sequence is a draft or archived; waits start when it is activated.",
    WaitingReason.BEING_SENT: "The message is being handed over right now.",
}
