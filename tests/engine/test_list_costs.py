"""What is asked of many people at once looks at each a few times, whatever plan the database has kept for it, and
however long the lists beside them are."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from domain import admission, contact_rows, preflight
from domain.connections import credentials
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.test_numbering_cost import _rows_touched
from tests.world import IN_AN_HOUR, email, make_world

PEOPLE = 300
OTHERS = 3_000


async def _crowd(workspace_id: UUID) -> None:
    """Many contacts and suppressions of others in the same workspace."""
    await fetch(
        """
        WITH people AS (
            INSERT INTO contacts (id, workspace_id, email, email_key, custom_fields, sort_name, created_at, updated_at)
            SELECT gen_random_uuid(), $1, n || '@b.example', n || '@b.example', '{}', '', now(), now()
            FROM generate_series(1, $2::int) n RETURNING id
        ), listed AS (
            INSERT INTO suppressions (id, workspace_id, kind, value, reason, source, created_by_kind, settling,
                created_at)
            SELECT gen_random_uuid(), $1, 'ADDRESS', n || '@c.example', 'LISTED', 'API', 'ENGINE', false, now()
            FROM generate_series(1, $2::int) n RETURNING id
        ) SELECT count(*) FROM people, listed
        """,
        workspace_id,
        OTHERS,
    )


@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_preflight_and_an_enrolment_look_at_each_person_a_few_times_by_any_plan(
    analyzed: bool, workspace_id: UUID, actor: Actor, vault: Vault, open_database: str
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=PEOPLE)
    if analyzed:
        await fetch("ANALYZE")  # with an empty list
    await _crowd(workspace_id)
    rows = await fetch(
        "SELECT id, email_key FROM contacts WHERE workspace_id = $1 AND email_key LIKE 'p%'", workspace_id
    )
    ids, keys = [row["id"] for row in rows], [row["email_key"] for row in rows]
    asked: dict[str, tuple[str, list[Any]]] = {
        "preflight": (
            preflight._RECIPIENTS,
            [workspace_id, world.sequence_id, datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1), PEOPLE],
        ),
        "contacts by address": (contact_rows.FIND, [workspace_id, [], [], keys]),
        "contacts by id": (contact_rows.FIND, [workspace_id, ids, [], []]),
        "runs": (admission._RUNS, [workspace_id, world.sequence_id, ids]),
    }
    connection = await asyncpg.connect(**credentials(open_database))
    try:
        for mode in ("force_generic_plan", "force_custom_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            for name, (sql, values) in asked.items():
                (plan,) = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *values)
                touched = _rows_touched(orjson.loads(plan[0])[0]["Plan"])
                assert touched < 40 * PEOPLE, f"{name}, {mode}: {touched:,.0f} rows for {PEOPLE} people"
    finally:
        await connection.close()
