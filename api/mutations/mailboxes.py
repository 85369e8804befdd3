"""Mailboxes: adding, changing, connecting and disconnecting them.

Source: product.md section 4.
"""

from enum import StrEnum
from typing import Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import carried_out, mutation, repeatable
from api.mutations.payloads import MailboxPayload
from api.mutations.refusals import MailboxNotConnected, told
from api.server_parts import SignInRefused, parts_of
from api.types.step_errors import SuggestedFix
from domain import mailboxes, sandbox
from domain.mailbox_fields import CLEARABLE, MailboxFields, RampUp
from domain.mailbox_sign_in import ImapSignIn, SmtpSignIn, TextSignIn, imap_sign_in, sending_sign_in
from domain.refusals import Invalid
from domain.rules.access import Scope
from domain.rules.ids import Prefix
from domain.rules.outcomes import MailboxBroken
from domain.rules.sandbox import of_mailbox
from domain.rules.step_errors import CATALOGUE, StepErrorCode, fix_sentence, sentence


class ConnectionSecurity(StrEnum):
    NONE = "NONE"
    STARTTLS = "STARTTLS"
    TLS = "TLS"


_MEANING = {
    "NONE": "No encryption; only for servers on the same machine.",
    "STARTTLS": "Encryption is started after connecting, or nothing is sent; usually port 587.",
    "TLS": "Encrypted from the start; usually port 465.",
}
strawberry.enum(ConnectionSecurity, description="How a connection to a mail server is encrypted.")
for _value in ConnectionSecurity.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = _MEANING[_value.name]

_NEW = "Left out or null: {}."
_KEEPS = "Left out or null: kept."
_CLEARS = "Left out: kept. Null: none."


@strawberry.input(
    description="A slow start for a new mailbox: few messages at first, more with each day, up to its daily limit."
)
class RampUpInput:
    start: int = strawberry.field(description="How many messages within 24 hours at first.")
    step: int = strawberry.field(description="How many more with each day.")


