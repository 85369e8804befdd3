"""Old events go, in order and a piece at a time; whoever had not read them is told, never given a gap."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from domain import feed, recipients, recounting, retention, webhook_delivery, webhooks
from domain.database import fetch
from domain.feed import ResyncRequired
from domain.reading import events
from domain.rules.actor import Actor
from domain.rules.network import PUBLIC_ONLY
from domain.secrets import Vault
from tests.world import IN_AN_HOUR, email, make_world

MONTH = timedelta(days=30)


async def _age(workspace_id: UUID, first: int, last: int) -> None:
    """Let events have been recorded two months ago."""
    await fetch(
        "WITH u AS (UPDATE events SET recorded_at = recorded_at - interval '60 days' "
        "WHERE workspace_id = $1 AND seq BETWEEN $2 AND $3 RETURNING 1) SELECT count(*) FROM u",
        workspace_id,
        first,
        last,
    )


async def _kept(workspace_id: UUID) -> list[int]:
    rows = await fetch("SELECT seq FROM events WHERE workspace_id = $1 ORDER BY seq", workspace_id)
    return [row["seq"] for row in rows]


async def test_old_events_are_removed_in_order_and_cursors_before_them_are_told(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PRUNED_AT_ONCE", 4)
    endpoint = await webhooks.create(workspace_id, vault, PUBLIC_ONLY, "https://ats.example/hook")
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=20)
    await feed.number()
    await webhook_delivery.fan_out()
    epoch = (await feed.state(workspace_id)).epoch
    await _age(workspace_id, 1, 10)
    await _age(workspace_id, 12, 14)  # behind a younger one: they stay until it may go

    assert await retention.prune(MONTH)
    assert await _kept(workspace_id) == list(range(5, 21))
    while await retention.prune(MONTH):
        pass
    assert await _kept(workspace_id) == list(range(11, 21))
    assert not await retention.prune(MONTH)

    with pytest.raises(ResyncRequired) as refused:
        await feed.after(workspace_id, feed.to_cursor(epoch, 9))
    assert refused.value.cursor == feed.to_cursor(epoch, 20)
    assert [event.seq for event in await feed.after(workspace_id, feed.to_cursor(epoch, 10))] == list(range(11, 21))
    assert [row.event.seq for row in (await events.page(workspace_id)).rows] == list(range(11, 21))
    waiting = await fetch("SELECT seq FROM webhook_deliveries WHERE endpoint_id = $1", endpoint.endpoint_id)
    assert sorted(row["seq"] for row in waiting) == list(range(11, 21))  # the rest cannot be told any more
    assert await recounting.differences() == 0

    await recipients.pause(workspace_id, actor, world.recipient_ids[0])
    assert [event.seq for event in await feed.number()] == [21]


async def test_an_empty_feed_and_one_that_is_pruned_whole_go_on_with_the_next_number(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    assert not await retention.prune(MONTH)
    world = await make_world(workspace_id, actor, vault, people=3)
    await feed.number()
    await _age(workspace_id, 1, 3)
    await retention.prune(MONTH)
    head = await feed.state(workspace_id)
    assert (head.first_seq, head.last_seq) == (4, 3)
    assert await feed.after(workspace_id, head.cursor) == []
    await recipients.pause(workspace_id, actor, world.recipient_ids[0])
    await feed.number()
    assert [event.seq for event in await feed.after(workspace_id, head.cursor)] == [4]


async def test_a_reader_meets_pruning_with_every_event_or_a_resync_never_a_gap(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PRUNED_AT_ONCE", 7)
    await make_world(workspace_id, actor, vault, people=200)
    await feed.number()
    epoch = (await feed.state(workspace_id)).epoch
    await _age(workspace_id, 1, 200)
    ends: list[str] = []

    async def read() -> None:
        position = 0
        while position < 200:
            try:
                found = await feed.after(workspace_id, feed.to_cursor(epoch, position), limit=3)
            except ResyncRequired:
                ends.append("told")
                return
            assert [event.seq for event in found] == list(range(position + 1, position + 1 + len(found)))
            position = found[-1].seq
        ends.append("read")

    async def prune() -> None:
        while await retention.prune(MONTH):
            pass

    await asyncio.gather(*(read() for _ in range(5)), prune())
    assert len(ends) == 5
