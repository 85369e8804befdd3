"""The feed under load: dense, in version order, nothing lost, tallies equal at every number. reliability.md R11."""

import asyncio
import random
from collections import Counter
from uuid import UUID

import pytest

from domain import feed, keys, recipients
from domain.database import fetch
from domain.feed import CursorForeign, Event, ResyncRequired
from domain.refusals import ActionNotAvailable, NotFound
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.pressing import write_many
from tests.world import IN_AN_HOUR, email, make_world

WRITERS = 16
EVENTS = 2_000


async def _number_until(stop: asyncio.Event, numbered: list[Event]) -> None:
    while not stop.is_set():
        numbered += await feed.number()
        await asyncio.sleep(0.005)


async def _tallies_equal_the_events(workspace_id: UUID, stop: asyncio.Event) -> int:
    """Compare at random numbers in between: the tallies say what the events up to the feed's number say."""
    compared = 0
    while not stop.is_set():
        rows = await fetch(
            """
            WITH told AS (
                SELECT DISTINCT ON (recipient_id) status, stage FROM events WHERE workspace_id = $1 AND seq <=
                    (SELECT last_seq FROM feeds WHERE workspace_id = $1) ORDER BY recipient_id, seq DESC
            ), counted AS (SELECT status, stage, count(*) AS n FROM told WHERE status IS NOT NULL GROUP BY 1, 2)
            SELECT * FROM counted c FULL JOIN
                (SELECT status, stage, count AS n FROM tallies WHERE workspace_id = $1 AND count <> 0) t
                USING (status, stage) WHERE c.n IS DISTINCT FROM t.n
            """,
            workspace_id,
        )
        assert rows == []
        compared += 1
        await asyncio.sleep(0.02)
    return compared


async def test_writers_rollbacks_slow_transactions_and_two_numberers_leave_a_dense_feed(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=100)
    stop = asyncio.Event()
    numbered: list[Event] = []
    numberers = [asyncio.create_task(_number_until(stop, numbered)) for _ in range(2)]
    third: list[Event] = []
    doomed = asyncio.create_task(_number_until(stop, third))
    comparing = asyncio.create_task(_tallies_equal_the_events(workspace_id, stop))
    writing = asyncio.gather(
        *(
            write_many(workspace_id, actor, world.recipient_ids, random.Random(chance.random()), EVENTS // WRITERS)
            for _ in range(WRITERS)
        )
    )
    await asyncio.sleep(0.8)
    doomed.cancel()  # wherever it is: its batch is rolled back, or was committed and nobody was told
    held = sum(await writing)
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*numberers, doomed, return_exceptions=True)
    assert await comparing > 5
    while await feed.number():
        pass
    rows = await fetch(
        "SELECT recipient_id, version, seq FROM events WHERE workspace_id = $1 ORDER BY seq", workspace_id
    )
    assert len(rows) == 100 + held
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    versions: Counter[UUID] = Counter()
    for row in rows:
        versions[row["recipient_id"]] += 1
        assert row["version"] == versions[row["recipient_id"]]
    seen = [event.seq for event in numbered + third]
    assert len(seen) == len(set(seen))
    stop.clear()
    stopping = asyncio.get_running_loop().call_later(0.05, stop.set)
    assert await _tallies_equal_the_events(workspace_id, stop) > 0
    stopping.cancel()
    counted = await fetch(
        "SELECT status, count(*)::int AS n FROM recipients WHERE workspace_id = $1 GROUP BY status", workspace_id
    )
    tallies = await fetch("SELECT status, sum(count)::int AS n FROM tallies GROUP BY status HAVING sum(count) <> 0")
    assert {tuple(row) for row in counted} == {tuple(row) for row in tallies}


async def test_a_snapshot_and_the_events_after_its_cursor_equal_a_fresh_read(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=30)
    stop = asyncio.Event()

    async def act(ids: list[UUID], chance: random.Random) -> None:
        verbs = (recipients.pause, recipients.resume, recipients.stop, recipients.delete)
        for _ in range(40):
            verb = chance.choices(verbs, (6, 6, 1, 1))[0]
            try:
                await verb(workspace_id, actor, chance.choice(ids))
            except (ActionNotAvailable, NotFound):
                continue

    async def snapshot() -> dict[UUID, str]:
        rows = await fetch(
            "SELECT id, status FROM recipients WHERE workspace_id = $1 AND deleted_at IS NULL", workspace_id
        )
        return {row["id"]: row["status"] for row in rows}

    numbering = asyncio.create_task(_number_until(stop, []))
    acting = [asyncio.create_task(act(list(world.recipient_ids[n::4]), random.Random(n))) for n in range(4)]
    taken: list[tuple[str, dict[UUID, str]]] = []
    while not all(task.done() for task in acting):
        cursor = (await feed.state(workspace_id)).cursor  # read before the page
        taken.append((cursor, await snapshot()))
        await asyncio.sleep(0.01)
    await asyncio.gather(*acting)
    stop.set()
    await numbering
    while await feed.number():
        pass
    fresh = await snapshot()
    assert len(taken) > 3
    for cursor, state in taken:
        for event in await feed.after(workspace_id, cursor, limit=10_000):
            if event.status is None:
                state.pop(event.recipient_id, None)
            else:
                state[event.recipient_id] = event.status
        assert state == fresh


async def test_a_cursor_that_cannot_be_continued_says_so_and_gives_the_present_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=10)
    await feed.number()
    head = await feed.state(workspace_id)
    assert head.last_seq == 10
    assert len(await feed.after(workspace_id, feed.to_cursor(head.epoch, 4))) == 6
    assert await feed.after(workspace_id, head.cursor) == []
    for garbage in ("", "x", "!!!!", "YWJj", "\ud800", "é", feed.to_cursor(head.epoch, 1)[:-3], "A" * 10_000):
        with pytest.raises(CursorForeign):
            await feed.after(workspace_id, garbage)
    for lost in (
        feed.to_cursor("other", 3),
        feed.to_cursor("", 0),
        feed.to_cursor(head.epoch, 11),
        feed.to_cursor(head.epoch, -1),
        feed.to_cursor(head.epoch, 10**30),
    ):
        with pytest.raises(ResyncRequired) as refusal:
            await feed.after(workspace_id, lost)
        assert refusal.value.cursor == head.cursor
    await fetch(
        "WITH d AS (DELETE FROM events WHERE seq <= 5 RETURNING 1), f AS (UPDATE feeds SET first_seq = 6 RETURNING 1) "
        "SELECT 1"
    )
    assert len(await feed.after(workspace_id, feed.to_cursor(head.epoch, 5))) == 5
    with pytest.raises(ResyncRequired):
        await feed.after(workspace_id, feed.to_cursor(head.epoch, 4))
    await feed.start_new_epoch()
    with pytest.raises(ResyncRequired):
        await feed.after(workspace_id, head.cursor)


async def test_numbers_are_dense_for_each_workspace_by_itself(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    other_id = await keys.create_workspace("Other")
    for one in (workspace_id, other_id):
        await make_world(one, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=20)
    events = await feed.number()
    for one in (workspace_id, other_id):
        assert [event.seq for event in events if event.workspace_id == one] == list(range(1, 21))
        start = feed.to_cursor((await feed.state(one)).epoch, 0)
        assert [event.seq for event in await feed.after(one, start)] == list(range(1, 21))
