"""The keys with which mailboxes sign their mail: making and removing them.

Source: product.md section 5.
"""

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import MailboxPayload
from domain import signing_keys
from domain.rules.access import Scope
from domain.rules.ids import Prefix


@strawberry.input(description="Makes a key with which a mailbox signs its mail.")
class MailboxDkimKeyCreateInput:
    id: strawberry.ID = strawberry.field(description="Which mailbox.")
    domain: str | None = strawberry.field(
        default=None,
        description="The domain it signs for: the one of its address, or one above it. Left out or null: the one of "
        "its address.",
    )
    selector: str | None = strawberry.field(
        default=None,
        description="The name of the key within the domain: lower-case letters, digits and hyphens; never one that "
        "another key has. Left out or null: a new name.",
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Removes the key with which a mailbox signs its mail.")
class MailboxDkimKeyRemoveInput:
    id: strawberry.ID = strawberry.field(description="Which mailbox.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of making a key; the DNS record to publish is the mailbox's dkimKey.")
class MailboxDkimKeyCreatePayload(MailboxPayload):
    pass


@strawberry.type(description="What came of removing a key.")
class MailboxDkimKeyRemovePayload(MailboxPayload):
    pass


@strawberry.type
class SigningMutations:
    @mutation(
        "Makes a key (DKIM, RSA with 2048 bits) with which the mailbox signs its mail from now on, in the place of the "
        "one it has. Publish the DNS record that dkimKey names; until then receivers take the mail as unsigned. Leave "
        "the record of the key before in place for a week, for the mail under way. Mail servers that sign by "
        "themselves go on doing so beside it.",
        scope=Scope.MAILBOXES_WRITE,
    )
    async def mailbox_dkim_key_create(
        self, info: Info, input: MailboxDkimKeyCreateInput
    ) -> MailboxDkimKeyCreatePayload | None:
        me, key = info.context.caller, key_of(Prefix.MAILBOX, input.id, ["id"])
        await signing_keys.create(
            me.workspace_id, info.context.vault, key, domain=input.domain, selector=input.selector
        )
        return MailboxDkimKeyCreatePayload(mailbox_key=key)

    @mutation(
        "Removes the key with which the mailbox signs: its mail leaves unsigned by Relance. The key cannot be brought "
        "back. One without a key stays as it is.",
        scope=Scope.MAILBOXES_WRITE,
    )
    async def mailbox_dkim_key_remove(
        self, info: Info, input: MailboxDkimKeyRemoveInput
    ) -> MailboxDkimKeyRemovePayload | None:
        key = key_of(Prefix.MAILBOX, input.id, ["id"])
        return MailboxDkimKeyRemovePayload(mailbox_key=await signing_keys.remove(info.context.caller.workspace_id, key))
