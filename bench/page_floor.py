"""The floor of `bench.page`: the same 50 people as JSON from one join, an ASGI function, asyncpg and orjson.

No GraphQL, no authentication, no document: what one process can do at best, to tell what ours adds.
"""

import os
import sys
from typing import Any

import asyncpg
import orjson
import uvicorn

from domain.connections import credentials
from domain.rules.lifecycle import Status, available_actions

_PAGE = """
    SELECT r.id::text, r.status, r.version, r.enrolled_at, r.updated_at, r.due_at, r.status_changed_at,
        c.id::text AS contact_id, c.first_name, c.last_name, c.email, c.company,
        t.id::text AS step_id, t.position, t.kind
    FROM recipients r JOIN contacts c ON c.id = r.contact_id LEFT JOIN steps t ON t.id = r.current_step_id
    WHERE r.sequence_id = (SELECT id FROM sequences LIMIT 1) AND r.deleted_at IS NULL
    ORDER BY r.enrolled_at DESC, r.id DESC LIMIT 50
"""
_ACTIONS = {str(status): list(available_actions(status, sequence_paused=False)) for status in Status}


class Floor:
    pool: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.pool = await asyncpg.create_pool(**credentials(os.environ["DATABASE_URL"]), min_size=10, max_size=10)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.pool.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        rows = [{**row, "availableActions": _ACTIONS[row["status"]]} for row in await self.pool.fetch(_PAGE)]
        body = orjson.dumps({"data": {"recipients": {"nodes": rows}}})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(Floor(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
