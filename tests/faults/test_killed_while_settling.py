"""A worker that dies while rows follow their sequence: another one goes on, and each has followed once."""

from uuid import UUID

from domain import sequences
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.conftest import until
from tests.faults.crew import Crew
from tests.world import IN_AN_HOUR, email, make_world, statuses


async def test_a_kill_before_the_commit_of_a_batch_leaves_the_rows_to_another_worker(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=1_200)
    await sequences.pause(workspace_id, world.sequence_id)
    assert await statuses(workspace_id) == {"PAUSED": 500, "SCHEDULED": 700}
    await crew.start(faults="before_settle_commit=kill").killed_itself()
    assert await statuses(workspace_id) == {"PAUSED": 500, "SCHEDULED": 700}
    crew.start()

    async def settled() -> bool:
        (row,) = await fetch("SELECT settling FROM sequences WHERE id = $1", world.sequence_id)
        return not row["settling"]

    await until(settled)
    (row,) = await fetch(
        "SELECT count(*) AS events, count(DISTINCT recipient_id) AS people FROM events "
        "WHERE workspace_id = $1 AND status = 'PAUSED'",
        workspace_id,
    )
    assert (row["events"], row["people"]) == (1_200, 1_200)
