"""Sending accounts."""

import strawberry

from api.context import Info
from api.types.enums import MailboxState
from api.types.fields import resolved
from api.types.node import Connection, Node
from domain.rules.step_errors import StepErrorCode


@strawberry.type(description="A sending account.")
class Mailbox(Node):
    address: str = strawberry.field(description="The address it sends from.")
    display_name: str | None = strawberry.field(description="The name beside the address.")
    state: MailboxState = strawberry.field(description="Whether it can send.")
    state_code: StepErrorCode | None = strawberry.field(description="Why it is not connected, as a code.")
    state_message: str | None = strawberry.field(description="Why it is not connected, in words.")
    daily_limit: int = strawberry.field(description="How many messages it may send within 24 hours.")
    minimum_gap_seconds: int = strawberry.field(description="The least time between two messages, in seconds.")

    @resolved("How many messages it handed over within the last 24 hours.")
    async def sent_last_24_hours(self, info: Info) -> int:
        found: int = (await info.context.loaders.use_of_mailbox(self)).sent_last_24_hours
        return found

    @resolved("How many recipients wait for its turn: their step is due.")
    async def waiting_recipients(self, info: Info) -> int:
        found: int = (await info.context.loaders.use_of_mailbox(self)).waiting_recipients
        return found


@strawberry.type(description="One page of mailboxes.")
class MailboxConnection(Connection[Mailbox]):
    pass
