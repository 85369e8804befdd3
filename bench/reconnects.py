"""500 subscribers of one sequence, 5 changes a second: quiet, beside 50 who do not read, and after all have come again
within a second; then 50 fall silent. What each phase takes, and the memory of the server.

`python -m bench.reconnects readers` is the other end: subscribers in a process of their own, told by lines of JSON what
to do.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench import commit_to_client
from bench.surroundings import (
    ROOT,
    embedded,
    environment,
    free_port,
    median,
    percentile,
    running,
    table,
    wait_for,
)

SUBSCRIBERS, SLOW, VANISHING = 500, 50, 50
CHANGES_PER_SECOND, SECONDS, ROUNDS = 5, 10, 3
WITHIN_SECONDS = 120
_EVENTS = "subscription ($after: String) { recipientEvents(after: $after) { cursor recipientId version } }"


class Reader:
    """One subscriber, who notes when each change arrives and when it has everything."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret
        self.after: str | None = None
        self.arrivals: dict[str, float] = {}
        self.live = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def come(self, *, reads: bool = True, in_seconds: float = 0.0) -> None:
        """Connect, subscribe after the last cursor and, where it reads, go on."""
        await asyncio.sleep(in_seconds)
        options: dict[str, Any] = {} if reads else {"max_queue": 1}
        self._socket = await connect(
            self._url,
            subprotocols=["graphql-transport-ws"],
            compression=None,
            open_timeout=60,
            **options,  # type: ignore[list-item]
        )
        await self._say({"type": "connection_init", "payload": {"Authorization": f"Bearer {self._secret}"}})
        await self._socket.recv()
        payload = {"query": _EVENTS, "variables": {"after": self.after}}
        await self._say({"type": "subscribe", "id": "1", "payload": payload})
        self.live.clear()
        if reads:
            self._reading = asyncio.create_task(self._read(self._socket))

    async def go(self) -> None:
        assert self._socket is not None
        await self._socket.close()
        if self._reading is not None:
            await self._reading

    async def _say(self, words: dict[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send(orjson.dumps(words).decode())

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                told = orjson.loads(message)
                if told["type"] == "ping":
                    self.after = told["payload"]["cursor"]
                    if told["payload"]["live"]:
                        self.live.set()
                    continue
                event = told["payload"]["data"]["recipientEvents"]
                self.after = event["cursor"]
                self.arrivals.setdefault(f"{event['recipientId']} {event['version']}", time.monotonic())
        except ConnectionClosed:
            return


async def readers() -> None:
    """Do what the lines of standard input say, and answer each with a line."""
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    all_of_them: list[Reader] = []
    while line := await lines.readline():
        order = orjson.loads(line)
        answer: Any = {}
        if order["do"] == "come":
            all_of_them = [Reader(order["url"], order["secret"]) for _ in range(order["count"])]
            for start in range(0, len(all_of_them), 50):
                await asyncio.gather(*(one.come(reads=order["reads"]) for one in all_of_them[start : start + 50]))
            if order["reads"]:
                await asyncio.gather(*(one.live.wait() for one in all_of_them))
        elif order["do"] == "again":
            await asyncio.gather(*(one.go() for one in all_of_them))
            await asyncio.sleep(order["away_seconds"])
            began = time.monotonic()

            count = len(all_of_them)
            await asyncio.gather(*(one.come(in_seconds=n / count) for n, one in enumerate(all_of_them)))
            await asyncio.gather(*(one.live.wait() for one in all_of_them))
            answer = {"seconds": time.monotonic() - began}
        elif order["do"] == "arrivals":
            answer = [one.arrivals for one in all_of_them]
            for one in all_of_them:
                one.arrivals = {}
        print(orjson.dumps(answer).decode(), flush=True)


class Crowd:
    """Readers in a process of their own."""

    def __init__(self, url: str, secret: str, count: int, *, reads: bool = True) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "bench.reconnects", "readers"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._child.pid
        self._first = {"do": "come", "url": url, "secret": secret, "count": count, "reads": reads}

    async def __aenter__(self) -> "Crowd":
        await self.told(self._first)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._child.kill()
        await asyncio.to_thread(self._child.wait)

    async def told(self, order: dict[str, Any]) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(orjson.dumps(order) + b"\n")
        self._child.stdin.flush()
        return orjson.loads(await asyncio.wait_for(asyncio.to_thread(self._child.stdout.readline), WITHIN_SECONDS))


class Changes:
    """Pauses and resumes recipients at a steady rate."""

    def __init__(self, port: int, secret: str, people: list[str]) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"
        self._authorization, self._people = {"Authorization": f"Bearer {secret}"}, people
        self._done = 0
        self.sent: dict[str, float] = {}

    async def go_on(self, seconds: float) -> None:
        async with httpx.AsyncClient(headers=self._authorization, timeout=20) as client:
            began = time.monotonic()
            tasks = []
            for number in range(int(CHANGES_PER_SECOND * seconds)):
                await asyncio.sleep(max(0.0, began + number / CHANGES_PER_SECOND - time.monotonic()))
                tasks.append(asyncio.create_task(self._one(client)))
            await asyncio.gather(*tasks)

    async def _one(self, client: httpx.AsyncClient) -> None:
        number, self._done = self._done, self._done + 1
        id, pause = self._people[number % len(self._people)], number // len(self._people) % 2 == 0
        words = commit_to_client.PAUSE if pause else commit_to_client.RESUME
        sent_at = time.monotonic()
        told = (await client.post(self._url, json={"query": words, "variables": {"id": id}})).json()["data"]["change"]
        assert not told["errors"], told
        self.sent[f"{id} {told['recipient']['version']}"] = sent_at


def _memory_mb(pid: int) -> float:
    words = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(words[0]) / 1024


def _lines_of(pid: int) -> int:
    return sum(os.readlink(one).startswith("socket:") for one in Path(f"/proc/{pid}/fd").iterdir() if one.exists())


async def _phase(crowd: Crowd, changes: Changes) -> tuple[list[float], int]:
    """Return how long each change took to each subscriber, in milliseconds, and how many did not arrive."""
    changes.sent = {}
    await changes.go_on(SECONDS)
    await asyncio.sleep(3)
    told = await crowd.told({"do": "arrivals"})
    late = [(at - changes.sent[key]) * 1000 for one in told for key, at in one.items() if key in changes.sent]
    return late, len(changes.sent) * len(told) - len(late)


async def _measured(port: int, pid: int, secret: str, people: list[str]) -> list[list[str]]:
    url, changes = f"ws://127.0.0.1:{port}/graphql", Changes(port, secret, people)
    quiet, beside, back, missing, memory = [], [], [], 0, 0.0
    async with Crowd(url, secret, SUBSCRIBERS) as crowd:
        for _ in range(ROUNDS):
            late, lost = await _phase(crowd, changes)
            quiet.append(percentile(late, 95))
            missing += lost
            async with Crowd(url, secret, SLOW, reads=False):
                late, lost = await _phase(crowd, changes)
                beside.append(percentile(late, 95))
                missing += lost
            changes.sent = {}
            going = asyncio.create_task(changes.go_on(5))
            back.append((await crowd.told({"do": "again", "away_seconds": 2}))["seconds"])
            await going
            await asyncio.sleep(3)
            told = await crowd.told({"do": "arrivals"})
            missing += sum(len(changes.sent.keys() - one.keys()) for one in told)
            memory = max(memory, _memory_mb(pid))
        before = _lines_of(pid)
        async with Crowd(url, secret, VANISHING) as vanishing:
            os.kill(vanishing.pid, signal.SIGSTOP)  # SIGSTOP: it keeps its lines and says nothing more
            began = time.monotonic()
            for _ in range(2 * WITHIN_SECONDS):
                if _lines_of(pid) <= before:
                    break
                await asyncio.sleep(0.5)
            gone = time.monotonic() - began
    return [
        ["p95 of 500, quiet", f"{median(quiet):.0f} ms", "250 ms"],
        ["p95 of 500, beside 50 who do not read", f"{median(beside):.0f} ms", f"{median(quiet) * 1.2:.0f} ms"],
        ["all back and caught up", f"{max(back):.1f} s", "20 s"],
        ["not arrived, of all", str(missing), "0"],
        ["memory of the API", f"{memory:.0f} MB", "300 MB"],
        ["50 silent ones gone after", f"{gone:.0f} s", "60 s"],
    ]


def main() -> None:
    with embedded() as servers:
        url = asyncio.run(servers.create_database("bench_reconnects"))
        secret, people = asyncio.run(commit_to_client.prepare(url))
        port = free_port()
        env = environment(url, servers.redis_url or "", RELANCE_PORT=str(port))
        with running("cli", "worker", env=env), running("cli", "api", env=env) as api:
            wait_for(lambda: commit_to_client.ready(port), "the API is ready")
            rows = asyncio.run(_measured(port, api.pid, secret, people))
    table(
        f"{SUBSCRIBERS} subscribers, {CHANGES_PER_SECOND} changes a second",
        ["what", "measured", "at most"],
        rows,
        [
            f"Medians of {ROUNDS} alternating rounds of {SECONDS} s, since a mutation was sent; the slowest return.",
            "Load generator, server and database share the machine: only the ratio of the two p95 travels.",
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["readers"]:
        asyncio.run(readers())
    else:
        main()
