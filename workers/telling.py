"""Numbering the feed and telling the API processes, through Redis.

Redis carries a hint: a lost message is a harmless read of the feed later.
Source: architecture.md "The flow of one change".
"""

import logging
from itertools import groupby

from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain import feed
from domain.faults import point

log = logging.getLogger("relance.feed")


class Teller:
    """Numbers what is new and publishes it, one message for each workspace and batch."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def number_and_tell(self) -> bool:
        """Number one batch; return whether there may be more."""
        events = await feed.number()
        if events:
            await point("after_number")
        for _, batch in groupby(events, key=lambda event: event.workspace_id):
            try:
                await self._redis.publish(feed.WIRE_CHANNEL, feed.to_wire(list(batch)))
            except (RedisError, OSError) as problem:
                log.info("Redis was not told of new events: %s", type(problem).__name__)
        return len(events) >= feed.NUMBERED_AT_ONCE // 2
