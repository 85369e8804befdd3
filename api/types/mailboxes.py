"""Sending accounts."""

from datetime import datetime
from typing import Any

import strawberry

from api.context import Info
from api.types.enums import Channel, MailboxState
from api.types.fields import resolved
from api.types.guardrails import Guardrail
from api.types.node import Connection, Node
from domain.rules import text_paths
from domain.rules.step_errors import StepErrorCode, sentence


@strawberry.type(description="How the reading of a mailbox's mail goes.")
class MailboxReading:
    read_at: datetime | None = strawberry.field(
        description="When its folders were last read to their ends; null when they never were."
    )
    problem_code: StepErrorCode | None = strawberry.field(description="Why it cannot be read now, as a code.")
    problem_message: str | None = strawberry.field(
        description="Why it cannot be read now, in words. What comes in meanwhile is read afterwards."
    )


@strawberry.type(description="The slow start of a mailbox: few messages at first, more with each day.")
class RampUp:
    start: int = strawberry.field(description="How many messages within 24 hours at first.")
    step: int = strawberry.field(description="How many more with each day.")
    started_at: datetime = strawberry.field(description="When it began.")


@strawberry.type(
    description="The key with which a mailbox signs its mail (DKIM), and the DNS record that receivers look up."
)
class DkimKey:
    domain: str = strawberry.field(description="The domain it signs for.")
    selector: str = strawberry.field(description="The name of the key within the domain.")
    record_name: str = strawberry.field(description="The name of the TXT record to publish.")
    record_value: str = strawberry.field(
        description="The text of that record, whole. Where a form takes at most 255 characters, cut it into several "
        "texts of one record."
    )


@strawberry.type(description="The account at a provider that a number sends its text messages by.")
class SmsAccount:
    api_url: str = strawberry.field(description="Where the provider's interface is.")
    account_sid: str = strawberry.field(description="The account there.")
    incoming_url: str = strawberry.field(
        description="The URL to enter at the provider for messages that come in at the number (POST)."
    )


@strawberry.type(description="A sending account: for emails, or a number for text messages.")
class Mailbox(Node):
    channel: Channel = strawberry.field(description="What it sends.")
    address: str = strawberry.field(description="The address it sends from; of a number for text messages the number.")
    display_name: str | None = strawberry.field(description="The name beside the address.")
    state: MailboxState = strawberry.field(description="Whether it can send.")
    state_code: StepErrorCode | None = strawberry.field(description="Why it is not connected, as a code.")
    state_message: str | None = strawberry.field(description="Why it is not connected, or what holds it, in words.")
    daily_limit: int = strawberry.field(description="How many messages it may send within 24 hours.")
    minimum_gap_seconds: int = strawberry.field(description="The least time between two messages, in seconds.")
    ramp_up: RampUp | None = strawberry.field(description="Its slow start; null where it has none.")
    domain_gap_seconds: int = strawberry.field(
        description="The least time between two messages to addresses of one domain, in seconds; 0 for no such pacing."
    )
    dkim_key: DkimKey | None = strawberry.field(
        description="The key with which its mail is signed; null where Relance does not sign it."
    )

    @resolved("The account that a number sends its text messages by; null for emails.")
    async def sms(self, info: Info) -> SmsAccount | None:
        row: Any = self
        if row.sms_api_url is None or row.sms_account is None:
            return None
        incoming_url = info.context.settings.links_url + text_paths.incoming(row.key)
        return SmsAccount(api_url=row.sms_api_url, account_sid=row.sms_account, incoming_url=incoming_url)

    @resolved(
        "How many messages it may send within 24 hours at the moment: its limit, or what its ramp-up has reached."
    )
    async def limit_now(self, info: Info) -> int:
        found: int = (await info.context.loaders.use_of_mailbox(self)).limit_now
        return found

    @resolved("How many messages it handed over within the last 24 hours.")
    async def sent_last_24_hours(self, info: Info) -> int:
        found: int = (await info.context.loaders.use_of_mailbox(self)).sent_last_24_hours
        return found

    @resolved("How the reading of its mail goes, for replies and bounces; null when it is not read.")
    async def reading(self, info: Info) -> MailboxReading | None:
        use = await info.context.loaders.use_of_mailbox(self)
        if not use.read:
            return None
        code = StepErrorCode(use.reading_problem_code) if use.reading_problem_code else None
        words = sentence(code, mailbox_address=self.address, detail=use.reading_problem_words) if code else None
        return MailboxReading(read_at=use.read_at, problem_code=code, problem_message=words)

    @resolved("What watches over its bounces and complaints, and whether it holds the mailbox back.")
    async def guardrail(self, info: Info) -> Guardrail:
        found: Guardrail = await info.context.loaders.guardrail_of_mailbox(self)
        return found

    @resolved("How many recipients wait for its turn: their step is due.")
    async def waiting_recipients(self, info: Info) -> int:
        found: int = (await info.context.loaders.use_of_mailbox(self)).waiting_recipients
        return found


@strawberry.type(description="One page of mailboxes.")
class MailboxConnection(Connection[Mailbox]):
    pass
