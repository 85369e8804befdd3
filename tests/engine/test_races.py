"""Many people at once: one wins, the others are told so, and there is one event. Gates hold from their answer on."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from domain import (
    enrolment,
    inbox,
    mailboxes,
    marking,
    pending,
    recipients,
    sending,
    sequences,
    signals,
    unconfirmed,
    unsendable,
)
from domain.contacts import ContactFields
from domain.database import fetch
from domain.delivery import Result, record
from domain.own_content import NewContent
from domain.refusals import (
    ActionNotAvailable,
    AlreadyEnrolled,
    Invalid,
    NotFound,
    PendingActionNotAvailable,
    RetryNotAvailable,
    SequenceActionNotAvailable,
    VersionMismatch,
)
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Sent, Unknown
from domain.secrets import Vault
from tests.engine.conftest import until
from tests.engine.standing import events_of, row_of
from tests.world import IN_AN_HOUR, email, make_world, task
from workers.composing import Letter, composed

AT_ONCE = 20
KEY = bytes(32)


async def all_at_once(*works: Callable[[], Awaitable[object]]) -> Counter[str]:
    """Start them together and return how many ended how, by the name of the refusal; "done" for the winners."""
    answers = await asyncio.gather(*(work() for work in works), return_exceptions=True)
    return Counter("done" if not isinstance(answer, BaseException) else type(answer).__name__ for answer in answers)


async def test_equal_actions_at_once_give_one_success_and_one_event(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(
        workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR), task(wait=IN_AN_HOUR)], people=6
    )
    paused, resumed, skipped, stopped, deleted, edited = world.recipient_ids
    await recipients.pause(workspace_id, actor, resumed)
    step_id, text = world.step_ids[0], NewContent(body="The same words.")
    for recipient_id, press, refusal in (
        (paused, lambda: recipients.pause(workspace_id, actor, paused), ActionNotAvailable),
        (resumed, lambda: recipients.resume(workspace_id, actor, resumed), ActionNotAvailable),
        (skipped, lambda: recipients.skip_step(workspace_id, actor, skipped, step_id), ActionNotAvailable),
        (stopped, lambda: recipients.stop(workspace_id, actor, stopped), ActionNotAvailable),
        (deleted, lambda: recipients.delete(workspace_id, actor, deleted), NotFound),
        (edited, lambda: recipients.edit_content(workspace_id, actor, edited, step_id, text), Invalid),
    ):
        told = len(await events_of(recipient_id))
        answers = await all_at_once(*[press] * AT_ONCE)
        assert answers == {"done": 1, refusal.__name__: AT_ONCE - 1}
        assert len(await events_of(recipient_id)) == told + 1
    assert (await row_of(skipped))["current_step_id"] == world.step_ids[1]


async def test_two_different_edits_at_once_are_both_saved_one_after_the_other(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    (recipient_id,), (step_id,) = world.recipient_ids, world.step_ids

    def edit(text: str) -> Callable[[], Awaitable[object]]:
        return lambda: recipients.edit_content(workspace_id, actor, recipient_id, step_id, NewContent(body=text))

    assert await all_at_once(*[edit(f"Text {n}.") for n in range(AT_ONCE)]) == {"done": AT_ONCE}
    assert len(await events_of(recipient_id)) == AT_ONCE + 1


async def test_pause_against_skip_has_one_order_that_both_answers_agree_with(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(
        workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR), email(wait=IN_AN_HOUR)], people=15
    )
    for recipient_id in world.recipient_ids:

        def pause(one: UUID = recipient_id) -> Awaitable[object]:
            return recipients.pause(workspace_id, actor, one)

        def skip(one: UUID = recipient_id) -> Awaitable[object]:
            return recipients.skip_step(workspace_id, actor, one, world.step_ids[0])

        answers = await all_at_once(pause, skip)
        row, events = await row_of(recipient_id), await events_of(recipient_id)
        assert row["status"] == "PAUSED"
        if answers == {"done": 2}:  # skipped first
            assert row["current_step_id"] == world.step_ids[1]
            assert [event["status"] for event in events] == ["SCHEDULED", "IN_PROGRESS", "PAUSED"]
        else:
            assert answers == {"done": 1, "ActionNotAvailable": 1}
            assert row["current_step_id"] == world.step_ids[0]
            assert [event["status"] for event in events] == ["SCHEDULED", "PAUSED"]


async def test_a_task_completed_by_many_at_once_is_completed_by_one_and_the_others_learn_by_whom(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task(), task(wait=IN_AN_HOUR)])
    (recipient_id,) = world.recipient_ids
    assert sum(await asyncio.gather(*(pending.put_due_before_people() for _ in range(5)))) == 1
    pending_id = (await row_of(recipient_id))["pending_id"]

    def complete() -> Awaitable[object]:
        return inbox.complete_task(workspace_id, actor, pending_id, "Spoke with her.")

    def skip() -> Awaitable[object]:
        return inbox.skip(workspace_id, actor, pending_id)

    answers = await all_at_once(*[complete, skip] * (AT_ONCE // 2))
    assert answers == {"done": 1, "PendingActionNotAvailable": AT_ONCE - 1}
    assert len(await events_of(recipient_id)) == 3
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await complete()
    assert refusal.value.outcome in ("COMPLETED", "SKIPPED")
    assert (refusal.value.by_kind, refusal.value.by_id) == (actor.kind, actor.id)


async def test_the_same_contact_enrolled_many_times_at_once_becomes_one_recipient(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=1)

    async def enrol() -> enrolment.Answer:
        candidate = enrolment.Candidate(ContactFields(values={"email": "twin@people.example", "first_name": "Twin"}))
        given = enrolment.Enrolment(sequence_id=world.sequence_id, candidates=[candidate])
        return (await enrolment.enroll(workspace_id, actor, given))[0]

    answers = await asyncio.gather(*(enrol() for _ in range(AT_ONCE)))
    enrolled = [answer.recipient_id for answer in answers if answer.recipient_id]
    assert len(enrolled) == 1
    for answer in answers:
        if answer.recipient_id is None:
            assert isinstance(answer.refusal, AlreadyEnrolled), answer.refusal
            assert answer.refusal.recipient_id == enrolled[0]
    rows = await fetch("SELECT count(*) AS n FROM recipients WHERE workspace_id = $1", workspace_id)
    assert rows[0]["n"] == 2


async def test_an_action_on_an_old_version_is_refused_with_both_versions(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    (recipient_id,) = world.recipient_ids
    press = [lambda: recipients.pause(workspace_id, actor, recipient_id, expected_version=1)] * AT_ONCE
    assert await all_at_once(*press) == {"done": 1, "VersionMismatch": AT_ONCE - 1}
    with pytest.raises(VersionMismatch) as refusal:
        await recipients.stop(workspace_id, actor, recipient_id, expected_version=1)
    assert "version 2" in refusal.value.message
    assert refusal.value.status == "PAUSED"
    await recipients.stop(workspace_id, actor, recipient_id, expected_version=2)


async def test_a_sequence_paused_or_activated_by_many_at_once_is_so_once(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=3)
    press = [lambda: sequences.pause(workspace_id, world.sequence_id)] * AT_ONCE
    answers = await all_at_once(*press)
    assert answers == {"done": 1, SequenceActionNotAvailable.__name__: AT_ONCE - 1}
    assert [len(await events_of(recipient_id)) for recipient_id in world.recipient_ids] == [2, 2, 2]


async def _reached(marked: set[UUID], count: int) -> bool:
    return len(marked) >= count


async def _claim_and_mark(marked: set[UUID], stop: asyncio.Event) -> None:
    while not stop.is_set():
        claims = await sending.claim(8, KEY)
        letters = [letter for claim in claims if isinstance(letter := composed(claim), Letter)]
        won = await marking.mark([letter.mark for letter in letters])
        marked |= won
        await sending.release([claim for claim in claims if claim.message_id not in won])
        await asyncio.sleep(0)


@pytest.mark.parametrize("gate", ["sequence", "recipient", "mailbox"])
async def test_no_mark_is_committed_after_a_pause_or_a_disconnection_has_answered(
    gate: str, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=300)
    marked: set[UUID] = set()
    stop = asyncio.Event()
    claimers = [asyncio.create_task(_claim_and_mark(marked, stop)) for _ in range(3)]

    async def marked_in_the_database(recipient_id: UUID | None = None) -> set[UUID]:
        rows = await fetch(
            "SELECT id FROM messages WHERE workspace_id = $1 AND marked_at IS NOT NULL "
            "AND ($2::uuid IS NULL OR recipient_id = $2)",
            workspace_id,
            recipient_id,
        )
        return {row["id"] for row in rows}

    try:
        await until(lambda: _reached(marked, 20))
        if gate == "recipient":
            seen = {}
            for recipient_id in reversed(world.recipient_ids[-80:]):
                answer = await recipients.pause(workspace_id, actor, recipient_id)
                seen[recipient_id] = await marked_in_the_database(recipient_id)
                assert answer.in_flight == len(seen[recipient_id])
            await asyncio.sleep(0.2)
            for recipient_id, before in seen.items():
                assert await marked_in_the_database(recipient_id) == before
        else:
            if gate == "sequence":
                in_flight = (await sequences.pause(workspace_id, world.sequence_id)).in_flight
            else:
                await mailboxes.disconnect(workspace_id, world.mailbox_id)
                in_flight = len(await marked_in_the_database())
            at_the_answer = await marked_in_the_database()
            assert in_flight == len(at_the_answer) < 300
            await asyncio.sleep(0.3)
            assert await marked_in_the_database() == at_the_answer
    finally:
        stop.set()
        await asyncio.gather(*claimers)


async def test_a_message_being_handed_over_excludes_a_second_try_of_its_step(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    """The mailbox breaks, or a failed delivery is reported, while a message is between its mark and its outcome."""
    world = await make_world(workspace_id, actor, vault, steps=[email()])
    (recipient_id,) = world.recipient_ids
    (claim,) = await sending.claim(5, KEY)
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark])
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    assert await unsendable.fail_due_without_mailbox() == 0
    await signals.apply(workspace_id, Fact(signal=Signal.DELIVERY_FAILED, recipient_id=recipient_id, actor=ENGINE))
    with pytest.raises(ActionNotAvailable):
        await recipients.retry(workspace_id, actor, recipient_id)
    await recipients.pause(workspace_id, actor, recipient_id)
    assert (await recipients.resume(workspace_id, actor, recipient_id)).in_flight == 1
    row = await row_of(recipient_id)
    assert (row["status"], row["step_run"]) == ("ERROR", 1)
    await mailboxes.connected(workspace_id, world.mailbox_id)
    assert await sending.claim(5, KEY) == []
    assert await record(workspace_id, [Result(claim.message_id, claim.token, Sent("250 ok"))]) == {claim.message_id}
    assert (await row_of(recipient_id))["status"] == "COMPLETED"


async def test_an_unconfirmed_delivery_resolved_by_many_at_once_is_resolved_by_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(wait=IN_AN_HOUR)])
    (claim,) = await sending.claim(5, KEY)
    letter = composed(claim)
    assert isinstance(letter, Letter)
    await marking.mark([letter.mark])
    await record(workspace_id, [Result(claim.message_id, claim.token, Unknown("silence"))])
    error_id = (await row_of(world.recipient_ids[0]))["error_id"]
    answers = await all_at_once(
        *[lambda n=n: unconfirmed.resolve(workspace_id, actor, error_id, was_sent=n % 2 == 0) for n in range(AT_ONCE)]
    )
    assert answers == {"done": 1, RetryNotAvailable.__name__: AT_ONCE - 1}
    assert (
        await sending.claim(5, KEY, lease=timedelta(seconds=5)) == []
        or (await row_of(world.recipient_ids[0]))["step_run"] == 2
    )
