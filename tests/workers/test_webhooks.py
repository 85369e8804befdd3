"""Webhooks on the way: every event at least once, signed, to where it may go; one dead receiver holds up no other."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain import feed, recipients, webhook_attempts, webhook_delivery, webhook_repeats, webhooks
from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.network import PUBLIC_ONLY, Reach
from domain.secrets import Vault
from tests.workers.smtp_servers import certificate_for
from tests.workers.webhook_receiver import Heard, Receiver, receiving
from tests.world import IN_AN_HOUR, World, email, make_world
from workers.webhooks import Deliverer

HERE = Reach.of("127.0.0.1")
_PATIENCE_SECONDS = 30.0


@asynccontextmanager
async def delivering(vault: Vault, reach: Reach = HERE, **options: Any) -> AsyncIterator[Deliverer]:
    """A worker's deliverer that goes on by itself while the block runs."""
    deliverer = Deliverer(vault, reach, **{"deadline_seconds": 2.0} | options)

    stopping = asyncio.Event()

    async def go_on() -> None:
        while not stopping.is_set():
            await feed.number()
            if not await deliverer.claim_and_start():
                await asyncio.sleep(0.02)

    going = asyncio.create_task(go_on())
    try:
        yield deliverer
    finally:
        stopping.set()
        await going
        await deliverer.stop()


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    for _ in range(int(_PATIENCE_SECONDS / 0.02)):
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what}: not within {_PATIENCE_SECONDS:g} seconds")


async def add(workspace_id: UUID, vault: Vault, receiver: Receiver, **options: Any) -> UUID:
    url = options.pop("url", f"http://127.0.0.1:{receiver.port}/hook?x=1")
    made = await webhooks.create(workspace_id, vault, HERE, url, **options)
    receiver.secrets.append(made.secret)
    return made.endpoint_id


async def waiting_people(workspace_id: UUID, actor: Actor, vault: Vault, people: int = 3) -> World:
    return await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=people)


async def retry_now() -> None:
    await fetch(
        "WITH u AS (UPDATE webhook_deliveries SET next_at = now() WHERE state = 'PENDING' RETURNING 1) SELECT 1"
    )


async def endpoint_row(endpoint_id: UUID) -> dict[str, Any]:
    return dict((await fetch("SELECT * FROM webhook_endpoints WHERE id = $1", endpoint_id))[0])


async def test_each_event_arrives_signed_in_the_shape_of_the_feed(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver()) as receiver:
        await add(workspace_id, vault, receiver)
        world = await waiting_people(workspace_id, actor, vault)
        await recipients.pause(workspace_id, actor, world.recipient_ids[0])
        async with delivering(vault):
            await until(lambda: len(receiver.ids) == 4, "four events arrive")
    events = await feed.after(workspace_id, feed.to_cursor((await feed.state(workspace_id)).epoch, 0))
    by_cursor = {one.payload["data"]["cursor"]: one for one in receiver.heard}
    assert set(by_cursor) == {event.cursor for event in events}
    paused = next(one for one in receiver.heard if one.payload["data"]["status"] == "PAUSED")
    assert paused.payload["type"] == "recipient.status_changed"
    data = paused.payload["data"]
    assert (data["previousStatus"], data["version"], data["actor"]) == ("SCHEDULED", 2, {"kind": "API_KEY"})
    assert paused.id == data["id"]
    assert paused.headers["content-type"] == "application/json"
    assert paused.path == "/hook?x=1"
    assert receiver.unsigned == []
    assert "people.example" not in str([one.payload for one in receiver.heard])


