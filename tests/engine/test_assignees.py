"""A pending action is put before the user who enrolled its recipient, unless it is assigned otherwise."""

from uuid import UUID

import pytest

from domain import inbox, keys, pending, recipients, users
from domain.refusals import Invalid, NotFound, PendingActionNotAvailable
from domain.rules.actor import Actor, ActorKind
from domain.rules.ids import new_id
from domain.secrets import Vault
from tests.engine.standing import events_of, row_of
from tests.engine.test_manual_emails import make_pending, pending_of
from tests.world import make_world, manual_email, task


async def test_it_is_put_before_the_user_who_enrolled(workspace_id: UUID, vault: Vault) -> None:
    ada = await users.create(workspace_id, "Ada")
    _, _, waiting = await make_pending(workspace_id, Actor(ActorKind.USER, ada.id), vault)
    assert waiting["assignee_id"] == ada.id


async def test_what_someone_who_has_left_enrolled_is_before_nobody_in_particular(
    workspace_id: UUID, vault: Vault
) -> None:
    ada = await users.create(workspace_id, "Ada")
    world = await make_world(workspace_id, Actor(ActorKind.USER, ada.id), vault, steps=[task()])
    await users.deactivate(workspace_id, ada.id)
    await pending.put_due_before_people()
    assert (await pending_of(world.recipient_ids[0]))["assignee_id"] is None


async def test_it_can_be_assigned_to_another_and_to_nobody_and_each_change_is_told_once(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    ada = await users.create(workspace_id, "Ada")
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    assert waiting["assignee_id"] is None  # a key enrolled it
    for assignee_id in (ada.id, ada.id, None):
        assert await inbox.assign(workspace_id, actor, waiting["id"], assignee_id) == recipient_id
        assert (await pending_of(recipient_id))["assignee_id"] == assignee_id
    types = [event["type"] for event in await events_of(recipient_id)]
    assert types[-2:] == ["recipient.action_assigned"] * 2
    assert len(types) == 4
    assert (await pending_of(recipient_id))["version"] == 3
    assert (await row_of(recipient_id))["status"] == "PENDING_ACTION"


async def test_it_can_be_assigned_while_it_is_paused_and_not_once_it_is_closed(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    ada = await users.create(workspace_id, "Ada")
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault)
    await recipients.pause(workspace_id, actor, recipient_id)
    await inbox.assign(workspace_id, actor, waiting["id"], ada.id)
    await recipients.stop(workspace_id, actor, recipient_id)
    with pytest.raises(PendingActionNotAvailable) as refusal:
        await inbox.assign(workspace_id, actor, waiting["id"], None)
    assert refusal.value.outcome == "STOPPED"


async def test_it_is_assigned_only_to_a_user_of_this_workspace_who_still_works_there(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, recipient_id, waiting = await make_pending(workspace_id, actor, vault, steps=[manual_email()])
    elsewhere = await users.create(await keys.create_workspace("Other"), "Eve")
    for unknown in (elsewhere.id, new_id()):
        with pytest.raises(NotFound):
            await inbox.assign(workspace_id, actor, waiting["id"], unknown)
    gone = await users.create(workspace_id, "Gone")
    await users.deactivate(workspace_id, gone.id)
    with pytest.raises(Invalid):
        await inbox.assign(workspace_id, actor, waiting["id"], gone.id)
    assert (await pending_of(recipient_id))["assignee_id"] is None
