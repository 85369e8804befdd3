"""The gateway against a provider that answers as Twilio documents it."""

import logging
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from cli.console import write_log
from domain.rules.network import PUBLIC_ONLY, Reach
from domain.rules.outcomes import Later, MailboxBroken, OptedOut, Outcome, Refused, Sent, Unknown
from tests.workers.twilio_server import NUMBER, SID, TOKEN, Provider, providing, said_no
from workers.text_gateway import OpenedAccount, TextMessage
from workers.twilio import TwilioGateway

HERE = Reach.of("127.0.0.1")
MESSAGE = TextMessage("+491701234567", "Hi Ann & co, 100 % + ü", "https://relance.example/sms/x/y")


def account_at(url: str, token: str = TOKEN) -> OpenedAccount:
    return OpenedAccount(NUMBER, url, SID, token)


async def send(url: str, reach: Reach = HERE, token: str = TOKEN) -> Outcome:
    gateway = TwilioGateway(reach, deadline_seconds=2, tls_context=ssl.create_default_context())
    try:
        return await gateway.send(account_at(url, token), MESSAGE)
    finally:
        await gateway.close()


async def test_a_message_is_handed_over_with_all_that_it_needs() -> None:
    async with providing() as provider:
        outcome = await send(provider.url)
        (one,) = provider.taken
        assert outcome == Sent(f"{one['sid']} queued")
        given = {name: one[name] for name in ("To", "From", "Body", "StatusCallback")}
        assert given == {
            "To": MESSAGE.to,
            "From": NUMBER,
            "Body": MESSAGE.text,
            "StatusCallback": MESSAGE.reports_url,
        }


async def test_refusals_mean_what_their_codes_say() -> None:
    async with providing() as provider:
        for (status, code), kind in {
            (400, 21211): Refused,
            (400, 21610): OptedOut,
            (429, 20429): Later,
            (503, 20503): Unknown,
        }.items():
            provider.refuses = lambda fields, status=status, code=code: said_no(status, code)  # type: ignore[misc]
            assert isinstance(await send(provider.url), kind)
        refused = await send(provider.url, token="wrong")
        assert isinstance(refused, MailboxBroken)
        assert refused.code == "MAILBOX_CREDENTIALS_REFUSED"
        assert provider.taken == []


async def test_a_lost_answer_is_unknown_and_the_message_is_posted_once() -> None:
    async with providing(Provider(loses_answers=True)) as provider:
        assert isinstance(await send(provider.url), Unknown)
        assert (provider.posts, len(provider.taken)) == (1, 1)
    async with providing(Provider(cuts_posts=True)) as provider:
        assert isinstance(await send(provider.url), Unknown)
        assert provider.posts == 1


async def test_what_fails_before_a_byte_has_left_is_tried_later_or_is_the_accounts_fault() -> None:
    async with providing() as provider:
        closed = provider.url
    assert isinstance(await send(closed), Later)
    async with providing() as provider:
        refused = await send(provider.url, reach=PUBLIC_ONLY)
        assert isinstance(refused, MailboxBroken)
        assert refused.code == "MAILBOX_SERVER_UNREACHABLE"
        assert provider.posts == 0


async def test_the_providers_list_tells_which_messages_it_took_and_no_log_whom_they_went_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("", "relance", "arq", "httpx"):
        caplog.set_level(logging.DEBUG, name)  # and back at the end of the test
    write_log("DEBUG")
    gateway = TwilioGateway(HERE, deadline_seconds=2, tls_context=ssl.create_default_context())
    async with providing(Provider(loses_answers=True)) as provider:
        account, began_at = account_at(provider.url), datetime.now(UTC)
        assert await gateway.ids_of(account, MESSAGE.to, MESSAGE.text, began_at) == []
        await gateway.send(account, MESSAGE)
        assert await gateway.ids_of(account, MESSAGE.to, MESSAGE.text, began_at) == [provider.taken[0]["sid"]]
        assert await gateway.ids_of(account, MESSAGE.to, "Another text", began_at) == []
        assert await gateway.ids_of(account, MESSAGE.to, MESSAGE.text, began_at + timedelta(hours=1)) == []
        provider.lists = False
        assert await gateway.ids_of(account, MESSAGE.to, MESSAGE.text, began_at) is None
    await gateway.close()
    assert MESSAGE.to.lstrip("+") not in caplog.text


@pytest.mark.parametrize(
    ("provider", "token", "code"),
    [
        (Provider(), TOKEN, None),
        (Provider(), "wrong", "MAILBOX_CREDENTIALS_REFUSED"),
        (Provider(account_state="suspended"), TOKEN, "MAILBOX_SUSPENDED"),
        (Provider(numbers=()), TOKEN, "SENDER_NOT_ALLOWED"),
    ],
)
async def test_an_account_is_tried_without_sending(provider: Provider, token: str, code: str | None) -> None:
    gateway = TwilioGateway(HERE, deadline_seconds=2, tls_context=ssl.create_default_context())
    async with providing(provider):
        found = await gateway.try_account(account_at(provider.url, token))
        assert (found.code if isinstance(found, MailboxBroken) else found) == code
        assert provider.posts == 0
    await gateway.close()
