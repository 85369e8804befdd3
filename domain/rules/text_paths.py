"""Where a provider of text messages calls us: one address of each number, for messages that come in and for reports."""

from typing import Final
from uuid import UUID

from domain.rules.ids import Prefix, to_public

PATH: Final = "/sms/"


def incoming(mailbox_id: UUID) -> str:
    """Return the path to which the provider posts the messages that come in at a number."""
    return f"{PATH}{to_public(Prefix.MAILBOX, mailbox_id)}"


def reports(mailbox_id: UUID, message_id: UUID) -> str:
    """Return the path to which it posts what became of one message."""
    return f"{incoming(mailbox_id)}/{to_public(Prefix.MESSAGE, message_id)}"
