"""What a worker says about itself: whether its loops turn, and whether it can carry steps out.

Source: docs/operations.md.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from redis.asyncio import Redis

from domain.readiness import ENDING, Part, reason_against_database, reason_against_redis
from workers.rounds import Round

_STUCK_AFTER_SECONDS: Final = 300.0  # every round is a bounded piece of work: none takes minutes


@dataclass(slots=True)
class WorkerHealth:
    """The health of one worker process. `workers.main.run` fills it in."""

    rounds: Sequence[Round] = ()
    redis: Redis | None = None
    ready_to_work: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self) -> list[Part]:
        now = time.monotonic()
        stuck = [
            f"“{each.name}” for {now - each.begun_at:.0f} s"
            for each in self.rounds
            if each.begun_at is not None and now - each.begun_at > _STUCK_AFTER_SECONDS
        ]
        return [Part("loops", f"These loops do not come round: {', '.join(stuck)}." if stuck else None)]

    async def ready(self) -> list[Part]:
        if not self.ready_to_work or self.redis is None:
            return [Part("start", "The worker has not begun yet.")]
        database, redis = await asyncio.gather(
            reason_against_database(), reason_against_redis(cast("Awaitable[bool]", self.redis.ping()))
        )
        return [
            Part("ending", ENDING if self.stopping.is_set() else None),
            Part("database", database),
            Part("redis", redis, needed=False),
            *await self.live(),
        ]
