"""A pause stops every clock from its answer to its end, also of rows that follow it only after the resume."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from domain import enrolment, pending, sequences, settling
from domain.contacts import ContactFields
from domain.database import fetch
from domain.rules import holds
from domain.rules.actor import Actor
from domain.rules.recipient import Recipient
from domain.secrets import Vault
from tests.engine.sending_world import advance, claim_all
from tests.engine.standing import row_of
from tests.rules.recipient_facts import HOUR, MINUTE, NOW, enrolled, plan
from tests.world import IN_AN_HOUR, World, email, make_world, task


async def _due(world: World) -> set[datetime | None]:
    rows = await fetch("SELECT due_at FROM recipients WHERE sequence_id = $1", world.sequence_id)
    return {row["due_at"] for row in rows}


async def _settle(world: World) -> None:
    while await settling.settle_batch(world.workspace_id, world.sequence_id):
        pass


@pytest.mark.parametrize("times", [1, 3])
async def test_the_wait_that_ran_during_a_pause_does_not_count_for_rows_that_had_not_followed_it(
    times: int, workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=12)
    (due_at,) = await _due(world)
    assert due_at is not None
    monkeypatch.setattr(settling, "BATCH", 3)  # so that most rows are behind
    for _ in range(times):
        await sequences.pause(workspace_id, world.sequence_id)
        await advance(workspace_id, timedelta(hours=2))
        await sequences.resume(workspace_id, world.sequence_id)
        assert len(await _due(world)) > 1
        assert await claim_all() == []  # the rows that look due are not: theirs was a stopped clock
    await _settle(world)
    (moved_to,) = await _due(world)
    assert moved_to is not None
    assert timedelta(0) <= moved_to - due_at - times * timedelta(hours=2) < timedelta(minutes=5)
    await advance(workspace_id, timedelta(hours=1))
    assert len(await claim_all()) == 12


async def test_no_task_comes_up_by_a_wait_that_ran_during_the_pause(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task(wait=IN_AN_HOUR)], people=8)
    monkeypatch.setattr(settling, "BATCH", 2)
    await sequences.pause(workspace_id, world.sequence_id)
    await advance(workspace_id, timedelta(hours=2))
    await sequences.resume(workspace_id, world.sequence_id)
    assert await pending.put_due_before_people() == 0
    await _settle(world)
    assert await pending.put_due_before_people() == 0
    await advance(workspace_id, timedelta(hours=1))
    assert await pending.put_due_before_people() == 8


async def test_those_enrolled_after_the_resume_are_not_shifted(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=6)
    with monkeypatch.context() as patched:
        patched.setattr(settling, "BATCH", 1)
        await sequences.pause(workspace_id, world.sequence_id)
        await advance(workspace_id, timedelta(hours=5))
        await sequences.resume(workspace_id, world.sequence_id)
    late = enrolment.Candidate(ContactFields(values={"email": "late@people.example"}))
    batch = enrolment.Enrolment(sequence_id=world.sequence_id, candidates=[late])
    (answer,) = await enrolment.enroll(workspace_id, actor, batch)
    assert answer.recipient_id is not None
    before = await row_of(answer.recipient_id)
    await _settle(world)
    assert await row_of(answer.recipient_id) == before


def _as_if_at_once(start: Recipient, pauses: Sequence[tuple[datetime, datetime]]) -> Recipient:
    for began_at, ended_at in pauses:
        held = holds.hold_with_sequence(start, plan(), began_at)
        start = holds.release_with_sequence(held, plan(), ended_at)
    return start


def test_following_late_comes_to_the_same_as_following_at_once() -> None:
    chance = random.Random(7)
    for _ in range(300):
        moments = sorted(NOW + chance.randrange(1, 3000) * MINUTE for _ in range(2 * chance.randint(1, 4)))
        pauses = [*zip(moments[::2], moments[1::2], strict=True)]
        start = enrolled(plan())
        followed = chance.randint(0, len(pauses))  # so many at once, the others late
        halfway = _as_if_at_once(start, pauses[:followed])
        written_at = pauses[followed - 1][1] if followed else NOW
        assert holds.follow_pauses(halfway, plan(), pauses, written_at) == _as_if_at_once(start, pauses)
        if followed < len(pauses):  # or written once more while it is held by the next
            held_at = pauses[followed][0]
            held = holds.hold_with_sequence(halfway, plan(), held_at)
            assert holds.follow_pauses(held, plan(), pauses, held_at) == _as_if_at_once(start, pauses)


def test_a_pause_that_stands_holds_from_its_own_time_and_one_long_over_changes_nothing() -> None:
    start = enrolled(plan())
    held = holds.follow_pauses(start, plan(), [(NOW + HOUR, None)], NOW)
    assert (held.sequence_paused_at, held.wait_left) == (NOW + HOUR, 23 * HOUR)
    assert holds.follow_pauses(start, plan(), [(NOW - HOUR, NOW)], NOW) == start
