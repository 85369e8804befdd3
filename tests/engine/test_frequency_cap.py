"""A person is written to at most so often, over all sequences and mailboxes of the workspace."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from domain import authoring, enrolment, frequency, inbox, marking, pending, sending, sequences
from domain.contacts import ContactFields
from domain.database import fetch
from domain.enrolment import Candidate, Enrolment
from domain.frequency import FrequencyCap
from domain.plans import SequenceSettings
from domain.reading import recipients as reading
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.rules.outcomes import Sent
from domain.rules.standing import WaitingReason
from domain.secrets import Vault
from tests.engine.sending_world import advance, carry, claim_all
from tests.world import email, make_mailbox, make_world, manual_email
from workers.composing import Letter, composed

TAKEN = Sent("250 taken")


async def _same_person_again(workspace_id: UUID, actor: Actor, vault: Vault, name: str) -> UUID:
    """The person p0 in another sequence, which sends from a mailbox of its own."""
    mailbox_id = await make_mailbox(workspace_id, vault, address=f"{name}@sender.example")
    sequence_id = await authoring.create(
        workspace_id, name, [email()], settings=SequenceSettings(), mailbox_ids=[mailbox_id]
    )
    await sequences.activate(workspace_id, sequence_id)
    person = Candidate(ContactFields(values={"email": "p0@people.example"}))
    (answer,) = await enrolment.enroll(workspace_id, actor, Enrolment(sequence_id=sequence_id, candidates=[person]))
    assert answer.recipient_id is not None
    return answer.recipient_id


async def _standing(workspace_id: UUID, recipient_id: UUID) -> tuple[WaitingReason | None, object]:
    rows = await reading.by_ids(workspace_id, [recipient_id], wants={"waiting_reason", "next_attempt_at"})
    return rows[recipient_id].waiting_reason, rows[recipient_id].next_attempt_at


async def test_what_is_over_the_cap_waits_until_the_message_that_counts_is_old_enough(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await frequency.change(workspace_id, FrequencyCap(messages=1, days=3))
    await make_world(workspace_id, actor, vault, steps=[email()])
    await carry(await claim_all(), TAKEN)
    other = await _same_person_again(workspace_id, actor, vault, "second")
    (before,) = await fetch("SELECT version FROM recipients WHERE id = $1", other)

    assert await claim_all() == []
    (sent,) = await fetch("SELECT at FROM messages WHERE workspace_id = $1 AND state = 'SENT'", workspace_id)
    assert await _standing(workspace_id, other) == (WaitingReason.FREQUENCY_CAP, sent["at"] + timedelta(days=3))
    (after,) = await fetch("SELECT version FROM recipients WHERE id = $1", other)
    assert after == before  # a timer
    assert await claim_all() == []

    await advance(workspace_id, timedelta(days=3, seconds=1))
    (claim,) = await claim_all()
    assert claim.recipient_id == other
    assert await carry([claim], TAKEN) == {claim.message_id}


async def test_a_cap_that_is_raised_or_taken_away_lets_those_go_who_waited_for_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await frequency.change(workspace_id, FrequencyCap(messages=1, days=300))
    await make_world(workspace_id, actor, vault, steps=[email()])
    await carry(await claim_all(), TAKEN)
    second = await _same_person_again(workspace_id, actor, vault, "second")
    third = await _same_person_again(workspace_id, actor, vault, "third")
    assert await claim_all() == []
    await frequency.change(workspace_id, FrequencyCap(messages=2, days=300))
    await frequency.judge_anew(workspace_id)
    first, other = await claim_all()  # each may go by itself: the mark lets one of them
    await carry([first], TAKEN)
    letter = composed(other)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark]) == set()
    await sending.release([other])
    assert await claim_all() == []
    rows = await fetch("SELECT status FROM recipients WHERE id = ANY($1::uuid[]) ORDER BY status", [second, third])
    assert [row["status"] for row in rows] == ["COMPLETED", "SCHEDULED"]
    await frequency.change(workspace_id, None)
    await frequency.judge_anew(workspace_id)
    await carry(await claim_all(), TAKEN)
    assert len(await fetch("SELECT 1 FROM messages WHERE state = 'SENT' AND workspace_id = $1", workspace_id)) == 3


async def test_two_workers_cannot_take_the_last_place_both(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    await frequency.change(workspace_id, FrequencyCap(messages=2, days=3))
    await make_world(workspace_id, actor, vault, steps=[email()])
    for name in ("b", "c", "d", "e", "f"):
        await _same_person_again(workspace_id, actor, vault, name)
    claims = await claim_all()
    assert len(claims) == 6  # none was sent yet: each may go, by itself
    letters = [composed(claim) for claim in claims]
    marks = [letter.mark for letter in letters if isinstance(letter, Letter)]
    one_by_one = await asyncio.gather(*(marking.mark([mark]) for mark in marks[:4]))
    together = await marking.mark(marks[4:])
    while left := [m for m in marks if m.claim.message_id not in set().union(together, *one_by_one)]:
        marked = await marking.mark(left)  # a mark that met the lock of another is tried again
        if not marked:
            break
        together |= marked
    assert len(set().union(together, *one_by_one)) == 2


async def test_what_a_person_sends_neither_counts_nor_waits(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    await frequency.change(workspace_id, FrequencyCap(messages=1, days=3))
    world = await make_world(workspace_id, actor, vault, steps=[manual_email()])
    await _same_person_again(workspace_id, actor, vault, "second")
    await carry(await claim_all(), TAKEN)  # the automated one takes the only place
    await pending.put_due_before_people()
    (row,) = await fetch("SELECT id FROM pending_actions WHERE workspace_id = $1", workspace_id)
    await inbox.send(workspace_id, actor, row["id"])
    (claim,) = await claim_all()
    assert claim.recipient_id == world.recipient_ids[0]
    assert await carry([claim], TAKEN) == {claim.message_id}


@pytest.mark.parametrize("cap", [FrequencyCap(0, 3), FrequencyCap(1, 0), FrequencyCap(1, 366), FrequencyCap(1001, 1)])
async def test_a_cap_out_of_bounds_is_refused(workspace_id: UUID, cap: FrequencyCap) -> None:
    with pytest.raises(Invalid):
        await frequency.change(workspace_id, cap)
