"""The feed's promise as subscribers see it: nothing lost, nothing twice, in order, whatever is lost and killed between.

Source: reliability.md R11, in short form.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from uuid import UUID

from redis.asyncio import Redis

from domain import feed, recipients
from domain.database import fetch
from domain.refusals import ActionNotAvailable
from tests.api.conftest import Api, rcp

EVENTS = "subscription ($after: String) { recipientEvents(after: $after) { recipientId version } }"


async def _number_and_lose_half(redis: Redis, chance: random.Random) -> None:
    while True:
        numbered = await feed.number()
        if numbered and chance.random() < 0.5:
            await redis.publish(feed.WIRE_CHANNEL, feed.to_wire(numbered))
        await asyncio.sleep(0.005)


async def _press_at_random(api: Api, people: Sequence[UUID], chance: random.Random) -> None:
    for _ in range(30):
        press = chance.choice([recipients.pause, recipients.resume])
        with contextlib.suppress(ActionNotAvailable):
            await press(api.workspace_id, api.actor, chance.choice(people))


async def test_each_subscriber_gets_every_change_in_order_while_many_write_numberers_die_and_redis_loses_half(
    api: Api,
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    world = await api.world(people=30)
    await feed.number()
    after = (await feed.state(api.workspace_id)).cursor
    begun_at = (await fetch("SELECT max(seq) AS seq FROM events WHERE workspace_id = $1", api.workspace_id))[0]["seq"]
    redis = Redis.from_url(api.process.settings.redis_url)
    async with contextlib.AsyncExitStack() as sockets:
        listening = [await sockets.enter_async_context(api.socket()) for _ in range(3)]
        for socket in listening:
            await socket.start(EVENTS, {"after": after})
        writing = asyncio.gather(*(_press_at_random(api, world.recipient_ids, chance) for _ in range(8)))
        while not writing.done():
            numbering = asyncio.create_task(_number_and_lose_half(redis, chance))
            await asyncio.wait([writing], timeout=0.3)
            numbering.cancel()  # wherever it is: rolled back, or committed with nobody told
            await asyncio.gather(numbering, return_exceptions=True)
        await writing
        while await feed.number():
            pass
        rows = await fetch(
            "SELECT recipient_id, version, seq FROM events WHERE workspace_id = $1 AND seq > $2 ORDER BY seq",
            api.workspace_id,
            begun_at,
        )
        assert [row["seq"] for row in rows] == list(range(begun_at + 1, begun_at + 1 + len(rows)))
        assert len(rows) > 50
        for socket in listening:
            events = await socket.events(len(rows))
            told = [(event["recipientId"], event["version"]) for event in events]
            assert told == [(rcp(row["recipient_id"]), row["version"]) for row in rows]
    await redis.aclose()
