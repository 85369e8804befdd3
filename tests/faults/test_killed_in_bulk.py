"""A worker that dies in the middle of a bulk operation does nothing twice and leaves nobody out."""

import io
from uuid import UUID

from domain import bulk, bulk_imports, bulk_rows, import_files
from domain.database import fetch
from domain.enrolment import Into
from domain.reading import bulk as reading
from domain.reading.bulk import ImportCounts
from domain.reading.filters import EVERYTHING
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction, BulkStatus
from domain.secrets import Vault
from tests.engine.conftest import until
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew
from tests.world import IN_AN_HOUR, email, make_world, statuses

PEOPLE = bulk_rows.BATCH * LENGTH + 20


async def test_a_kill_before_the_commit_of_a_batch_repeats_that_batch_alone(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=PEOPLE)
    operation_id = await bulk.create(workspace_id, actor, BulkAction.PAUSE, EVERYTHING)
    await crew.start(faults="before_bulk_commit=kill@2").killed_itself()
    assert await statuses(workspace_id) == {"PAUSED": bulk_rows.BATCH, "SCHEDULED": PEOPLE - bulk_rows.BATCH}
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


async def test_a_kill_while_a_file_is_imported_takes_no_row_twice_and_leaves_none_out(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=0)
    file = io.BytesIO(b"email\n" + b"".join(b"i%d@people.example\n" % number for number in range(1_700)))
    file_id = await import_files.keep(workspace_id, actor, "people.csv", file, import_files.columns_in(file))
    operation_id = await bulk_imports.order(workspace_id, actor, file_id, into=Into(sequence_id=world.sequence_id))
    await crew.start(faults="before_bulk_commit=kill@3").killed_itself()
    assert (await statuses(workspace_id)).get("SCHEDULED", 0) < 1_700
    crew.start()

    async def completed() -> bool:
        shown = (await reading.by_ids(workspace_id, [operation_id]))[operation_id]
        return shown.status is BulkStatus.COMPLETED

    await until(completed, seconds=60)
    shown = (await reading.by_ids(workspace_id, [operation_id]))[operation_id]
    assert (shown.done, shown.changed, shown.refused) == (1_700, 1_700, 0)
    assert shown.import_counts == ImportCounts(1_700, 0, 1_700, 0, 0)
    (row,) = await fetch(
        "SELECT count(*) AS events, count(DISTINCT recipient_id) AS people FROM events WHERE workspace_id = $1",
        workspace_id,
    )
    assert (row["events"], row["people"]) == (1_700, 1_700)
