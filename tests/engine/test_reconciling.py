"""What is held back after a restore: as many of each mailbox as its gap and its limit allowed in the lost time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain import reconciling
from domain.database import fetch
from domain.reconciling import Reconciled, WorkersAreRunning, reconcile
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.engine.conftest import until, working
from tests.engine.sending_world import KEY, advance, claim_all, set_row
from tests.world import IN_AN_HOUR, World, email, make_world

HOUR = timedelta(hours=1)


async def states(world: World) -> dict[UUID, str]:
    rows = await fetch("SELECT recipient_id, state FROM messages WHERE workspace_id = $1", world.workspace_id)
    return {row["recipient_id"]: row["state"] for row in rows}


@pytest.mark.parametrize(
    ("pace", "hours", "held_back"),
    [
        ({"minimum_gap_seconds": 1_800}, 1.5, 4),
        ({"daily_limit": 3}, 2.0, 3),
        ({"daily_limit": 3}, 25.0, 6),
        ({"minimum_gap_seconds": 60}, 24.0, 8),
    ],
)
async def test_as_many_as_the_pace_of_their_mailbox_allowed_are_held_back(
    pace: dict[str, int], hours: float, held_back: int, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=8)
    await set_row("mailboxes", world.mailbox_id, **pace)
    span = {"since": datetime.now(UTC) - timedelta(hours=hours), "until": None}
    assert await reconcile(KEY, **span, dry_run=True) == Reconciled(held_back, 1)
    assert await states(world) == {}
    assert await reconcile(KEY, **span, dry_run=False) == Reconciled(held_back, 1)
    first = sorted(world.recipient_ids)[:held_back]
    assert await states(world) == dict.fromkeys(first, "UNCONFIRMED")
    errors = await fetch(
        "SELECT r.id, r.status, e.code FROM recipients r JOIN step_errors e ON e.id = r.error_id ORDER BY r.id"
    )
    assert [tuple(row) for row in errors] == [(one, "ERROR", "DELIVERY_UNCONFIRMED") for one in sorted(first)]
    assert await reconcile(KEY, **span, dry_run=False) == Reconciled(0, 0), "repeated, it finds nothing more to do"


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
    found = await reconcile(KEY, datetime.now(UTC) - HOUR, None, dry_run=False)
    assert found == Reconciled(1, 1)
    row = (await fetch("SELECT * FROM messages WHERE id = $1", claimed.message_id))[0]
    assert (row["state"], row["rfc_message_id"]) == ("UNCONFIRMED", claimed.rfc_message_id)
    assert row["token"] > claimed.token, "whoever held the claim cannot go on with it"
    assert len(world.recipient_ids) == 2


async def test_it_is_refused_while_a_worker_runs_and_for_no_time(settings: Settings, open_database: str) -> None:
    now = datetime.now(UTC)
    with pytest.raises(Invalid):
        await reconcile(KEY, now + HOUR, None, dry_run=True)
    with pytest.raises(Invalid):
        await reconcile(KEY, now - HOUR, now - 2 * HOUR, dry_run=True)
    async with working(settings):

        async def refused() -> bool:
            try:
                await reconcile(KEY, now - HOUR, None, dry_run=True)
            except WorkersAreRunning as why:
                return "Stop them first" in str(why)
            return False

        await until(refused)
    assert await reconciling.last_known() is None
