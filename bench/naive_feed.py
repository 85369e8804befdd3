"""The baseline of `bench.commit_to_client`: what one writes first. A WebSocket server on an asyncpg pool.

A change updates its row and inserts an event with a bigserial number, and a trigger sends NOTIFY inside the
transaction. At each NOTIFY every subscriber reads what is new to it from the table. It has no GraphQL, no
authentication, no dense numbers, and can lose an event whose transaction commits late: less than we do.
"""

import asyncio
import os
import sys
from contextlib import suppress

import asyncpg
import orjson
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from domain.connections import credentials

_TABLES = """
    CREATE TABLE naive_recipients (id text PRIMARY KEY, version int NOT NULL, status text NOT NULL);
    CREATE TABLE naive_events (seq bigserial PRIMARY KEY, recipient_id text, version int, status text);
    CREATE FUNCTION naive_tell() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('naive', ''); RETURN NULL; END $$;
    CREATE TRIGGER naive_tell AFTER INSERT ON naive_events FOR EACH STATEMENT EXECUTE FUNCTION naive_tell();
    INSERT INTO naive_recipients SELECT 'r' || n, 1, 'SCHEDULED' FROM generate_series(0, 999) n
"""
_CHANGE = """
    WITH changed AS (
        UPDATE naive_recipients SET version = version + 1, status = $2 WHERE id = $1 AND status <> $2 RETURNING *
    )
    INSERT INTO naive_events (recipient_id, version, status) SELECT id, version, status FROM changed RETURNING version
"""
_NEW = "SELECT seq, recipient_id, version, status FROM naive_events WHERE seq > $1 ORDER BY seq"


async def main(port: int) -> None:
    options = credentials(os.environ["DATABASE_URL"])
    listener = await asyncpg.connect(**options)
    await listener.execute(_TABLES)
    rung = asyncio.Event()

    def ring(*_: object) -> None:
        nonlocal rung
        rung.set()
        rung = asyncio.Event()

    await listener.add_listener("naive", ring)
    async with asyncpg.create_pool(**options, min_size=10, max_size=10) as pool:

        async def answer(socket: ServerConnection) -> None:
            wanted = orjson.loads(await socket.recv())
            while "pause" in wanted:
                version = await pool.fetchval(_CHANGE, wanted["pause"], wanted["status"])
                await socket.send(orjson.dumps({"version": version}).decode())
                wanted = orjson.loads(await socket.recv())
            seq = await pool.fetchval("SELECT coalesce(max(seq), 0) FROM naive_events")
            while True:
                waiting = rung
                for row in await pool.fetch(_NEW, seq):
                    seq = row["seq"]
                    event = {"recipientId": row["recipient_id"], "version": row["version"], "status": row["status"]}
                    await socket.send(orjson.dumps({"payload": {"data": {"recipientEvents": event}}}).decode())
                await waiting.wait()

        async def answer_until_gone(socket: ServerConnection) -> None:
            with suppress(ConnectionClosed):
                await answer(socket)

        async with serve(answer_until_gone, "127.0.0.1", port, compression=None) as server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
