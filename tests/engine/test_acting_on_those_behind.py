"""What a person does about one whose row has not followed its sequence yet is decided on what that one is by now."""

from uuid import UUID

import pytest

from domain import bulk, inbox, pending, recipients, sequences, settling
from domain.database import fetch
from domain.reading.filters import RecipientFilter
from domain.refusals import ActionNotAvailable, PendingActionNotAvailable
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction
from domain.rules.lifecycle import Status
from domain.secrets import Vault
from tests.engine.standing import row_of
from tests.world import IN_AN_HOUR, email, make_world, manual_email


def _nobody_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sequence of 100,000: the change is answered, and none of those asked about has followed it."""

    async def later(*_: UUID) -> None:
        return None

    monkeypatch.setattr(sequences, "settle_small", later)


async def test_whoever_was_stopped_with_the_sequence_can_only_be_deleted(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[manual_email()], people=2)
    await pending.put_due_before_people()
    first, second = world.recipient_ids
    (prepared,) = await fetch("SELECT id FROM pending_actions WHERE recipient_id = $1", first)
    _nobody_follows(monkeypatch)
    await sequences.archive(workspace_id, world.sequence_id, stop_open_recipients=True)
    for act in (inbox.send, inbox.skip, inbox.unschedule, inbox.complete_task):
        with pytest.raises(PendingActionNotAvailable, match="stopped"):
            await act(workspace_id, actor, prepared["id"])
    for act in (recipients.pause, recipients.resume, recipients.stop):
        with pytest.raises(ActionNotAvailable, match="It has ended") as refused:
            await act(workspace_id, actor, first)
        assert refused.value.status is Status.STOPPED
    with pytest.raises(ActionNotAvailable, match="It has ended"):
        await recipients.skip_step(workspace_id, actor, first, world.step_ids[0])
    await recipients.delete(workspace_id, actor, first)
    await bulk.create(workspace_id, actor, BulkAction.PAUSE, RecipientFilter(ids=[second]))
    while await bulk.go_on():
        pass
    (refusal,) = await fetch("SELECT status FROM bulk_refusals WHERE recipient_id = $1", second)
    assert refusal["status"] == "STOPPED"
    assert (await row_of(second))["status"] == "STOPPED"


async def test_whoever_is_paused_right_after_the_sequence_was_resumed_stays_paused(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=2)
    await sequences.pause(workspace_id, world.sequence_id)
    _nobody_follows(monkeypatch)
    await sequences.resume(workspace_id, world.sequence_id)
    first, second = world.recipient_ids
    version = (await row_of(first))["version"]
    await recipients.pause(workspace_id, actor, first, expected_version=version)
    await settling.settle_small(workspace_id, world.sequence_id)
    held, free = await row_of(first), await row_of(second)
    assert (held["status"], held["sequence_paused_at"], free["status"]) == ("PAUSED", None, "SCHEDULED")
    assert held["wait_left_seconds"] is not None
    assert free["due_at"] is not None
