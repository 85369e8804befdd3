"""Enrolling one by one: mailboxes take turns, races get true answers, a bounced address must be replaced."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain import authoring, contacts, enrolment, sequences, signals
from domain.contacts import ContactFields
from domain.database import Tx, fetch, tx
from domain.enrolment import Answer, Candidate, Enrolment
from domain.plans import SequenceSettings
from domain.refusals import EmailBouncedBefore, Invalid
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.secrets import Vault
from tests.world import IN_AN_HOUR, email, make_mailbox, make_world, task


async def _enroll(
    workspace_id: UUID,
    actor: Actor,
    sequence_id: UUID,
    address: str,
    *,
    external_id: str | None = None,
    start_at: datetime | None = None,
) -> Answer:
    candidate = Candidate(ContactFields(values={"email": address, "first_name": "Ann"}), external_id)
    wanted = Enrolment(sequence_id=sequence_id, candidates=[candidate], start_at=start_at)
    (answer,) = await enrolment.enroll(workspace_id, actor, wanted)
    return answer


async def test_single_enrolments_take_the_mailboxes_in_turn(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    both = [await make_mailbox(workspace_id, vault, address=f"{name}@sender.example") for name in "ab"]
    sequence_id = await authoring.create(
        workspace_id, "Two", [email(wait=IN_AN_HOUR)], settings=SequenceSettings(), mailbox_ids=both
    )
    for number in range(12):
        await _enroll(workspace_id, actor, sequence_id, f"p{number}@people.example")
    rows = await fetch("SELECT mailbox_id FROM recipients WHERE workspace_id = $1", workspace_id)
    assert Counter(row["mailbox_id"] for row in rows) == {both[0]: 6, both[1]: 6}


async def test_who_bounced_needs_another_address_even_for_a_task(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task(), email()])
    fact = Fact(signal=Signal.HARD_BOUNCE, recipient_id=world.recipient_ids[0], actor=ENGINE)
    await signals.apply(workspace_id, fact)
    again = await _enroll(workspace_id, actor, world.sequence_id, "p0@people.example")
    assert isinstance(again.refusal, EmailBouncedBefore)
    (contact,) = await fetch("SELECT id FROM contacts WHERE workspace_id = $1", workspace_id)
    await contacts.upsert(workspace_id, ContactFields(contact["id"], values={"email": "new@people.example"}))
    assert (await _enroll(workspace_id, actor, world.sequence_id, "new@people.example")).recipient_id is not None


async def test_a_lost_race_for_an_external_id_is_told_as_such(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    running: list[asyncio.Task[Answer]] = []

    async def win(t: Tx) -> None:
        await t.execute("UPDATE recipients SET external_id = 'X' WHERE id = $1", world.recipient_ids[0])
        late = _enroll(workspace_id, actor, world.sequence_id, "late@people.example", external_id="X")
        running.append(asyncio.create_task(late))
        async with asyncio.timeout(10):
            while not await fetch("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    await tx(workspace_id, win)
    (lost,) = running
    answer = await lost
    assert isinstance(answer.refusal, Invalid)
    assert answer.refusal.field == ("recipientExternalId",)


@pytest.mark.parametrize(
    "start_at",
    [datetime(2030, 1, 1), datetime.now(UTC) + timedelta(days=3660), datetime.now(UTC) - timedelta(days=3660)],  # noqa: DTZ001
    ids=["no zone", "too late", "too early"],
)
async def test_a_start_out_of_bounds_is_refused(
    workspace_id: UUID, actor: Actor, vault: Vault, start_at: datetime
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    with pytest.raises(Invalid) as refused:
        await _enroll(workspace_id, actor, world.sequence_id, "late@people.example", start_at=start_at)
    assert refused.value.field == ("startAt",)


async def test_the_first_of_a_list_follows_the_last_enrolled(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    three = [await make_mailbox(workspace_id, vault, address=f"{name}@sender.example") for name in "abc"]
    sequence_id = await authoring.create(
        workspace_id, "Three", [email(wait=IN_AN_HOUR)], settings=SequenceSettings(), mailbox_ids=three
    )
    await sequences.activate(workspace_id, sequence_id)
    await _enroll(workspace_id, actor, sequence_id, "first@people.example")
    people = [Candidate(ContactFields(values={"email": f"p{n}@people.example"})) for n in range(5)]
    await enrolment.enroll(workspace_id, actor, Enrolment(sequence_id=sequence_id, candidates=people))
    rows = await fetch("SELECT mailbox_id FROM recipients WHERE workspace_id = $1", workspace_id)
    assert set(Counter(row["mailbox_id"] for row in rows).values()) == {2}
