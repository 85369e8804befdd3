"""What the payloads share: the object as it is after the change, looked up only when it is selected."""

from typing import Any
from uuid import UUID

import strawberry

from api.context import Info
from api.mutations.refusals import MutationError
from api.types.contacts import Contact
from api.types.fields import resolved
from api.types.mailboxes import Mailbox
from api.types.recipients import Recipient
from api.types.sequences import Sequence
from domain.reading import contacts, mailboxes, sequences

_ERRORS = "Why it was refused; empty when it was done."


@strawberry.type(description="What came of a change.")
class Payload:
    errors: list[MutationError] = strawberry.field(description=_ERRORS, default_factory=list)


@strawberry.type(description="What came of a change of a recipient.")
class RecipientPayload(Payload):
    recipient_key: strawberry.Private[UUID | None] = None

    @resolved("The recipient as it is now; null when the change was refused.")
    async def recipient(self, info: Info) -> Recipient | None:
        if self.recipient_key is None:
            return None
        found: Recipient | None = await info.context.loaders.recipient_of(info, self)
        return found


@strawberry.type(description="What came of a change of a sequence.")
class SequencePayload(Payload):
    sequence_key: strawberry.Private[UUID | None] = None

    @resolved("The sequence as it is now; null when the change was refused.")
    async def sequence(self, info: Info) -> Sequence | None:
        if self.sequence_key is None:
            return None
        found: Any = await sequences.by_ids(info.context.caller.workspace_id, [self.sequence_key])
        shown: Sequence | None = found.get(self.sequence_key)
        return shown


@strawberry.type(description="What came of a change of a mailbox.")
class MailboxPayload(Payload):
    mailbox_key: strawberry.Private[UUID | None] = None

    @resolved("The mailbox as it is now; null when there is none.")
    async def mailbox(self, info: Info) -> Mailbox | None:
        if self.mailbox_key is None:
            return None
        found: Any = await mailboxes.by_ids(info.context.caller.workspace_id, [self.mailbox_key])
        shown: Mailbox | None = found.get(self.mailbox_key)
        return shown


@strawberry.type(description="What came of writing a contact.")
class ContactPayload(Payload):
    contact_key: strawberry.Private[UUID | None] = None

    @resolved("The contact as it is now; null when the change was refused.")
    async def contact(self, info: Info) -> Contact | None:
        if self.contact_key is None:
            return None
        found: Any = await contacts.by_ids(info.context.caller.workspace_id, [self.contact_key])
        shown: Contact | None = found.get(self.contact_key)
        return shown
