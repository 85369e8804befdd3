"""Each error of a text message by its real cause, at a provider on this machine, and its fix through the API."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from domain.steps import NewStep
from tests.api.conftest import rcp, stp
from tests.catalogue.conftest import Post, mbx
from tests.engine.conftest import until
from tests.workers.twilio_server import TOKEN, Provider, providing, said_no
from tests.world import IN_AN_HOUR, World, email, make_text_world, text


class Texts:
    """People who are sent text messages through a provider that answers as it is told to."""

    def __init__(self, post: Post, provider: Provider) -> None:
        self.post, self.provider = post, provider

    async def world(self, *, people: int = 1, steps: Sequence[NewStep] = (text(),)) -> World:
        api = self.post.api
        return await make_text_world(
            api.workspace_id, api.actor, api.vault, self.provider.url, people=people, steps=steps
        )

    def refuse(self, status: int, code: int) -> None:
        self.provider.refuses = lambda fields: said_no(status, code)

    def mend(self) -> None:
        self.provider.refuses = lambda fields: None

    async def retried(self, error: dict[str, Any]) -> None:
        assert await self.post.offers_a_retry(error["id"])
        before = len(self.provider.taken)
        await self.post.change("recipientRetry", id=error["recipient"]["id"])
        await self.arrive(before + 1)

    async def arrive(self, count: int) -> None:
        async def there() -> bool:
            return len(self.provider.taken) == count and not await self.post.errors()

        await until(there)


@pytest.fixture
async def texts(post: Post) -> AsyncIterator[Texts]:
    async with providing() as provider:
        yield Texts(post, provider)


async def test_a_missing_number_is_added(texts: Texts) -> None:
    post = texts.post
    world = await texts.world(steps=[email(wait=IN_AN_HOUR), text()])
    contact = await post.contact_of(world.recipient_ids[0])
    await post.change("contactUpsert", id=contact, phone=None)
    await post.change("recipientSkipStep", id=rcp(world.recipient_ids[0]), stepId=stp(world.step_ids[0]))
    error = await post.failed("PHONE_MISSING")
    assert error["suggestedFix"]["targetId"] == contact
    await post.is_refused_a_retry(error)
    await post.change("contactUpsert", id=contact, phone="+49 170 7654321")
    await texts.retried(error)
    assert texts.provider.to() == ["+491707654321"]


async def test_a_number_that_no_text_message_reaches_is_corrected(texts: Texts) -> None:
    post = texts.post
    texts.refuse(400, 21211)
    world = await texts.world()
    error = await post.failed("PHONE_INVALID")
    assert error["suggestedFix"]["code"] == "CORRECT_PHONE"
    await post.is_refused_a_retry(error)
    texts.mend()
    assert not await post.offers_a_retry(error["id"]), "the number is still the same"
    contact = await post.contact_of(world.recipient_ids[0])
    await post.change("contactUpsert", id=contact, phone="+49 170 7654321")
    await texts.retried(error)
    assert texts.provider.to() == ["+491707654321"]


async def test_what_the_provider_does_not_allow_is_one_cause_and_one_act_tries_all_again(texts: Texts) -> None:
    post = texts.post
    texts.refuse(400, 21408)  # messages to this country are not switched on
    await texts.world(people=3)
    await post.failed("INTEGRATION_FAILED", people=3)
    asked = "{ errorGroups { nodes { id code count retryableCount suggestedFix { code } } } }"
    (group,) = (await post.api.ask(asked))["errorGroups"]["nodes"]
    assert (group["code"], group["count"], group["retryableCount"]) == ("INTEGRATION_FAILED", 3, 3)
    assert group["suggestedFix"]["code"] == "ASK_ADMIN"
    texts.mend()
    await post.change("errorGroupRetry", id=group["id"])
    await texts.arrive(3)


async def test_one_refused_sign_in_is_one_error_that_one_connect_of_the_number_clears(texts: Texts) -> None:
    post = texts.post
    world = await texts.world(steps=[text(wait=IN_AN_HOUR)])
    number = mbx(world.mailbox_id)
    await post.change("smsMailboxUpdate", id=number, authToken="changed at the provider")
    await post.later(hours=1)
    error = await post.failed("MAILBOX_CREDENTIALS_REFUSED")
    assert "number +14155550100" in error["message"]
    assert "mailbox" not in error["message"] + error["suggestedFix"]["message"]
    assert error["suggestedFix"]["targetId"] == number
    await post.is_refused_a_retry(error)
    for state, token, code in (
        ("active", "wrong", "MAILBOX_CREDENTIALS_REFUSED"),
        ("suspended", TOKEN, "MAILBOX_SUSPENDED"),
        ("active", TOKEN, None),
    ):
        texts.provider.account_state = state
        await post.change("smsMailboxUpdate", id=number, authToken=token)
        tried = await post.api.change("mailboxConnect", {"id": number}, "mailbox { state stateCode }")
        assert [one["code"] for one in tried["errors"]] == (["MAILBOX_NOT_CONNECTED"] if code else []), tried
        assert tried["mailbox"] is None or (tried["mailbox"]["state"] == "CONNECTED") == (code is None)
    await texts.retried(error)


async def test_a_text_of_more_than_ten_segments_is_shortened(texts: Texts) -> None:
    post = texts.post
    world = await texts.world(steps=[text("Hi " + "word " * 400)])
    error = await post.failed("MESSAGE_TOO_LARGE")
    await post.is_refused_a_retry(error)
    await post.change("recipientEditContent", id=error["recipient"]["id"], stepId=stp(world.step_ids[0]), body="Hi")
    await texts.arrive(1)
