"""Nothing of the feed is lost, doubled or out of order for a subscriber while many write, numberers are killed and half
of what they tell is heard by nobody. reliability.md R11, in its long form."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from domain import feed, keys
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.api.conftest import Api, rcp, serving
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until
from tests.engine.pressing import write_many
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew
from tests.world import HERE, IN_AN_HOUR, email, make_world

WRITERS, SUBSCRIBERS, KILLED_EVERY_SECONDS = 16, 5, 3.0
CHANGES = 2_000 * LENGTH
EVENTS = "subscription ($after: String) { recipientEvents(after: $after) { cursor recipientId version } }"


class Subscriber:
    """Who comes again after each lost line, and goes on after the last cursor."""

    def __init__(self, api: Api, after: str) -> None:
        self._api, self._after = api, after
        self.told: list[tuple[str, int]] = []
        self.lines = 0

    async def follow(self) -> None:
        while True:
            with suppress(ConnectionClosed, OSError):
                async with self._api.socket() as socket:
                    self.lines += 1
                    await socket.start(EVENTS, {"after": self._after})
                    while True:
                        (event,) = await socket.events(1)
                        self._after = event["cursor"]
                        self.told.append((event["recipientId"], event["version"]))


@pytest.mark.witness
async def test_nothing_is_lost_while_numberers_are_killed_and_half_of_what_they_tell_is_not_heard(
    crew: Crew, redis_url: str, database_url: str, workspace_id: UUID, actor: Actor, vault: Vault, tmp_path: Path
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    unheard = Crew(database_url, "redis://127.0.0.1:1/0", tmp_path / "unheard")
    unheard.folder.mkdir()
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=200)
    while await feed.number():
        pass
    begun_at = (await fetch("SELECT last_seq FROM feeds WHERE workspace_id = $1", workspace_id))[0]["last_seq"]
    after = (await feed.state(workspace_id)).cursor
    key = await keys.create(workspace_id, "subscribers")
    settings = Settings(database_url=database_url, redis_url=redis_url, secret_key=SECRET_KEY, reach=HERE)

    async def kill_now_and_then() -> int:
        kills = 0
        while True:
            crews = (crew, unheard)
            for one in crews:
                if not one.alive:
                    one.start()
            await asyncio.sleep(KILLED_EVERY_SECONDS)
            chance.choice(crews).alive[0].kill()
            kills += 1
            print(f"{kills} kills", end=" ", flush=True)

    async with serving(settings) as running, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{running.config.port}"
        api = Api(url, running.config.app.state.process, workspace_id, key, http)  # type: ignore[union-attr]
        subscribers = [Subscriber(api, after) for _ in range(SUBSCRIBERS)]
        going = [asyncio.create_task(one.follow()) for one in subscribers]
        killing = asyncio.create_task(kill_now_and_then())
        try:
            held = sum(
                await asyncio.gather(
                    *(
                        write_many(
                            workspace_id, actor, world.recipient_ids, random.Random(seed + n), CHANGES // WRITERS
                        )
                        for n in range(WRITERS)
                    )
                )
            )

            async def all_told() -> bool:
                failed = [task for task in (*going, killing) if task.done()]
                assert not failed, failed[0].exception()
                return all(len(one.told) >= held for one in subscribers)

            await until(all_told, seconds=60)
        finally:
            for task in (*going, killing):
                task.cancel()
            await asyncio.gather(*going, killing, return_exceptions=True)
            unheard.end_all()
    rows = await fetch(
        "SELECT recipient_id, version, seq FROM events WHERE workspace_id = $1 AND seq > $2 ORDER BY seq",
        workspace_id,
        begun_at,
    )
    assert [row["seq"] for row in rows] == list(range(begun_at + 1, begun_at + 1 + held))
    for one in subscribers:
        assert one.told == [(rcp(row["recipient_id"]), row["version"]) for row in rows]
    print(f"{held} events, lines {[one.lines for one in subscribers]}")
