"""To change a batch costs what it holds, whatever plan the database has for it and however many others there are.

Tables that were filled a moment ago have no statistics, or those of an empty table: what is unique must be found by it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from domain import bulk, sequences, settling
from domain.bulk_rows import BATCH
from domain.database import Tx, fetch, tx
from domain.reading.filters import EVERYTHING
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction
from domain.secrets import Vault
from tests.world import IN_AN_HOUR, email, make_world

MODES = ("force_generic_plan", "force_custom_plan")

_FILLED = """
    WITH model AS (SELECT * FROM recipients WHERE sequence_id = $1), people AS (
        INSERT INTO contacts SELECT (jsonb_populate_record(c, jsonb_build_object(
            'id', gen_random_uuid(), 'email', n || '@many.example', 'email_key', n || '@many.example',
            'email_hash', NULL))).*
        FROM contacts c, generate_series(2, $2::int) n WHERE c.id = (SELECT contact_id FROM model) RETURNING id
    )
    INSERT INTO recipients SELECT (jsonb_populate_record(m, jsonb_build_object(
        'id', gen_random_uuid(), 'contact_id', p.id))).* FROM recipients m, people p WHERE m.sequence_id = $1
"""
_EXPLAINED = """
    LOAD 'auto_explain'; SET LOCAL auto_explain.log_min_duration = 0; SET LOCAL auto_explain.log_analyze = on;
    SET LOCAL auto_explain.log_format = json; SET LOCAL auto_explain.log_parameter_max_length = 0;
    SET LOCAL client_min_messages = log
"""


async def _many(workspace_id: UUID, actor: Actor, vault: Vault, people: int, *, analyzed: bool = False) -> UUID:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)], people=1)
    await fetch(_FILLED, world.sequence_id, people)
    if analyzed:
        await fetch("ANALYZE recipients")
    return world.sequence_id


def _left_aside(node: dict[str, Any]) -> float:
    """Return how many rows, or pairs of rows, a plan looked at in vain."""
    removed = sum(float(count) for what, count in node.items() if what.startswith("Rows Removed"))
    return removed * node["Actual Loops"] + sum(_left_aside(child) for child in node.get("Plans", []))


async def _in_vain(workspace_id: UUID, mode: str, batch: Callable[[], Awaitable[object]]) -> float:
    """Return how many rows the statements of one batch look at in vain."""
    plans: list[dict[str, Any]] = []

    def hear(_: object, message: asyncpg.PostgresLogMessage) -> None:
        told = str(message).partition("plan:")[2]
        if "recipients" in told:  # not what the driver asks of the catalogue
            plans.append(orjson.loads(told)["Plan"])

    async def work(t: Tx) -> float:
        await t.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await t.connection.execute(_EXPLAINED)
        t.connection.add_log_listener(hear)
        try:
            assert await batch()
            await t.fetch("SELECT")  # what was logged before has been heard by now
        finally:
            t.connection.remove_log_listener(hear)
        return sum(_left_aside(plan) for plan in plans)

    found = await tx(workspace_id, work)
    assert plans
    return found


@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_batch_that_follows_its_sequence_looks_at_few_others_by_any_plan(
    analyzed: bool, workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequence_id = await _many(workspace_id, actor, vault, 1_500, analyzed=analyzed)
    monkeypatch.setattr(settling, "AT_ONCE", 1_000)
    follow = partial(settling.settle_batch, workspace_id, sequence_id, 100)
    for move in (sequences.pause, sequences.resume):
        await move(workspace_id, sequence_id)  # the first thousand
        for mode in MODES:
            looked_at = await _in_vain(workspace_id, mode, follow)
            assert looked_at < 500, f"{looked_at} rows beside 100 by {mode} after {move.__name__}"


async def test_a_batch_of_a_bulk_operation_on_those_enrolled_just_now_looks_at_few_others_by_any_plan(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await _many(workspace_id, actor, vault, 6_000)
    operation_id = await bulk.create(workspace_id, actor, BulkAction.PAUSE, EVERYTHING)
    for mode in MODES:
        looked_at = await _in_vain(workspace_id, mode, partial(bulk._carry_on, workspace_id, operation_id))
        assert looked_at < 5 * BATCH, f"{looked_at} rows beside {BATCH} by {mode}"
