"""Each error of a person, a text or a sequence by its real cause, and its fix through the API until mail arrives."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import signals
from domain.database import fetch
from domain.rules.actor import ENGINE
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.step_errors import StepErrorCode
from tests.api.conftest import rcp, seq, stp
from tests.catalogue.conftest import Post, mbx
from tests.engine.conftest import until
from tests.engine.sending_world import set_row
from tests.workers.smtp_servers import CLOSE
from tests.world import IN_AN_HOUR, email

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"RCPT": b"554 5.7.1 refused by policy\r\n"}, "RECIPIENT_REFUSED_CONTENT", "EDIT_CONTENT"),
    ({"DOT": b"554 5.7.1 looks like spam\r\n"}, "RECIPIENT_REFUSED_CONTENT", "EDIT_CONTENT"),
    (
        {"DOT": b"550 5.7.26 unauthenticated mail\r\n"},
        "DOMAIN_NOT_AUTHENTICATED",
        "AUTHENTICATE_DOMAIN",
    ),
    ({"MAIL": b"550 no\r\n"}, "SENDER_NOT_ALLOWED", "RECONNECT_MAILBOX"),
]


@pytest.mark.parametrize(("script", "code", "fix"), REFUSED)
async def test_what_the_other_side_refuses_is_tried_again_when_a_person_says_so(
    post: Post, script: dict[str, Any], code: str, fix: str
) -> None:
    post.server.script |= script
    await post.world()
    error = await post.failed(code)
    assert error["suggestedFix"]["code"] == fix
    assert "The answer was: “" in error["message"]
    assert error["recipient"]["mailbox"]["state"] == "CONNECTED"
    post.mend()
    await post.retried(error)
    assert await fetch("SELECT 1 FROM contacts WHERE email_bounced_at IS NOT NULL") == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"452 4.2.2 the mailbox is full\r\n", "MAILBOX_FULL"),
        (b"552 5.2.2 over quota\r\n", "MAILBOX_FULL"),
        (b"450 4.7.1 greylisted, come back later\r\n", "SOFT_BOUNCE_EXHAUSTED"),
        (b"451 4.3.0 lookup failed\r\n", "SOFT_BOUNCE_EXHAUSTED"),
    ],
)
async def test_what_is_put_off_for_days_becomes_an_error_marks_no_address_and_is_tried_again(
    post: Post, answer: bytes, code: str
) -> None:
    post.server.script["RCPT"] = answer
    await post.world()

    async def put_off() -> bool:
        rows = await fetch("SELECT 1 FROM messages WHERE state = 'DEFERRED'")
        return len(rows) == 1 and await post.errors() == []

    await until(put_off)
    (message,) = await fetch("SELECT id FROM messages")
    await set_row("messages", message["id"], tries=40)  # 72 hours of the schedule
    await post.later(hours=1)
    error = await post.failed(code)
    assert await fetch("SELECT 1 FROM contacts WHERE email_bounced_at IS NOT NULL") == []
    assert await fetch("SELECT 1 FROM suppressions") == []
    post.mend()
    await post.retried(error)


async def test_a_text_larger_than_the_server_takes_is_shortened(post: Post) -> None:
    post.server.script["EHLO"] = b"250-x\r\n250 SIZE 2000\r\n"
    world = await post.world(steps=[email(body="Hello " + "x" * 3_000)])
    error = await post.failed("MESSAGE_TOO_LARGE")
    await post.is_refused_a_retry(error)
    assert error["suggestedFix"]["targetId"] == stp(world.step_ids[0])
    # Editing the failed step tries it again at once.
    await post.change(
        "recipientEditContent", id=error["recipient"]["id"], stepId=stp(world.step_ids[0]), body="Hello there"
    )
    await post.arrives(1)


async def edited(post: Post, error: dict[str, Any], step_id: UUID, **text: str) -> None:
    await post.change("recipientEditContent", id=error["recipient"]["id"], stepId=stp(step_id), **text)
    await post.arrives(1)


async def test_a_text_with_a_mistake_that_shows_only_when_it_is_filled_in_is_corrected(post: Post) -> None:
    world = await post.world(steps=[email(body="About {{ fields }}")])
    error = await post.failed("TEMPLATE_INVALID")
    await post.is_refused_a_retry(error)
    await edited(post, error, world.step_ids[0], body="About you")


async def test_a_text_that_is_empty_for_this_person_is_filled_by_its_field(post: Post) -> None:
    world = await post.world(steps=[email(body="{% if company %}About {{ company }}{% endif %}")])
    error = await post.failed("CONTENT_EMPTY")
    await post.is_refused_a_retry(error)
    contact = await post.contact_of(world.recipient_ids[0])
    await post.change("contactUpsert", id=contact, company="Acme")
    await post.retried(error)


@pytest.mark.parametrize("name", ["company", "fields.role"])
async def test_a_missing_variable_is_filled_in(post: Post, name: str) -> None:
    world = await post.world(steps=[email(body=f"About {{{{ {name} }}}}")])
    error = await post.failed("VARIABLE_MISSING")
    assert f"“{name}”" in error["message"]
    await post.is_refused_a_retry(error)
    contact = await post.contact_of(world.recipient_ids[0])
    given: dict[str, Any] = {"company": "Acme"} if name == "company" else {"fields": {"role": "pilot"}}
    await post.change("contactUpsert", id=contact, **given)
    await post.retried(error)


async def test_a_reply_without_anything_to_reply_to_gets_a_subject(post: Post) -> None:
    steps = [email(wait=IN_AN_HOUR), email(subject="", body="And?", send_as_reply=True)]
    world = await post.world(steps=steps)
    await post.change("recipientSkipStep", id=rcp(world.recipient_ids[0]), stepId=stp(world.step_ids[0]))
    error = await post.failed("THREAD_PARENT_MISSING")
    await post.is_refused_a_retry(error)
    await edited(post, error, world.step_ids[1], subject="Hello")


async def test_a_missing_address_is_added(post: Post) -> None:
    world = await post.world(activate=False)
    contact = await post.contact_of(world.recipient_ids[0])
    await post.change("contactUpsert", id=contact, externalId="ats-1", email=None)
    await post.change("sequenceActivate", id=seq(world.sequence_id))
    error = await post.failed("EMAIL_MISSING")
    assert error["suggestedFix"] == {
        "code": "ADD_EMAIL",
        "message": "Add an email address to the contact, then retry.",
        "targetId": contact,
    }
    await post.is_refused_a_retry(error)
    await post.change("contactUpsert", id=contact, email="new@people.example")
    await post.retried(error)


async def test_an_address_that_no_server_of_ours_can_carry_is_corrected(post: Post) -> None:
    world = await post.world(activate=False)
    contact = await post.contact_of(world.recipient_ids[0])
    # No contact can get such an address now; one of earlier rules may have it.
    (row,) = await fetch("SELECT id FROM contacts")
    await set_row("contacts", row["id"], email="jürgen@people.example", email_key="jürgen@people.example")
    await post.change("sequenceActivate", id=seq(world.sequence_id))
    error = await post.failed("EMAIL_INVALID")
    await post.is_refused_a_retry(error)
    await post.change("contactUpsert", id=contact, email="juergen@people.example")
    await post.retried(error)


async def test_an_address_that_bounced_in_one_sequence_is_replaced_for_the_other(post: Post) -> None:
    post.server.script["RCPT"] = b"550 5.1.1 no such user\r\n"
    first = await post.world(activate=False)
    contact = await post.contact_of(first.recipient_ids[0])
    step = {"kind": "AUTOMATED_EMAIL", "subject": "Hello", "body": "Hello", "wait": {"amount": 2, "unit": "HOURS"}}
    given = {"name": "Second", "steps": [step], "mailboxIds": [mbx(first.mailbox_id)]}
    second = (await post.api.change("sequenceCreate", given, "sequence { id }"))["sequence"]["id"]
    await post.change("recipientsEnroll", sequenceId=second, contacts=[{"contactId": contact}])
    for sequence_id in (second, seq(first.sequence_id)):
        await post.change("sequenceActivate", id=sequence_id)

    async def bounced() -> bool:
        asked = "query ($id: ID!) { node(id: $id) { ... on Recipient { status } } }"
        return bool((await post.api.ask(asked, {"id": rcp(first.recipient_ids[0])}))["node"]["status"] == "BOUNCED")

    await until(bounced)
    await post.later(hours=3)
    error = await post.failed("EMAIL_BOUNCED_BEFORE")
    await post.is_refused_a_retry(error)
    post.mend()
    await post.change("contactUpsert", id=contact, email="good@people.example")
    await post.retried(error)


async def test_a_window_that_never_opens_again_is_changed(post: Post) -> None:
    today = datetime.now(UTC).date()
    blocked = [str(today + timedelta(days=n)) for n in range(-2, 800) if n != 2]
    window = {
        "weekdays": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"],
        "opens": "00:00",
        "closes": "24:00",
        "timeZone": "UTC",
        "blackoutDates": blocked,
    }
    world = await post.world(activate=False)
    await post.change("sequenceUpdate", id=seq(world.sequence_id), settings={"window": window})
    await post.change("sequenceActivate", id=seq(world.sequence_id))
    await post.later(days=5)  # past the one open day
    error = await post.failed("WINDOW_NEVER_OPENS")
    assert error["suggestedFix"]["targetId"] == seq(world.sequence_id)
    await post.is_refused_a_retry(error)
    await post.change("sequenceUpdate", id=seq(world.sequence_id), settings={"window": None})
    await post.retried(error)


async def test_a_limit_that_a_report_tells_of_later_is_waited_out(post: Post) -> None:
    world = await post.world()
    await post.arrives(1)
    fact = Fact(
        signal=Signal.DELIVERY_FAILED,
        recipient_id=world.recipient_ids[0],
        actor=ENGINE,
        code=StepErrorCode.PROVIDER_LIMIT_REACHED,
        detail="5.4.5 Daily sending limit exceeded",
    )
    await signals.apply(post.api.workspace_id, fact)
    error = await post.failed("PROVIDER_LIMIT_REACHED")
    assert error["suggestedFix"]["code"] == "WAIT"
    await post.retried(error)


@pytest.mark.parametrize(
    "words",
    [
        "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits see its help",
        "554 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
    ],
)
async def test_a_provider_that_takes_nothing_more_is_waited_for_and_an_error_only_after_three_days(
    post: Post, words: str
) -> None:
    post.server.script["RCPT"] = words.encode() + b"\r\n"
    world = await post.world()
    waits = "SELECT held_back_by, next_send_at > now() + interval '23 hours' AS long, throttled_since FROM mailboxes"

    async def is_held_back() -> bool:
        return [(row["held_back_by"], row["long"]) for row in await fetch(waits)] == [("MAILBOX_BACKOFF", True)]

    await until(is_held_back)
    assert await post.errors() == [], "it waits until tomorrow"
    await fetch(
        "WITH u AS (UPDATE mailboxes SET next_send_at = now(), throttled_since = now() - interval '73 hours' "
        "WHERE id = $1 RETURNING 1) SELECT 1 FROM u",
        world.mailbox_id,
    )
    error = await post.failed("PROVIDER_LIMIT_REACHED")
    assert error["suggestedFix"]["code"] == "WAIT"
    assert await is_held_back(), "the others wait on"
    post.mend()
    await fetch(
        "WITH u AS (UPDATE mailboxes SET next_send_at = now() WHERE id = $1 RETURNING 1) SELECT 1 FROM u",
        world.mailbox_id,
    )
    await post.retried(error)

    async def is_over() -> bool:
        return (await fetch(waits))[0]["throttled_since"] is None

    await until(is_over)


@pytest.mark.parametrize("outcome", ["WAS_SENT", "SEND_AGAIN"])
async def test_an_unconfirmed_delivery_is_moved_only_by_what_a_person_says(post: Post, outcome: str) -> None:
    post.server.script["DOT"] = CLOSE
    await post.world()
    error = await post.failed("DELIVERY_UNCONFIRMED")
    assert error["availableActions"] == ["CONFIRM_SENT", "SEND_AGAIN"]
    assert error["suggestedFix"]["code"] == "RESOLVE_DELIVERY"
    retried = await post.api.change("recipientRetry", {"id": error["recipient"]["id"]}, "__typename")
    assert retried["errors"][0]["code"] == "RETRY_NOT_AVAILABLE"
    post.mend()
    await post.change("recipientPause", id=error["recipient"]["id"])
    held = await post.api.change("deliveryResolve", {"errorId": error["id"], "outcome": "SEND_AGAIN"}, "__typename")
    assert held["errors"][0]["code"] == "ACTION_NOT_AVAILABLE"
    if outcome == "WAS_SENT":  # a fact can be told while it is held
        await post.change("deliveryResolve", errorId=error["id"], outcome=outcome)
        await post.arrives(1)
    else:
        await post.change("recipientResume", id=error["recipient"]["id"])
        await post.change("deliveryResolve", errorId=error["id"], outcome=outcome)
        await post.arrives(2)
    again = await post.api.change("deliveryResolve", {"errorId": error["id"], "outcome": outcome}, "__typename")
    assert again["errors"][0]["code"] == "RETRY_NOT_AVAILABLE"


async def test_replies_lost_after_the_dot_are_never_answered_by_a_second_copy(post: Post) -> None:
    """R2 in its short form: 40 mails whose answer is lost, then a healthy server."""
    post.server.script["DOT"] = CLOSE
    await post.world(people=40)

    async def all_flagged() -> bool:
        asked = "{ stepErrors(first: 1, filter: {open: true, codes: [DELIVERY_UNCONFIRMED]}) { totalCount } }"
        return bool((await post.api.ask(asked))["stepErrors"]["totalCount"] == 40)

    await until(all_flagged, seconds=60)
    assert len(post.server.payloads) == 40
    post.mend()
    await post.later(days=3)
    (group,) = (await post.api.ask("{ errorGroups { nodes { id count retryableCount } } }"))["errorGroups"]["nodes"]
    assert (group["count"], group["retryableCount"]) == (40, 0)
    refused = await post.api.change("errorGroupRetry", {"id": group["id"]}, "__typename")
    assert refused["errors"][0]["code"] == "RETRY_NOT_AVAILABLE"
    assert await all_flagged()
    assert len(post.server.payloads) == 40
    assert post.server.connections >= 40


async def test_a_mistake_of_ours_is_told_to_support_and_the_message_goes_out_once_it_is_mended(post: Post) -> None:
    world = await post.world(activate=False)
    (contact,) = await fetch("SELECT id, custom_fields FROM contacts")
    await set_row("contacts", contact["id"], custom_fields="[1]")  # nothing that we let in writes such a row
    await post.change("sequenceActivate", id=seq(world.sequence_id))
    error = await post.failed("INTERNAL_ERROR")
    assert error["suggestedFix"]["code"] == "CONTACT_SUPPORT"
    assert "support it is number" in error["message"]
    assert post.server.payloads == []
    await set_row("contacts", contact["id"], custom_fields=contact["custom_fields"])
    await post.retried(error)
