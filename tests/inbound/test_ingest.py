"""Taking in mail: whom it is matched to, what is recorded, and that nothing happens twice."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from domain import inbound, keys
from domain.database import fetch
from domain.inbound import Ingested
from domain.rules.actor import Actor
from domain.rules.inbound.intake import InboundOutcome, InboundSource
from domain.rules.inbound.reading import Classification
from domain.rules.outcomes import Sent, Unknown
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, open_error
from tests.engine.standing import events_of, row_of
from tests.inbound.mails import complaint, delivery_report, letter
from tests.world import IN_AN_HOUR, World, email, make_world


@pytest.fixture
async def world(workspace_id: UUID, actor: Actor, vault: Vault) -> World:
    """Two people whose first mail was sent; the next is due in an hour."""
    made = await make_world(workspace_id, actor, vault, people=2, steps=[email(), email(wait=IN_AN_HOUR)])
    await carry(await claim_all(), Sent("250 2.0.0 Ok: queued as 0102018f3a5c7d2e-1b2c3d4e-000000"))
    return made


async def sent_to(recipient_id: UUID) -> asyncpg.Record:
    rows = await fetch("SELECT * FROM messages WHERE recipient_id = $1 AND direction = 'OUTGOING'", recipient_id)
    return rows[0]


async def take(world: World, raw: bytes, source: InboundSource = InboundSource.API) -> Ingested:
    return await inbound.ingest(world.workspace_id, None, raw, source)


async def incoming(recipient_id: UUID) -> asyncpg.Record:
    return (await fetch("SELECT * FROM messages WHERE recipient_id = $1 AND direction = 'INCOMING'", recipient_id))[0]


async def test_a_reply_in_the_thread_ends_the_recipient_and_is_kept_with_its_quote(world: World) -> None:
    ours = (await sent_to(world.recipient_ids[0]))["rfc_message_id"]
    text = "Yes, gladly.\n\nOn Mon, 2 Nov 2026 at 10:00, Jo <jobs@sender.example> wrote:\n> a word about your work\n"
    raw = letter(text, in_reply_to=ours)
    found = await take(world, raw)
    assert (found.outcome, found.classification) == (InboundOutcome.RECORDED, Classification.HUMAN_REPLY)
    row, message = await row_of(world.recipient_ids[0]), await incoming(world.recipient_ids[0])
    assert (row["status"], row["end_reason"]) == ("REPLIED", "REPLIED")
    assert message["text"] == "Yes, gladly."
    assert message["quoted_text"].endswith("> a word about your work")
    assert (await events_of(world.recipient_ids[0]))[-1]["message_id"] == message["id"] == found.message_id
    kept = await fetch("SELECT raw FROM inbound_mails WHERE message_id = $1", message["id"])
    assert kept[0]["raw"] == raw
    assert (await row_of(world.recipient_ids[1]))["status"] == "IN_PROGRESS"


@pytest.mark.parametrize("way", ["references", "token", "provider", "sender", "alias"])
async def test_a_reply_finds_its_message(world: World, way: str) -> None:
    mine = await sent_to(world.recipient_ids[1])
    ours = mine["rfc_message_id"]
    raw = {
        "references": letter("Hi", sender="x@else.example", references=f"<other@x.example> {ours} <newer@x.example>"),
        "token": letter("Hi", sender="x@else.example", to=f"jobs+{ours[1:27]}@sender.example"),
        "provider": letter(
            "Hi", sender="x@else.example", in_reply_to="<0102018f3a5c7d2e-1b2c3d4e-000000@email.provider.example>"
        ),
        "sender": letter("Hi", sender="P1 <P1@people.example>", subject="About your mail"),
        "alias": letter("Hi", sender="private@alias.example", in_reply_to=ours),
    }[way]
    found = await take(world, raw)
    assert found.outcome is InboundOutcome.RECORDED
    if way != "provider":  # both were given one id by this server: the newer is meant
        assert found.recipient_id == world.recipient_ids[1]
        assert (await row_of(world.recipient_ids[1]))["status"] == "REPLIED"


async def test_the_same_mail_is_recorded_once_by_whatever_door_and_at_whatever_time(world: World) -> None:
    raw = letter("Yes", in_reply_to=(await sent_to(world.recipient_ids[0]))["rfc_message_id"])
    again = b"Received: from elsewhere by here\r\nX-Provider: yes\r\n" + raw
    first, *others = await asyncio.gather(
        take(world, raw), take(world, again, InboundSource.MAILBOX), take(world, raw, InboundSource.PROVIDER)
    )
    answers = [first, *others, await take(world, raw)]
    assert sorted(one.again for one in answers) == [False, True, True, True]
    assert len({one.message_id for one in answers}) == 1
    assert len(await fetch("SELECT 1 FROM messages WHERE direction = 'INCOMING'")) == 1
    assert len(await events_of(world.recipient_ids[0])) == 3  # enrolled, carried out, replied


async def test_a_hard_bounce_ends_the_recipient_and_marks_the_address(world: World) -> None:
    ours = (await sent_to(world.recipient_ids[0]))["rfc_message_id"]
    found = await take(world, delivery_report(ours))
    assert found.classification is Classification.HARD_BOUNCE
    row = await row_of(world.recipient_ids[0])
    assert (row["status"], row["end_reason"]) == ("BOUNCED", "BOUNCED")
    contact = (await fetch("SELECT email_bounced_at FROM contacts WHERE id = $1", row["contact_id"]))[0]
    assert contact["email_bounced_at"] is not None


async def test_forged_and_foreign_reports_change_nothing(world: World) -> None:
    other = await keys.create_workspace("Other")
    ours = (await sent_to(world.recipient_ids[0]))["rfc_message_id"]
    forged = f"<{'a' * 26}@sender.example>"
    for raw in (delivery_report(forged), complaint(forged), delivery_report("<x@y.example>")):
        assert (await take(world, raw)).outcome is InboundOutcome.NOT_OURS
    foreign = await inbound.ingest(other, None, delivery_report(ours), InboundSource.API)
    assert foreign.outcome is InboundOutcome.NOT_OURS
    assert (await row_of(world.recipient_ids[0]))["status"] == "IN_PROGRESS"
    assert not await fetch("SELECT 1 FROM contacts WHERE email_bounced_at IS NOT NULL")
    assert not await fetch("SELECT 1 FROM suppressions")
    assert not await fetch("SELECT 1 FROM inbound_mails WHERE raw IS NOT NULL")


async def test_our_own_mail_is_no_reply(world: World) -> None:
    ours = (await sent_to(world.recipient_ids[0]))["rfc_message_id"]
    found = await take(world, letter("Following up", sender="Jo <Jobs@sender.example>", in_reply_to=ours))
    assert found.outcome is InboundOutcome.OWN
    assert (await row_of(world.recipient_ids[0]))["status"] == "IN_PROGRESS"


async def test_what_is_no_mail_is_recorded_with_its_reason(world: World) -> None:
    found = await take(world, b"\x00\xff this is no mail")
    assert found.outcome is InboundOutcome.UNREADABLE
    rows = await fetch("SELECT outcome, reason FROM inbound_mails")
    assert [(row["outcome"], row["reason"]) for row in rows] == [("UNREADABLE", found.reason)]
    assert found.reason


async def test_a_report_about_an_unconfirmed_message_proves_that_it_was_sent(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    made = await make_world(workspace_id, actor, vault, steps=[email(), email(wait=IN_AN_HOUR)])
    await carry(await claim_all(), Unknown("cut"))
    assert (await open_error(made.recipient_ids[0]))["code"] == "DELIVERY_UNCONFIRMED"
    ours = await sent_to(made.recipient_ids[0])
    await take(made, delivery_report(ours["rfc_message_id"], action="delayed", status="4.4.1", diagnostic="451 later"))
    row = await row_of(made.recipient_ids[0])
    assert (row["status"], row["current_step_id"]) == ("IN_PROGRESS", made.step_ids[1])
    assert (await sent_to(made.recipient_ids[0]))["state"] == "SENT"
