"""Numbering looks at each event a few times, whatever plan the database has kept for it."""

from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from domain import feed
from domain.connections import credentials
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.world import IN_AN_HOUR, email, make_world

PEOPLE = 600


def _rows_touched(node: dict[str, Any]) -> float:
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return float(own) + sum(_rows_touched(child) for child in node.get("Plans", []))


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_numbering_touches_each_event_a_few_times_by_any_plan(
    mode: str, analyzed: bool, workspace_id: UUID, actor: Actor, vault: Vault, open_database: str
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=PEOPLE)
    if analyzed:
        await fetch("ANALYZE events")
    connection = await asyncpg.connect(**credentials(open_database))
    try:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        await connection.execute(f"PREPARE numbering (int) AS {feed._NUMBER}")
        (plan,) = await connection.fetch("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE numbering (5000)")
    finally:
        await connection.close()
    touched = _rows_touched(orjson.loads(plan[0])[0]["Plan"])
    assert touched < 100 * PEOPLE, f"{touched:,.0f} rows for {PEOPLE} events"
