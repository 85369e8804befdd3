"""The subscribers of `bench.commit_to_client`, in a process of their own: they note when each change arrives.

Reads one line of JSON: url, subprotocol, greeting (messages to say first, each answered or not), count. Says "ready"
when all are connected. When its input ends it prints [[recipient id, version, [arrival, …]], …], times of the
system's monotonic clock in seconds.
"""

import asyncio
import sys
import time
from collections import defaultdict
from typing import Any

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

Arrivals = dict[tuple[str, int], list[float]]


async def main() -> None:
    order: dict[str, Any] = orjson.loads(sys.stdin.readline())
    arrivals: Arrivals = defaultdict(list)
    readies = [asyncio.Event() for _ in range(order["count"])]
    listening = [asyncio.create_task(_listen(order, arrivals, ready)) for ready in readies]
    await asyncio.gather(*(ready.wait() for ready in readies))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    print(orjson.dumps([[*key, times] for key, times in arrivals.items()]).decode(), flush=True)


async def _listen(order: dict[str, Any], arrivals: Arrivals, ready: asyncio.Event) -> None:
    subprotocols = [order["subprotocol"]] if order["subprotocol"] else None
    async with connect(order["url"], subprotocols=subprotocols, compression=None) as socket:
        for words in order["greeting"]:
            await socket.send(orjson.dumps(words).decode())
            if words.get("type") == "connection_init":
                await socket.recv()
        ready.set()
        try:
            async for message in socket:
                now = time.monotonic()
                told = orjson.loads(message)
                if told["type"] == "ping":
                    continue
                event = told["payload"]["data"]["recipientEvents"]
                arrivals[event["recipientId"], event["version"]].append(now)
        except ConnectionClosed:
            return


if __name__ == "__main__":
    asyncio.run(main())
