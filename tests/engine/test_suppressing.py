"""The suppression list: what it binds, whom it ends, and what lifting it leaves."""

import asyncio
from uuid import UUID

import pytest

from domain import contacts, ending_suppressed, enrolment, marking, signals, suppressing
from domain.contacts import ContactFields
from domain.database import fetch
from domain.opting_out import OptOutLinks, opt_out
from domain.refusals import Invalid, NotFound, Suppressed
from domain.rules.actor import Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.secrets import Vault
from domain.settings import Settings
from domain.suppressing import Wanted
from tests.engine.conftest import until, working
from tests.engine.sending_world import claim_all
from tests.world import IN_AN_HOUR, email, make_world, statuses, task
from workers.composing import Letter, composed


async def contact_of(recipient_id: UUID) -> UUID:
    found: UUID = (await fetch("SELECT contact_id FROM recipients WHERE id = $1", recipient_id))[0]["contact_id"]
    return found


async def reason_of(recipient_id: UUID) -> str | None:
    found: str | None = (await fetch("SELECT end_reason FROM recipients WHERE id = $1", recipient_id))[0]["end_reason"]
    return found


async def enrolling(workspace_id: UUID, actor: Actor, sequence_id: UUID, **values: str) -> enrolment.Answer:
    batch = enrolment.Enrolment(
        sequence_id=sequence_id, candidates=[enrolment.Candidate(ContactFields(values=dict(values)))]
    )
    (answer,) = await enrolment.enroll(workspace_id, actor, batch)
    return answer


@pytest.mark.parametrize(
    ("wanted", "bound", "free"),
    [
        (Wanted(address=" P0@People.Example "), {"email": "p0@people.example"}, {"email": "p1@people.example"}),
        (Wanted(domain="@Corp.Example."), {"email": "a@corp.example"}, {"email": "a@notcorp.example"}),
        (Wanted(domain="corp.example"), {"email": "a@mail.eu.corp.example"}, {"email": "a@corp.example.org"}),
        (Wanted(domain="bücher.example"), {"email": "a@xn--bcher-kva.example"}, {"email": "a@buecher.example"}),
        (
            Wanted(phone="+49 (0)170 / 123-45 67"),
            {"email": "a@x.example", "phone": "0049 170 1234567"},
            {"email": "b@x.example", "phone": "+49 170 1234568"},
        ),
    ],
)
async def test_nobody_it_covers_can_be_enrolled_and_others_can(
    workspace_id: UUID, actor: Actor, vault: Vault, wanted: Wanted, bound: dict[str, str], free: dict[str, str]
) -> None:
    world = await make_world(workspace_id, actor, vault, people=0, steps=[task(wait=IN_AN_HOUR)])
    await suppressing.create(workspace_id, actor, wanted)
    assert isinstance((await enrolling(workspace_id, actor, world.sequence_id, **bound)).refusal, Suppressed)
    assert (await enrolling(workspace_id, actor, world.sequence_id, **free)).refusal is None


async def test_a_domain_ends_everyone_of_it_batch_by_batch_before_the_answer(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending_suppressed, "BATCH", 7)
    await make_world(workspace_id, actor, vault, people=30, steps=[email(wait=IN_AN_HOUR)])
    done = await suppressing.create(workspace_id, actor, Wanted(domain="people.example"))
    assert done.ended == 30
    assert await statuses(workspace_id) == {"UNSUBSCRIBED": 30}
    assert not await ending_suppressed.unsettled()


async def test_what_one_answer_cannot_hold_a_worker_ends(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending_suppressed, "BATCH", 5)
    monkeypatch.setattr(suppressing, "_BATCHES_BEFORE_THE_ANSWER", 1)
    await make_world(workspace_id, actor, vault, people=30, steps=[email(wait=IN_AN_HOUR)])
    done = await suppressing.create(workspace_id, actor, Wanted(domain="people.example"))
    assert done.ended == 10
    assert len(await ending_suppressed.unsettled()) == 1
    async with working(settings):

        async def all_ended() -> bool:
            return await statuses(workspace_id) == {"UNSUBSCRIBED": 30}

        await until(all_ended)
    reasons = await fetch("SELECT DISTINCT end_reason FROM recipients WHERE workspace_id = $1", workspace_id)
    assert [row["end_reason"] for row in reasons] == ["SUPPRESSED"]


