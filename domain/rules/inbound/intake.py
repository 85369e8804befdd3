"""How mail comes in, and what becomes of it before anyone asks what it means."""

from enum import StrEnum


class InboundSource(StrEnum):
    """By which door a mail came in."""

    MAILBOX = "MAILBOX"
    API = "API"
    PROVIDER = "PROVIDER"


class InboundOutcome(StrEnum):
    """What became of a mail that was taken in."""

    RECORDED = "RECORDED"
    NOT_OURS = "NOT_OURS"
    OWN = "OWN"
    UNREADABLE = "UNREADABLE"


OUTCOME_MEANING = {
    InboundOutcome.RECORDED: "It became an incoming message of a recipient, and its effect has happened.",
    InboundOutcome.NOT_OURS: "It is about none of our messages and from nobody enrolled: only that it came is kept.",
    InboundOutcome.OWN: "It was sent from one of the workspace's own mailboxes: never a reply.",
    InboundOutcome.UNREADABLE: "It could not be read; the reason is kept.",
}
