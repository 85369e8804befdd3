"""What becomes of a message: refusals, retries, doubts and late facts."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain import keys, marking, recipients, sending, signals, unconfirmed
from domain.database import fetch
from domain.delivery import Result, record
from domain.own_content import NewContent
from domain.refusals import RetryNotAvailable
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Later, LaterReason, Outcome, Refused, Sent, Stage, Unknown
from domain.rules.smtp_replies import classify
from domain.secrets import Vault
from tests.engine.sending_world import advance, carry, claim_all, make_one, messages_of, open_error, set_row
from tests.engine.standing import row_of
from tests.world import HERE, IN_AN_HOUR, email, make_world
from workers.composing import Letter, composed
from workers.sender import Sender

TAKEN = Sent("250 2.0.0 taken")


# ---- what the mail server says


async def test_a_greylisted_message_is_tried_again_by_the_schedule_until_patience_is_out(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    outcome = classify(Stage.RCPT_TO, 450, "4.7.1 greylisted, try again later")
    assert isinstance(outcome, Later)
    assert outcome.reason is LaterReason.GREYLISTED
    message_ids = set()
    for minutes in (5, 15, 30, 60, 240):
        (claim,) = await claim_all()
        message_ids.add(claim.rfc_message_id)
        await carry([claim], outcome, marked=False)
        row = await row_of(recipient_id)
        assert (row["status"], row["version"]) == ("SCHEDULED", 1)
        assert row["due_at"] == row["retry_at"]
        assert claim.now + timedelta(minutes=minutes) <= row["due_at"]
        assert row["due_at"] <= claim.now + timedelta(minutes=minutes * 1.2, seconds=5)
        assert await claim_all() == []
        await advance(workspace_id, timedelta(minutes=minutes * 1.2, seconds=6))
    assert len(message_ids) == 1
    await set_row("messages", (await messages_of(recipient_id))[0]["id"], tries=40)
    await carry(await claim_all(), outcome, marked=False)
    assert (await open_error(recipient_id))["code"] == "SOFT_BOUNCE_EXHAUSTED"


async def test_a_temporary_refusal_that_comes_while_paused_is_tried_again_only_after_the_resume(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    (claim,) = await claim_all()
    letter = composed(claim)
    assert isinstance(letter, Letter)
    await marking.mark([letter.mark])
    assert (await recipients.pause(workspace_id, actor, recipient_id)).in_flight == 1
    await record(workspace_id, [Result(claim.message_id, claim.token, Later(LaterReason.SOFT, "451 later"))])
    await advance(workspace_id, timedelta(days=1))
    assert await claim_all() == []
    assert (await row_of(recipient_id))["due_at"] is None
    await recipients.resume(workspace_id, actor, recipient_id)
    assert len(await claim_all()) == 1


async def test_a_server_out_of_reach_holds_the_mailbox_and_costs_no_recipient_its_patience(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email()], people=8)
    claims = await claim_all()
    assert len(claims) == 8
    for claim in claims:  # one burst, one outage
        await carry([claim], Later(LaterReason.TRANSPORT, "connection refused"), marked=False)
    mailbox = (await fetch("SELECT * FROM mailboxes"))[0]
    assert (mailbox["failures_in_a_row"], mailbox["held_back_by"]) == (1, "MAILBOX_BACKOFF")
    assert mailbox["next_send_at"] < datetime.now(UTC) + timedelta(minutes=2)
    assert await claim_all() == []
    await set_row("mailboxes", mailbox["id"], next_send_at=datetime.now(UTC) - timedelta(seconds=1))
    again = await claim_all()
    assert [claim.tries for claim in again] == [1]  # one tries whether the server is back
    await carry(again, TAKEN)
    assert (await fetch("SELECT * FROM mailboxes"))[0]["failures_in_a_row"] == 0


async def test_an_unknown_address_bounces_and_a_policy_refusal_is_an_error_that_marks_no_address(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, people=2)
    claims = {claim.recipient_id: claim for claim in await claim_all()}
    unknown, policy = world.recipient_ids
    await carry([claims[unknown]], classify(Stage.RCPT_TO, 550, "5.1.1 user unknown"), marked=False)
    await carry([claims[policy]], classify(Stage.DOT, 550, "5.7.1 message looks like spam"))
    assert [(await row_of(one))["status"] for one in (unknown, policy)] == ["BOUNCED", "ERROR"]
    assert (await open_error(policy))["code"] == "RECIPIENT_REFUSED_CONTENT"
    bounced = await fetch("SELECT email FROM contacts WHERE email_bounced_at IS NOT NULL")
    assert [row["email"] for row in bounced] == ["p0@people.example"]
    assert await fetch("SELECT 1 FROM suppressions") == []


# ---- doubts and late facts


@pytest.mark.parametrize("was_sent", [True, False])
async def test_an_unconfirmed_delivery_moves_only_by_what_a_person_says(
    was_sent: bool, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id = await make_one(workspace_id, actor, vault)
    await carry(await claim_all(), Unknown("The line went dead after the dot."))
    error = await open_error(recipient_id)
    assert error["code"] == "DELIVERY_UNCONFIRMED"
    await recipients.edit_content(workspace_id, actor, recipient_id, world.step_ids[0], NewContent(body="New."))
    with pytest.raises(RetryNotAvailable):
        await recipients.retry(workspace_id, actor, recipient_id)
    await recipients.pause(workspace_id, actor, recipient_id)
    await recipients.resume(workspace_id, actor, recipient_id)
    await advance(workspace_id, timedelta(days=30))
    assert await claim_all() == []
    assert (await row_of(recipient_id))["error_id"] == error["id"]
    await unconfirmed.resolve(workspace_id, actor, error["id"], was_sent=was_sent)
    row = await row_of(recipient_id)
    claims = await claim_all()
    if was_sent:
        assert (row["status"], row["current_step_id"]) == ("IN_PROGRESS", world.step_ids[1])
        assert [claim.step_id for claim in claims] == [world.step_ids[1]]  # a month has passed
        assert (await messages_of(recipient_id))[0]["state"] == "SENT"
    else:
        assert (row["status"], row["step_run"]) == ("SCHEDULED", 2)
        assert [claim.step_id for claim in claims] == [world.step_ids[0]]
        messages = await messages_of(recipient_id)
        assert len({message["rfc_message_id"] for message in messages}) == 2
    with pytest.raises(RetryNotAvailable):
        await unconfirmed.resolve(workspace_id, actor, error["id"], was_sent=was_sent)


async def test_a_proof_that_comes_after_the_order_to_send_again_stops_the_second_copy(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id = await make_one(workspace_id, actor, vault)
    (first,) = await claim_all()
    await carry([first], Unknown("silence"))
    await unconfirmed.resolve(workspace_id, actor, (await open_error(recipient_id))["id"], was_sent=False)
    (second,) = await claim_all()
    letter = composed(second)
    assert isinstance(letter, Letter)
    assert await record(workspace_id, [Result(first.message_id, first.token, TAKEN)]) == {first.message_id}
    assert await marking.mark([letter.mark]) == set()
    await sending.release([second])
    assert (await row_of(recipient_id))["current_step_id"] == world.step_ids[1]
    assert await claim_all() == []


async def test_sent_after_a_skip_counts_as_carried_out_and_anything_else_as_skipped(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, people=3)
    outcomes: dict[UUID, Outcome] = dict(
        zip(world.recipient_ids, (TAKEN, Refused("INTERNAL_ERROR", "554 no"), Unknown("silence")), strict=True)
    )
    for claim in await claim_all():
        letter = composed(claim)
        assert isinstance(letter, Letter)
        await marking.mark([letter.mark])
        acted = await recipients.skip_step(workspace_id, actor, claim.recipient_id, claim.step_id)
        assert acted.in_flight == 1
        await record(workspace_id, [Result(claim.message_id, claim.token, outcomes[claim.recipient_id])])
    done = await fetch("SELECT recipient_id, outcome FROM recipient_steps")
    assert [{row["recipient_id"]: row["outcome"] for row in done}[one] for one in world.recipient_ids] == [
        "CARRIED_OUT",
        "SKIPPED",
        "SKIPPED",
    ]
    for one in world.recipient_ids:
        row = await row_of(one)
        assert (row["status"], row["current_step_id"], row["error_id"]) == ("IN_PROGRESS", world.step_ids[1], None)


@pytest.mark.parametrize("act", ["stop", "delete"])
async def test_an_outcome_after_a_stop_or_a_deletion_is_recorded_as_a_fact(
    act: str, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    (claim,) = await claim_all()
    letter = composed(claim)
    assert isinstance(letter, Letter)
    await marking.mark([letter.mark])
    verb = recipients.stop if act == "stop" else recipients.delete
    assert (await verb(workspace_id, actor, recipient_id)).in_flight == 1
    assert await record(workspace_id, [Result(claim.message_id, claim.token, TAKEN)]) == {claim.message_id}
    assert (await messages_of(recipient_id))[0]["state"] == "SENT"
    row = await row_of(recipient_id)
    assert row["due_at"] is None
    assert row["status"] == ("STOPPED" if act == "stop" else "SCHEDULED")
    assert (row["contacted_at"] is not None) == (act == "stop")


async def test_the_next_step_is_due_from_the_actual_send_and_a_reply_keeps_the_thread(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    follow_up = email(subject="", body="And?", wait=IN_AN_HOUR, send_as_reply=True)
    world = await make_world(workspace_id, actor, vault, steps=[email(), follow_up, follow_up])
    (recipient_id,) = world.recipient_ids
    await advance(workspace_id, timedelta(hours=5))  # it leaves long after it came due
    (first,) = await claim_all()
    await carry([first], TAKEN)
    sent_at = (await messages_of(recipient_id))[0]["at"]
    row = await row_of(recipient_id)
    assert (row["anchor_at"], row["due_at"]) == (sent_at, sent_at + timedelta(hours=1))
    ids = [first.rfc_message_id]
    for _ in range(2):
        await advance(workspace_id, timedelta(hours=1))
        (claim,) = await claim_all()
        letter = composed(claim)
        assert isinstance(letter, Letter)
        assert letter.mark.subject == "Re: Hello Person 0"
        assert (letter.mark.in_reply_to, list(letter.mark.references)) == (ids[-1], ids)
        await carry([claim], TAKEN)
        ids.append(claim.rfc_message_id)
    assert (await row_of(recipient_id))["status"] == "COMPLETED"


async def test_a_signal_of_a_late_bounce_reaches_a_recipient_that_has_completed(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()])
    await carry(await claim_all(), TAKEN)
    assert (await row_of(world.recipient_ids[0]))["status"] == "COMPLETED"
    fact = Fact(signal=Signal.HARD_BOUNCE, recipient_id=world.recipient_ids[0], actor=ENGINE)
    await signals.apply(workspace_id, fact)
    assert (await row_of(world.recipient_ids[0]))["status"] == "BOUNCED"


# ---- one message never touches another


async def test_outcomes_that_cannot_be_recorded_together_are_recorded_one_by_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    sender = Sender(vault, reach=HERE, slots=10, lease=timedelta(seconds=30))
    other_id = await keys.create_workspace("Other")
    for one in (workspace_id, other_id):
        await make_world(one, actor, vault, steps=[email()], people=3)
    claims = await claim_all()
    for claim in claims:
        letter = composed(claim)
        assert isinstance(letter, Letter)
        await marking.mark([letter.mark])
    poisoned = next(claim for claim in claims if claim.workspace_id == workspace_id)
    finishing = [
        asyncio.create_task(sender._finish(claim, Sent("250 \x00" if claim is poisoned else "250 ok")))
        for claim in claims
    ]
    done, stuck = await asyncio.wait(finishing, timeout=3)
    assert (len(done), len(stuck)) == (5, 1)
    stuck.pop().cancel()
    states = await fetch("SELECT id, state FROM messages")
    assert {row["state"] for row in states if row["id"] != poisoned.message_id} == {"SENT"}
    # Nobody knows of that one what the server said: when its lease runs out, a person is asked.
    assert [row["state"] for row in states if row["id"] == poisoned.message_id] == ["HANDING_OVER"]
