"""Each event reaches a receiver that fails now and then, whatever other receivers do and whoever dies in between.
reliability.md R19, in its long form."""

import asyncio
import random
from datetime import timedelta
from uuid import UUID

import pytest

from domain import feed, webhook_delivery, webhooks
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.pressing import write_many
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew
from tests.workers.test_webhooks import add, endpoint_row
from tests.workers.webhook_receiver import Heard, Receiver, receiving
from tests.world import IN_AN_HOUR, email, make_world

WRITERS, KILLS = 8, 20
CHANGES = 1_000 * LENGTH


async def _time_passes(endpoint_id: UUID) -> None:
    """What failed is due again, and what a dead worker had in hand has waited long enough."""
    await fetch(
        "WITH u AS (UPDATE webhook_deliveries SET next_at = least(next_at, now()), "
        "lease_until = CASE WHEN lease_until < now() + $2 THEN now() ELSE lease_until END "
        "WHERE endpoint_id = $1 AND state = 'PENDING' AND (next_at > now() OR lease_until < now() + $2 "
        "AND lease_until > now()) RETURNING 1) SELECT 1",
        endpoint_id,
        webhook_delivery.LEASE - timedelta(seconds=3),
    )


@pytest.mark.witness
async def test_every_event_arrives_signed_while_workers_are_killed_secrets_rotate_and_others_hang(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    taken: set[str] = set()

    def now_and_then(heard: Heard) -> tuple[int, dict[str, str]]:
        if chance.random() < 0.3:
            return 500, {}
        taken.add(heard.id)
        return 200, {}

    async with (
        receiving(Receiver(answers=now_and_then)) as good,
        receiving(Receiver(mute=True)) as mute,
        receiving(Receiver(answers=lambda heard: (302, {"location": "http://127.0.0.1:1/"}))) as elsewhere,
        receiving(Receiver(answers=lambda heard: (410, {}))) as gone,
        receiving(Receiver(answers=lambda heard: (429, {"retry-after": "3600"}))) as busy,
    ):
        endpoint_id = await add(workspace_id, vault, good)
        gone_id = await add(workspace_id, vault, gone)
        for receiver in (mute, elsewhere, busy):
            await add(workspace_id, vault, receiver)
        world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=100)
        writing = asyncio.gather(
            *(
                write_many(workspace_id, actor, world.recipient_ids, random.Random(seed + n), CHANGES // WRITERS)
                for n in range(WRITERS)
            )
        )
        events, kills, rotated = 0, 0, False
        async with asyncio.timeout(100 * LENGTH):
            while not events or len(taken) < events:
                while len(crew.alive) < 2:
                    crew.start()
                before = len(taken)
                while len(taken) < before + CHANGES // KILLS and (not events or len(taken) < events):
                    await asyncio.sleep(0.5)
                    await _time_passes(endpoint_id)
                    if writing.done() and not events:
                        await writing
                        while await feed.number():
                            pass
                        events = (await feed.state(workspace_id)).last_seq
                chance.choice(crew.alive).kill()
                kills += 1
                if not rotated:  # the receiver knows the old secret for a while still
                    good.secrets.append((await webhooks.rotate_secret(workspace_id, vault, endpoint_id)).secret)
                    rotated = True
    expected = {
        f"{row['recipient_id']} {row['version']}"
        for row in await fetch("SELECT recipient_id, version FROM events WHERE workspace_id = $1", workspace_id)
    }
    told = {one.id: one.payload["data"] for one in good.heard}
    assert len(told) == len(expected) == events
    assert good.unsigned == []
    places = [data["cursor"] for data in told.values()]
    assert len(set(places)) == events
    assert (await endpoint_row(gone_id))["disabled_at"] is not None
    assert elsewhere.connections > 0
    repeats = len(good.heard) - events
    print(f"{events} events, {kills} kills, {repeats} sent again, of which at least {int(events * 0.3)} had failed")
