"""What holds a due message back, and what becomes of it: limits, windows, absences, refusals, retries, doubts."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from domain import mailboxes, recipients, sending, signals, unconfirmed, waiting
from domain.contacts import ContactFields, write_contacts
from domain.database import Tx, fetch, tx
from domain.delivery import Result, record
from domain.plans import SequenceSettings
from domain.recipients import NewContent
from domain.refusals import RetryNotAvailable
from domain.rules.actor import ENGINE, Actor
from domain.rules.ids import new_id
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Later, LaterReason, MailboxBroken, Outcome, Refused, Sent, Stage, Unknown
from domain.rules.smtp_replies import classify
from domain.rules.timing import SendingWindow
from domain.secrets import Vault
from tests.engine.sending_world import advance, carry, claim_all, messages_of, open_error, set_row
from tests.engine.standing import events_of, row_of
from tests.world import IN_AN_HOUR, World, email, make_world
from workers.composing import Letter, composed

TAKEN = Sent("250 2.0.0 taken")


async def make_one(workspace_id: UUID, actor: Actor, vault: Vault, *rest: object) -> tuple[World, UUID]:
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(wait=IN_AN_HOUR)])
    return world, world.recipient_ids[0]


# ---- what holds a due message back


async def test_a_claim_that_began_before_another_ended_does_not_count_without_it(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=30)
    await set_row("mailboxes", world.mailbox_id, daily_limit=10)
    away = datetime.now(UTC) + timedelta(days=1)
    for recipient_id in world.recipient_ids[:10]:
        await set_row("contacts", (await row_of(recipient_id))["contact_id"], out_of_office_until=away)
    swift = sending._CLAIM
    ids = [new_id() for _ in range(5)]

    async def claims_and_commits_late(t: Tx) -> int:
        rows = await t.fetch(swift, 5, sending.BURST, ids, [str(one) for one in ids], timedelta(seconds=30))
        await asyncio.sleep(0.4)
        return len(rows)

    first = asyncio.create_task(tx(None, claims_and_commits_late))
    await asyncio.sleep(0.2)
    await fetch("WITH u AS (UPDATE contacts SET out_of_office_until = NULL RETURNING 1) SELECT 1")  # others come due
    with monkeypatch.context() as patched:  # between its snapshot and its lock, where only a busy server would dawdle
        patched.setattr(
            sending, "_CLAIM", swift.replace("WHERE m.state", "WHERE pg_sleep(0.5) IS NOT NULL AND m.state")
        )
        assert await claim_all() == []
    assert await first == 5


async def test_many_claimers_at_once_never_exceed_the_daily_limit(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=60)
    await set_row("mailboxes", world.mailbox_id, daily_limit=25)

    async def claimer() -> int:
        count = 0
        for _ in range(12):
            claims = await claim_all()
            count += len(claims)
            await carry(claims, TAKEN)
        return count

    claimed = sum(await asyncio.gather(*(claimer() for _ in range(4))))
    marked = await fetch("SELECT count(*) AS n FROM messages WHERE marked_at IS NOT NULL")
    assert claimed == marked[0]["n"] == 25
    mailbox = (await fetch("SELECT * FROM mailboxes"))[0]
    assert mailbox["held_back_by"] == "DAILY_LIMIT"
    assert mailbox["next_send_at"] > datetime.now(UTC) + timedelta(hours=23)


async def test_a_place_of_the_day_that_was_claimed_and_not_used_comes_back_at_once(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=3)
    await set_row("mailboxes", world.mailbox_id, daily_limit=2)
    claims = await claim_all()
    assert len(claims) == 2
    assert await claim_all() == []
    await sending.release(claims[:1])
    await carry(claims[1:], Refused("EMAIL_INVALID", "550 5.1.1 unknown", hard_bounce=True), marked=False)
    again = await claim_all()
    assert len(again) == 2
    await carry(again, TAKEN)
    assert await claim_all() == []
    assert len(await messages_of(again[0].recipient_id)) == 1


async def test_a_mailbox_keeps_its_minimum_gap_also_with_many_claimers(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=5)
    await set_row("mailboxes", world.mailbox_id, minimum_gap_seconds=60)
    claims = await asyncio.gather(*(claim_all() for _ in range(6)))
    assert sum(len(found) for found in claims) == 1
    mailbox = (await fetch("SELECT * FROM mailboxes"))[0]
    ahead = mailbox["next_send_at"] - datetime.now(UTC)
    assert timedelta(seconds=55) < ahead <= timedelta(seconds=75)
    assert mailbox["held_back_by"] == "MINIMUM_GAP"


async def test_a_step_whose_window_has_shut_since_waits_for_the_next_opening(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    now = datetime.now(UTC)
    shut_hour = (now.hour + 12) % 24
    window = SendingWindow(
        weekdays=frozenset(range(7)),
        opens=time(shut_hour),
        closes=time(shut_hour, 30),
        time_zone="UTC",
    )
    world = await make_world(workspace_id, actor, vault, steps=[email()], settings=SequenceSettings(window=window))
    (recipient_id,) = world.recipient_ids
    opens_at = (await row_of(recipient_id))["due_at"]
    assert opens_at.hour == shut_hour
    assert await claim_all() == []
    await set_row("recipients", recipient_id, due_at=now - timedelta(minutes=1))  # a backlog
    (claim,) = await claim_all()
    assert not claim.window_open
    before = await row_of(recipient_id)
    await waiting.wait_for_window(workspace_id, [recipient_id])
    await sending.release([claim])
    after = await row_of(recipient_id)
    assert (after["due_at"], after["version"]) == (opens_at, before["version"])
    assert len(await events_of(recipient_id)) == 1
    assert await claim_all() == []


async def test_a_person_who_is_away_is_not_written_to(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    contact_id = (await row_of(recipient_id))["contact_id"]
    await set_row("contacts", contact_id, out_of_office_until=datetime.now(UTC) + timedelta(days=3))
    assert await claim_all() == []
    await set_row("contacts", contact_id, out_of_office_until=datetime.now(UTC) - timedelta(seconds=1))
    assert len(await claim_all()) == 1


async def test_a_lost_mailbox_makes_an_error_only_of_those_whose_step_is_due(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, people=2)
    due, later = world.recipient_ids
    await set_row("recipients", later, due_at=datetime.now(UTC) + timedelta(hours=2))
    await mailboxes.refused(workspace_id, world.mailbox_id, "MAILBOX_CREDENTIALS_REFUSED", "535 5.7.8 wrong password")
    assert await mailboxes.fail_due_without_mailbox() == 1
    assert [(await row_of(one))["status"] for one in (due, later)] == ["ERROR", "SCHEDULED"]
    error = await open_error(due)
    assert (error["code"], error["detail"]) == ("MAILBOX_CREDENTIALS_REFUSED", "535 5.7.8 wrong password")
    await mailboxes.connected(workspace_id, world.mailbox_id)
    assert await claim_all() == []  # connecting retries nothing by itself
    await recipients.retry(workspace_id, actor, due)
    (claim,) = await claim_all()
    assert (claim.recipient_id, claim.step_run) == (due, 2)
    await carry([claim], TAKEN)
    assert (await row_of(due))["status"] == "IN_PROGRESS"


async def test_a_broken_mailbox_is_disconnected_by_the_first_message_and_fails_the_due_ones(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email()], people=3)
    claims = await claim_all()
    await carry(claims[:1], MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", "535 5.7.8 no"), marked=False)
    mailbox = (await fetch("SELECT * FROM mailboxes"))[0]
    assert (mailbox["state"], mailbox["state_code"]) == ("DISCONNECTED", "MAILBOX_CREDENTIALS_REFUSED")
    letter = composed(claims[1])
    assert isinstance(letter, Letter)
    assert await sending.mark([letter.mark]) == set()
    await sending.release(claims[1:])
    assert await mailboxes.fail_due_without_mailbox() == 3


# ---- what cannot be made


async def test_a_missing_variable_is_an_error_that_an_edit_mends_and_tries_again(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(body="Dear {{ nickname }},")])
    (recipient_id,), (step_id,) = world.recipient_ids, world.step_ids
    await carry(await claim_all(), TAKEN)
    error = await open_error(recipient_id)
    assert (error["code"], error["detail"]) == ("VARIABLE_MISSING", "nickname")
    assert (await row_of(recipient_id))["status"] == "ERROR"
    assert await claim_all() == []
    await recipients.edit_content(workspace_id, actor, recipient_id, step_id, NewContent(body="Dear friend,"))
    row = await row_of(recipient_id)
    assert (row["status"], row["step_run"]) == ("SCHEDULED", 2)
    (claim,) = await claim_all()
    assert claim.body == "Dear friend,"
    await carry([claim], TAKEN)
    assert (await row_of(recipient_id))["status"] == "COMPLETED"


async def test_an_address_that_bounced_is_not_written_to_again_and_a_new_one_starts_clean(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    contact_id = (await row_of(recipient_id))["contact_id"]
    await set_row("contacts", contact_id, email_bounced_at=datetime.now(UTC))
    await carry(await claim_all(), TAKEN)
    assert (await open_error(recipient_id))["code"] == "EMAIL_BOUNCED_BEFORE"
    new_address = ContactFields(contact_id=contact_id, values={"email": "new@people.example"})
    await tx(workspace_id, lambda t: write_contacts(t, [new_address]))
    await recipients.retry(workspace_id, actor, recipient_id)
    (claim,) = await claim_all()
    await carry([claim], TAKEN)
    assert (await messages_of(recipient_id))[-1]["to_address"] == "new@people.example"


async def test_a_suppression_found_at_the_last_moment_ends_the_recipient(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    (claim,) = await claim_all()
    await fetch(
        "WITH i AS (INSERT INTO suppressions (id, workspace_id, kind, value, reason, created_at) "
        "VALUES (gen_random_uuid(), $1, 'DOMAIN', 'people.example', 'MANUAL', now()) RETURNING 1) SELECT 1",
        workspace_id,
    )
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await sending.mark([letter.mark]) == set()
    await sending.release([claim])
    await signals.end_if_suppressed(workspace_id, recipient_id)
    row = await row_of(recipient_id)
    assert (row["status"], row["end_reason"]) == ("UNSUBSCRIBED", "SUPPRESSED")
    assert await claim_all() == []


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
    await sending.mark([letter.mark])
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
    assert {claim.tries for claim in again} == {1}
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
    assert await sending.mark([letter.mark]) == set()
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
        await sending.mark([letter.mark])
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
    await sending.mark([letter.mark])
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
    fact = signals.Fact(signal=Signal.HARD_BOUNCE, recipient_id=world.recipient_ids[0], actor=ENGINE)
    await signals.apply(workspace_id, fact)
    assert (await row_of(world.recipient_ids[0]))["status"] == "BOUNCED"