async def test_no_mark_is_set_after_the_answer_even_where_the_row_has_not_ended_yet(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending_suppressed, "BATCH", 1)
    monkeypatch.setattr(suppressing, "_BATCHES_BEFORE_THE_ANSWER", 0)
    await make_world(workspace_id, actor, vault, people=20)
    letters = [letter for claim in await claim_all() if isinstance(letter := composed(claim), Letter)]
    assert len(letters) == 20
    answered = False

    async def mark_late() -> int:
        late = 0
        for letter in letters:
            before = answered
            marked = await marking.mark([letter.mark])
            late += bool(marked) and before
        return late

    async def suppress() -> None:
        nonlocal answered
        await suppressing.create(workspace_id, actor, Wanted(domain="people.example"))
        answered = True

    late, _ = await asyncio.gather(mark_late(), suppress())
    assert late == 0
    assert await marking.mark([letter.mark for letter in letters]) == set()


async def test_lifting_needs_a_reason_stays_in_the_ledger_and_reopens_nothing(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task(wait=IN_AN_HOUR)])
    done = await suppressing.create(workspace_id, actor, Wanted(address="p0@people.example", note="asked by phone"))
    again = await suppressing.create(workspace_id, actor, Wanted(address="p0@people.example", note="other"))
    assert again.suppression_id == done.suppression_id
    assert not again.created
    for reason in ("", "  ", "x" * 1_001):
        with pytest.raises(Invalid):
            await suppressing.lift(workspace_id, actor, done.suppression_id, reason)
    await suppressing.lift(workspace_id, actor, done.suppression_id, "She wrote that she wants to hear from us.")
    with pytest.raises(NotFound):
        await suppressing.lift(workspace_id, actor, done.suppression_id, "again")
    row = (await fetch("SELECT * FROM suppressions WHERE id = $1", done.suppression_id))[0]
    assert (row["note"], row["created_by_id"], row["lifted_by_id"]) == ("asked by phone", actor.id, actor.id)
    assert row["lifted_because"] == "She wrote that she wants to hear from us."
    assert await reason_of(world.recipient_ids[0]) == "SUPPRESSED"
    answer = await enrolling(workspace_id, actor, world.sequence_id, email="p0@people.example")
    assert answer.recipient_id is not None


async def test_an_opt_out_binds_the_person_and_the_address_so_that_neither_alone_lifts_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, people=2, steps=[task(wait=IN_AN_HOUR)])
    first, second = world.recipient_ids
    await signals.apply(workspace_id, Fact(signal=Signal.OPT_OUT, recipient_id=first, actor=actor))
    contact_id = await contact_of(first)
    await contacts.upsert(workspace_id, ContactFields(contact_id, {"email": "new@people.example"}))
    moved = await enrolling(workspace_id, actor, world.sequence_id, email="new@people.example")
    assert isinstance(moved.refusal, Suppressed)
    # The address is bound whoever has it next.
    other = await contact_of(second)
    await contacts.upsert(workspace_id, ContactFields(other, {"email": "p0@people.example"}))
    reread = await fetch("SELECT id FROM recipients WHERE id = $1", second)
    assert reread
    answer = await enrolling(workspace_id, actor, world.sequence_id, email="p0@people.example")
    assert answer.refusal is not None


async def test_an_opt_out_ends_the_runs_of_whoever_has_the_address_by_now(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, people=2, steps=[email(), email(wait=IN_AN_HOUR)])
    claims = {claim.recipient_id: claim for claim in await claim_all()}
    first, second = world.recipient_ids
    letter = composed(claims[first])
    assert isinstance(letter, Letter)
    await marking.mark([letter.mark])
    await contacts.upsert(workspace_id, ContactFields(await contact_of(first), {"email": "elsewhere@people.example"}))
    await contacts.upsert(workspace_id, ContactFields(await contact_of(second), {"email": "p0@people.example"}))
    links = OptOutLinks(vault, "https://x.example")
    url = links.url(workspace_id, first, claims[first].message_id, "p0@people.example", {})
    link = links.read(url.rpartition("/")[2])
    assert link is not None
    await opt_out(link)
    assert await reason_of(first) == "UNSUBSCRIBED"
    assert await reason_of(second) == "SUPPRESSED"
    ledger = await fetch("SELECT kind, source, reason, message_id FROM suppressions ORDER BY kind")
    assert [(row["kind"], row["source"], row["reason"]) for row in ledger] == [
        ("ADDRESS", "LINK", "UNSUBSCRIBED"),
        ("CONTACT", "LINK", "UNSUBSCRIBED"),
    ]
    assert {row["message_id"] for row in ledger} == {claims[first].message_id}


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(address="a@b.example", domain="b.example"),
        Wanted(address="no address"),
        Wanted(domain="com"),
        Wanted(domain="a b.example"),
        Wanted(phone="call me"),
        Wanted(phone="1234"),
        Wanted(address="a@b.example", note="x" * 1_001),
    ],
)
async def test_what_cannot_be_compared_is_refused(workspace_id: UUID, actor: Actor, wanted: Wanted) -> None:
    with pytest.raises(Invalid):
        await suppressing.create(workspace_id, actor, wanted)
