"""One signal about one recipient, with all that is known of it.

Source: product.md section 2 "What the world does to a recipient".
"""

from dataclasses import dataclass
from uuid import UUID

from domain.rules.actor import Actor
from domain.rules.lifecycle import Signal
from domain.rules.suppressed import SuppressionSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One signal about one recipient."""

    signal: Signal
    recipient_id: UUID
    actor: Actor
    message_id: UUID | None = None  # the message of ours that it is about
    incoming_id: UUID | None = None  # the message that brought it, recorded in the same transaction
    from_address: str | None = None  # who wrote that one
    step_id: UUID | None = None
    code: str = "MAILBOX_FULL"  # why a delivery failed: a step error code
    detail: str | None = None
    source: SuppressionSource | None = None  # how an opt-out came; None: by what brought the signal
    mailbox_id: UUID | None = None  # what the message in question came from; None: the recipient's mailbox
    phone: str | None = None  # of a text message: the number an opt-out is about
    address_hash: str | None = None  # of the address an opt-out is about, where that is all that is known
