"""A program for the tests to kill: it starts the servers and writes numbered rows, saying each after its commit.

Arguments: the data directory. First line said: JSON with the addresses and the pids of guard, PostgreSQL and Valkey.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

import asyncpg

from cli.embedded import EmbeddedServersCannotStart, start_servers


async def write(database_url: str) -> None:
    """Write rows for a minute at most; long before, a test ends this process."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS diary (id bigint GENERATED ALWAYS AS IDENTITY)")
    async with asyncio.timeout(60):
        while True:
            print(await connection.fetchval("INSERT INTO diary DEFAULT VALUES RETURNING id"), flush=True)


def main() -> int:
    """Start, write, and stop in order on Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where the tests were started in the background
    try:
        servers = start_servers(sys.argv[1])
    except EmbeddedServersCannotStart as refusal:
        print(refusal, file=sys.stderr)
        return 3
    assert servers.database_url is not None
    place = Path(sys.argv[1])
    pids = {
        "guard": servers.guard_pid,
        "postgres": int((place / "postgres" / "postmaster.pid").read_text().split()[0]),
        "valkey": int((place / "valkey" / "relance.pid").read_text()),
    }
    print(json.dumps({"database_url": servers.database_url, "redis_url": servers.redis_url, **pids}), flush=True)
    try:
        asyncio.run(write(servers.database_url))
    except KeyboardInterrupt:
        print("stopping", servers.trouble(), flush=True)
        servers.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
