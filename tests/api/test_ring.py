"""The ring of recent events: next ones are appended, late ones passed over, and who is too far behind is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api import ring as ring_module
from api.ring import HELD_AT_MOST, Hub, Ring
from domain import feed, keys, recipients
from domain.connections import credentials
from domain.database import fetch
from domain.feed import CursorForeign, Event, Head, ResyncRequired, to_cursor
from domain.refusals import Refusal
from domain.rules.actor import Actor
from domain.rules.ids import new_id
from domain.secrets import Vault
from tests.world import make_world

EVENT = Event(
    workspace_id=new_id(),
    epoch="one",
    seq=1,
    recipient_id=new_id(),
    version=1,
    sequence_id=new_id(),
    type="recipient.enrolled",
    previous_status=None,
    status="SCHEDULED",
    end_reason=None,
    actor_kind="ENGINE",
    actor_id=None,
    step_id=None,
    message_id=None,
    step_error_id=None,
    mailbox_id=None,
    occurred_at=datetime(2027, 1, 1, tzinfo=UTC),
)


def events(first: int, last: int, *, epoch: str = "one") -> list[Event]:
    return [replace(EVENT, seq=seq, epoch=epoch) for seq in range(first, last + 1)]


def numbers(found: list[Event] | None) -> list[int]:
    assert found is not None
    return [event.seq for event in found]


def make_ring(last: int = 10) -> Ring:
    return Ring(Head("one", last, 1))


def test_the_next_events_are_appended_and_known_ones_passed_over() -> None:
    ring = make_ring()
    assert ring.take(events(11, 13))
    assert ring.take(events(9, 14))
    assert numbers(ring.after(11)) == [12, 13, 14]


def test_a_gap_is_noticed_and_nothing_behind_it_is_taken() -> None:
    ring = make_ring()
    assert not ring.take(events(12, 13))
    assert ring.last == 10
    assert ring.take(events(11, 13))
    assert numbers(ring.after(10)) == [11, 12, 13]


def test_what_the_ring_no_longer_holds_is_not_made_up() -> None:
    ring = make_ring()
    ring.take(events(11, 12))
    assert ring.after(9) is None
    assert ring.after(12) == []


def test_a_ring_is_bounded() -> None:
    ring = make_ring(0)
    ring.take(events(1, HELD_AT_MOST + 50))
    assert ring.first == 51


def test_a_reader_with_too_much_before_it_has_to_read_afresh() -> None:
    ring = make_ring(0)
    ring.take(events(1, 5_001))
    assert len(ring.after(1) or ()) == 5_000
    with pytest.raises(ResyncRequired) as refused:
        ring.after(0)
    assert refused.value.cursor == to_cursor("one", 5_001)


def test_a_reader_too_long_behind_has_to_read_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = make_ring(0)
    ring.take(events(1, 2))
    monkeypatch.setattr(ring_module, "BEHIND_AT_MOST_SECONDS", 0.0)
    time.sleep(0.01)
    with pytest.raises(ResyncRequired):
        ring.after(1)


def test_a_reader_who_comes_back_is_not_behind_for_the_time_it_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = make_ring(0)
    ring.take(events(1, 2))
    monkeypatch.setattr(ring_module, "BEHIND_AT_MOST_SECONDS", 60.0)
    an_hour_later = time.monotonic() + 3600.0
    monkeypatch.setattr("api.ring.time.monotonic", lambda: an_hour_later)
    assert numbers(ring.after(0, reading_since=an_hour_later)) == [1, 2]
    with pytest.raises(ResyncRequired):
        ring.after(0)


def test_an_event_of_another_epoch_ends_the_ring() -> None:
    ring = make_ring(0)
    ring.take(events(1, 1, epoch="two"))
    with pytest.raises(ResyncRequired):
        ring.after(0)


@pytest.fixture
async def hub(open_database: str, redis_url: str) -> AsyncIterator[Hub]:
    found = Hub(redis_url, poll_seconds=0.05)
    async with found.running():
        yield found


async def take(hub: Hub, workspace_id: UUID, after: str | None, count: int) -> list[int]:
    found: list[int] = []
    async with aclosing(hub.read(workspace_id, after)) as batches, asyncio.timeout(10):
        async for batch in batches:
            found += numbers(batch.events)
            if len(found) >= count:
                break
    return found


async def test_readers_of_all_kinds_of_cursor_get_everything_once_in_order(
    hub: Hub, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    start = (await feed.state(workspace_id)).cursor
    world = await make_world(workspace_id, actor, vault, people=30)

    async def churn() -> None:
        for key in world.recipient_ids:
            await recipients.pause(workspace_id, actor, key)
            await recipients.resume(workspace_id, actor, key)

    readers = [asyncio.create_task(take(hub, workspace_id, start, 90)) for _ in range(5)]
    await churn()
    assert [await reader for reader in readers] == [list(range(1, 91))] * 5
    epoch = (await feed.state(workspace_id)).epoch
    assert await take(hub, workspace_id, to_cursor(epoch, 47), 43) == list(range(48, 91))


@pytest.mark.parametrize(("cursor", "refusal"), [("nonsense!", CursorForeign), (to_cursor("other", 0), ResyncRequired)])
async def test_a_bad_cursor_is_refused_at_once(
    hub: Hub, workspace_id: UUID, cursor: str, refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        await take(hub, workspace_id, cursor, 1)


@pytest.mark.parametrize("seq", [-1, 1])
async def test_a_cursor_of_the_future_or_of_before_the_beginning_is_refused(
    hub: Hub, workspace_id: UUID, seq: int
) -> None:
    epoch = (await feed.state(workspace_id)).epoch
    with pytest.raises(ResyncRequired):
        await take(hub, workspace_id, to_cursor(epoch, seq), 1)


async def test_a_pruned_past_is_refused(hub: Hub, workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    start = (await feed.state(workspace_id)).cursor
    await make_world(workspace_id, actor, vault, people=3)
    await feed.number()
    await fetch("WITH u AS (UPDATE feeds SET first_seq = 3 RETURNING 1) SELECT count(*) FROM u")
    with pytest.raises(ResyncRequired):
        await take(hub, workspace_id, start, 1)


async def test_the_hub_lives_through_a_database_that_drops_every_connection(
    hub: Hub, workspace_id: UUID, actor: Actor, vault: Vault, open_database: str
) -> None:
    start = (await feed.state(workspace_id)).cursor
    reading = asyncio.create_task(take(hub, workspace_id, start, 4))
    outside = await asyncpg.connect(**credentials(open_database))
    for _ in range(3):
        await asyncio.sleep(0.1)
        await outside.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await outside.close()
    await make_world(workspace_id, actor, vault, people=4)
    assert await reading == [1, 2, 3, 4]


async def test_only_a_few_readers_at_once_catch_up_from_the_database(
    hub: Hub, workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = (await feed.state(workspace_id)).cursor
    await make_world(workspace_id, actor, vault, people=5)
    while (await feed.state(workspace_id)).last_seq < 5:  # before there is a ring: all must be read from the database
        await feed.number()
    reading, most, read = 0, 0, feed.after

    async def counted(*args: Any, **options: Any) -> list[Event]:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0.01)
        try:
            return await read(*args, **options)
        finally:
            reading -= 1

    monkeypatch.setattr(feed, "after", counted)
    found = await asyncio.gather(*(take(hub, workspace_id, start, 5) for _ in range(20)))
    assert found == [[1, 2, 3, 4, 5]] * 20
    assert 1 < most <= ring_module._READING_AT_ONCE


async def test_workspaces_do_not_hear_each_other(hub: Hub, workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    other = await keys.create_workspace("Other")
    quiet = asyncio.create_task(take(hub, other, None, 1))
    start = (await feed.state(workspace_id)).cursor
    await make_world(workspace_id, actor, vault, people=2)
    assert await take(hub, workspace_id, start, 2) == [1, 2]
    assert not quiet.done()
    quiet.cancel()
    await asyncio.gather(quiet, return_exceptions=True)