async def test_an_endpoint_hears_only_of_what_it_asked_for_and_only_from_then_on(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await waiting_people(workspace_id, actor, vault)
    await feed.number()
    async with receiving(Receiver()) as receiver:
        await add(workspace_id, vault, receiver, event_types=["recipient.deleted"])
        await recipients.pause(workspace_id, actor, world.recipient_ids[0])
        await recipients.delete(workspace_id, actor, world.recipient_ids[0])
        async with delivering(vault):
            await until(lambda: bool(receiver.heard), "the deletion arrives")
            await until(_all_read, "the feed is read to its end")
    assert [one.payload["type"] for one in receiver.heard] == ["recipient.deleted"]


async def _all_read() -> bool:
    rows = await fetch(
        "SELECT 1 FROM webhook_endpoints w JOIN feeds f ON f.workspace_id = w.workspace_id "
        "WHERE f.last_seq <> w.last_seq"
    )
    return not rows


async def test_a_receiver_that_fails_now_and_then_gets_every_event_in_the_end(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    chance = random.Random(5)
    taken: set[str] = set()

    def answers(heard: Heard) -> tuple[int, dict[str, str]]:
        if chance.random() < 0.3:
            return 500, {}
        taken.add(heard.id)
        return 200, {}

    async with receiving(Receiver(answers=answers)) as receiver:
        endpoint_id = await add(workspace_id, vault, receiver)
        await waiting_people(workspace_id, actor, vault, people=60)
        async with delivering(vault):

            async def all_taken() -> bool:
                await retry_now()
                return len(taken) == 60

            await until(all_taken, "every event is taken")
            await until(lambda: _none_pending(), "and noted")
    rows = await fetch("SELECT state, attempts FROM webhook_deliveries")
    assert {row["state"] for row in rows} == {"DELIVERED"}
    assert sum(row["attempts"] for row in rows) == len(receiver.heard) > 60
    assert (await endpoint_row(endpoint_id))["failing_since"] is None


async def _none_pending() -> bool:
    return not await fetch("SELECT 1 FROM webhook_deliveries WHERE state = 'PENDING'")


async def test_a_worker_that_dies_in_the_middle_loses_no_event(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    async with receiving(Receiver()) as receiver:
        await add(workspace_id, vault, receiver)
        await waiting_people(workspace_id, actor, vault)
        await feed.number()
        await webhook_delivery.fan_out()
        assert len(await webhook_delivery.claim(50, lease=timedelta(seconds=1))) == 3  # and dies with them
        async with delivering(vault):
            await until(lambda: len(receiver.ids) == 3, "another worker sends them")


async def test_mute_and_dead_receivers_hold_up_no_other(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    async with receiving(Receiver(mute=True)) as mute, receiving(Receiver()) as good:
        for _ in range(10):
            await add(workspace_id, vault, mute)
        await add(workspace_id, vault, good, url=f"http://127.0.0.1:{good.port}/")
        await waiting_people(workspace_id, actor, vault, people=20)
        async with delivering(vault, slots=50, deadline_seconds=10.0):
            await until(lambda: len(good.ids) == 20, "the good one has all before the first mute one is given up")
            assert not await fetch("SELECT 1 FROM webhook_attempts WHERE problem IS NOT NULL")


async def test_during_a_rotation_both_secrets_sign_and_later_only_the_new_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver()) as receiver:
        endpoint_id = await add(workspace_id, vault, receiver)
        fresh = await webhooks.rotate_secret(workspace_id, vault, endpoint_id)
        async with delivering(vault):
            await webhook_repeats.send_test(workspace_id, endpoint_id)
            await until(lambda: len(receiver.heard) == 1, "the old secret still explains it")
            receiver.secrets[:] = [fresh.secret]
            await webhook_repeats.send_test(workspace_id, endpoint_id)
            await until(lambda: len(receiver.heard) == 2, "and the new one")
            await fetch("WITH u AS (UPDATE webhook_endpoints SET previous_until = now() RETURNING 1) SELECT 1")
            await webhook_repeats.send_test(workspace_id, endpoint_id)
            await until(lambda: len(receiver.heard) == 3, "and the new one alone")
    assert [len(one.headers["webhook-signature"].split()) for one in receiver.heard] == [2, 2, 1]
    assert {one.payload["type"] for one in receiver.heard} == {"webhook.test"}


async def test_a_receiver_that_is_gone_and_one_that_took_nothing_for_a_day_are_switched_off_with_the_reason(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver(answers=lambda _: (410, {}))) as gone, receiving(Receiver()) as broken:
        broken.answers = lambda _: (500, {})
        gone_id = await add(workspace_id, vault, gone)
        broken_id = await add(workspace_id, vault, broken)
        await waiting_people(workspace_id, actor, vault, people=1)
        async with delivering(vault):
            await until(lambda: len(gone.heard) == 1 and len(broken.heard) == 1, "both are tried")
            await fetch(
                "WITH u AS (UPDATE webhook_endpoints SET failing_since = now() - interval '25 hours' WHERE id = $1 "
                "RETURNING 1) SELECT 1",
                broken_id,
            )
            await fetch(
                "WITH d AS (UPDATE webhook_deliveries SET attempts = 10 WHERE endpoint_id = $1 RETURNING 1) SELECT 1",
                broken_id,
            )

            async def off() -> bool:
                await retry_now()
                return not (await endpoint_row(broken_id))["enabled"]

            await until(off, "the one that took nothing is switched off")
    assert "410" in (await endpoint_row(gone_id))["disabled_because"]
    assert "more than a day" in (await endpoint_row(broken_id))["disabled_because"]
    with pytest.raises(webhooks.WebhookDisabled):
        await webhook_repeats.send_test(workspace_id, gone_id)


async def test_what_happened_while_an_endpoint_was_off_arrives_when_it_is_on_again(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver()) as receiver:
        endpoint_id = await add(workspace_id, vault, receiver)
        await webhooks.update(workspace_id, HERE, endpoint_id, {"enabled": False})
        await waiting_people(workspace_id, actor, vault)
        async with delivering(vault):
            await until(_numbered, "the events have numbers")
            await asyncio.sleep(0.2)
            assert receiver.heard == []
            await webhooks.update(workspace_id, HERE, endpoint_id, {"enabled": True})
            await until(lambda: len(receiver.ids) == 3, "they arrive")


async def _numbered() -> bool:
    return not await fetch("SELECT 1 FROM events WHERE seq IS NULL")


async def test_one_event_and_a_span_are_sent_again_under_their_old_ids(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver()) as receiver:
        endpoint_id = await add(workspace_id, vault, receiver)
        await waiting_people(workspace_id, actor, vault)
        async with delivering(vault):
            await until(lambda: len(receiver.ids) == 3, "all arrive")
            await until(_none_pending, "and are noted")
            rows = await fetch("SELECT id FROM webhook_deliveries ORDER BY seq")
            await webhook_repeats.redeliver(workspace_id, rows[0]["id"])
            await until(lambda: len(receiver.heard) == 4, "one comes again")
            epoch = (await feed.state(workspace_id)).epoch
            assert await webhook_repeats.replay(workspace_id, endpoint_id, feed.to_cursor(epoch, 1)) == 2
            await until(lambda: len(receiver.heard) == 6, "two come again")
    assert sorted(receiver.ids.values()) == [2, 2, 2]


async def test_a_restored_feed_tells_the_receiver_to_read_afresh(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver()) as receiver:
        await add(workspace_id, vault, receiver)
        await feed.start_new_epoch()
        async with delivering(vault):
            await until(lambda: len(receiver.heard) == 1, "it is told")
            head = await feed.state(workspace_id)
            assert receiver.heard[0].payload["type"] == "feed.resync_required"
            assert receiver.heard[0].payload["data"] == {"cursor": head.cursor}
            await waiting_people(workspace_id, actor, vault)
            await until(lambda: len(receiver.ids) == 4, "and hears of what comes then")


async def test_redirects_are_not_followed_and_what_was_answered_is_kept(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver()) as elsewhere, receiving(Receiver()) as receiver:
        receiver.answers = lambda _: (302, {"location": f"http://127.0.0.1:{elsewhere.port}/"})
        endpoint_id = await add(workspace_id, vault, receiver)
        await webhook_repeats.send_test(workspace_id, endpoint_id)
        async with delivering(vault):
            await until(lambda: bool(receiver.heard), "it is asked")
            await until(_attempted, "and that is noted")
    (row,) = await fetch("SELECT * FROM webhook_attempts")
    assert (row["status"], row["answer"]) == (302, "words")
    assert "redirect" in row["problem"]
    assert '"webhook.test"' in row["request"]
    assert elsewhere.connections == 0


async def _attempted() -> bool:
    return bool(await fetch("SELECT 1 FROM webhook_attempts"))


async def test_nothing_inside_is_ever_connected_to_whatever_the_name_leads_to(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with receiving(Receiver()) as inside:
        endpoint_id = await add(workspace_id, vault, inside)
        hosts = [
            "127.0.0.1",
            "localhost",
            "127.1",
            "2130706433",
            "0x7f.1",
            "017700000001",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "127.0.0.1.",
            "１２７.0.0.1",
        ]
        for host in hosts:
            for scheme in ("http", "https"):
                await fetch(
                    "WITH u AS (UPDATE webhook_endpoints SET url = $1 RETURNING 1) SELECT 1",
                    f"{scheme}://{host}:{inside.port}/",
                )
                await webhook_repeats.send_test(workspace_id, endpoint_id)
                (delivery,) = await webhook_delivery.claim(10)
                attempt = await Deliverer(vault, PUBLIC_ONLY)._attempt(delivery)
                assert attempt.status is None, host
                assert attempt.problem is not None
                assert not any(part in attempt.problem for part in ("127", "::1", "refused")), "that would be a map"
                await webhook_attempts.record(attempt)
                await fetch("WITH d AS (DELETE FROM webhook_attempts), e AS (DELETE FROM webhook_deliveries) SELECT 1")
    assert inside.connections == 0


async def test_a_receiver_must_prove_who_it_is(workspace_id: UUID, actor: Actor, vault: Vault, tmp_path: Path) -> None:
    for name, good in (("127.0.0.1", True), ("other.example", False)):
        folder = tmp_path / name
        folder.mkdir()
        server_side, trusting = certificate_for(name, folder)
        receiver = Receiver()
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=server_side)
        port = server.sockets[0].getsockname()[1]
        endpoint_id = await add(workspace_id, vault, receiver, url=f"https://127.0.0.1:{port}/")
        await webhook_repeats.send_test(workspace_id, endpoint_id)
        async with delivering(vault, tls_context=trusting):
            await until(_attempted, "it was tried")
        server.close()
        (row,) = await fetch("SELECT status, problem FROM webhook_attempts")
        assert (row["status"] == 204) is good
        assert good or "certificate" in row["problem"]
        await webhooks.delete(workspace_id, endpoint_id)
        await webhook_delivery.forget_old()
        assert not await fetch("SELECT 1 FROM webhook_endpoints")
