"""A worker that is frozen for longer than its lease, while another goes on, and then wakes up. reliability.md R3."""

import asyncio
from uuid import UUID

import pytest

from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until, working
from tests.faults.crew import Crew, dawdling_server
from tests.faults.judging import drained, enrol_people, judge
from tests.world import HERE

# Where it freezes: how many are unconfirmed while it sleeps. In the end all are known to be sent.
PLACES = {"after_claim": 0, "before_mark": 0, "after_mark": 1, "after_dot": 1, "before_record": 1, "after_record": 0}
FIRST = {"after_claim"}  # passed by every claim, the first one is the one that gets something


@pytest.mark.parametrize("place", PLACES)
async def test_a_frozen_worker_that_wakes_after_its_lease_sends_nothing_twice(
    place: str, crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    passing = 1 if place in FIRST else 2
    async with dawdling_server() as server:
        await enrol_people(workspace_id, actor, vault, server, 3, mailboxes=1)
        frozen = crew.start(faults=f"{place}=stop@{passing}", slots=1, lease_seconds=3)
        await frozen.stopped_itself()
        await asyncio.sleep(3.2)  # its lease runs out by itself
        healthy = Settings(
            database_url=crew.database_url, redis_url=crew.redis_url, secret_key=SECRET_KEY, lease_seconds=3, reach=HERE
        )
        async with working(healthy):
            # What it holds locked while it is frozen is set free by PostgreSQL after ten seconds.
            await until(lambda: drained(workspace_id), seconds=50)
            assert await judge(workspace_id, server) == PLACES[place]
            frozen.go_on()
            # What it had marked it hands over now, or had handed over before: proof closes the error by itself.
            await until(lambda: _all_sent(workspace_id, 3))
            await frozen.finished()
            await until(lambda: drained(workspace_id))
        assert await judge(workspace_id, server) == 0
        assert len(server.mails) == 3


async def _all_sent(workspace_id: UUID, count: int) -> bool:
    rows = await fetch(
        "SELECT count(*) AS n FROM messages WHERE workspace_id = $1 AND state = 'SENT' "
        "AND EXISTS (SELECT FROM recipients r WHERE r.id = recipient_id AND r.status = 'COMPLETED')",
        workspace_id,
    )
    return bool(rows[0]["n"] == count)
