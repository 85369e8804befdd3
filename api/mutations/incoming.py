"""What comes back, handed in or corrected by people and partners.

Source: product.md section 2 "What the world does to a recipient".
"""

import base64
import binascii
from typing import Any
from uuid import UUID

import strawberry

from api.context import Info
from api.ids import key_of
from api.inbound_door import INBOUND_PATH
from api.mutations.carrying_out import carried_out, mutation, repeatable
from api.mutations.payloads import ContactPayload, Payload, RecipientPayload
from api.types.enums import Channel
from api.types.fields import resolved
from api.types.messages import Message
from domain import contacts, inbound, inbound_secrets, partner_reports, reclassifying
from domain.partner_reports import PartnerReport
from domain.reading import messages
from domain.refusals import Invalid
from domain.rules.access import Scope
from domain.rules.ids import Prefix, to_public
from domain.rules.inbound.intake import OUTCOME_MEANING, InboundOutcome, InboundSource
from domain.rules.inbound.reading import Classification

strawberry.enum(InboundOutcome, description="What became of a mail that was handed in.")
for _value in InboundOutcome.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = OUTCOME_MEANING[InboundOutcome(_value.value)]

_REPORT_MEANING = {
    PartnerReport.HARD_BOUNCED: "The address is permanently undeliverable.",
    PartnerReport.REPLIED: "The person answered.",
    PartnerReport.OPTED_OUT: "The person does not want to be written to any more.",
    PartnerReport.COMPLAINED: "The person reported a message of this sequence as spam.",
}
strawberry.enum(PartnerReport, description="What a partner can report about a recipient.")
for _value in PartnerReport.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = _REPORT_MEANING[PartnerReport(_value.value)]


