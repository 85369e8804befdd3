"""One workspace's trouble does not stop the others, and nobody is decided again for ever."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain import authoring, enrolment, inbox, keys, marking, pending, sequences, unconfirmed
from domain.contacts import ContactFields
from domain.database import Tx, fetch, tx
from domain.plans import SequenceSettings
from domain.refusals import PendingActionNotAvailable, RetryNotAvailable
from domain.rules.actor import Actor, ActorKind
from domain.rules.outcomes import NotSendable
from domain.secrets import Vault
from tests.engine.sending_world import claim_all, make_one, messages_of, open_error, set_row
from tests.world import make_world, statuses, task
from workers.composing import composed


async def _when(table: str, moment: str, condition: str, then: str) -> None:
    """Let PostgreSQL itself refuse to write some rows of a table."""

    async def work(t: Tx) -> None:
        await t.execute(f"CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {then}; END $$")
        await t.execute(
            f"CREATE TRIGGER trouble BEFORE {moment} ON {table} FOR EACH ROW WHEN ({condition}) "
            "EXECUTE FUNCTION trouble()"
        )

    await tx(None, work)


async def _two_workspaces(workspace_id: UUID, actor: Actor) -> list[tuple[UUID, Actor]]:
    other_id = await keys.create_workspace("Other")
    return [(workspace_id, actor), (other_id, Actor(ActorKind.API_KEY, (await keys.create(other_id, "tests")).id))]


async def _lost_hand_over(workspace_id: UUID, actor: Actor, vault: Vault) -> UUID:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    (claim,) = await claim_all()
    letter = composed(claim)
    assert not isinstance(letter, NotSendable)
    await marking.mark([letter.mark])
    (message,) = await messages_of(recipient_id)
    await set_row("messages", claim.message_id, lease_until=message["created_at"] - timedelta(hours=1))
    return recipient_id


async def test_due_tasks_of_other_workspaces_come_up_when_one_fails(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    both = await _two_workspaces(workspace_id, actor)
    for each, its_actor in both:
        await make_world(each, its_actor, vault, steps=[task()])
    await _when("pending_actions", "INSERT", f"NEW.workspace_id = '{workspace_id}'", "RAISE EXCEPTION 'no'")
    assert await pending.put_due_before_people() == 1
    assert await statuses(workspace_id) == {"SCHEDULED": 1}
    assert await statuses(both[1][0]) == {"PENDING_ACTION": 1}


async def test_lost_hand_overs_of_other_workspaces_are_flagged_when_one_fails(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    both = await _two_workspaces(workspace_id, actor)
    for each, its_actor in both:
        await _lost_hand_over(each, its_actor, vault)
    await _when("step_errors", "INSERT", f"NEW.workspace_id = '{workspace_id}'", "RAISE EXCEPTION 'no'")
    assert await unconfirmed.give_up_lost_hand_overs() == 1
    assert await statuses(both[1][0]) == {"ERROR": 1}


async def test_a_row_that_never_stands_still_ends_in_a_refusal(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    recipient_id = await _lost_hand_over(workspace_id, actor, vault)
    await unconfirmed.give_up_lost_hand_overs()
    error = await open_error(recipient_id)
    await _enroll_for_a_task(workspace_id, actor)
    await pending.put_due_before_people()
    (waiting,) = await fetch("SELECT id FROM pending_actions WHERE workspace_id = $1", workspace_id)
    await _when("recipients", "UPDATE", "true", "RETURN NULL")
    with pytest.raises(RetryNotAvailable):
        await unconfirmed.resolve(workspace_id, actor, error["id"], was_sent=True)
    with pytest.raises(PendingActionNotAvailable):
        await inbox.skip(workspace_id, actor, waiting["id"])


async def _enroll_for_a_task(workspace_id: UUID, actor: Actor) -> None:
    sequence_id = await authoring.create(workspace_id, "Tasks", [task()], settings=SequenceSettings())
    await sequences.activate(workspace_id, sequence_id)
    candidate = enrolment.Candidate(ContactFields(values={"email": "task@people.example"}))
    await enrolment.enroll(workspace_id, actor, enrolment.Enrolment(sequence_id=sequence_id, candidates=[candidate]))
