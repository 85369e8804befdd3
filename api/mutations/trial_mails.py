"""Sending a test mail.

Source: product.md section 3 "Templates".
"""

from typing import Any
from uuid import UUID

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import Payload
from api.previews import ContentInput, words_of
from api.server_parts import parts_of
from api.types.fields import resolved
from api.types.trial_mails import TestEmail
from domain import previewing, trial_mails
from domain.previewing import Sample
from domain.reading import trial_mails as reading
from domain.refusals import Invalid, NotFound
from domain.rules.access import Scope
from domain.rules.ids import Prefix


@strawberry.input(description="Sends an email step as a test: what contentPreview shows, to an address of your own.")
class TestEmailSendInput:
    step_id: strawberry.ID | None = strawberry.field(default=None, description="Which step. Left out: give content.")
    recipient_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="With the values of which recipient. It is not written to, and nothing is noted of it.",
    )
    contact_id: strawberry.ID | None = strawberry.field(
        default=None, description="With the values of which contact. Not beside recipientId."
    )
    mailbox_id: strawberry.ID | None = strawberry.field(
        default=None, description="From which mailbox. Left out: the recipient's, or the sequence's first."
    )
    content: ContentInput | None = strawberry.field(
        default=None, description="Texts to send instead of those that are stored."
    )
    to: str | None = strawberry.field(
        default=None, description="Where it goes. Left out or null: to the mailbox's own address."
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of ordering a test mail.")
class TestEmailSendPayload(Payload):
    test_email_key: strawberry.Private[UUID | None] = None

    @resolved("The test mail as it is now; null when it was refused. Ask `node` for what becomes of it.")
    async def test_email(self, info: Info) -> TestEmail | None:
        if self.test_email_key is None:
            return None
        found: Any = await reading.by_ids(info.context.caller.workspace_id, [self.test_email_key])
        shown: TestEmail | None = found.get(self.test_email_key)
        return shown


@strawberry.type
class TrialMailMutations:
    @mutation(
        "Sends an email step as a test, marked so in its subject, through its mailbox and at that mailbox's turn. It "
        "counts for the mailbox's limits, is no message to the person whose values it shows, and is handed over once "
        "at most; its opt-out link opts nobody out.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def test_email_send(self, info: Info, input: TestEmailSendInput) -> TestEmailSendPayload | None:
        if (input.recipient_id is None) == (input.contact_id is None):
            raise Invalid("Give `recipientId` or `contactId`, one of the two.", field=["recipientId"])
        if input.step_id is None and input.content is None:
            raise Invalid("Give `stepId`, `content`, or both.", field=["stepId"])
        sample = Sample(
            step_id=_key(input.step_id, Prefix.STEP, "stepId"),
            recipient_id=_key(input.recipient_id, Prefix.RECIPIENT, "recipientId"),
            contact_id=_key(input.contact_id, Prefix.CONTACT, "contactId"),
            mailbox_id=_key(input.mailbox_id, Prefix.MAILBOX, "mailboxId"),
            content=words_of(input.content),
        )
        links_url = parts_of(info.context).settings.links_url
        workspace_id = info.context.caller.workspace_id
        preview = await previewing.preview(workspace_id, sample, links_url)
        if preview is None:
            raise NotFound("step, person or mailbox", field=["stepId"])
        key = await trial_mails.order(workspace_id, info.context.vault, preview, input.to, links_url)
        return TestEmailSendPayload(test_email_key=key)


def _key(id: str | None, prefix: Prefix, field: str) -> UUID | None:
    return None if id is None else key_of(prefix, id, [field])
