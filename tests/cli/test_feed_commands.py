"""`relance feed new-epoch`: after a restore, no cursor from before is gone on with."""

import asyncio
import json

import pytest

from domain import feed
from domain.database import database, fetch
from domain.feed import ResyncRequired
from domain.rules.ids import new_id
from domain.settings import Settings
from tests.cli.running import Workspace, relance


def test_after_a_new_epoch_an_old_cursor_ends_with_resync_required(
    environment: dict[str, str], settings: Settings, workspace: Workspace
) -> None:
    before = _cursor(settings, workspace)
    assert _after(settings, workspace, before) == 0
    answer = relance("feed", "new-epoch", environment=environment)
    assert (answer.returncode, "RESYNC_REQUIRED" in answer.stdout) == (0, True), answer.stderr
    with pytest.raises(ResyncRequired) as refused:
        _after(settings, workspace, before)
    assert refused.value.cursor == _cursor(settings, workspace) != before


def test_scripts_are_told_how_many_feeds_there_are(environment: dict[str, str], workspace: Workspace) -> None:
    answer = relance("feed", "new-epoch", "--json", environment=environment)
    assert json.loads(answer.stdout)["feeds"] >= 1


def test_the_doctor_sees_a_number_that_is_wrong_and_a_recount_makes_it_right(
    environment: dict[str, str], settings: Settings, workspace: Workspace
) -> None:
    async def spoil() -> None:
        async with database(settings.database_url, pool_size=2):
            sequence = "INSERT INTO sequences (id, workspace_id, name, status, settings, created_at, updated_at) "
            sequence_id = new_id()
            await fetch(
                f"WITH s AS ({sequence} VALUES ($1, $2, 'x', 'DRAFT', '{{}}', now(), now()) RETURNING 1) "
                "SELECT 1 FROM s",
                sequence_id,
                workspace.id,
            )
            await fetch(
                "WITH c AS (INSERT INTO tallies (workspace_id, sequence_id, mailbox_id, status, stage, count) "
                "VALUES ($1, $2, $2, 'PAUSED', 'SCHEDULED', 3) RETURNING 1) SELECT 1 FROM c",
                workspace.id,
                sequence_id,
            )

    def counters() -> dict[str, str]:
        said = json.loads(relance("doctor", "--json", environment=environment).stdout)
        return next(finding for finding in said["findings"] if finding["part"] == "counters")  # type: ignore[no-any-return]

    asyncio.run(spoil())
    assert (counters()["verdict"], counters()["fix"]) == ("broken", "Run: relance feed recount")
    assert "1 of them" in relance("feed", "recount", environment=environment).stdout
    assert counters()["verdict"] == "fine"


def _cursor(settings: Settings, workspace: Workspace) -> str:
    async def work() -> str:
        async with database(settings.database_url, pool_size=2):
            return (await feed.state(workspace.id)).cursor

    return asyncio.run(work())


def _after(settings: Settings, workspace: Workspace, cursor: str) -> int:
    async def work() -> int:
        async with database(settings.database_url, pool_size=2):
            return len(await feed.after(workspace.id, cursor))

    return asyncio.run(work())
