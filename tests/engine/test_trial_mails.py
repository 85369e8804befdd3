"""A step is sent as a test: to whom the caller says, once, counted for its mailbox, and no message to the person."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import pytest
from asyncpg import Record

from cli.catcher import RunningCatcher
from domain import guardrails, mailboxes, previewing, suppressing, trial_mails
from domain.contacts import ContactFields, upsert
from domain.database import fetch
from domain.previewing import Preview, Sample
from domain.reading import trial_mails as reading
from domain.refusals import (
    AddressNotToBeWrittenTo,
    ContentNotReady,
    Invalid,
    MailboxCannotSend,
    MailboxHeld,
    MailboxLimitReached,
)
from domain.rules.actor import Actor
from domain.rules.filling_in import Words
from domain.rules.outcomes import Later, LaterReason, MailboxBroken, Outcome, Refused, Sent
from domain.rules.plan import StepKind
from domain.secrets import Vault
from domain.settings import Settings
from domain.suppressing import Wanted
from tests.engine.conftest import until, working
from tests.engine.sending_world import claim_all, set_row
from tests.world import HOLD, IN_AN_HOUR, World, email, make_world

LINKS = "http://localhost:8000"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def _preview(world: World, **more: Any) -> Preview:
    sample = Sample(step_id=world.step_ids[0], recipient_id=world.recipient_ids[0], **more)
    found = await previewing.preview(world.workspace_id, sample, LINKS)
    assert found is not None
    return found


async def test_a_test_mail_arrives_once_marked_as_one_and_leaves_the_person_alone(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings, catcher: RunningCatcher
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], port=catcher.smtp_port)
    (before,) = await fetch(
        "SELECT version, status, contacted_at FROM recipients WHERE id = $1", world.recipient_ids[0]
    )
    id = await trial_mails.order(workspace_id, vault, await _preview(world), "me@desk.example", LINKS)

    async def is_sent() -> bool:
        return (await reading.by_ids(workspace_id, [id]))[id].state == "SENT"

    async with working(settings), asyncio.timeout(30):
        await until(is_sent)
    (mail,) = catcher.catcher.page().mails
    head = message_from_bytes(mail.head, policy=policy.default)
    assert mail.recipients == ("me@desk.example",)
    assert (head["Subject"], head["X-Relance-Test"]) == ("[Test] Hello Person 0", "yes")
    assert await fetch("SELECT 1 FROM messages WHERE workspace_id = $1", workspace_id) == []
    (after,) = await fetch("SELECT version, status, contacted_at FROM recipients WHERE id = $1", world.recipient_ids[0])
    assert after == before
    (kept,) = await fetch("SELECT mime FROM test_emails WHERE id = $1", id)
    assert kept["mime"] is None


async def test_two_workers_share_no_test_mail_and_it_counts_for_the_limits_of_its_mailbox(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=2)
    await set_row("mailboxes", world.mailbox_id, daily_limit=2)
    await trial_mails.order(workspace_id, vault, await _preview(world), None, LINKS)
    claimed = await asyncio.gather(*(trial_mails.claim() for _ in range(4)))
    (trial,) = [one for one in claimed if one is not None]
    assert trial.to_address == "jobs@sender.example"
    assert len(await claim_all()) == 1  # the limit is two, and the test was one
    with_room = await previewing.preview(
        workspace_id, Sample(step_id=world.step_ids[0], recipient_id=world.recipient_ids[1]), LINKS
    )
    assert with_room is not None
    await set_row("mailboxes", world.mailbox_id, daily_limit=1)
    with pytest.raises(MailboxLimitReached):
        await trial_mails.order(workspace_id, vault, with_room, None, LINKS)


async def test_what_a_dead_worker_had_in_hand_is_never_sent_again(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    id = await trial_mails.order(workspace_id, vault, await _preview(world), None, LINKS)
    assert await trial_mails.claim() is not None
    (row,) = await fetch("SELECT now() - interval '1 hour' AS long_ago")
    await set_row("test_emails", id, marked_at=row["long_ago"])
    unsent = await trial_mails.order(workspace_id, vault, await _preview(world), None, LINKS)
    await set_row("test_emails", unsent, created_at=row["long_ago"] - timedelta(minutes=1))
    assert await trial_mails.give_up_lost() == 2
    assert await trial_mails.claim() is None
    shown = (await reading.by_ids(workspace_id, [unsent]))[unsent]
    assert (shown.state, shown.reply) == ("FAILED", "Its mailbox had no turn for it within an hour.")
    assert (await reading.by_ids(workspace_id, [id]))[id].state == "UNCONFIRMED"


async def test_a_test_mail_that_may_not_or_cannot_go_out_is_refused(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    broken = Words(kind=StepKind.AUTOMATED_EMAIL, subject="Hi", body="Dear {{ fields.nobody }}")
    with pytest.raises(ContentNotReady, match=r"fields\.nobody"):
        await trial_mails.order(workspace_id, vault, await _preview(world, content=broken), None, LINKS)
    task = Words(kind=StepKind.TASK, task_title="Call")
    with pytest.raises(Invalid):
        await trial_mails.order(workspace_id, vault, await _preview(world, content=task), None, LINKS)
    with pytest.raises(Invalid) as refused:
        await trial_mails.order(workspace_id, vault, await _preview(world), "nobody", LINKS)
    assert refused.value.field == ("to",)
    await suppressing.create(workspace_id, actor, Wanted(domain="elsewhere.example"))
    with pytest.raises(AddressNotToBeWrittenTo):
        await trial_mails.order(workspace_id, vault, await _preview(world), "me@desk.elsewhere.example", LINKS)
    bounced = await upsert(workspace_id, ContactFields(values={"email": "dead@people.example"}))
    (now,) = await fetch("SELECT now() AS at")
    await set_row("contacts", bounced, email_bounced_at=now["at"])
    with pytest.raises(AddressNotToBeWrittenTo, match="bounced"):
        await trial_mails.order(workspace_id, vault, await _preview(world), "dead@people.example", LINKS)
    await set_row("mailboxes", world.mailbox_id, state="HELD", guardrail_hold=json.dumps(HOLD.as_json()))
    with pytest.raises(MailboxHeld, match="guardrailRelease"):
        await trial_mails.order(workspace_id, vault, await _preview(world), None, LINKS)
    await guardrails.release(workspace_id, {guardrails.Guarded.MAILBOX: world.mailbox_id})
    await trial_mails.order(workspace_id, vault, await _preview(world), None, LINKS)
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    with pytest.raises(MailboxCannotSend):
        await trial_mails.order(workspace_id, vault, await _preview(world), None, LINKS)


async def test_what_a_test_mail_meets_holds_for_its_mailbox_as_what_a_step_meets(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])

    async def meets(outcome: Outcome) -> Record:
        await set_row("mailboxes", world.mailbox_id, next_send_at=LONG_AGO)
        id = await trial_mails.order(workspace_id, vault, await _preview(world), "me@desk.example", LINKS)
        trial = await trial_mails.claim()
        assert trial is not None
        await trial_mails.record(trial, outcome)
        (found,) = await fetch(
            "SELECT e.state AS test, m.state, m.state_code, m.failures_in_a_row, m.held_back_by, m.throttled_since, "
            "m.next_send_at > now() + interval '4 minutes' AS waits FROM test_emails e "
            "JOIN mailboxes m ON m.id = e.mailbox_id WHERE e.id = $1",
            id,
        )
        return found

    slow = await meets(Later(LaterReason.THROTTLED, "421 4.7.0 Too many messages"))
    assert (slow["test"], slow["state"], slow["failures_in_a_row"]) == ("FAILED", "CONNECTED", 1)
    assert (slow["held_back_by"], slow["waits"]) == ("MAILBOX_BACKOFF", True)
    assert slow["throttled_since"] is not None
    well = await meets(Sent("250 2.0.0 taken"))
    assert (well["test"], well["failures_in_a_row"], well["throttled_since"]) == ("SENT", 0, None)
    own = await meets(Refused("EMAIL_INVALID", "550 5.1.1 No such user", hard_bounce=True))
    assert (own["test"], own["state"], own["waits"]) == ("FAILED", "CONNECTED", False)
    broken = await meets(MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", "535 5.7.8 Bad credentials"))
    assert (broken["test"], broken["state"]) == ("FAILED", "DISCONNECTED")
    assert broken["state_code"] == "MAILBOX_CREDENTIALS_REFUSED"
    (person,) = await fetch("SELECT email_bounced_at FROM contacts WHERE workspace_id = $1", workspace_id)
    assert person["email_bounced_at"] is None
