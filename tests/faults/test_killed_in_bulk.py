"""A worker that dies in the middle of a bulk operation does nothing twice and leaves nobody out."""

from uuid import UUID

from domain import bulk
from domain.database import fetch
from domain.reading import bulk as reading
from domain.reading.filters import EVERYTHING
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction, BulkStatus
from domain.secrets import Vault
from tests.engine.conftest import until
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew
from tests.world import IN_AN_HOUR, email, make_world, statuses

PEOPLE = bulk.BATCH * LENGTH + 20


async def test_a_kill_before_the_commit_of_a_batch_repeats_that_batch_alone(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=PEOPLE)
    operation_id = await bulk.create(workspace_id, actor, BulkAction.PAUSE, EVERYTHING)
    await crew.start(faults="before_bulk_commit=kill@2").killed_itself()
    assert await statuses(workspace_id) == {"PAUSED": bulk.BATCH, "SCHEDULED": PEOPLE - bulk.BATCH}
    crew.start()

    async def completed() -> bool:
        shown = (await reading.by_ids(workspace_id, [operation_id]))[operation_id]
        return shown.status is BulkStatus.COMPLETED

    await until(completed, seconds=60)
    shown = (await reading.by_ids(workspace_id, [operation_id]))[operation_id]
    assert (shown.done, shown.changed, shown.refused) == (PEOPLE, PEOPLE, 0)
    (row,) = await fetch(
        "SELECT count(*) AS events, count(DISTINCT recipient_id) AS people FROM events "
        "WHERE workspace_id = $1 AND status = 'PAUSED'",
        workspace_id,
    )
    assert (row["events"], row["people"]) == (PEOPLE, PEOPLE)
