"""Numbers that text messages are sent from: adding and changing them. They are connected as mailboxes are.

Source: product.md sections 3 and 4.
"""

from typing import Any

import strawberry
from strawberry import UNSET

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import MailboxPayload
from domain import text_mailboxes
from domain.rules.access import Scope
from domain.rules.ids import Prefix
from domain.text_mailboxes import TWILIO_URL, TextMailboxFields

_NEW = "Left out or null: {}."
_KEEPS = "Left out or null: kept."


@strawberry.input(description="Adds a number to send text messages from, and its account at a provider.")
class SmsMailboxCreateInput:
    number: str = strawberry.field(description="The number with its country, such as +49 170 1234567.")
    display_name: str | None = strawberry.field(default=None, description="The sender's name, for the texts.")
    account_sid: str = strawberry.field(description="The account at the provider.")
    auth_token: str = strawberry.field(
        description="The account's token: it signs in, and proves what the provider tells. Stored encrypted; never "
        "shown again."
    )
    api_url: str | None = strawberry.field(
        default=None,
        description=f"Where the provider's interface is; it must be that of Twilio. {_NEW.format(TWILIO_URL)}",
    )
    daily_limit: int | None = strawberry.field(
        default=None, description=f"How many messages within 24 hours. {_NEW.format('200')}"
    )
    minimum_gap_seconds: int | None = strawberry.field(
        default=None, description=f"The least time between two messages, in seconds. {_NEW.format('10')}"
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Changes a number that text messages are sent from. What is left out is kept.")
class SmsMailboxUpdateInput:
    id: strawberry.ID = strawberry.field(description="Which mailbox.")
    number: str | None = strawberry.field(default=None, description=_KEEPS)
    display_name: str | None = strawberry.field(default=UNSET, description="Left out: kept. Null: none.")
    account_sid: str | None = strawberry.field(default=None, description=_KEEPS)
    auth_token: str | None = strawberry.field(default=None, description=_KEEPS)
    api_url: str | None = strawberry.field(default=None, description=_KEEPS)
    daily_limit: int | None = strawberry.field(default=None, description=_KEEPS)
    minimum_gap_seconds: int | None = strawberry.field(default=None, description=_KEEPS)
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of adding a number.")
class SmsMailboxCreatePayload(MailboxPayload):
    pass


@strawberry.type(description="What came of changing a number.")
class SmsMailboxUpdatePayload(MailboxPayload):
    pass


_GIVEN = {
    "number": "number",
    "display_name": "display_name",
    "account_sid": "account",
    "auth_token": "token",
    "api_url": "api_url",
    "daily_limit": "daily_limit",
    "minimum_gap_seconds": "minimum_gap_seconds",
}


def _fields(given: SmsMailboxCreateInput | SmsMailboxUpdateInput) -> TextMailboxFields:
    values: dict[str, Any] = {
        field: value for name, field in _GIVEN.items() if (value := getattr(given, name)) not in (None, UNSET)
    }
    return TextMailboxFields(**values)


@strawberry.type
class SmsMailboxMutations:
    @mutation(
        "Adds a number to send text messages from. Try it with mailboxConnect, and enter its `sms { incomingUrl }` at "
        "the provider, before people are written to from it.",
        scope=Scope.MAILBOXES_WRITE,
    )
    async def sms_mailbox_create(self, info: Info, input: SmsMailboxCreateInput) -> SmsMailboxCreatePayload | None:
        me = info.context.caller
        key = await text_mailboxes.create(me.workspace_id, info.context.vault, _fields(input))
        return SmsMailboxCreatePayload(mailbox_key=key)

    @mutation(
        "Changes a number that text messages are sent from. It is not tried by this: mailboxConnect does. Another "
        "account or URL needs the token again.",
        scope=Scope.MAILBOXES_WRITE,
    )
    async def sms_mailbox_update(self, info: Info, input: SmsMailboxUpdateInput) -> SmsMailboxUpdatePayload | None:
        me, key = info.context.caller, key_of(Prefix.MAILBOX, input.id, ["id"])
        clears = [name for name in text_mailboxes.CLEARABLE if getattr(input, name) is None]
        await text_mailboxes.update(me.workspace_id, info.context.vault, key, _fields(input), clears=clears)
        return SmsMailboxUpdatePayload(mailbox_key=key)
