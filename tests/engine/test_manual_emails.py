"""A manual email comes due prepared, waits for a person, and goes out as they released it: once, and recorded so."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import asyncpg
import pytest

from domain import (
    authoring,
    contacts,
    inbox,
    mailboxes,
    marking,
    pending,
    recipients,
    sequences,
    signals,
    unsendable,
)
from domain.contacts import ContactFields
from domain.database import fetch
from domain.inbox import EditedEmail
from domain.mailbox_fields import MailboxFields
from domain.own_content import NewContent
from domain.plans import SequenceSettings
from domain.refusals import Invalid, PendingActionNotAvailable, SequenceActionNotAvailable, VersionMismatch
from domain.rules.actor import Actor
from domain.rules.outcomes import Later, LaterReason, NotSendable, Refused, Sent
from domain.rules.timing import END_OF_DAY, SendingWindow
from domain.secrets import Vault
from tests.engine.sending_world import advance, carry, claim_all, messages_of, open_error, set_row
from tests.engine.standing import events_of, row_of
from tests.world import IN_AN_HOUR, World, email, make_world, manual_email, task
from workers.composing import Letter, composed

TOMORROW = timedelta(days=1)


async def pending_of(recipient_id: UUID) -> asyncpg.Record:
    rows = await fetch("SELECT * FROM pending_actions WHERE recipient_id = $1 ORDER BY due_since DESC", recipient_id)
    return rows[0]


async def now_in(workspace_id: UUID) -> datetime:
    rows = await fetch(
        "SELECT now() + make_interval(secs => clock_offset_seconds) AS now FROM workspaces WHERE id = $1", workspace_id
    )
    at: datetime = rows[0]["now"]
    return at


async def make_pending(
    workspace_id: UUID, actor: Actor, vault: Vault, **options: object
) -> tuple[World, UUID, asyncpg.Record]:
    """One recipient whose manual email waits, an automated one an hour after it; its pending action."""
    given = {"steps": [manual_email(), email(wait=IN_AN_HOUR)]} | options
    world = await make_world(workspace_id, actor, vault, **given)  # type: ignore[arg-type]
    await pending.put_due_before_people()
    recipient_id = world.recipient_ids[0]
    return world, recipient_id, await pending_of(recipient_id)


async def sent_letter() -> Letter:
    """Claim the one due message and hand it over; return what went out."""
    (claim,) = await claim_all()
    letter = composed(claim)
    assert isinstance(letter, Letter)
    await carry([claim], Sent("250 OK"))
    return letter


# ---- coming due


async def test_a_due_manual_email_is_written_out_for_its_person_and_waits(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    body = (
        "<p onclick='x()'>Dear {{ first_name }}</p><script>y()</script><p>{{ sender.name }}, {{ sender.address }}</p>"
    )
    _, recipient_id, waiting = await make_pending(
        workspace_id, actor, vault, steps=[manual_email("Hi {{ full_name }}", body)]
    )
    assert waiting["subject"] == "Hi Person 0"
    assert waiting["body"] == "<p>Dear Person 0</p><p>Jo Recruiter, jobs@sender.example</p>"
    row = await row_of(recipient_id)
    assert (row["status"], row["pending_id"], row["due_at"], row["begun"]) == (
        "PENDING_ACTION",
        waiting["id"],
        None,
        True,
    )
    assert (await events_of(recipient_id))[-1]["type"] == "recipient.action_pending"
    await advance(workspace_id, timedelta(days=400))
    assert await claim_all() == []
    assert await pending.put_due_before_people() == 0


async def test_a_manual_email_comes_due_when_its_wait_ends_whatever_the_window(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(
        workspace_id, actor, vault, steps=[manual_email(wait=IN_AN_HOUR)], settings=await shut(workspace_id)
    )
    assert await pending.put_due_before_people() == 0
    await advance(workspace_id, timedelta(minutes=61))
    assert await pending.put_due_before_people() == 1
    assert (await row_of(world.recipient_ids[0]))["status"] == "PENDING_ACTION"


async def shut(workspace_id: UUID) -> SequenceSettings:
    """A window in which nothing goes out today or tomorrow."""
    today = (await now_in(workspace_id)).date()
    dark = frozenset(today + timedelta(days=days) for days in range(-1, 3))
    window = SendingWindow(frozenset(range(7)), time(0), END_OF_DAY, "UTC", blackout_dates=dark)
    return SequenceSettings(window=window)


async def test_a_reply_in_the_thread_is_prepared_with_the_threads_subject_and_sent_into_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(
        workspace_id, actor, vault, steps=[email("The role"), manual_email(None, send_as_reply=True)]
    )
    first = await sent_letter()
    await pending.put_due_before_people()
    waiting = await pending_of(world.recipient_ids[0])
    assert waiting["subject"] == "Re: The role"
    await inbox.send(workspace_id, actor, waiting["id"])
    second = await sent_letter()
    assert second.mark.in_reply_to == first.mark.claim.rfc_message_id
    assert second.mark.subject == "Re: The role"


@pytest.mark.parametrize(
    ("step", "contact", "code", "detail"),
    [
        (manual_email("Hi {{ company }}"), {}, "VARIABLE_MISSING", "company"),
        (manual_email(body="<p> </p>{{ '' }}"), {}, "CONTENT_EMPTY", "body"),
        (manual_email(subject="{{ fields.long }}"), {"custom_fields": '{"long": "' + "x" * 501 + '"}'},
         "MESSAGE_TOO_LARGE", None),
        (manual_email(None, send_as_reply=True), {}, "THREAD_PARENT_MISSING", None),
        (manual_email(), {"email": None, "email_key": None}, "EMAIL_MISSING", None),
        (manual_email(), {"email_bounced_at": datetime(2026, 1, 1, tzinfo=UTC)}, "EMAIL_BOUNCED_BEFORE",
         "p0@people.example"),
    ],
)  # fmt: skip
async def test_one_that_cannot_be_rendered_or_addressed_when_due_is_an_error(
    step: authoring.NewStep,
    contact: dict[str, object],
    code: str,
    detail: str | None,
    workspace_id: UUID,
    actor: Actor,
    vault: Vault,
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[step])
    (recipient_id,) = world.recipient_ids
    if contact:
        await set_row("contacts", (await row_of(recipient_id))["contact_id"], **contact)
    await pending.put_due_before_people()
    row, error = await row_of(recipient_id), await open_error(recipient_id)
    assert (row["status"], row["pending_id"]) == ("ERROR", None)
    assert error["code"] == code
    if detail is not None:
        assert error["detail"] == detail


async def test_without_a_mailbox_a_manual_email_is_an_error_and_a_sequence_of_it_cannot_be_activated(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email()])
    await set_row("recipients", world.recipient_ids[0], mailbox_id=None)
    await pending.put_due_before_people()
    assert (await open_error(world.recipient_ids[0]))["code"] == "NO_MAILBOX"
    lonely = await authoring.create(workspace_id, "Lonely", [manual_email()], settings=SequenceSettings())
    with pytest.raises(SequenceActionNotAvailable):
        await sequences.activate(workspace_id, lonely)


async def test_a_template_that_was_broken_before_it_was_checked_is_an_error_when_due(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email()])
    await set_row("steps", world.step_ids[0], body="{{ first_name")
    await pending.put_due_before_people()
    assert (await open_error(world.recipient_ids[0]))["code"] == "TEMPLATE_INVALID"


async def test_once_the_cause_is_gone_a_retry_puts_it_before_a_person(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email("Hi {{ company }}")])
    (recipient_id,) = world.recipient_ids
    await pending.put_due_before_people()
    await contacts.upsert(workspace_id, ContactFields(values={"email": "p0@people.example", "company": "Zee"}))
    await recipients.retry(workspace_id, actor, recipient_id)
    await pending.put_due_before_people()
    assert (await pending_of(recipient_id))["subject"] == "Hi Zee"
    assert (await row_of(recipient_id))["status"] == "PENDING_ACTION"


# ---- sending


async def test_sent_as_prepared_it_goes_out_and_is_closed_by_whoever_released_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    assert await inbox.send(workspace_id, actor, waiting["id"]) == recipient_id
    released = await row_of(recipient_id)
    assert (released["status"], released["current_step_id"]) == ("IN_PROGRESS", world.step_ids[0])
    letter = await sent_letter()
    assert (letter.mark.subject, letter.mark.html) == (waiting["subject"], waiting["body"])
    assert letter.mark.text == "Dear Person 0,\n\nmay I call you?"
    (message,) = await messages_of(recipient_id)
    assert (message["state"], message["html"]) == ("SENT", waiting["body"])
    closed = await pending_of(recipient_id)
    assert (closed["outcome"], closed["closed_by_kind"], closed["closed_by_id"]) == ("SENT", actor.kind, actor.id)
    assert closed["closed_at"] is not None
    moved = await row_of(recipient_id)
    assert (moved["status"], moved["current_step_id"]) == ("IN_PROGRESS", world.step_ids[1])
    assert [event["type"] for event in await events_of(recipient_id)][-2:] == [
        "recipient.action_scheduled",
        "recipient.step_carried_out",
    ]


async def test_sent_as_edited_the_persons_own_words_go_out_sanitised_and_not_filled_in(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    edited = EditedEmail("  My own\nsubject ", "<p onclick='x()'>Come by</p><script>alert(1)</script>")
    await inbox.send(workspace_id, actor, waiting["id"], edited)
    letter = await sent_letter()
    assert (letter.mark.subject, letter.mark.html, letter.mark.text) == ("My own subject", "<p>Come by</p>", "Come by")
    assert (await pending_of(recipient_id))["subject"] == "My own subject"


async def test_an_edit_without_tags_is_plain_text_with_its_paragraphs(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, _, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"], EditedEmail(body="One & two\n\nThree"))
    letter = await sent_letter()
    assert letter.mark.html == "<p>One &amp; two</p>\n<p>Three</p>"
    assert letter.mark.text == "One & two\n\nThree"


@pytest.mark.parametrize(
    ("edited", "field"),
    [
        (EditedEmail(subject=" \n "), "subject"),
        (EditedEmail(subject="x" * 501), "subject"),
        (EditedEmail(subject="Hi {{ first_name }}"), "subject"),
        (EditedEmail(body="<p> </p>"), "body"),
        (EditedEmail(body="<p>{% if x %}y{% endif %}</p>"), "body"),
        (EditedEmail(body="x" * 1_000_001), "body"),
        (EditedEmail(body="<b>x</b>" * 10_001), "body"),
    ],
)
async def test_words_that_cannot_go_out_are_refused_and_nothing_is_changed(
    edited: EditedEmail, field: str, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    with pytest.raises(Invalid) as refusal:
        await inbox.send(workspace_id, actor, waiting["id"], edited)
    assert refusal.value.field == (field,)
    assert (await row_of(recipient_id))["status"] == "PENDING_ACTION"
    assert tuple(await pending_of(recipient_id)) == tuple(waiting)


async def test_braces_that_came_from_the_contact_can_be_sent_as_they_were_prepared(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email(body="<p>{{ company }}</p>")])
    contact_id = (await row_of(world.recipient_ids[0]))["contact_id"]
    await set_row("contacts", contact_id, company="{{ sender.address }}")
    await pending.put_due_before_people()
    waiting = await pending_of(world.recipient_ids[0])
    await inbox.send(workspace_id, actor, waiting["id"], EditedEmail(waiting["subject"], waiting["body"]))
    assert (await sent_letter()).mark.text == "{{ sender.address }}"


async def test_sending_now_ignores_the_window_blackout_dates_and_the_persons_absence(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email()], settings=await shut(workspace_id))
    contact_id = (await row_of(world.recipient_ids[0]))["contact_id"]
    await set_row("contacts", contact_id, out_of_office_until=await now_in(workspace_id) + timedelta(days=9))
    await pending.put_due_before_people()
    await inbox.send(workspace_id, actor, (await pending_of(world.recipient_ids[0]))["id"])
    (claim,) = await claim_all()
    assert claim.may_go
    await carry([claim], Sent("250 OK"))
    assert (await row_of(world.recipient_ids[0]))["status"] == "COMPLETED"


async def test_sending_now_keeps_to_the_mailboxes_limits(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email()], people=3)
    await mailboxes.update(workspace_id, vault, world.mailbox_id, MailboxFields(daily_limit=2))
    await pending.put_due_before_people()
    for recipient_id in world.recipient_ids:
        await inbox.send(workspace_id, actor, (await pending_of(recipient_id))["id"])
    await carry(await claim_all(), Sent("250 OK"))
    assert await claim_all() == []
    await advance(workspace_id, timedelta(days=3))  # the limit is machine time
    assert await claim_all() == []
    states = [(await row_of(recipient_id))["status"] for recipient_id in world.recipient_ids]
    assert sorted(states) == ["COMPLETED", "COMPLETED", "IN_PROGRESS"]


async def test_a_suppression_holds_at_the_second_mark_of_a_released_email(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    (claim,) = await claim_all()
    await fetch(
        "WITH u AS (INSERT INTO suppressions (id, workspace_id, kind, value, reason, created_at, source, settling, "
        "created_by_kind) VALUES (gen_random_uuid(), $1, 'ADDRESS', 'p0@people.example', 'UNSUBSCRIBED', now(), "
        "'ENGINE', false, 'ENGINE') RETURNING 1) SELECT 1 FROM u",
        workspace_id,
    )
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark]) == set()
    await signals.end_if_suppressed(workspace_id, recipient_id)
    assert (await row_of(recipient_id))["end_reason"] == "SUPPRESSED"
    assert (await pending_of(recipient_id))["outcome"] == "OPTED_OUT"


# ---- a chosen time


async def test_a_chosen_time_makes_it_in_progress_until_then_and_it_goes_out_then(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    at = await now_in(workspace_id) + TOMORROW
    await inbox.schedule(workspace_id, actor, waiting["id"], at, EditedEmail(subject="Tomorrow"))
    row = await row_of(recipient_id)
    assert (row["status"], row["scheduled_for"], row["due_at"]) == ("IN_PROGRESS", at, at)
    assert await claim_all() == []
    await advance(workspace_id, TOMORROW + timedelta(seconds=1))
    assert (await sent_letter()).mark.subject == "Tomorrow"
    closed = await pending_of(recipient_id)
    assert (closed["outcome"], closed["closed_by_id"]) == ("SENT", actor.id)


async def test_a_time_can_be_moved_and_taken_back(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    now = await now_in(workspace_id)
    await inbox.schedule(workspace_id, actor, waiting["id"], now + TOMORROW)
    await inbox.schedule(workspace_id, actor, waiting["id"], now + 2 * TOMORROW)
    assert (await row_of(recipient_id))["due_at"] == now + 2 * TOMORROW
    await inbox.unschedule(workspace_id, actor, waiting["id"])
    row = await row_of(recipient_id)
    assert (row["status"], row["scheduled_for"], row["due_at"]) == ("PENDING_ACTION", None, None)
    await advance(workspace_id, 3 * TOMORROW)
    assert await claim_all() == []
    assert [event["type"].partition(".")[2] for event in await events_of(recipient_id)][-3:] == [
        "action_scheduled",
        "action_scheduled",
        "action_unscheduled",
    ]


@pytest.mark.parametrize("away", [timedelta(seconds=-1), timedelta(0), timedelta(days=367)])
async def test_a_time_that_has_passed_or_is_more_than_a_year_away_is_refused(
    away: timedelta, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    at = await now_in(workspace_id) + away
    for refused in (at, at.replace(tzinfo=None)):
        with pytest.raises(Invalid) as refusal:
            await inbox.schedule(workspace_id, actor, waiting["id"], refused)
        assert refusal.value.field == ("at",)
    assert (await row_of(recipient_id))["status"] == "PENDING_ACTION"


async def test_each_change_that_a_query_shows_raises_the_version_of_the_pending_action(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    at = await now_in(workspace_id) + TOMORROW
    who = workspace_id, actor, waiting["id"]
    versions = [waiting["version"]]
    for act in (
        lambda: inbox.schedule(*who, at),
        lambda: recipients.edit_content(workspace_id, actor, recipient_id, world.step_ids[0], NewContent(body="New")),
        lambda: recipients.pause(workspace_id, actor, recipient_id),
        lambda: recipients.resume(workspace_id, actor, recipient_id),
        lambda: inbox.unschedule(*who),
        lambda: inbox.send(*who),
        sent_letter,
    ):
        await act()
        versions.append((await pending_of(recipient_id))["version"])
    assert versions == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_whoever_acts_on_what_has_changed_since_is_refused(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await recipients.edit_content(workspace_id, actor, recipient_id, world.step_ids[0], NewContent(body="New"))
    with pytest.raises(VersionMismatch):
        await inbox.send(workspace_id, actor, waiting["id"], expected_version=1)
    await inbox.send(workspace_id, actor, waiting["id"], expected_version=2)


# ---- edit content


async def test_an_edit_replaces_the_prepared_text_and_keeps_the_chosen_time(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    at = await now_in(workspace_id) + TOMORROW
    await inbox.schedule(workspace_id, actor, waiting["id"], at, EditedEmail(subject="By hand"))
    who = workspace_id, actor, recipient_id, world.step_ids[0]
    await recipients.edit_content(*who, NewContent(body="<p>For {{ first_name }}</p>"))
    edited = await pending_of(recipient_id)
    assert (edited["subject"], edited["body"]) == ("By hand", "<p>For Person 0</p>")
    row = await row_of(recipient_id)
    assert (row["status"], row["scheduled_for"]) == ("IN_PROGRESS", at)
    with pytest.raises(Invalid):
        await recipients.edit_content(*who, NewContent(body="{{ nosuch }}"))
    for nothing in (NewContent(body=""), NewContent(subject="  ")):
        with pytest.raises(Invalid, match="needs a"):
            await recipients.edit_content(*who, nothing)
    await recipients.edit_content(*who, None)
    reset = await pending_of(recipient_id)
    assert (reset["subject"], reset["body"]) == (waiting["subject"], waiting["body"])


# ---- what is not there to be done


async def test_a_task_cannot_be_sent_and_an_email_not_completed(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    _, _, waiting = await make_pending(workspace_id, actor, vault)
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await inbox.complete_task(workspace_id, actor, waiting["id"])
    assert "an email" in refusal.value.message
    assert set(refusal.value.available) == {"SEND_NOW", "SCHEDULE", "SKIP"}
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await inbox.unschedule(workspace_id, actor, waiting["id"])
    assert "No time" in refusal.value.message


async def test_only_a_task_can_be_completed(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    _, _, waiting = await make_pending(workspace_id, actor, vault, steps=[task()])
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await inbox.send(workspace_id, actor, waiting["id"])
    assert "a task" in refusal.value.message
    await inbox.complete_task(workspace_id, actor, waiting["id"], "Reached her.")
    assert (await pending_of(waiting["recipient_id"]))["outcome"] == "COMPLETED"


async def test_a_skipped_email_is_never_sent(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.schedule(workspace_id, actor, waiting["id"], await now_in(workspace_id) + TOMORROW)
    await inbox.skip(workspace_id, actor, waiting["id"])
    closed, row = await pending_of(recipient_id), await row_of(recipient_id)
    assert (closed["outcome"], row["current_step_id"], row["scheduled_for"]) == ("SKIPPED", world.step_ids[1], None)
    await advance(workspace_id, 2 * TOMORROW)
    (claim,) = await claim_all()
    assert claim.step_id == world.step_ids[1]


# ---- outcomes of the hand-over


async def test_a_refused_hand_over_is_an_error_and_its_retry_sends_what_the_person_released(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"], EditedEmail("Mine", "<p>Mine</p>"))
    await carry(await claim_all(), Refused("RECIPIENT_REFUSED_CONTENT", "550 5.7.1 no"))
    row, kept = await row_of(recipient_id), await pending_of(recipient_id)
    assert (row["status"], row["pending_id"], kept["closed_at"]) == ("ERROR", waiting["id"], None)
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await inbox.send(workspace_id, actor, waiting["id"])
    assert refusal.value.available == ("SKIP",)
    await recipients.retry(workspace_id, actor, recipient_id)
    assert (await row_of(recipient_id))["status"] == "IN_PROGRESS"
    letter = await sent_letter()
    assert (letter.mark.subject, letter.mark.html) == ("Mine", "<p>Mine</p>")
    assert [message["state"] for message in await messages_of(recipient_id)] == ["REFUSED", "SENT"]
    assert (await pending_of(recipient_id))["outcome"] == "SENT"


async def test_after_a_failure_an_edit_sends_the_new_text_and_a_skip_leaves_the_step(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email(), task(wait=IN_AN_HOUR)], people=2)
    await pending.put_due_before_people()
    for recipient_id in world.recipient_ids:
        await inbox.send(workspace_id, actor, (await pending_of(recipient_id))["id"])
    await carry(await claim_all(), Refused("RECIPIENT_REFUSED_CONTENT", "550 5.7.1 no"))
    edited, skipped = world.recipient_ids
    await recipients.edit_content(workspace_id, actor, edited, world.step_ids[0], NewContent(body="<p>Kinder</p>"))
    assert (await sent_letter()).mark.html == "<p>Kinder</p>"
    await inbox.skip(workspace_id, actor, (await pending_of(skipped))["id"])
    row = await row_of(skipped)
    assert (row["status"], row["error_id"], row["current_step_id"]) == ("IN_PROGRESS", None, world.step_ids[1])
    assert (await pending_of(skipped))["outcome"] == "SKIPPED"


async def test_a_lost_mailbox_or_address_shows_when_the_released_email_is_due_and_the_retry_sends_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    assert await unsendable.fail_due_without_mailbox() == 0
    await inbox.send(workspace_id, actor, waiting["id"])
    assert await unsendable.fail_due_without_mailbox() == 1
    assert (await open_error(recipient_id))["code"] == "MAILBOX_DISCONNECTED"
    await mailboxes.connected(workspace_id, world.mailbox_id)
    await recipients.retry(workspace_id, actor, recipient_id)
    contact_id = (await row_of(recipient_id))["contact_id"]
    await set_row("contacts", contact_id, email=None, email_key=None)
    (claim,) = await claim_all()
    assert composed(claim) == NotSendable("EMAIL_MISSING")
    await carry([claim], Sent("never"))
    assert (await open_error(recipient_id))["code"] == "EMAIL_MISSING"
    await set_row("contacts", contact_id, email="new@people.example", email_key="new@people.example")
    await recipients.retry(workspace_id, actor, recipient_id)
    assert (await sent_letter()).mark.to_address == "new@people.example"


async def test_a_temporary_refusal_is_tried_again_later_by_itself(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    await carry(await claim_all(), Later(LaterReason.GREYLISTED, "451 4.7.1 later"))
    row = await row_of(recipient_id)
    assert (row["status"], row["due_at"]) == ("IN_PROGRESS", row["retry_at"])
    assert await claim_all() == []
    await advance(workspace_id, timedelta(minutes=10))
    letter = await sent_letter()
    assert letter.mark.claim.tries == 2
    assert len(await messages_of(recipient_id)) == 1


async def test_a_hard_bounce_at_the_hand_over_ends_it_and_closes_the_action(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await inbox.send(workspace_id, actor, waiting["id"])
    await carry(await claim_all(), Refused("EMAIL_INVALID", "550 5.1.1 no such user", hard_bounce=True))
    assert (await row_of(recipient_id))["status"] == "BOUNCED"
    assert (await pending_of(recipient_id))["outcome"] == "BOUNCED"


async def test_what_came_due_for_a_person_is_not_claimed_for_a_mailbox(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[replace(manual_email(), subject="x")])
    assert await claim_all() == []
    assert (await row_of(world.recipient_ids[0]))["due_kind"] == "MANUAL_EMAIL"
