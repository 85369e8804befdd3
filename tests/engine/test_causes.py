"""What clears the cause of an error, and what an error offers while its cause lasts and once it is gone."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from domain import (
    authoring,
    contacts,
    enrolment,
    mailboxes,
    marking,
    recipients,
    sequences,
    step_edits,
    unsendable,
)
from domain.contacts import ContactFields
from domain.database import fetch
from domain.delivery import Result, record
from domain.plans import SequenceSettings
from domain.reading import step_errors
from domain.reading.history_rows import StepErrorRow
from domain.refusals import RetryNotAvailable
from domain.rules.actor import Actor
from domain.rules.outcomes import NotSendable, Sent, Unknown
from domain.rules.timing import SendingWindow
from domain.secrets import Vault
from tests.engine.sending_world import advance, carry, claim_all, messages_of, open_error, set_row
from tests.engine.standing import row_of
from tests.world import IN_AN_HOUR, email, make_mailbox, make_world
from workers.composing import Letter, composed

TAKEN = Sent("250 2.0.0 taken")


async def shown(workspace_id: UUID, recipient_id: UUID) -> StepErrorRow:
    """The open error of a recipient as the API shows it."""
    error_id = (await row_of(recipient_id))["error_id"]
    return (await step_errors.by_ids(workspace_id, [error_id]))[error_id]


async def lasts(workspace_id: UUID, actor: Actor, recipient_id: UUID) -> None:
    """See that the cause lasts: no retry is offered, and one is refused with the fix."""
    error = await shown(workspace_id, recipient_id)
    assert (error.cause_gone_at, list(error.available_actions)) == (None, [])
    with pytest.raises(RetryNotAvailable) as refused:
        await recipients.retry(workspace_id, actor, recipient_id)
    assert refused.value.message == f"Its cause is still there. {error.suggested_fix.message}"


async def is_gone(workspace_id: UUID, recipient_id: UUID) -> None:
    error = await shown(workspace_id, recipient_id)
    assert error.cause_gone_at is not None
    assert list(error.available_actions) == ["RETRY"]


async def sends_after_a_retry(workspace_id: UUID, actor: Actor, recipient_id: UUID) -> None:
    assert await claim_all() == []  # nothing is sent without a person
    await recipients.retry(workspace_id, actor, recipient_id)
    claims = await claim_all()
    assert [claim.recipient_id for claim in claims] == [recipient_id]
    await carry(claims, TAKEN)
    assert (await messages_of(recipient_id))[-1]["state"] == "SENT"


async def changed(workspace_id: UUID, recipient_id: UUID, **values: str | None) -> None:
    contact_id = (await row_of(recipient_id))["contact_id"]
    await contacts.upsert(workspace_id, ContactFields(contact_id=contact_id, values=values))


async def test_a_connected_mailbox_clears_its_errors_and_a_lost_one_brings_them_back(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=3)
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    await unsendable.fail_due_without_mailbox()
    versions = {one: (await row_of(one))["version"] for one in world.recipient_ids}
    events = (await fetch("SELECT count(*) AS n FROM events WHERE workspace_id = $1", workspace_id))[0]["n"]
    for one in world.recipient_ids:
        await lasts(workspace_id, actor, one)
    await mailboxes.connected(workspace_id, world.mailbox_id)
    for one in world.recipient_ids:
        await is_gone(workspace_id, one)
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    await lasts(workspace_id, actor, world.recipient_ids[0])
    await mailboxes.connected(workspace_id, world.mailbox_id)
    # The error shows it; nothing that a query shows of the recipient itself has changed.
    assert {one: (await row_of(one))["version"] for one in world.recipient_ids} == versions
    assert (await fetch("SELECT count(*) AS n FROM events WHERE workspace_id = $1", workspace_id))[0]["n"] == events
    await sends_after_a_retry(workspace_id, actor, world.recipient_ids[0])


async def test_an_address_clears_a_missing_one_and_another_one_a_dead_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=2)
    missing, dead = world.recipient_ids
    await set_row("contacts", (await row_of(missing))["contact_id"], external_id="ats-1")
    await changed(workspace_id, missing, email=None)
    await set_row("contacts", (await row_of(dead))["contact_id"], email_bounced_at=datetime.now(UTC))
    await carry(await claim_all(), TAKEN)
    assert [(await open_error(one))["code"] for one in (missing, dead)] == ["EMAIL_MISSING", "EMAIL_BOUNCED_BEFORE"]
    for one, address in ((missing, "a@people.example"), (dead, "b@people.example")):
        await changed(workspace_id, one, first_name="Other", phone="+33 1 42 68 53 00")
        await lasts(workspace_id, actor, one)
        await changed(workspace_id, one, email=address)
        await is_gone(workspace_id, one)
        await sends_after_a_retry(workspace_id, actor, one)


async def test_only_the_value_that_is_missing_clears_a_missing_variable(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    steps = [email(body="To {{ company }} {{ fields.role }} {{ fields['home town'] }}")]
    (recipient_id,) = (await make_world(workspace_id, actor, vault, steps=steps)).recipient_ids
    await carry(await claim_all(), TAKEN)
    await changed(workspace_id, recipient_id, last_name="Doe", external_id="company")
    await lasts(workspace_id, actor, recipient_id)
    await changed(workspace_id, recipient_id, company="Acme")
    await is_gone(workspace_id, recipient_id)
    await recipients.retry(workspace_id, actor, recipient_id)
    await carry(await claim_all(), TAKEN)
    assert (await open_error(recipient_id))["detail"] == "fields.role"
    await lasts(workspace_id, actor, recipient_id)
    contact_id = (await row_of(recipient_id))["contact_id"]
    await contacts.upsert(workspace_id, ContactFields(contact_id=contact_id, custom={"role": " "}))
    await lasts(workspace_id, actor, recipient_id)
    await contacts.upsert(workspace_id, ContactFields(contact_id=contact_id, custom={"role": "pilot"}))
    await is_gone(workspace_id, recipient_id)
    await recipients.retry(workspace_id, actor, recipient_id)
    await carry(await claim_all(), TAKEN)
    assert (await open_error(recipient_id))["detail"] == "fields['home town']"
    await lasts(workspace_id, actor, recipient_id)
    await contacts.upsert(workspace_id, ContactFields(contact_id=contact_id, custom={"home town": "Lyon"}))
    await sends_after_a_retry(workspace_id, actor, recipient_id)


async def test_a_new_text_of_the_step_clears_its_errors_but_not_of_those_with_a_text_of_their_own(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(body="{{ fields.nickname }}")], people=2)
    with_own, without = world.recipient_ids
    own = recipients.NewContent(body="{{ fields.motto }}")
    await recipients.edit_content(workspace_id, actor, with_own, world.step_ids[0], own)
    await carry(await claim_all(), TAKEN)
    for one in world.recipient_ids:
        await lasts(workspace_id, actor, one)
    await step_edits.update_step(workspace_id, world.step_ids[0], {"wait": IN_AN_HOUR})
    await lasts(workspace_id, actor, without)  # another wait is no other text
    await step_edits.update_step(workspace_id, world.step_ids[0], {"body": "Hello"})
    await lasts(workspace_id, actor, with_own)
    await is_gone(workspace_id, without)
    await sends_after_a_retry(workspace_id, actor, without)


async def test_what_changed_between_the_reading_and_the_error_counts_as_a_change_after_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()])
    (claim,) = await claim_all()
    await set_row("steps", world.step_ids[0], body="Hello", updated_at=datetime.now(UTC))
    broken = Result(claim.message_id, claim.token, NotSendable("TEMPLATE_INVALID"), claimed_at=claim.now)
    await record(workspace_id, [broken])
    await is_gone(workspace_id, world.recipient_ids[0])


async def test_a_reply_without_an_earlier_mail_needs_a_subject_of_its_own(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(subject="", send_as_reply=True)])
    (recipient_id,) = world.recipient_ids
    await recipients.skip_step(workspace_id, actor, recipient_id, world.step_ids[0])
    await carry(await claim_all(), TAKEN)
    assert (await open_error(recipient_id))["code"] == "THREAD_PARENT_MISSING"
    await lasts(workspace_id, actor, recipient_id)
    await set_row("steps", world.step_ids[1], subject="Hello", updated_at=datetime.now(UTC))
    await sends_after_a_retry(workspace_id, actor, recipient_id)


async def test_people_enrolled_before_there_was_a_mailbox_get_one_with_the_retry(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    sequence_id = await authoring.create(workspace_id, "Early", [email()], settings=SequenceSettings())
    people = [
        enrolment.Candidate(ContactFields(values={"email": f"e{n}@people.example", "first_name": "E"}))
        for n in range(2)
    ]
    early = enrolment.Enrolment(sequence_id=sequence_id, candidates=people)
    one, other = [answer.recipient_id for answer in await enrolment.enroll(workspace_id, actor, early)]
    assert one is not None
    assert other is not None
    mailbox_id = await make_mailbox(workspace_id, vault)
    await authoring.update(workspace_id, sequence_id, mailbox_ids=[mailbox_id])
    await sequences.activate(workspace_id, sequence_id)
    await authoring.update(workspace_id, sequence_id, mailbox_ids=[])
    assert await unsendable.fail_due_without_mailbox() == 2
    await lasts(workspace_id, actor, one)
    await authoring.update(workspace_id, sequence_id, mailbox_ids=[mailbox_id])
    await is_gone(workspace_id, one)
    await sends_after_a_retry(workspace_id, actor, one)
    await recipients.pause(workspace_id, actor, other)
    await recipients.resume(workspace_id, actor, other)
    assert [claim.recipient_id for claim in await claim_all()] == [other]


async def test_a_window_that_never_opens_is_cleared_by_another_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    today = datetime.now(UTC).date()
    blocked = frozenset(today + timedelta(days=n) for n in range(-2, 900) if n != 1)
    once = SendingWindow(
        weekdays=frozenset(range(7)), opens=time(0), closes=time(0), time_zone="UTC", blackout_dates=blocked
    )
    world = await make_world(workspace_id, actor, vault, steps=[email()], settings=SequenceSettings(window=once))
    (recipient_id,) = world.recipient_ids
    await advance(workspace_id, timedelta(days=3))
    assert await claim_all() == []
    assert (await open_error(recipient_id))["code"] == "WINDOW_NEVER_OPENS"
    await lasts(workspace_id, actor, recipient_id)
    await sequences.pause(workspace_id, world.sequence_id)
    await sequences.resume(workspace_id, world.sequence_id)
    await lasts(workspace_id, actor, recipient_id)
    await authoring.update(workspace_id, world.sequence_id, settings=SequenceSettings())
    await is_gone(workspace_id, recipient_id)
    await sends_after_a_retry(workspace_id, actor, recipient_id)


async def test_a_resume_tries_again_only_what_can_be_and_the_sequences_resume_nothing(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()])
    (recipient_id,) = world.recipient_ids
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    await unsendable.fail_due_without_mailbox()
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    row = await row_of(recipient_id)
    assert (row["status"], row["step_run"]) == ("ERROR", 1)
    await mailboxes.connected(workspace_id, world.mailbox_id)
    await sequences.pause(workspace_id, world.sequence_id)
    assert list((await shown(workspace_id, recipient_id)).available_actions) == []
    await sequences.resume(workspace_id, world.sequence_id)
    assert (await row_of(recipient_id))["status"] == "ERROR"
    assert await claim_all() == []
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    assert (await row_of(recipient_id))["status"] == "SCHEDULED"
    assert len(await claim_all()) == 1


@pytest.mark.parametrize("held", [False, True])
async def test_a_sequence_may_assume_that_an_unconfirmed_message_was_sent(
    held: bool, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    follow_up = email(subject="", send_as_reply=True)
    settings = SequenceSettings(on_unconfirmed_delivery="ASSUME_SENT")
    world = await make_world(workspace_id, actor, vault, steps=[email(), follow_up], settings=settings)
    (recipient_id,) = world.recipient_ids
    (claim,) = await claim_all()
    letter = composed(claim)
    assert isinstance(letter, Letter)
    await marking.mark([letter.mark])
    if held:
        await recipients.pause(workspace_id, actor, recipient_id)
    await record(workspace_id, [Result(claim.message_id, claim.token, Unknown("The line went dead."))])
    row = await row_of(recipient_id)
    assert (row["status"], row["error_id"]) == ("PAUSED" if held else "IN_PROGRESS", None)
    assert row["current_step_id"] == world.step_ids[1]
    (message,) = await messages_of(recipient_id)
    assert (message["state"], message["reply"]) == (
        "SENT",
        "Assumed to be sent, as the sequence says. The line went dead.",
    )
    if held:
        await recipients.resume(workspace_id, actor, recipient_id)
    (following,) = await claim_all()
    answer = composed(following)
    assert isinstance(answer, Letter)
    assert answer.mark.in_reply_to == claim.rfc_message_id
