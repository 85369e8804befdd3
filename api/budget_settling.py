"""The accounts of all processes, kept together in Redis: each process tells it every second what was spent there, and
learns what was spent elsewhere, and what of the rest is kept for it. No request waits for this.

Redis may be lost or emptied at any moment: the processes go on with their quarters, and a Redis that no longer knows an
account is told what this process knew of it.

Source: api.md "Limits"; reliability.md 2.6 "Redis may be emptied at any moment".
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Final
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.budget import FRESH_SECONDS, LEAST_SHARE, Budgets
from api.rounds import endlessly

SETTLED_EVERY_SECONDS: Final = 1.0
_LEAST_PAUSE_SECONDS: Final = 0.05
_ANSWERED_WITHIN_SECONDS: Final = 2.0
_AT_ONCE: Final = 200
_PREFIX: Final = "relance:{budget}:"  # in braces: one slot of a cluster
_PROCESSES: Final = f"{_PREFIX}processes"
_PRESENT_SECONDS: Final = 5

_PRESENT: Final = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], 60)
return redis.call('ZCARD', KEYS[1])
"""

_SETTLE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local capacity, rate, me, processes = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local least, present = capacity * tonumber(ARGV[5]), tonumber(ARGV[6])
local answer = {}
for i, key in ipairs(KEYS) do
  local spent, believed = tonumber(ARGV[5 + 2 * i]), tonumber(ARGV[6 + 2 * i])
  local kept = redis.call('HMGET', key, 'used', 'at')
  local used = believed
  if kept[1] then
    used = math.max(0, math.max(0, tonumber(kept[1]) - rate * math.max(0, now - tonumber(kept[2]))) + spent)
  end
  local free = capacity - used
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    if #all[j] == 32 and all[j] ~= me then
      local points, at = string.match(all[j + 1], '^([^@]+)@(.+)$')
      if now - tonumber(at) > present then
        redis.call('HDEL', key, all[j])
      else
        free = free - tonumber(points)
      end
    end
  end
  -- Something is always left for a process that starts now: one that was killed keeps its part for seconds.
  local reserved = math.max(0, math.max(math.min(free / processes, free - least), math.min(free, least)))
  redis.call('HSET', key, 'used', string.format('%.3f', used), 'at', string.format('%.6f', now),
    me, string.format('%.3f@%.6f', reserved, now))
  redis.call('EXPIRE', key, math.ceil(capacity / rate) + 60)
  answer[i] = string.format('%.3f@%.3f', used, reserved)
end
return answer
"""


class BudgetSettling:
    """Settles the budgets of this process."""

    def __init__(self, redis_url: str, budgets: Budgets) -> None:
        self._budgets = budgets
        self._redis_url = redis_url
        self._name = uuid4().hex

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle every second while the block runs, and once more at its end."""
        redis = Redis.from_url(self._redis_url, socket_timeout=1, socket_connect_timeout=1)

        async def one_round() -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._budgets.wanted.wait(), SETTLED_EVERY_SECONDS)
            self._budgets.wanted.clear()
            try:
                async with asyncio.timeout(_ANSWERED_WITHIN_SECONDS):
                    await self._settle(redis)
            except BaseException:
                self._budgets.lost()
                raise

        try:
            self._budgets.wanted.set()
            settling = asyncio.create_task(
                endlessly("settling the budgets", one_round, pause_seconds=_LEAST_PAUSE_SECONDS)
            )
            try:
                yield
            finally:
                settling.cancel()
                await asyncio.gather(settling, return_exceptions=True)
                with suppress(RedisError, OSError, TimeoutError):
                    async with asyncio.timeout(_ANSWERED_WITHIN_SECONDS):
                        await self._settle(redis)
                        await redis.zrem(_PROCESSES, self._name)
        finally:
            with suppress(RedisError, OSError, TimeoutError):
                await redis.aclose()

    async def _settle(self, redis: Redis) -> None:
        processes = int(await redis.eval(_PRESENT, 1, _PROCESSES, self._name, str(_PRESENT_SECONDS)))  # type: ignore[misc]
        waiting = self._budgets.unsettled()
        while told := list(islice(waiting, _AT_ONCE)):
            keys = [f"{_PREFIX}{one.who}" for one in told]
            numbers = [f"{number:.3f}" for one in told for number in (one.spent, one.used)]
            size = [str(self._budgets.capacity), str(self._budgets.restored_per_second)]
            share = [self._name, str(processes), str(LEAST_SHARE), str(FRESH_SECONDS + 1)]
            answer = await redis.eval(_SETTLE, len(keys), *keys, *size, *share, *numbers)  # type: ignore[misc]
            for one, text in zip(told, answer, strict=True):
                used, reserved = map(float, text.split(b"@"))
                self._budgets.settled(one, used, reserved)
        self._budgets.together(processes)