@strawberry.input(description="Adds a mailbox to send from.")
class MailboxCreateInput:
    address: str = strawberry.field(description="The address it sends from.")
    display_name: str | None = strawberry.field(default=None, description="The name beside the address.")
    smtp_host: str = strawberry.field(
        description="The server that takes its mail: the name or IP address of a public one, or of one in a network "
        "that whoever runs Relance has allowed (RELANCE_PRIVATE_NETWORKS)."
    )
    smtp_port: int | None = strawberry.field(default=None, description=_NEW.format("587, or 465 with TLS"))
    smtp_security: ConnectionSecurity | None = strawberry.field(default=None, description=_NEW.format("STARTTLS"))
    smtp_username: str | None = strawberry.field(default=None, description=_NEW.format("no sign-in"))
    smtp_password: str | None = strawberry.field(default=None, description="Stored encrypted; never shown again.")
    imap_host: str | None = strawberry.field(
        default=None,
        description=f"The server its mail is read from, for replies and bounces. {_NEW.format('not read')}",
    )
    imap_port: int | None = strawberry.field(default=None, description=_NEW.format("993, or 143 without TLS"))
    imap_security: ConnectionSecurity | None = strawberry.field(default=None, description=_NEW.format("TLS"))
    imap_username: str | None = strawberry.field(
        default=None, description=_NEW.format("the one for sending, else the address")
    )
    imap_password: str | None = strawberry.field(
        default=None, description=f"Stored encrypted; never shown again. {_NEW.format('the one for sending')}"
    )
    daily_limit: int | None = strawberry.field(
        default=None, description=f"How many messages within 24 hours. {_NEW.format('200')}"
    )
    minimum_gap_seconds: int | None = strawberry.field(
        default=None, description=f"The least time between two messages, in seconds. {_NEW.format('60')}"
    )
    ramp_up: RampUpInput | None = strawberry.field(default=None, description=_NEW.format("no ramp-up"))
    domain_gap_seconds: int | None = strawberry.field(
        default=None,
        description="The least time between two messages to addresses of one domain, in seconds; 0 for no such pacing. "
        f"{_NEW.format('0')}",
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Changes a mailbox. What is left out is kept.")
class MailboxUpdateInput:
    id: strawberry.ID = strawberry.field(description="Which mailbox.")
    address: str | None = strawberry.field(default=None, description=_KEEPS)
    display_name: str | None = strawberry.field(default=UNSET, description=_CLEARS)
    smtp_host: str | None = strawberry.field(default=None, description=_KEEPS)
    smtp_port: int | None = strawberry.field(default=None, description=_KEEPS)
    smtp_security: ConnectionSecurity | None = strawberry.field(default=None, description=_KEEPS)
    smtp_username: str | None = strawberry.field(default=UNSET, description=_CLEARS)
    smtp_password: str | None = strawberry.field(default=UNSET, description=_CLEARS)
    imap_host: str | None = strawberry.field(
        default=UNSET, description="Left out: kept. Null: it is not read any more."
    )
    imap_port: int | None = strawberry.field(default=None, description=_KEEPS)
    imap_security: ConnectionSecurity | None = strawberry.field(default=None, description=_KEEPS)
    imap_username: str | None = strawberry.field(default=None, description=_KEEPS)
    imap_password: str | None = strawberry.field(default=None, description=_KEEPS)
    daily_limit: int | None = strawberry.field(default=None, description=_KEEPS)
    minimum_gap_seconds: int | None = strawberry.field(default=None, description=_KEEPS)
    ramp_up: RampUpInput | None = strawberry.field(
        default=UNSET, description=f"{_CLEARS} Another start than the present one begins anew."
    )
    domain_gap_seconds: int | None = strawberry.field(default=None, description=_KEEPS)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Tries a mailbox and takes it into use.")
class MailboxConnectInput:
    id: strawberry.ID = strawberry.field(description="Which mailbox.")


@strawberry.input(description="Takes a mailbox out of use.")
class MailboxDisconnectInput:
    id: strawberry.ID = strawberry.field(description="Which mailbox.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of adding a mailbox.")
class MailboxCreatePayload(MailboxPayload):
    pass


@strawberry.type(description="What came of changing a mailbox.")
class MailboxUpdatePayload(MailboxPayload):
    pass


@strawberry.type(description="What came of connecting a mailbox; where the sign-in failed, the mailbox says so too.")
class MailboxConnectPayload(MailboxPayload):
    pass


@strawberry.type(description="What came of disconnecting a mailbox.")
class MailboxDisconnectPayload(MailboxPayload):
    pass


_FIELDS = (
    *("address", "display_name", "smtp_host", "smtp_port", "smtp_security", "smtp_username", "smtp_password"),
    *("imap_host", "imap_port", "imap_security", "imap_username", "imap_password"),
    *("daily_limit", "minimum_gap_seconds", "ramp_up", "domain_gap_seconds"),
)


def _key(id: str) -> UUID:
    return key_of(Prefix.MAILBOX, id, ["id"])


def _fields(given: MailboxCreateInput | MailboxUpdateInput) -> MailboxFields:
    values: dict[str, Any] = {name: value for name in _FIELDS if (value := getattr(given, name)) not in (None, UNSET)}
    for name in ("smtp_security", "imap_security"):
        if name in values:
            values[name] = values[name].value
    if ramp_up := values.get("ramp_up"):
        values["ramp_up"] = RampUp(ramp_up.start, ramp_up.step)
    return MailboxFields(**values)


@strawberry.type
class MailboxMutations:
    @mutation(
        "Adds a mailbox. Try it with mailboxConnect before people are written to from it.", scope=Scope.MAILBOXES_WRITE
    )
    async def mailbox_create(self, info: Info, input: MailboxCreateInput) -> MailboxCreatePayload | None:
        me, reach = info.context.caller, info.context.settings.reach
        return MailboxCreatePayload(
            mailbox_key=await mailboxes.create(me.workspace_id, info.context.vault, _fields(input), reach)
        )

    @mutation(
        "Changes a mailbox. It is not tried by this: mailboxConnect does. A new server, port, security or user name "
        "needs the password again.",
        scope=Scope.MAILBOXES_WRITE,
    )
    async def mailbox_update(self, info: Info, input: MailboxUpdateInput) -> MailboxUpdatePayload | None:
        me, key = info.context.caller, _key(input.id)
        clears = [name for name in CLEARABLE if getattr(input, name) is None]
        reach = info.context.settings.reach
        await mailboxes.update(me.workspace_id, info.context.vault, key, _fields(input), reach, clears=clears)
        return MailboxUpdatePayload(mailbox_key=key)

    @mutation(
        "Signs in to the mailbox's servers for real, for sending and, where it has an IMAP server, for reading; of a "
        "number for text messages to its provider, who is asked whether it may send from the number. It "
        "sends from then on, and what waited for it may be retried; where a sign-in fails it is disconnected, and says "
        "why.",
        scope=Scope.MAILBOXES_WRITE,
        transactions_of_its_own=True,
    )
    async def mailbox_connect(self, info: Info, input: MailboxConnectInput) -> MailboxConnectPayload | None:
        me, key = info.context.caller, _key(input.id)
        try_mailbox = parts_of(info.context).try_mailbox
        if await sandbox.is_test(me.workspace_id):
            try_mailbox = _try_in_sandbox
        if try_mailbox is None:
            raise Invalid("This server cannot try mail servers. Start it with `relance api` or `relance up`.")
        reach = info.context.settings.reach
        account = await sending_sign_in(me.workspace_id, info.context.vault, key, reach)
        refused = await try_mailbox(account, await imap_sign_in(me.workspace_id, info.context.vault, key, reach))

        async def write() -> MailboxConnectPayload:
            if refused is None:
                await mailboxes.connected(me.workspace_id, key)
                return MailboxConnectPayload(mailbox_key=key)
            await mailboxes.refused(me.workspace_id, key, refused.code, refused.words)
            return MailboxConnectPayload(
                mailbox_key=key, errors=[told(_not_connected(refused, account.address, input.id))]
            )

        return await carried_out(info, input, write)

    @mutation(
        "Takes a mailbox out of use: no hand-over from it begins after this has answered.", scope=Scope.MAILBOXES_WRITE
    )
    async def mailbox_disconnect(self, info: Info, input: MailboxDisconnectInput) -> MailboxDisconnectPayload | None:
        key = await mailboxes.disconnect(info.context.caller.workspace_id, _key(input.id))
        return MailboxDisconnectPayload(mailbox_key=key)


async def _try_in_sandbox(sending: SmtpSignIn | TextSignIn, reading: ImapSignIn | None) -> SignInRefused | None:
    magic = of_mailbox(sending.address)
    if magic is None or not isinstance(magic.outcome, MailboxBroken):
        return None
    return SignInRefused(StepErrorCode(magic.outcome.code), magic.outcome.reply)


def _not_connected(refused: SignInRefused, address: str, id: strawberry.ID) -> MailboxNotConnected:
    fix = SuggestedFix(
        code=CATALOGUE[refused.code].fix, message=fix_sentence(refused.code, mailbox_address=address), target_id=id
    )
    words = sentence(refused.code, mailbox_address=address, detail=refused.words)
    return MailboxNotConnected(f"Signing in for reading mail failed. {words}" if refused.reading else words, fix)
