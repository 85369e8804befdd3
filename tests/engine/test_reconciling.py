"""What is held back after a restore: whoever may have been written to in the lost time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain import keys
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.reconciling import Reconciled, reconcile
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.engine.conftest import until, working
from tests.engine.sending_world import KEY, advance, claim_all, set_row
from tests.world import IN_AN_HOUR, NOW, World, email, make_text_world, make_world

HOUR = timedelta(hours=1)


async def states(world: World) -> dict[UUID, str]:
    rows = await fetch("SELECT recipient_id, state FROM messages WHERE workspace_id = $1", world.workspace_id)
    return {row["recipient_id"]: row["state"] for row in rows}


async def errors(world: World) -> list[tuple[UUID, str, str]]:
    rows = await fetch(
        "SELECT r.id, r.status, e.code FROM recipients r JOIN step_errors e ON e.id = r.error_id "
        "WHERE r.workspace_id = $1 ORDER BY r.id",
        world.workspace_id,
    )
    return [(row["id"], row["status"], row["code"]) for row in rows]


async def test_whoever_was_due_is_asked_about_however_many_and_whatever_stood_in_the_way_in_the_backup(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    people = 503  # more than are taken at once
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=people)
    # In the lost time the limit may have been raised, the mailbox reconnected.
    await set_row("mailboxes", world.mailbox_id, daily_limit=3, minimum_gap_seconds=3_600, state="DISCONNECTED")
    assert await reconcile(KEY, None, dry_run=True) == Reconciled(people, 1)
    assert await states(world) == {}
    assert await reconcile(KEY, None, dry_run=False) == Reconciled(people, 1)
    assert await states(world) == dict.fromkeys(world.recipient_ids, "UNCONFIRMED")
    assert await errors(world) == [(one, "ERROR", "DELIVERY_UNCONFIRMED") for one in sorted(world.recipient_ids)]
    assert await reconcile(KEY, None, dry_run=False) == Reconciled(0, 0), "repeated, it finds nothing more to do"


async def test_a_sequence_that_assumes_messages_sent_does_not_go_on_to_a_step_that_may_have_gone_out_too(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    settings = SequenceSettings(on_unconfirmed_delivery="ASSUME_SENT")
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(wait=NOW)], people=1, settings=settings)
    assert await reconcile(KEY, None, dry_run=False) == Reconciled(1, 1)
    assert await errors(world) == [(world.recipient_ids[0], "ERROR", "DELIVERY_UNCONFIRMED")]
    assert await claim_all() == []


async def test_text_messages_are_asked_about_and_test_workspaces_are_not(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_text_world(workspace_id, actor, vault, url="http://127.0.0.1:9")
    assert await reconcile(KEY, None, dry_run=False) == Reconciled(1, 1)
    assert await states(world) == dict.fromkeys(world.recipient_ids, "UNCONFIRMED")
    sandboxed = await keys.create_workspace("Sandbox", test_mode=True)
    await make_world(sandboxed, actor, vault, steps=[email()], people=1)
    assert await reconcile(KEY, None, dry_run=False) == Reconciled(0, 0)


async def test_what_was_claimed_in_the_backup_keeps_its_message_id_and_what_was_not_due_is_left(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=2)
    await advance(workspace_id, HOUR)
    (claimed, _) = await claim_all()
    await fetch(
        "WITH u AS (UPDATE recipients SET due_at = due_at + interval '3 hours' WHERE id <> $1 RETURNING 1) SELECT 1",
        claimed.recipient_id,
    )
    found = await reconcile(KEY, None, dry_run=False)
    assert found == Reconciled(1, 1)
    row = (await fetch("SELECT * FROM messages WHERE id = $1", claimed.message_id))[0]
    assert (row["state"], row["rfc_message_id"]) == ("UNCONFIRMED", claimed.rfc_message_id)
    assert row["token"] > claimed.token, "whoever held the claim cannot go on with it"
    assert len(world.recipient_ids) == 2


async def test_it_is_refused_while_a_worker_runs_and_for_the_future(settings: Settings, open_database: str) -> None:
    with pytest.raises(Invalid):
        await reconcile(KEY, datetime.now(UTC) + HOUR, dry_run=True)
    async with working(settings):

        async def refused() -> bool:
            try:
                await reconcile(KEY, None, dry_run=True)
            except Invalid as why:
                return "Stop them first" in str(why)
            return False

        await until(refused)
