"""Reports of failed deliveries: about the latest message only, and never beside a newer run."""

from uuid import UUID

from domain import enrolment, recipients, signals
from domain.contacts import ContactFields
from domain.database import fetch
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all
from tests.world import IN_AN_HOUR, World, email, make_world


async def _send_all_due() -> None:
    while claims := await claim_all():
        await carry(claims, Sent("250 OK"))


async def _two_sent(workspace_id: UUID, actor: Actor, vault: Vault) -> tuple[World, list[UUID]]:
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(), email(wait=IN_AN_HOUR)])
    await _send_all_due()
    rows = await fetch("SELECT id FROM messages WHERE workspace_id = $1 ORDER BY marked_at", workspace_id)
    assert len(rows) == 2
    return world, [row["id"] for row in rows]


async def _apply(workspace_id: UUID, recipient_id: UUID, message_id: UUID) -> set[UUID]:
    fact = Fact(signal=Signal.DELIVERY_FAILED, recipient_id=recipient_id, actor=ENGINE, message_id=message_id)
    return await signals.apply(workspace_id, fact)


async def test_a_report_about_an_older_message_is_only_recorded(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world, messages = await _two_sent(workspace_id, actor, vault)
    assert await _apply(workspace_id, world.recipient_ids[0], messages[0]) == set()


async def test_a_report_about_the_latest_message_is_an_error_at_its_step_and_a_retry_is_a_new_message(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, messages = await _two_sent(workspace_id, actor, vault)
    recipient_id = world.recipient_ids[0]
    assert await _apply(workspace_id, recipient_id, messages[1]) == {recipient_id}
    row = (await fetch("SELECT status, current_step_id FROM recipients WHERE id = $1", recipient_id))[0]
    assert (row["status"], row["current_step_id"]) == ("ERROR", world.step_ids[1])
    await recipients.retry(workspace_id, actor, recipient_id)
    await _send_all_due()
    runs = await fetch("SELECT step_run FROM messages WHERE step_id = $1 ORDER BY step_run", world.step_ids[1])
    assert [run["step_run"] for run in runs] == [1, 2]


async def test_a_completed_run_is_not_reopened_beside_a_newer_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()])
    await _send_all_due()
    (first,) = await fetch("SELECT id, recipient_id FROM messages WHERE workspace_id = $1", workspace_id)
    again = enrolment.Enrolment(
        sequence_id=world.sequence_id,
        candidates=[enrolment.Candidate(ContactFields(values={"email": "p0@people.example"}))],
    )
    (answer,) = await enrolment.enroll(workspace_id, actor, again)
    assert answer.recipient_id is not None
    assert await _apply(workspace_id, first["recipient_id"], first["id"]) == set()


async def test_a_run_that_completed_and_whose_delivery_failed_sends_nothing_but_new_messages(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(), email()])
    recipient_id = world.recipient_ids[0]
    await _send_all_due()
    runs = []
    for _ in range(3):
        (row,) = await fetch("SELECT status, step_run FROM recipients WHERE id = $1", recipient_id)
        assert row["status"] == "COMPLETED"
        runs.append(row["step_run"])
        latest = await fetch("SELECT id FROM messages WHERE recipient_id = $1 ORDER BY marked_at DESC", recipient_id)
        assert await _apply(workspace_id, recipient_id, latest[0]["id"]) == {recipient_id}
        await recipients.retry(workspace_id, actor, recipient_id)
        await _send_all_due()
    assert runs == [1, 2, 3]
    sent = await fetch(
        "SELECT step_id, step_run FROM messages WHERE recipient_id = $1 ORDER BY marked_at", recipient_id
    )
    last = world.step_ids[1]
    assert [tuple(each) for each in sent] == [(world.step_ids[0], 1), (last, 1), (last, 2), (last, 3), (last, 4)]
