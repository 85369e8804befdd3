"""The gateway for providers that offer Twilio's interface: a POST for each message, a list to look into afterwards.

A connection is made for each call. What fails before a byte has left is `Later`; once bytes may have left, only an
answer says whether the message was taken, and a lost one is `Unknown`.

Source: Twilio's Message, Account and IncomingPhoneNumber resources; reliability.md 2.1, 2.20.
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import orjson

from domain.rules.network import AddressNotAllowed, Reach
from domain.rules.outcomes import Later, LaterReason, MailboxBroken, Outcome, Unknown
from domain.rules.text_answers import classify_answer
from domain.rules.webhooks import UrlInvalid, target_of
from workers.outgoing_http import OutgoingHttp, beginning
from workers.text_gateway import OpenedAccount, TextMessage

_CONNECTIONS: Final = 200
_DEADLINE_SECONDS: Final = 30.0
_LOOKED_AT: Final = 50  # messages of one number, newest first
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS_APART: Final = timedelta(minutes=2)
_NOTHING_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


class TwilioGateway:
    """Hands text messages over to Twilio, or to whoever offers its interface. One for each process."""

    def __init__(
        self,
        reach: Reach,
        *,
        deadline_seconds: float = _DEADLINE_SECONDS,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._http = OutgoingHttp(
            reach, connections=_CONNECTIONS, deadline_seconds=deadline_seconds, tls_context=tls_context
        )

    async def send(self, account: OpenedAccount, message: TextMessage) -> Outcome:
        fields = {
            "To": message.to,
            "From": account.number,
            "Body": message.text,
            "StatusCallback": message.reports_url,
        }
        answer = await self._call(account, "POST", "/Messages.json", fields)
        return classify_answer(answer.status, answer.body) if isinstance(answer, _Answer) else answer

    async def ids_of(self, account: OpenedAccount, to: str, text: str, since: datetime) -> list[str] | None:
        earliest = since - _CLOCKS_APART
        wanted = {"To": to, "From": account.number, "PageSize": str(_LOOKED_AT), "DateSent>": f"{earliest:%Y-%m-%d}"}
        answer = await self._call(account, "GET", f"/Messages.json?{urlencode(wanted)}")
        if not isinstance(answer, _Answer) or answer.status != 200:
            return None
        listed = answer.fields.get("messages")
        return [
            one["sid"]
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict)
            and isinstance(one.get("sid"), str)
            and one.get("to") == to
            and one.get("body") == text
            and _made_at(one) >= earliest
        ]

    async def try_account(self, account: OpenedAccount) -> Outcome | None:
        answer = await self._call(account, "GET", ".json")
        if not isinstance(answer, _Answer):
            return answer
        if answer.status != 200:
            return classify_answer(answer.status, answer.body)
        if (state := answer.fields.get("status", "active")) != "active":
            return MailboxBroken("MAILBOX_SUSPENDED", f"The account is {state}.")
        number = urlencode({"PhoneNumber": account.number})
        answer = await self._call(account, "GET", f"/IncomingPhoneNumbers.json?{number}")
        if not isinstance(answer, _Answer):
            return answer
        if answer.status != 200:
            return classify_answer(answer.status, answer.body)
        numbers = answer.fields.get("incoming_phone_numbers")
        own = [one for one in numbers or [] if isinstance(one, dict) and one.get("phone_number") == account.number]
        if not own:
            return MailboxBroken("SENDER_NOT_ALLOWED", f"{account.number} is not a number of this account.")
        if own[0].get("capabilities", {}).get("sms") is False:
            return MailboxBroken("SENDER_NOT_ALLOWED", f"{account.number} cannot send text messages.")
        return None

    async def close(self) -> None:
        """End what is open."""
        await self._http.close()

    async def _call(
        self, account: OpenedAccount, method: str, path: str, fields: Mapping[str, str] | None = None
    ) -> _Answer | Outcome:
        """Return the answer; or, where there is none, what that means for a message that was being handed over."""
        try:
            target = target_of(f"{account.api_url.rstrip('/')}/2010-04-01/Accounts/{account.account}{path}")
            async with asyncio.timeout(self._deadline_seconds):
                address = (await self._http.addresses(target))[0]
        except (UrlInvalid, AddressNotAllowed) as refused:
            return MailboxBroken("MAILBOX_SERVER_UNREACHABLE", str(refused))
        except (OSError, TimeoutError):
            return Later(LaterReason.TRANSPORT, "The provider's name cannot be looked up.")
        signed = base64.b64encode(f"{account.account}:{account.token}".encode()).decode()
        headers = {"authorization": f"Basic {signed}", "accept": "application/json", "accept-encoding": "identity"}
        content = None
        if fields is not None:
            content = urlencode(fields).encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
        try:
            async with (
                asyncio.timeout(self._deadline_seconds),
                self._http.calling(method, target, address, headers=headers, content=content) as response,
            ):
                return _Answer(response.status_code, await beginning(response))
        except _NOTHING_LEFT as failed:
            if "CERTIFICATE_VERIFY_FAILED" in str(failed):
                return MailboxBroken("MAILBOX_CERTIFICATE_INVALID", "The provider could not prove who it is.")
            return Later(LaterReason.TRANSPORT, "The provider does not take connections.")
        except (httpx.HTTPError, TimeoutError) as failed:
            return Unknown(f"The provider did not say whether it took the message ({type(failed).__name__}).")


def _made_at(listed: dict[str, Any]) -> datetime:
    """Return when a listed message was made; long ago where the list does not say it."""
    try:
        made_at = parsedate_to_datetime(str(listed.get("date_created")))
    except ValueError:
        return _LONG_AGO
    return made_at if made_at.tzinfo else made_at.replace(tzinfo=UTC)