@strawberry.input(description="Hands in one mail that came back.")
class InboundMessageIngestInput:
    raw: str = strawberry.field(
        description="The whole mail with its headers (RFC 5322): as text, or in base64 where it has bytes that are no "
        "text. A request takes 256 kB; larger mails go to the HTTP door, `inboundSecretRotate` says where."
    )
    mailbox_id: strawberry.ID | None = strawberry.field(
        default=None, description="The mailbox it came to, where that is known."
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What became of a mail that was handed in.")
class InboundMessageIngestPayload(RecipientPayload):
    outcome: InboundOutcome | None = strawberry.field(default=None, description="What became of it.")
    again: bool = strawberry.field(
        default=False, description="Whether it had been taken in before, by any door; nothing was done now."
    )
    reason: str | None = strawberry.field(default=None, description="Why it could not be read.")
    message_key: strawberry.Private[UUID | None] = None

    @resolved("The incoming message it became; null when it is about none of our recipients.")
    async def message(self, info: Info) -> Message | None:
        return await _message(info, self.message_key)


@strawberry.input(description="Reports what happened to a recipient outside.")
class RecipientReportInput:
    id: strawberry.ID = strawberry.field(description="Which recipient.")
    kind: PartnerReport = strawberry.field(description="What happened.")
    text: str | None = strawberry.field(
        default=None,
        description="What was written, in plain text. It is recorded as an incoming message, once for each text.",
    )
    channel: Channel | None = strawberry.field(
        default=None,
        description="How it came: which of our messages it is about, and whether an opt-out binds the address or the "
        "number. Left out or null: that of the latest message to this recipient; a bounce is always one of email.",
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of a report.")
class RecipientReportPayload(RecipientPayload):
    message_key: strawberry.Private[UUID | None] = None

    @resolved("The incoming message that was recorded; null where no text was given.")
    async def message(self, info: Info) -> Message | None:
        return await _message(info, self.message_key)


@strawberry.input(description="Says what an incoming message really was.")
class MessageReclassifyInput:
    id: strawberry.ID = strawberry.field(description="Which incoming message.")
    classification: Classification = strawberry.field(
        description="What it is: HUMAN_REPLY, AUTOMATIC_ANSWER or OPT_OUT."
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of reclassifying a message.")
class MessageReclassifyPayload(Payload):
    changed: int = strawberry.field(default=0, description="How many recipients changed by it.")
    message_key: strawberry.Private[UUID | None] = None

    @resolved("The message as it is now; null when the change was refused.")
    async def message(self, info: Info) -> Message | None:
        return await _message(info, self.message_key)


@strawberry.input(description="Lets automated messages to a contact go on.")
class ContactHoldReleaseInput:
    id: strawberry.ID = strawberry.field(description="Which contact.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of releasing a hold.")
class ContactHoldReleasePayload(ContactPayload):
    pass


@strawberry.input(description="Makes a new secret for mail that providers hand in over HTTP.")
class InboundSecretRotateInput:
    end_previous: bool | None = strawberry.field(
        default=None,
        description="True: the one before is void at once, because it leaked. Left out or null: it is good for a day.",
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="Where mail providers hand in mail, and the secret they sign it with.")
class InboundSecretRotatePayload(Payload):
    workspace_id: strawberry.ID | None = strawberry.field(
        default=None, description="The workspace that this secret opens the door of."
    )
    url: str | None = strawberry.field(
        default=None, description="Where to POST each raw mail, with the headers of Standard Webhooks."
    )
    secret: str | None = strawberry.field(default=None, description="The secret. It is shown this once.")


async def _message(info: Info, key: UUID | None) -> Message | None:
    if key is None:
        return None
    found: Any = await messages.by_ids(info.context.caller.workspace_id, [key])
    shown: Message | None = found.get(key)
    return shown


def _octets(raw: str) -> bytes:
    """Return the mail's bytes. A mail begins with a header, whose colon base64 does not know."""
    if ":" in raw:
        return raw.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(raw.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("This is neither a mail with headers nor base64.", field=["raw"]) from None


@strawberry.type
class IncomingMutations:
    @mutation(
        "Takes in one mail that came back: a reply, a delivery report, an automatic answer, a complaint. Repeating it "
        "changes nothing more. What is about none of our messages changes nothing.",
        scope=Scope.SIGNALS_WRITE,
        transactions_of_its_own=True,
    )
    async def inbound_message_ingest(
        self, info: Info, input: InboundMessageIngestInput
    ) -> InboundMessageIngestPayload | None:
        workspace_id = info.context.caller.workspace_id
        mailbox_id = key_of(Prefix.MAILBOX, input.mailbox_id, ["mailboxId"]) if input.mailbox_id else None
        raw = _octets(input.raw)
        reading = await inbound.understood(workspace_id, raw)

        async def take_in() -> InboundMessageIngestPayload:
            found = await inbound.take_in(workspace_id, mailbox_id, raw, InboundSource.API, reading)
            return InboundMessageIngestPayload(
                recipient_key=found.recipient_id,
                message_key=found.message_id,
                outcome=found.outcome,
                again=found.again,
                reason=found.reason,
            )

        return await carried_out(info, input, take_in)

    @mutation(
        "Reports a bounce, a reply, an opt-out or a complaint that came to you by another way. It has the same effect "
        "as a mail that comes in, and is never refused for the recipient's status.",
        scope=Scope.SIGNALS_WRITE,
    )
    async def recipient_report(self, info: Info, input: RecipientReportInput) -> RecipientReportPayload | None:
        me = info.context.caller
        key = key_of(Prefix.RECIPIENT, input.id, ["id"])
        message = await partner_reports.report(
            me.workspace_id, me.actor, key, input.kind, text=input.text, channel=input.channel
        )
        return RecipientReportPayload(recipient_key=key, message_key=message)

    @mutation(
        "Says what an incoming message really was. Only what that message did is undone: who ended by it as REPLIED or "
        "by an opt-out text is PAUSED, to be resumed. STOPPED, BOUNCED, complaints and opt-outs by link stay, and so "
        "does an end that another message or suppression stands for. A hold for an absence goes with its message.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def message_reclassify(self, info: Info, input: MessageReclassifyInput) -> MessageReclassifyPayload | None:
        me = info.context.caller
        key = key_of(Prefix.MESSAGE, input.id, ["id"])
        changed = await reclassifying.reclassify(me.workspace_id, me.actor, key, input.classification)
        return MessageReclassifyPayload(message_key=key, changed=len(changed))

    @mutation(
        "Ends a contact's absence: automated messages to it go on. The same absence does not hold it again.",
        scope=Scope.CONTACTS_WRITE,
    )
    async def contact_hold_release(
        self, info: Info, input: ContactHoldReleaseInput
    ) -> ContactHoldReleasePayload | None:
        key = key_of(Prefix.CONTACT, input.id, ["id"])
        await contacts.release_hold(info.context.caller.workspace_id, key)
        return ContactHoldReleasePayload(contact_key=key)

    @mutation(
        "Makes a new secret for mail that providers hand in over HTTP, and says where. The one before is good for "
        "another day.",
        scope=Scope.ADMIN,
    )
    async def inbound_secret_rotate(
        self, info: Info, input: InboundSecretRotateInput
    ) -> InboundSecretRotatePayload | None:
        me = info.context.caller
        workspace_id = strawberry.ID(to_public(Prefix.WORKSPACE, me.workspace_id))
        url = f"{info.context.settings.links_url}{INBOUND_PATH}{workspace_id}"
        vault = info.context.vault
        secret = await inbound_secrets.rotate(me.workspace_id, vault, end_previous=bool(input.end_previous))
        return InboundSecretRotatePayload(workspace_id=workspace_id, url=url, secret=secret)
