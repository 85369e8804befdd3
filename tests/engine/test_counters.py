"""The counters of the reports equal a scan of all rows, whatever happened; a doctor would see one that does not."""

import random
from uuid import UUID

from domain import feed, recipients, recounting
from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.outcomes import Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all
from tests.engine.test_random_walks import STEPS, Walk
from tests.world import make_world


async def number_all() -> None:
    while await feed.number():
        pass


async def test_counters_equal_a_scan_after_whatever_happened(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    world = await make_world(workspace_id, actor, vault, steps=STEPS, people=8)
    await carry(await claim_all(1), Sent("250 2.0.0 taken"))  # one at least is written to, wherever the walk leads
    walk = Walk(world, actor, seed)
    for number in range(120):
        await walk.step()
        if number % 20 == 0:
            assert await recounting.differences() == 0, "with events that have no number yet: " + "\n".join(walk.trail)
            await number_all()
    await recipients.delete(workspace_id, actor, world.recipient_ids[0])
    await number_all()
    assert await recounting.differences() == 0, "\n".join(walk.trail)
    kept = await fetch("SELECT * FROM report_tallies WHERE count <> 0 ORDER BY sequence_id, step_id, measure, quarter")
    assert {row["measure"] for row in kept} >= {"ENROLLED", "REACHED", "CARRIED_OUT", "CONTACTED"}

    await fetch("WITH u AS (UPDATE report_tallies SET count = count + 1 RETURNING 1) SELECT count(*) FROM u")
    await fetch("WITH u AS (UPDATE tallies SET count = count + 1 RETURNING 1) SELECT count(*) FROM u")
    assert await recounting.differences() > 0, "nobody would see a counter that is wrong"
    await recounting.recount()
    assert await recounting.differences() == 0
