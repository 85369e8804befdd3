"""A worker that dies while it hands a text message over never sends it twice, and loses none. reliability.md R1."""

from collections import Counter
from uuid import UUID

import pytest

from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.network import Reach
from domain.secrets import Vault
from domain.settings import Settings
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until, working
from tests.faults.crew import Crew
from tests.faults.judging import drained, run_out_leases
from tests.workers.twilio_server import providing
from tests.world import make_text_world
from workers.text_proof import TextProof
from workers.twilio import TwilioGateway

# place, passing: what the provider has by then, what it has in the end, and what stays unconfirmed although its list
# was looked into. One slot, three people.
PLACES = {
    "after_mark=kill@2": (1, 2, 1),
    "after_dot=kill@2": (2, 3, 0),
}


@pytest.mark.parametrize("fault", PLACES)
async def test_a_kill_around_the_post_leaves_what_the_two_marks_promise(
    fault: str, crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    at_death, in_the_end, unconfirmed = PLACES[fault]
    here = Reach.of("127.0.0.1")
    async with providing() as provider:
        await make_text_world(workspace_id, actor, vault, provider.url, people=3)
        await crew.start(faults=fault, slots=1).killed_itself()
        assert len(provider.taken) == at_death
        await run_out_leases(workspace_id)
        healthy = Settings(
            database_url=crew.database_url,
            redis_url=crew.redis_url,
            secret_key=SECRET_KEY,
            lease_seconds=1,
            reach=here,
        )
        async with working(healthy):
            await until(lambda: drained(workspace_id))
        gateway = TwilioGateway(here)
        await TextProof(vault, gateway).look()
        await gateway.close()
        assert max(Counter(provider.to()).values()) == 1
        assert (provider.posts, len(provider.taken)) == (in_the_end, in_the_end)
    rows = await fetch("SELECT state, count(*) AS n FROM messages WHERE workspace_id = $1 GROUP BY state", workspace_id)
    states = {row["state"]: row["n"] for row in rows}
    assert states.get("SENT", 0) == in_the_end
    assert states.get("UNCONFIRMED", 0) == unconfirmed
