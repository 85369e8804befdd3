"""Text messages as steps: handed over by a worker, under the same marks, limits and refusals as emails."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from domain import (
    authoring,
    contacts,
    enrolment,
    erasing,
    frequency,
    mailboxes,
    marking,
    recipients,
    sequences,
    suppressing,
    texts,
    unconfirmed_texts,
    unsendable,
)
from domain.contacts import ContactFields
from domain.database import fetch
from domain.delivery import Result, record
from domain.frequency import FrequencyCap
from domain.plans import SequenceSettings
from domain.reading import recipients as reading
from domain.refusals import Invalid, PhoneMissing, SequenceActionNotAvailable
from domain.rules.actor import Actor
from domain.rules.network import Reach
from domain.rules.outcomes import Sent, Unknown
from domain.rules.text_answers import classify_answer
from domain.rules.timing import SendingWindow, parse_wall_time
from domain.secrets import Vault
from domain.settings import Settings
from domain.suppressing import Wanted
from domain.texts import IncomingText, TextReport
from tests.engine.conftest import until, working
from tests.engine.sending_world import advance, carry, claim_all, messages_of, open_error, set_row
from tests.workers.twilio_server import NUMBER, Provider, providing, said_no
from tests.world import IN_AN_HOUR, World, email, make_mailbox, make_number, make_text_world, statuses, text
from workers.composing import texted
from workers.text_proof import TextProof
from workers.twilio import TwilioGateway


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, reach=Reach.of("127.0.0.1"), lease_seconds=2)


async def contact_of(recipient_id: UUID) -> UUID:
    contact_id: UUID = (await fetch("SELECT contact_id FROM recipients WHERE id = $1", recipient_id))[0]["contact_id"]
    return contact_id


async def test_a_text_message_goes_out_once_and_the_recipient_goes_on(
    settings: Settings, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with providing() as provider:
        steps = [text("Hi {{ first_name }}, may I call?"), text(wait=IN_AN_HOUR)]
        world = await make_text_world(workspace_id, actor, vault, provider.url, steps=steps, people=3)
        async with working(settings):
            await until(lambda: _all(workspace_id, "IN_PROGRESS", 3))
    assert sorted(provider.to()) == [f"+49170123450{n:02}" for n in range(3)]
    assert {one["Body"] for one in provider.taken} == {f"Hi Person {n}, may I call?" for n in range(3)}
    (message,) = await messages_of(world.recipient_ids[0])
    assert (message["channel"], message["direction"], message["state"]) == ("SMS", "OUTGOING", "SENT")
    assert (message["from_address"], message["to_address"]) == (NUMBER, "+4917012345000")
    rows = await fetch("SELECT contacted_at, due_kind FROM recipients WHERE workspace_id = $1", workspace_id)
    assert all(row["contacted_at"] is not None and row["due_kind"] == "SMS" for row in rows)


async def _all(workspace_id: UUID, status: str, count: int) -> bool:
    return (await statuses(workspace_id)).get(status) == count


async def test_what_the_provider_refuses_becomes_the_error_that_its_code_means(
    settings: Settings, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    def refuses(fields: dict[str, str]) -> tuple[int, dict[str, object]] | None:
        codes = {"+4917012345000": 21211, "+4917012345001": 21408, "+4917012345002": 21610}
        return said_no(400, codes[fields["To"]]) if fields["To"] in codes else None

    async with providing(Provider(refuses=refuses)) as provider:
        world = await make_text_world(workspace_id, actor, vault, provider.url, people=4)
        dead, forbidden, opted_out, _ = world.recipient_ids
        async with working(settings):
            await until(lambda: _all(workspace_id, "ERROR", 2))
            await until(lambda: _all(workspace_id, "UNSUBSCRIBED", 1))
            await until(lambda: _all(workspace_id, "COMPLETED", 1))
            codes = [(await open_error(one))["code"] for one in (dead, forbidden)]
            assert codes == ["PHONE_INVALID", "INTEGRATION_FAILED"]
            bound = await fetch(
                "SELECT kind, value FROM suppressions WHERE recipient_id = $1 ORDER BY kind DESC", opted_out
            )
            assert [row["kind"] for row in bound] == ["PHONE", "CONTACT"]
            assert bound[0]["value"] == "4917012345002"
            # the number's fault is mended by another number, and by that alone
            with pytest.raises(Exception, match="cause is still there"):
                await recipients.retry(workspace_id, actor, dead)
            await contacts.upsert(workspace_id, ContactFields(await contact_of(dead), {"phone": "+49 170 7654321"}))
            await recipients.retry(workspace_id, actor, dead)
            await until(lambda: _all(workspace_id, "COMPLETED", 2))
    assert sorted(provider.to()) == ["+4917012345003", "+491707654321"]


async def test_a_lost_answer_is_shown_and_proved_by_the_providers_list_never_sent_again(
    settings: Settings, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with providing(Provider(loses_answers=True, lists=False)) as provider:
        world = await make_text_world(workspace_id, actor, vault, provider.url)
        async with working(settings):
            await until(lambda: _all(workspace_id, "ERROR", 1))
        assert (await open_error(world.recipient_ids[0]))["code"] == "DELIVERY_UNCONFIRMED"
        gateway = TwilioGateway(settings.reach)
        try:
            await TextProof(vault, gateway).look()
            assert await statuses(workspace_id) == {"ERROR": 1}
            provider.lists = True
            await TextProof(vault, gateway).look()
            assert await statuses(workspace_id) == {"COMPLETED": 1}
            assert await unconfirmed_texts.in_doubt() == []
        finally:
            await gateway.close()
        assert provider.posts == 1


async def test_one_message_in_the_list_proves_one_of_two_that_say_the_same(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with providing() as provider:
        world = await make_text_world(workspace_id, actor, vault, provider.url, steps=[text("Same"), text("Same")])
        for _ in range(2):
            (claim,) = await claim_all()
            mark = texted(claim)
            assert await _mark(mark)
            await record(workspace_id, [Result(claim.message_id, claim.token, Unknown("lost"))])
            doubts = await unconfirmed_texts.in_doubt()
            settled = [await unconfirmed_texts.settle(one, ["SM" + "0" * 32]) for one in doubts]
        assert settled == [False]
    assert [row["state"] for row in await messages_of(world.recipient_ids[0])] == ["SENT", "UNCONFIRMED"]


async def _mark(mark: object) -> bool:
    return bool(await marking.mark([mark]))  # type: ignore[list-item]


async def test_limits_turns_windows_and_a_lost_account_hold_for_text_messages(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_text_world(workspace_id, actor, vault, "https://provider.example", people=5)
    await fetch("WITH u AS (UPDATE mailboxes SET daily_limit = 2 WHERE id = $1 RETURNING 1) SELECT 1", world.mailbox_id)
    claims = await claim_all()
    assert len(claims) == 2
    assert await claim_all() == []
    row = (await fetch("SELECT held_back_by FROM mailboxes WHERE id = $1", world.mailbox_id))[0]
    assert row["held_back_by"] == "DAILY_LIMIT"
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    assert not await _mark(texted(claims[0]))
    assert await unsendable.fail_due_without_mailbox() == 5
    codes = [(await open_error(one))["code"] for one in world.recipient_ids]
    assert codes == ["MAILBOX_DISCONNECTED"] * 5
    assert (await open_error(world.recipient_ids[0]))["mailbox_id"] == world.mailbox_id


async def test_a_suppressed_number_is_not_written_to_and_nobody_with_it_is_enrolled(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_text_world(workspace_id, actor, vault, "https://provider.example", people=2)
    (mine, other) = sorted(await claim_all(), key=lambda claim: str(claim.contact["phone"]))
    done = await suppressing.create(workspace_id, actor, Wanted(phone="0049 (0)170 12345000"))
    assert (done.created, done.ended) == (True, 1)
    assert not await _mark(texted(mine))
    assert await _mark(texted(other))
    batch = enrolment.Enrolment(
        sequence_id=world.sequence_id,
        candidates=[enrolment.Candidate(ContactFields(values={"email": "x@y.example", "phone": "+4917012345000"}))],
    )
    (answer,) = await enrolment.enroll(workspace_id, actor, batch)
    assert answer.refusal is not None
    assert answer.refusal.code == "SUPPRESSED"


async def test_a_phone_is_asked_for_where_the_first_step_needs_one_and_else_when_its_step_is_due(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    number_id = await make_number(workspace_id, vault, "https://provider.example")
    texts = await authoring.create(workspace_id, "Texts", [text()], settings=SequenceSettings())
    with pytest.raises(SequenceActionNotAvailable, match="number"):
        await sequences.activate(workspace_id, texts)
    await authoring.update(workspace_id, texts, mailbox_ids=[number_id])
    await sequences.activate(workspace_id, texts)
    nobody = enrolment.Candidate(ContactFields(values={"email": "no@phone.example"}))
    (answer,) = await enrolment.enroll(workspace_id, actor, enrolment.Enrolment(sequence_id=texts, candidates=[nobody]))
    assert isinstance(answer.refusal, PhoneMissing)
    with pytest.raises(Invalid, match="subject"):
        await authoring.create(workspace_id, "Bad", [replace(text(), subject="x")], settings=SequenceSettings())
    with pytest.raises(Invalid, match="text"):
        await authoring.create(workspace_id, "Bad", [text(" ")], settings=SequenceSettings())
    world = await make_world_of_both(workspace_id, actor, vault, number_id)
    await recipients.skip_step(workspace_id, actor, world.recipient_ids[0], world.step_ids[0])
    (claim,) = [one for one in await claim_all() if one.recipient_id == world.recipient_ids[0]]
    assert getattr(texted(claim), "code", None) == "PHONE_MISSING"


async def make_world_of_both(workspace_id: UUID, actor: Actor, vault: Vault, number_id: UUID) -> World:
    mailbox_id = await make_mailbox(workspace_id, vault)
    sequence_id = await authoring.create(
        workspace_id,
        "Both",
        [email(wait=IN_AN_HOUR), text()],
        settings=SequenceSettings(),
        mailbox_ids=[number_id, mailbox_id],
    )
    await sequences.activate(workspace_id, sequence_id)
    candidate = enrolment.Candidate(ContactFields(values={"email": "mail@only.example"}))
    (answer,) = await enrolment.enroll(
        workspace_id, actor, enrolment.Enrolment(sequence_id=sequence_id, candidates=[candidate])
    )
    assert answer.recipient_id is not None
    rows = await fetch("SELECT id FROM steps WHERE sequence_id = $1 ORDER BY position", sequence_id)
    return World(workspace_id, mailbox_id, sequence_id, [row["id"] for row in rows], [answer.recipient_id])


async def test_a_shut_window_a_gap_and_a_busy_provider_hold_text_messages_and_cost_nobody_anything(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_text_world(workspace_id, actor, vault, "https://provider.example", people=3)
    await set_row("mailboxes", world.mailbox_id, minimum_gap_seconds=600)
    (first,) = await claim_all()  # one at a time
    assert await _mark(texted(first))
    await record(workspace_id, [Result(first.message_id, first.token, Sent("SM" + "0" * 32 + " queued"))])
    assert await claim_all() == []
    left = [one for one in world.recipient_ids if one != first.recipient_id]
    assert await _reasons(workspace_id, left) == {"MINIMUM_GAP"}

    await set_row("mailboxes", world.mailbox_id, minimum_gap_seconds=0)
    await _turn_comes(world.mailbox_id)
    for claim in await claim_all():
        assert await _mark(texted(claim))
        busy = classify_answer(429, b'{"code": 20429, "message": "Too Many Requests"}')
        await record(workspace_id, [Result(claim.message_id, claim.token, busy)])
    assert await claim_all() == []
    assert await _reasons(workspace_id, left) == {"MAILBOX_BACKOFF"}
    assert (await statuses(workspace_id)) == {"COMPLETED": 1, "SCHEDULED": 2}
    assert {row["tries"] for one in left for row in await messages_of(one)} == {0}, "it cost them no patience"

    await _turn_comes(world.mailbox_id)
    now = (await fetch("SELECT now() AS at"))[0]["at"]
    shut = SendingWindow(
        weekdays=frozenset(range(7)),
        opens=parse_wall_time("opens", "00:00"),
        closes=parse_wall_time("closes", "24:00"),
        time_zone="UTC",
        blackout_dates=frozenset({now.date(), now.date() + timedelta(days=1)}),
    )
    await authoring.update(workspace_id, world.sequence_id, settings=SequenceSettings(window=shut))
    assert await claim_all() == []
    assert await _reasons(workspace_id, left) == {"BLACKOUT_DATE"}


async def _reasons(workspace_id: UUID, recipient_ids: list[UUID]) -> set[str | None]:
    rows = await reading.by_ids(workspace_id, recipient_ids, wants={"waiting_reason"})
    return {row.waiting_reason for row in rows.values()}


async def _turn_comes(mailbox_id: UUID) -> None:
    await fetch(
        "WITH u AS (UPDATE mailboxes SET next_send_at = now() WHERE id = $1 RETURNING 1) SELECT 1 FROM u", mailbox_id
    )


async def test_the_cap_counts_emails_and_text_messages_alike(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    await frequency.change(workspace_id, FrequencyCap(messages=1, days=3))
    world = await make_text_world(workspace_id, actor, vault, "https://provider.example", steps=[email(), text()])
    await carry(await claim_all(), Sent("250 taken"))
    assert await claim_all() == []
    assert await _reasons(workspace_id, list(world.recipient_ids)) == {"FREQUENCY_CAP"}
    await advance(workspace_id, timedelta(days=3, minutes=1))
    (claim,) = await claim_all()
    assert (claim.lane.channel, await _mark(texted(claim))) == ("SMS", True)


async def test_an_erased_person_leaves_no_word_of_a_text_and_a_hash_of_the_number_that_said_stop(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_text_world(workspace_id, actor, vault, "https://provider.example")
    (claim,) = await claim_all()
    assert await _mark(texted(claim))
    await record(workspace_id, [Result(claim.message_id, claim.token, Sent("SM" + "0" * 32 + " queued"))])
    stop = IncomingText(provider_id="SM1", from_number="+4917012345000", to_number=NUMBER, text="STOP, says Person 0")
    await texts.take_in(workspace_id, world.mailbox_id, replace(stop, opts_out=True))
    await erasing.erase(workspace_id, actor, claim.contact_id)
    late = replace(stop, provider_id="SM2", text="and once more, Person 0")
    await texts.take_in(workspace_id, world.mailbox_id, late)
    await texts.report(workspace_id, claim.message_id, TextReport(provider_id="SM" + "0" * 32, state="delivered"))
    for table in ("messages", "contacts", "suppressions", "events", "recipients"):
        rows = await fetch(f"SELECT to_jsonb(x)::text AS kept FROM {table} x WHERE workspace_id = $1", workspace_id)
        assert rows
        for row in rows:
            assert "17012345000" not in row["kept"], table
            assert "Person 0" not in row["kept"], table
    again = enrolment.Candidate(ContactFields(values={"phone": "+49 170 12345000", "email": "other@x.example"}))
    batch = enrolment.Enrolment(sequence_id=world.sequence_id, candidates=[again])
    (answer,) = await enrolment.enroll(workspace_id, actor, batch)
    assert answer.refusal is not None
    assert answer.refusal.code == "SUPPRESSED"
