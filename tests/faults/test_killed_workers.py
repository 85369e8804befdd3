"""A worker that dies at any point never sends twice and loses nothing. reliability.md R1."""

import asyncio
import random
from uuid import UUID

import pytest

from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until, working
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew, DawdlingServer, dawdling_server
from tests.faults.judging import drained, enrol_people, judge, run_out_leases
from tests.world import HERE

SLOTS = 10


async def test_random_kills_send_nothing_twice_and_lose_nothing(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    people, kills = 400 * LENGTH, 4 * LENGTH
    async with dawdling_server(0.2) as server:
        await enrol_people(workspace_id, actor, vault, server, people)
        crew.start(slots=SLOTS)
        crew.start(slots=SLOTS)
        await until(lambda: _taken(server, 10))
        for _ in range(kills):
            chance.choice(crew.alive).kill()
            crew.start(slots=SLOTS)
            await asyncio.sleep(1.5)
        await until(lambda: drained(workspace_id), seconds=30 + 30 * LENGTH)
        unconfirmed = await judge(workspace_id, server)
    print(f"{len(server.mails)} of {people} taken, {unconfirmed} unconfirmed after {kills} kills")
    assert 0 < unconfirmed <= kills * SLOTS
    assert len(crew.alive) == 2


async def _taken(server: DawdlingServer, count: int) -> bool:
    return len(server.mails) >= count


# place, passing: what the mail server has by then, what is unconfirmed in the end, what it has in the end. One slot,
# three people, in order.
PLACES = {
    "after_claim=kill@1": (0, 0, 3),
    "before_mark=kill@2": (1, 0, 3),
    "after_mark=kill@2": (1, 1, 2),
    "after_dot=kill@2": (2, 1, 3),
    "before_record=kill@2": (2, 1, 3),
    "after_record=kill@2": (2, 0, 3),
    "after_number=kill@1": (None, None, None),
}


@pytest.mark.parametrize("fault", PLACES)
async def test_a_kill_at_each_point_leaves_what_the_two_marks_promise(
    fault: str, crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    at_death, unconfirmed, in_the_end = PLACES[fault]
    async with dawdling_server() as server:
        await enrol_people(workspace_id, actor, vault, server, 3, mailboxes=1)
        await crew.start(faults=fault, slots=1).killed_itself()
        if at_death is not None:
            assert len(server.mails) == at_death
        await run_out_leases(workspace_id)
        healthy = Settings(
            database_url=crew.database_url, redis_url=crew.redis_url, secret_key=SECRET_KEY, lease_seconds=1, reach=HERE
        )
        async with working(healthy):
            await until(lambda: drained(workspace_id))
        found = await judge(workspace_id, server)
        if unconfirmed is not None:
            assert (found, len(server.mails)) == (unconfirmed, in_the_end)
        tries = await fetch("SELECT max(tries) AS most FROM messages WHERE workspace_id = $1", workspace_id)
        assert tries[0]["most"] == 1  # a worker's death is not charged to the recipient's patience
