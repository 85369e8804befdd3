"""Those who follow their sequence together become what the rule for one recipient makes of each of them."""

import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from domain import sequences, settling
from domain.database import Tx, fetch, tx
from domain.rules.actor import Actor
from domain.rules.timing import SendingWindow
from domain.secrets import Vault
from tests.engine.sending_world import advance
from tests.engine.standing import make_standing
from tests.world import World

_ZONES = (None, "Asia/Tokyo", "America/New_York", "Europe/London")


class _Undone(Exception):
    pass


async def _alone(*_: object) -> int:
    return 0


async def _picture(t: Tx, world: World) -> dict[str, list[Any]]:
    rows = await t.fetch("SELECT * FROM recipients WHERE sequence_id = $1 ORDER BY id", world.sequence_id)
    events = await t.fetch(
        "SELECT * FROM events WHERE sequence_id = $1 ORDER BY recipient_id, version", world.sequence_id
    )
    told = [dict(event) | {"recorded_at": None, "seq": None} for event in events]
    for event in told:
        event["counted"] = sorted(orjson.loads(event["counted"] or "[]"), key=str)
    return {"rows": [dict(row) for row in rows], "events": told}


async def _compared(
    world: World, monkeypatch: pytest.MonkeyPatch, move: Callable[[UUID, UUID], Awaitable[object]]
) -> None:
    """Let the sequence be moved twice, in one moment: all follow alone, and undone; then together where they can."""

    async def work(t: Tx) -> None:
        alone: dict[str, list[Any]] = {}
        with monkeypatch.context() as patched, contextlib.suppress(_Undone):
            patched.setattr(settling, "follow_together", _alone)
            async with t.savepoint():
                await move(world.workspace_id, world.sequence_id)
                alone = await _picture(t, world)
                raise _Undone
        before = {row["id"]: row["version"] for row in (await _picture(t, world))["rows"]}
        counted: list[int] = []
        with monkeypatch.context() as patched:

            async def together(*given: Any) -> int:
                counted.append(await follow_together(*given))
                return counted[-1]

            follow_together = settling.follow_together
            patched.setattr(settling, "follow_together", together)
            await move(world.workspace_id, world.sequence_id)
        found = await _picture(t, world)
        assert found == alone
        moved = sum(before[row["id"]] != row["version"] for row in found["rows"])
        assert 0 < sum(counted) < moved  # both ways were gone

    await tx(world.workspace_id, work)


async def _scatter(world: World, chance: random.Random) -> None:
    """Give them times of their own: what was written to, what holds them longer, who is away and where they live."""
    (clock,) = await fetch(
        "SELECT now() + make_interval(secs => clock_offset_seconds) AS now FROM workspaces WHERE id = $1",
        world.workspace_id,
    )

    def some_time() -> datetime | None:
        at: datetime = clock["now"] + timedelta(seconds=chance.uniform(-9_000, 900_000))
        return chance.choice([None, None, at])

    for recipient_id in world.recipient_ids:
        await fetch(
            """
            WITH changed AS (
                UPDATE recipients SET retry_at = $2, paced_until = $3,
                    contacted_at = CASE WHEN $4 THEN enrolled_at END,
                    anchor_at = CASE WHEN $5 THEN anchor_at + make_interval(secs => $6::float8) END,
                    wait_ends_at = wait_ends_at + make_interval(secs => $6::float8)
                WHERE id = $1 AND end_reason IS NULL RETURNING contact_id
            )
            UPDATE contacts SET time_zone = $7, out_of_office_until = $8 WHERE id = (SELECT contact_id FROM changed)
            """,
            recipient_id,
            some_time(),
            some_time(),
            chance.random() < 0.5,
            chance.random() < 0.7,
            chance.uniform(-9_000, 90_000),
            chance.choice(_ZONES),
            some_time(),
        )


def _window() -> str:
    window = SendingWindow(
        weekdays=frozenset({0, 2, 3}),
        opens=time(9, 15),
        closes=time(12),
        time_zone="Europe/Berlin",
        use_recipient_time_zone=True,
    )
    return orjson.dumps(window.as_json()).decode()


async def _archive(workspace_id: UUID, sequence_id: UUID) -> object:
    return await sequences.archive(workspace_id, sequence_id, stop_open_recipients=True)


async def test_together_they_become_what_each_would_alone(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(11)
    world, _ = await make_standing(workspace_id, actor, vault, each=4)
    await _scatter(world, chance)
    await _compared(world, monkeypatch, sequences.pause)
    await advance(workspace_id, timedelta(hours=3))
    await _scatter(world, chance)
    await _compared(world, monkeypatch, sequences.resume)
    await fetch(
        "UPDATE sequences SET settings = jsonb_set(settings, '{window}', $2::jsonb) WHERE id = $1",
        world.sequence_id,
        _window(),
    )
    await advance(workspace_id, timedelta(hours=1))
    with monkeypatch.context() as patched:
        patched.setattr(settling, "AT_ONCE", 7)  # the others are behind when it is lifted
        await sequences.pause(workspace_id, world.sequence_id)
    await advance(workspace_id, timedelta(hours=5))
    await _compared(world, monkeypatch, sequences.resume)
    await _compared(world, monkeypatch, _archive)
