"""`relance feed new-epoch`: after a restore, no cursor from before is gone on with."""

import asyncio
import json

import pytest

from domain import feed
from domain.database import database
from domain.feed import ResyncRequired
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
