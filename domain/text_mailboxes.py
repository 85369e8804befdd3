"""Numbers to send text messages from: mailboxes of their own kind, with an account at a provider.

Source: product.md sections 3 and 4; reliability.md 2.20, 2.23.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from domain.claims import TextAccount
from domain.database import Tx, fetch, tx
from domain.refusals import Invalid, NotFound
from domain.rules.addresses import phone_key
from domain.rules.ids import new_id
from domain.rules.phones import PhoneInvalid, normalise_phone
from domain.rules.webhooks import UrlInvalid, target_of
from domain.secrets import SecretUnreadable, Vault

TOKEN_PLACE: Final = "mailboxes.sms_token"
TWILIO_URL: Final = "https://api.twilio.com"
CLEARABLE: Final = ("display_name",)
_DEFAULTS: Final[dict[str, Any]] = {"sms_api_url": TWILIO_URL, "daily_limit": 200, "minimum_gap_seconds": 10}
_SIGN_IN: Final = ("sms_api_url", "sms_account")  # where the token is sent, and for whom


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMailboxFields:
    """What a caller says about a number. None keeps what is there, or takes the default for a new one."""

    number: str | None = None
    display_name: str | None = None
    api_url: str | None = None
    account: str | None = None
    token: str | None = None
    daily_limit: int | None = None
    minimum_gap_seconds: int | None = None


async def create(workspace_id: UUID, vault: Vault, given: TextMailboxFields) -> UUID:
    """Add a number and return the id of its mailbox. It is CONNECTED until a sign-in says otherwise.

    Raises:
        Invalid: a value is missing or out of bounds, or the number has a mailbox already.
    """
    mailbox_id = new_id()
    values = _DEFAULTS | _checked(vault, workspace_id, mailbox_id, given)
    for name, field in (("address", "number"), ("sms_account", "accountSid"), ("sms_token", "authToken")):
        if name not in values:
            raise Invalid(f"A number for text messages needs {field}.", field=[field])

    async def work(t: Tx) -> UUID:
        await _refuse_taken(t, values["address_key"], mailbox_id)
        names = list(values)
        await t.execute(
            f"""
            INSERT INTO mailboxes (id, workspace_id, channel, state, next_send_at, failures_in_a_row,
                domain_gap_seconds, created_at, updated_at, {", ".join(names)})
            VALUES ($1, $2, 'SMS', 'CONNECTED', now(), 0, 0, $3, $3,
                {", ".join(f"${n}" for n in range(4, 4 + len(names)))})
            """,
            mailbox_id,
            t.workspace_id,
            t.now,
            *values.values(),
        )
        return mailbox_id

    return await tx(workspace_id, work, rings=False)


async def update(
    workspace_id: UUID, vault: Vault, mailbox_id: UUID, given: TextMailboxFields, *, clears: Sequence[str] = ()
) -> UUID:
    """Change what is given of a number; `clears` names those of CLEARABLE that it has no longer.

    Raises:
        Invalid: also where the stored token would follow to another server or account.
        NotFound
    """
    values = _checked(vault, workspace_id, mailbox_id, given) | dict.fromkeys(clears)

    async def work(t: Tx) -> UUID:
        stored = await t.fetchrow(
            "SELECT * FROM mailboxes WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, mailbox_id
        )
        if stored is None:
            raise NotFound("mailbox", field=["id"])
        if stored["channel"] != "SMS":
            raise Invalid("This is a mailbox for email. Change it with mailboxUpdate.", field=["id"])
        moves = any(values.get(name, stored[name]) != stored[name] for name in _SIGN_IN)
        if moves and "sms_token" not in values:
            raise Invalid(
                "The stored token is not sent to another server or for another account. Give authToken again.",
                field=["authToken"],
            )
        if "address_key" in values:
            await _refuse_taken(t, values["address_key"], mailbox_id)
        if values:
            pairs = ", ".join(f"{name} = ${n}" for n, name in enumerate(values, start=4))
            await t.execute(
                f"UPDATE mailboxes SET updated_at = $3, {pairs}, next_send_at = least(next_send_at, "
                "CASE WHEN held_back_by = 'DAILY_LIMIT' THEN now() ELSE next_send_at END) "
                "WHERE workspace_id = $1 AND id = $2",
                t.workspace_id,
                mailbox_id,
                t.now,
                *values.values(),
            )
        return mailbox_id

    return await tx(workspace_id, work, rings=False)


async def account_of(workspace_id: UUID, mailbox_id: UUID) -> TextAccount | None:
    """Return the account of a number; None when the mailbox is one for email.

    Raises:
        NotFound
    """
    rows = await fetch(
        "SELECT m.channel, m.address, m.display_name, m.sms_api_url, m.sms_account, m.sms_token, w.test_mode "
        "FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id WHERE m.workspace_id = $1 AND m.id = $2",
        workspace_id,
        mailbox_id,
    )
    if not rows:
        raise NotFound("mailbox", field=["id"])
    row = rows[0]
    if row["channel"] != "SMS":
        return None
    return TextAccount(
        mailbox_id=mailbox_id,
        address=row["address"],
        display_name=row["display_name"],
        api_url=row["sms_api_url"],
        account=row["sms_account"],
        sealed_token=row["sms_token"],
        test_mode=row["test_mode"],
    )


async def token_of(vault: Vault, mailbox_id: UUID) -> tuple[UUID, str] | None:
    """Return the workspace of a number, and the token with which its provider signs; None when there is none."""
    rows = await fetch("SELECT workspace_id, sms_token FROM mailboxes WHERE id = $1 AND channel = 'SMS'", mailbox_id)
    if not rows:
        return None
    workspace_id: UUID = rows[0]["workspace_id"]
    try:
        return workspace_id, vault.open(bytes(rows[0]["sms_token"]), workspace_id, TOKEN_PLACE, mailbox_id)
    except SecretUnreadable:
        return None


async def _refuse_taken(t: Tx, key: str, own_id: UUID) -> None:
    if await t.fetchval(
        "SELECT EXISTS (SELECT FROM mailboxes WHERE workspace_id = $1 AND address_key = $2 AND id <> $3)",
        t.workspace_id,
        key,
        own_id,
    ):
        raise Invalid("This number is there already. Change that one instead.", field=["number"])


def _checked(vault: Vault, workspace_id: UUID, mailbox_id: UUID, given: TextMailboxFields) -> dict[str, Any]:
    """Return the columns that were given, checked, the token sealed.

    Raises:
        Invalid
    """
    values: dict[str, Any] = {}
    if given.number is not None:
        try:
            values["address"] = normalise_phone(given.number)
        except PhoneInvalid as problem:
            raise Invalid(str(problem), field=["number"]) from None
        values["address_key"] = phone_key(values["address"])
    if given.display_name is not None:
        if len(given.display_name) > 200 or any(ord(letter) < 32 for letter in given.display_name):
            raise Invalid("The name is one line of at most 200 characters.", field=["displayName"])
        values["display_name"] = given.display_name
    if given.api_url is not None:
        values["sms_api_url"] = _checked_url(given.api_url)
    if given.account is not None:
        if not (given.account.isascii() and given.account.isalnum() and len(given.account) <= 100):
            raise Invalid("An account SID is made of letters and digits.", field=["accountSid"])
        values["sms_account"] = given.account
    if given.token is not None:
        if not (given.token.isascii() and given.token.isprintable() and 1 <= len(given.token) <= 200):
            raise Invalid("A token is one word of at most 200 letters and digits.", field=["authToken"])
        values["sms_token"] = vault.seal(given.token, workspace_id, TOKEN_PLACE, mailbox_id)
    if given.daily_limit is not None:
        if not 1 <= given.daily_limit <= 100_000:
            raise Invalid("The daily limit is 1 to 100,000 messages.", field=["dailyLimit"])
        values["daily_limit"] = given.daily_limit
    if given.minimum_gap_seconds is not None:
        if not 0 <= given.minimum_gap_seconds <= 86_400:
            raise Invalid("The gap between two messages is 0 to 86,400 seconds.", field=["minimumGapSeconds"])
        values["minimum_gap_seconds"] = given.minimum_gap_seconds
    return values


def _checked_url(url: str) -> str:
    try:
        target_of(url)
    except UrlInvalid as problem:
        raise Invalid(str(problem), field=["apiUrl"]) from None
    if urlsplit(url).query or len(url) > 400:
        raise Invalid("The URL ends with the provider's path, without a query.", field=["apiUrl"])
    return url.rstrip("/")
