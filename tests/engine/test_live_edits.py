"""The sentences of product.md section 3 "Live edits", each on real rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from domain import authoring, enrolment, marking, pending, recipients, sending, sequences, settling, step_edits
from domain.contacts import ContactFields
from domain.database import fetch
from domain.delivery import Result, record
from domain.edit_effects import Effect
from domain.own_content import NewContent
from domain.plans import SequenceSettings
from domain.refusals import Invalid, NotFound, SequenceActionNotAvailable
from domain.rules.actor import Actor
from domain.rules.outcomes import Later, LaterReason, Outcome, Refused, Sent, Unknown
from domain.rules.timing import SendingWindow, Wait, WaitUnit, next_opening
from domain.secrets import Vault
from tests.engine.sending_world import advance, carry, claim_all, messages_of, set_row
from tests.engine.standing import events_of, row_of
from tests.world import IN_AN_HOUR, World, email, make_world, task
from workers.composing import composed

IN_TWO_HOURS = Wait(2, WaitUnit.HOURS)
IN_THREE_HOURS = Wait(3, WaitUnit.HOURS)
HOUR = timedelta(hours=1)


async def make(workspace_id: UUID, actor: Actor, vault: Vault, people: int = 1) -> World:
    """Three mails, an hour before each."""
    steps = [email(subject=f"Mail {n}", wait=IN_AN_HOUR) for n in (1, 2, 3)]
    return await make_world(workspace_id, actor, vault, steps=steps, people=people)


async def steps_of(sequence_id: UUID) -> list[UUID]:
    rows = await fetch(
        "SELECT id FROM steps WHERE sequence_id = $1 AND removed_at IS NULL ORDER BY position", sequence_id
    )
    return [row["id"] for row in rows]


async def subjects_sent(recipient_id: UUID) -> list[str]:
    return [m["subject"] for m in await messages_of(recipient_id) if m["state"] == "SENT"]


async def send_all(world: World, hours: int = 12) -> None:
    """Let as many hours pass, and all be sent that comes due."""
    for _ in range(hours):
        await advance(world.workspace_id, HOUR)
        await settling.settle_batch(world.workspace_id, world.sequence_id)
        await carry(await claim_all(), Sent("250 OK"))


def counted(edited: step_edits.Edited) -> dict[Effect, int]:
    return {found.effect: found.count for found in edited.effects}


# ---- new content


async def test_new_content_reaches_everyone_for_whom_the_step_is_not_done_or_edited_by_hand(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault, people=4)
    done, before, by_hand, at = world.recipient_ids
    second = world.step_ids[1]
    for recipient_id in (done, at):
        await recipients.skip_step(workspace_id, actor, recipient_id, world.step_ids[0])
    await advance(workspace_id, HOUR)
    claims = await claim_all()
    await carry([c for c in claims if c.recipient_id == done], Sent("250 OK"))
    in_hand = [c for c in claims if c.recipient_id != done]
    await recipients.edit_content(workspace_id, actor, by_hand, second, NewContent(body="By hand."))
    changes = {"subject": "New subject", "body": "New body."}
    dry = await step_edits.update_step(workspace_id, second, changes, dry_run=True)
    assert counted(dry) == {Effect.NEW_CONTENT: 2, Effect.CONTENT_KEPT: 1, Effect.PASSED: 1}
    await step_edits.update_step(workspace_id, second, changes)
    await sending.release(in_hand)
    await send_all(world)
    assert await subjects_sent(done) == ["Mail 2", "Mail 3"]
    assert await subjects_sent(at) == ["New subject", "Mail 3"]
    assert await subjects_sent(before) == ["Mail 1", "New subject", "Mail 3"]
    # What was edited by hand keeps all of its text, the parts that were not changed included.
    assert await subjects_sent(by_hand) == ["Mail 1", "Mail 2", "Mail 3"]


async def test_a_message_claimed_before_the_edit_does_not_go_out_with_the_old_text(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(subject="Old")])
    (claim,) = await claim_all()
    letter = composed(claim)
    await step_edits.update_step(workspace_id, world.step_ids[0], {"subject": "New"})
    assert await marking.mark([letter.mark]) == set()  # type: ignore[union-attr]
    await sending.release([claim])
    await carry(await claim_all(), Sent("250 OK"))
    assert await subjects_sent(world.recipient_ids[0]) == ["New"]


async def test_a_message_being_sent_keeps_its_text_and_a_pending_task_its_words(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(subject="Old"), task("Call {{ first_name }}")])
    (recipient_id,) = world.recipient_ids
    claims = await claim_all()
    letter = composed(claims[0])
    assert await marking.mark([letter.mark])  # type: ignore[union-attr]
    dry = await step_edits.update_step(workspace_id, world.step_ids[0], {"subject": "New"}, dry_run=True)
    assert counted(dry) == {Effect.CONTENT_KEPT: 1}
    await step_edits.update_step(workspace_id, world.step_ids[0], {"subject": "New"})
    await record(workspace_id, [Result(claims[0].message_id, claims[0].token, Sent("250 OK"))])
    assert await subjects_sent(recipient_id) == ["Old"]
    await pending.put_due_before_people()
    await step_edits.update_step(workspace_id, world.step_ids[1], {"task_title": "Write"})
    (waiting,) = await fetch("SELECT task_title FROM pending_actions WHERE recipient_id = $1", recipient_id)
    assert waiting["task_title"] == "Call Person 0"


# ---- waits


async def test_a_changed_wait_is_counted_from_the_same_beginning(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault)
    (recipient_id,) = world.recipient_ids
    before = await row_of(recipient_id)
    dry = await step_edits.update_step(workspace_id, world.step_ids[0], {"wait": IN_THREE_HOURS}, dry_run=True)
    assert counted(dry) == {Effect.WAIT_CHANGED: 1}
    await step_edits.update_step(workspace_id, world.step_ids[0], {"wait": IN_THREE_HOURS})
    after = await row_of(recipient_id)
    assert after["due_at"] == before["anchor_at"] + 3 * HOUR
    assert (after["anchor_at"], after["version"]) == (before["anchor_at"], before["version"])  # timers make no version


async def test_a_wait_that_has_passed_by_its_change_is_due_now(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make(workspace_id, actor, vault)
    await advance(workspace_id, HOUR / 2)
    a_quarter = {"wait": Wait(15, WaitUnit.MINUTES)}
    dry = await step_edits.update_step(workspace_id, world.step_ids[0], a_quarter, dry_run=True)
    assert counted(dry) == {Effect.DUE_NOW: 1}
    assert await claim_all() == []
    await step_edits.update_step(workspace_id, world.step_ids[0], a_quarter)
    assert len(await claim_all()) == 1


async def test_a_changed_wait_of_one_who_is_paused_leaves_out_the_time_of_the_pause(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault)
    (recipient_id,) = world.recipient_ids
    await advance(workspace_id, HOUR / 4)
    await recipients.pause(workspace_id, actor, recipient_id)
    await advance(workspace_id, 5 * HOUR)
    await recipients.resume(workspace_id, actor, recipient_id)
    await advance(workspace_id, HOUR / 4)
    await recipients.pause(workspace_id, actor, recipient_id)
    await step_edits.update_step(workspace_id, world.step_ids[0], {"wait": IN_TWO_HOURS})
    row = await row_of(recipient_id)
    assert row["due_at"] is None
    assert row["wait_left_seconds"] == pytest.approx(1.5 * 3600, abs=60)


async def test_a_claimed_message_does_not_go_out_before_its_new_wait(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault)
    await advance(workspace_id, HOUR)
    claims = await claim_all()
    letter = composed(claims[0])
    await step_edits.update_step(workspace_id, world.step_ids[0], {"wait": IN_TWO_HOURS})
    assert await marking.mark([letter.mark]) == set()  # type: ignore[union-attr]
    await sending.release(claims)
    assert await claim_all() == []
    await advance(workspace_id, HOUR)
    assert len(await claim_all()) == 1


# ---- added steps


async def test_a_step_added_behind_a_recipient_does_not_run_for_it_and_directly_before_the_waiting_one_it_does(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault, people=2)
    ahead, at_start = world.recipient_ids
    await recipients.skip_step(workspace_id, actor, ahead, world.step_ids[0])
    new = email(subject="Added", wait=IN_TWO_HOURS)
    second = world.step_ids[1]
    dry = await step_edits.add_step(workspace_id, world.sequence_id, new, before_step_id=second, dry_run=True)
    assert counted(dry) == {Effect.NEXT_STEP_CHANGED: 1, Effect.REACHES_LATER: 1}
    before = await row_of(ahead)
    added = await step_edits.add_step(workspace_id, world.sequence_id, new, before_step_id=second)
    after = await row_of(ahead)
    assert after["current_step_id"] == added.step_id
    assert after["due_at"] == before["anchor_at"] + 2 * HOUR
    assert (await events_of(ahead))[-1]["type"] == "recipient.step_changed"
    assert after["version"] == before["version"] + 1
    first = email(subject="Behind", wait=IN_AN_HOUR)
    dry = await step_edits.add_step(
        workspace_id, world.sequence_id, first, before_step_id=world.step_ids[0], dry_run=True
    )
    assert counted(dry) == {Effect.NEXT_STEP_CHANGED: 1, Effect.PASSED: 1}
    await step_edits.add_step(workspace_id, world.sequence_id, first, before_step_id=world.step_ids[0])
    await send_all(world)
    assert await subjects_sent(ahead) == ["Added", "Mail 2", "Mail 3"]
    assert await subjects_sent(at_start) == ["Behind", "Mail 1", "Added", "Mail 2", "Mail 3"]


async def test_ended_recipients_never_reopen(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make(workspace_id, actor, vault)
    await send_all(world, hours=3)
    assert (await row_of(world.recipient_ids[0]))["status"] == "COMPLETED"
    await step_edits.add_step(workspace_id, world.sequence_id, email(subject="Late"))
    await send_all(world, hours=2)
    assert (await row_of(world.recipient_ids[0]))["status"] == "COMPLETED"


# ---- removed steps


async def test_those_who_wait_for_a_removed_step_take_the_next_ones_wait_from_the_same_beginning(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    steps = [email(subject="Mail 1", wait=IN_AN_HOUR), email(subject="Mail 2", wait=IN_THREE_HOURS)]
    world = await make_world(workspace_id, actor, vault, steps=steps)
    (recipient_id,) = world.recipient_ids
    before = await row_of(recipient_id)
    dry = await step_edits.remove_step(workspace_id, world.step_ids[0], dry_run=True)
    assert counted(dry) == {Effect.NEXT_STEP_CHANGED: 1}
    await step_edits.remove_step(workspace_id, world.step_ids[0])
    after = await row_of(recipient_id)
    assert after["current_step_id"] == world.step_ids[1]
    assert after["due_at"] == before["anchor_at"] + 3 * HOUR
    await send_all(world)
    assert await subjects_sent(recipient_id) == ["Mail 2"]


async def test_a_claimed_message_of_a_removed_step_does_not_go_out(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(subject="Removed"), email(subject="Next")])
    claims = await claim_all()
    letter = composed(claims[0])
    # The moment after the answer for a sequence of 100,000: no row has followed yet.
    await set_row("sequences", world.sequence_id, revision=1, settling=True)
    await fetch(
        "WITH u AS (UPDATE steps SET removed_at = now(), revision = 1 WHERE id = $1 RETURNING 1) SELECT 1",
        world.step_ids[0],
    )
    assert await marking.mark([letter.mark]) == set()  # type: ignore[union-attr]
    await sending.release(claims)
    assert await claim_all() == []  # nor is it claimed anew
    await settling.settle_batch(workspace_id, world.sequence_id)
    await carry(await claim_all(), Sent("250 OK"))
    assert await subjects_sent(world.recipient_ids[0]) == ["Next"]


async def test_a_removed_step_that_is_pending_or_in_error_counts_as_skipped(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    steps = [task(), email(subject="{{ fields.nothing }}"), email(subject="Last")]
    world = await make_world(workspace_id, actor, vault, steps=steps, people=2)
    at_task, in_error = world.recipient_ids
    await recipients.skip_step(workspace_id, actor, in_error, world.step_ids[0])
    await pending.put_due_before_people()
    await carry(await claim_all(), Sent("never"))
    assert [(await row_of(r))["status"] for r in (at_task, in_error)] == ["PENDING_ACTION", "ERROR"]
    for step_id in world.step_ids[:2]:
        dry = await step_edits.remove_step(workspace_id, step_id, dry_run=True)
        assert counted(dry)[Effect.SKIPPED] == 1
        await step_edits.remove_step(workspace_id, step_id)
    for recipient_id, step_id in zip((at_task, in_error), world.step_ids, strict=False):
        row = await row_of(recipient_id)
        assert (row["status"], row["current_step_id"]) == ("IN_PROGRESS", world.step_ids[2])
        (own,) = await fetch(
            "SELECT outcome FROM recipient_steps WHERE recipient_id = $1 AND step_id = $2", recipient_id, step_id
        )
        assert own["outcome"] == "SKIPPED"
        assert "recipient.step_skipped" in [event["type"] for event in await events_of(recipient_id)]
    still_open = await fetch("SELECT id FROM step_errors WHERE resolved_at IS NULL AND workspace_id = $1", workspace_id)
    assert still_open == []
    assert (
        await fetch("SELECT id FROM pending_actions WHERE closed_at IS NULL AND workspace_id = $1", workspace_id) == []
    )


@pytest.mark.parametrize(
    ("outcome", "sent"),
    [
        (Sent("250 OK"), True),
        (Refused("RECIPIENT_REFUSED_CONTENT", "550 5.7.1 no"), False),
        (Later(LaterReason.SOFT, "451 later"), False),
        (Unknown("cut"), False),
    ],
)
async def test_a_removed_step_that_is_being_sent_is_recorded_and_never_tried_again(
    outcome: Outcome, sent: bool, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(subject="Removed"), email(subject="Next")])
    (recipient_id,) = world.recipient_ids
    (claim,) = await claim_all()
    letter = composed(claim)
    assert await marking.mark([letter.mark])  # type: ignore[union-attr]
    dry = await step_edits.remove_step(workspace_id, world.step_ids[0], dry_run=True)
    assert counted(dry) == {Effect.BEING_SENT: 1}
    await step_edits.remove_step(workspace_id, world.step_ids[0])
    assert (await row_of(recipient_id))["current_step_id"] == world.step_ids[0]
    assert [s for _, s in await settling.unsettled()] == [world.sequence_id]  # it has to follow yet
    await record(workspace_id, [Result(claim.message_id, claim.token, outcome)])
    await settling.settle_small(workspace_id, world.sequence_id)
    assert await settling.unsettled() == []
    await send_all(world)
    assert (await row_of(recipient_id))["status"] == "COMPLETED"
    assert await subjects_sent(recipient_id) == (["Removed", "Next"] if sent else ["Next"])


async def test_after_the_removal_of_the_last_step_those_who_waited_for_it_are_completed(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault, people=2)
    last, first = world.recipient_ids
    for step_id in world.step_ids[:2]:
        await recipients.skip_step(workspace_id, actor, last, step_id)
    dry = await step_edits.remove_step(workspace_id, world.step_ids[2], dry_run=True)
    assert counted(dry) == {Effect.COMPLETED: 1, Effect.NOT_TOUCHED: 1}
    await step_edits.remove_step(workspace_id, world.step_ids[2])
    assert [(await row_of(r))["status"] for r in (last, first)] == ["COMPLETED", "SCHEDULED"]


# ---- moved steps


async def test_after_a_move_nobody_gets_a_step_twice_and_the_next_is_the_first_behind_the_last_done_that_is_not_done(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault, people=2)
    ahead, at_start = world.recipient_ids
    one, two, three = world.step_ids
    await recipients.skip_step(workspace_id, actor, ahead, one)
    await recipients.skip_step(workspace_id, actor, ahead, two)
    dry = await step_edits.move_step(workspace_id, one, dry_run=True)
    assert counted(dry) == {Effect.NEXT_STEP_CHANGED: 1, Effect.NOT_TOUCHED: 1}
    await step_edits.move_step(workspace_id, one)
    assert await steps_of(world.sequence_id) == [two, three, one]
    assert (await row_of(ahead))["current_step_id"] == three
    assert (await row_of(at_start))["current_step_id"] == two
    await send_all(world)
    assert await subjects_sent(ahead) == ["Mail 3"]  # the first lies behind the third now, and is done
    assert await subjects_sent(at_start) == ["Mail 2", "Mail 3", "Mail 1"]


async def test_one_that_started_in_the_middle_keeps_its_place_when_the_step_before_it_moves(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault, people=0)
    one, two, _ = world.step_ids
    person = enrolment.Candidate(ContactFields(values={"email": "a@people.example", "first_name": "A"}))
    batch = enrolment.Enrolment(sequence_id=world.sequence_id, candidates=[person], start_step_id=two)
    recipient_id = (await enrolment.enroll(workspace_id, actor, batch))[0].recipient_id
    assert recipient_id is not None
    await step_edits.move_step(workspace_id, one)
    assert (await row_of(recipient_id))["current_step_id"] == two
    await step_edits.add_step(workspace_id, world.sequence_id, email(subject="Before"), before_step_id=two)
    await send_all(world)
    assert await subjects_sent(recipient_id) == ["Before", "Mail 2", "Mail 3", "Mail 1"]


# ---- the gate, the window, and what is refused


async def test_an_edit_waits_for_no_one_and_is_done_in_batches_by_whoever_comes(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "BATCH", 2)
    world = await make(workspace_id, actor, vault, people=7)
    await step_edits.remove_step(workspace_id, world.step_ids[0])
    moved = [(await row_of(r))["current_step_id"] == world.step_ids[1] for r in world.recipient_ids]
    assert sum(moved) == 2  # the first batch; the others follow
    await advance(workspace_id, HOUR)
    assert len(await claim_all()) == 2
    rounds = 0
    while await settling.settle_batch(workspace_id, world.sequence_id):
        rounds += 1
    assert rounds == 3
    assert await settling.unsettled() == []
    assert len(await claim_all()) == 5


async def test_a_pause_between_an_edit_and_its_settling_loses_neither(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make(workspace_id, actor, vault)
    (recipient_id,) = world.recipient_ids

    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(step_edits, "settle_small", nothing)
    monkeypatch.setattr(sequences, "settle_small", nothing)
    await step_edits.update_step(workspace_id, world.step_ids[0], {"wait": IN_THREE_HOURS})
    await advance(workspace_id, HOUR)
    await sequences.pause(workspace_id, world.sequence_id)
    await settling.settle_small(workspace_id, world.sequence_id)
    row = await row_of(recipient_id)
    assert (row["status"], row["due_at"]) == ("PAUSED", None)
    assert row["wait_left_seconds"] == pytest.approx(2 * 3600, abs=60)


async def test_a_new_window_moves_what_is_due(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make(workspace_id, actor, vault)
    (recipient_id,) = world.recipient_ids
    before = await row_of(recipient_id)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).weekday()
    window = SendingWindow(weekdays=frozenset({tomorrow}), opens=time(3), closes=time(4), time_zone="UTC")
    await authoring.update(workspace_id, world.sequence_id, settings=SequenceSettings(window=window))
    after = await row_of(recipient_id)
    assert after["due_at"] == next_opening(before["wait_ends_at"], window, window.zone_for(None))
    assert after["version"] == before["version"]


async def test_edits_that_make_no_sense_are_refused(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make(workspace_id, actor, vault)
    one = world.step_ids[0]
    with pytest.raises(Invalid):
        await step_edits.update_step(workspace_id, one, {})
    with pytest.raises(Invalid):
        await step_edits.update_step(workspace_id, one, {"body": ""})
    with pytest.raises(Invalid):
        await step_edits.update_step(workspace_id, one, {"body": "{{ broken"})
    with pytest.raises(NotFound):
        await step_edits.add_step(workspace_id, world.sequence_id, email(), before_step_id=world.sequence_id)
    await step_edits.remove_step(workspace_id, one)
    for edit in (
        step_edits.remove_step(workspace_id, one),
        step_edits.move_step(workspace_id, one),
        step_edits.update_step(workspace_id, one, {"body": "Again"}),
        step_edits.move_step(workspace_id, world.step_ids[1], before_step_id=one),
    ):
        with pytest.raises(NotFound):
            await edit
    await sequences.archive(workspace_id, world.sequence_id, stop_open_recipients=True)
    with pytest.raises(SequenceActionNotAvailable):
        await step_edits.remove_step(workspace_id, world.step_ids[1])


async def test_a_duplicate_is_a_draft_with_the_steps_settings_and_mailboxes_and_nobody_in_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make(workspace_id, actor, vault)
    await step_edits.remove_step(workspace_id, world.step_ids[1])
    copy_id = await authoring.duplicate(workspace_id, world.sequence_id)
    (copy,) = await fetch("SELECT * FROM sequences WHERE id = $1", copy_id)
    assert (copy["name"], copy["status"], copy["external_id"]) == ("Copy of Outreach", "DRAFT", None)
    columns = "kind, wait_amount, wait_unit, subject, body, send_as_reply"
    wanted, made = [
        [
            tuple(row)
            for row in await fetch(
                f"SELECT {columns} FROM steps WHERE sequence_id = $1 AND removed_at IS NULL ORDER BY position", key
            )
        ]
        for key in (world.sequence_id, copy_id)
    ]
    assert wanted == made
    assert len(made) == 2
    mailbox_ids: Sequence[UUID] = [
        row["mailbox_id"]
        for row in await fetch("SELECT mailbox_id FROM sequence_mailboxes WHERE sequence_id = $1", copy_id)
    ]
    assert mailbox_ids == [world.mailbox_id]
    assert await fetch("SELECT id FROM recipients WHERE sequence_id = $1", copy_id) == []
