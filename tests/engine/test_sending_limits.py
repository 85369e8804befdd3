"""What holds a due message back, and what cannot be sent at all: limits, windows, absences, lost mailboxes."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from domain import mailboxes, marking, recipients, sending, signals, turns, unsendable
from domain.contacts import ContactFields, release_hold, write_contacts
from domain.database import Tx, fetch, tx
from domain.own_content import NewContent
from domain.plans import SequenceSettings
from domain.rules.actor import Actor
from domain.rules.ids import new_id
from domain.rules.outcomes import Later, LaterReason, MailboxBroken, Refused, Sent
from domain.rules.timing import SendingWindow
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, make_one, messages_of, open_error, set_row
from tests.engine.standing import events_of, row_of
from tests.world import email, make_world
from workers.composing import Letter, composed

TAKEN = Sent("250 2.0.0 taken")


# ---- what holds a due message back


async def test_a_claim_that_began_before_another_ended_does_not_count_without_it(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=30)
    await set_row("mailboxes", world.mailbox_id, daily_limit=10)
    for recipient_id in world.recipient_ids[:10]:
        await set_row("recipients", recipient_id, due_at=datetime.now(UTC) + timedelta(days=1))
    swift = turns.CLAIMS[turns.EMAILS]
    ids = [new_id() for _ in range(5)]

    async def claims_and_commits_late(t: Tx) -> int:
        rows = await t.fetch(swift, 5, 5, ids, [str(one) for one in ids], timedelta(seconds=30), [])
        await asyncio.sleep(0.4)
        return len(rows)

    first = asyncio.create_task(tx(None, claims_and_commits_late))
    await asyncio.sleep(0.2)
    for recipient_id in world.recipient_ids[:10]:  # others come due
        await set_row("recipients", recipient_id, due_at=datetime.now(UTC) - timedelta(minutes=1))
    with monkeypatch.context() as patched:  # between its snapshot and its lock, where only a busy server would dawdle
        slow = swift.replace("WHERE m.state", "WHERE pg_sleep(0.5) IS NOT NULL AND m.state")
        patched.setitem(turns.CLAIMS, turns.EMAILS, slow)
        assert await claim_all() == []
    assert await first == 5


async def test_many_claimers_at_once_never_exceed_the_daily_limit(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=60)
    await set_row("mailboxes", world.mailbox_id, daily_limit=25)

    async def claimer() -> int:
        count = 0
        for _ in range(30):
            claims = await claim_all()
            count += len(claims)
            await carry(claims, TAKEN)
            await asyncio.sleep(0.02 if not claims else 0)  # nothing: another has the mailbox in hand
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


async def test_the_places_of_the_day_come_back_when_the_server_was_out_of_reach(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=8)
    await set_row("mailboxes", world.mailbox_id, daily_limit=5)
    claims = await claim_all()
    assert len(claims) == 5
    await carry(claims[:1], TAKEN)
    await carry(claims[1:], Later(LaterReason.TRANSPORT, "connection refused"), marked=False)
    mailbox = (await fetch("SELECT * FROM mailboxes"))[0]
    assert (mailbox["held_back_by"], mailbox["failures_in_a_row"]) == ("MAILBOX_BACKOFF", 1)
    assert mailbox["next_send_at"] < datetime.now(UTC) + timedelta(minutes=2)
    for places in (1, 3):  # one tries whether the server is back
        await set_row("mailboxes", world.mailbox_id, next_send_at=datetime.now(UTC) - timedelta(seconds=1))
        claims = await claim_all()
        assert len(claims) == places
        await carry(claims, TAKEN)
    await set_row("mailboxes", world.mailbox_id, next_send_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await claim_all() == []


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
    before = await row_of(recipient_id)
    assert await claim_all() == []
    after = await row_of(recipient_id)
    assert (after["due_at"], after["version"]) == (opens_at, before["version"])
    assert len(await events_of(recipient_id)) == 1
    assert await claim_all() == []


async def test_a_person_who_is_away_is_not_written_to(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    contact_id = (await row_of(recipient_id))["contact_id"]
    back_at = datetime.now(UTC) + timedelta(days=3)
    await set_row("contacts", contact_id, out_of_office_until=back_at)
    before = await row_of(recipient_id)
    assert await claim_all() == []
    row = await row_of(recipient_id)
    assert (row["due_at"], row["version"]) == (back_at, before["version"])
    await release_hold(workspace_id, contact_id)
    assert len(await claim_all()) == 1


async def test_a_lost_mailbox_makes_an_error_only_of_those_whose_step_is_due(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, people=2)
    due, later = world.recipient_ids
    await set_row("recipients", later, due_at=datetime.now(UTC) + timedelta(hours=2))
    await mailboxes.refused(workspace_id, world.mailbox_id, "MAILBOX_CREDENTIALS_REFUSED", "535 5.7.8 wrong password")
    assert await unsendable.fail_due_without_mailbox() == 1
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
    assert await marking.mark([letter.mark]) == set()
    await sending.release(claims[1:])
    assert await unsendable.fail_due_without_mailbox() == 3


# ---- what cannot be made


async def test_a_missing_variable_is_an_error_that_an_edit_mends_and_tries_again(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(body="Dear {{ fields.nickname }},")])
    (recipient_id,), (step_id,) = world.recipient_ids, world.step_ids
    await carry(await claim_all(), TAKEN)
    error = await open_error(recipient_id)
    assert (error["code"], error["detail"]) == ("VARIABLE_MISSING", "fields.nickname")
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
        "WITH i AS (INSERT INTO suppressions (id, workspace_id, kind, value, reason, source, "
        "created_by_kind, settling, created_at) "
        "VALUES (gen_random_uuid(), $1, 'DOMAIN', 'people.example', 'LISTED', 'ENGINE', 'ENGINE', false, now()) "
        "RETURNING 1) SELECT 1",
        workspace_id,
    )
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark]) == set()
    await sending.release([claim])
    await signals.end_if_suppressed(workspace_id, recipient_id)
    row = await row_of(recipient_id)
    assert (row["status"], row["end_reason"]) == ("UNSUBSCRIBED", "SUPPRESSED")
    assert await claim_all() == []
