"""APIs and workers replaced one after the other while people are enrolled, mails go out and a client listens.

The client does what it is told to do: after a closed line or a refused connection it asks the other API, with the same
idempotency key; a socket that was closed is opened again after its last cursor.

Source: issue "Operations"; docs/operations.md "Restarts".
"""

import asyncio
import base64
import json
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import websockets
from websockets.typing import Subprotocol

from domain import feed, keys
from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.ids import Prefix, to_public
from domain.secrets import Vault
from tests.cli.running import Program, free_port, get
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until
from tests.faults.crew import dawdling_server
from tests.faults.judging import drained, enrol_people, judge

pytestmark = [pytest.mark.witness, pytest.mark.timeout(240)]

FIRST_PEOPLE = 40
ADVISED = (1001, 1006, 1012, 1013)  # come again: the server ends, or the line broke
ENROL = """mutation ($input: RecipientsEnrollInput!) { recipientsEnroll(input: $input) {
    results { recipient { id } errors { code message } } errors { code message } } }"""
LISTEN = "subscription ($after: String) { recipientEvents(after: $after) { cursor recipientId version } }"


@dataclass
class Client:
    """A client that enrols people and listens, through whichever API answers."""

    secret: str
    sequence: str
    ports: tuple[int, ...]
    enrolled: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    events: list[tuple[str, int]] = field(default_factory=list)
    cursor: str | None = None
    connected: int = 0
    enough: bool = False

    async def enrol_on(self) -> None:
        """Enrol one person after the other until it is enough."""
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {self.secret}"}, timeout=30) as http:
            for number in count():
                if self.enough:
                    return
                contact = {"email": f"rolling{number}@people.example", "firstName": "Rolling"}
                given = {"sequenceId": self.sequence, "contacts": [{"contact": contact}]}
                given["idempotencyKey"] = f"enrol {number}"
                answer = await self._post(http, {"query": ENROL, "variables": {"input": given}})
                assert "errors" not in answer, answer
                (result,) = answer["data"]["recipientsEnroll"]["results"]
                assert result["errors"] == []
                self.enrolled.append(result["recipient"]["id"])

    async def _post(self, http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(60):
            for attempt in count():
                port = self.ports[attempt % len(self.ports)]
                try:
                    response = await http.post(f"http://127.0.0.1:{port}/graphql", json=body)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                self.statuses[response.status_code] += 1
                assert response.status_code == 200, response.text
                answer: dict[str, Any] = response.json()
                return answer
        raise AssertionError("unreachable")

    async def listen_on(self) -> None:
        """Keep all events that come, in their order, over as many sockets as it takes."""
        for attempt in count():
            port = self.ports[attempt % len(self.ports)]
            with suppress(OSError):
                try:
                    await self._listen(port)
                except websockets.ConnectionClosed as closed:
                    self.codes[closed.rcvd.code if closed.rcvd else 1006] += 1
            await asyncio.sleep(0.1)

    async def _listen(self, port: int) -> None:
        address, protocol = f"ws://127.0.0.1:{port}/graphql", Subprotocol("graphql-transport-ws")
        async with websockets.connect(address, subprotocols=[protocol]) as raw:
            head = {"Authorization": f"Bearer {self.secret}"}
            await raw.send(json.dumps({"type": "connection_init", "payload": head}))
            async for text in raw:
                message = json.loads(text)
                if message["type"] == "connection_ack":
                    self.connected += 1
                    asked = {"query": LISTEN, "variables": {"after": self.cursor}}
                    await raw.send(json.dumps({"id": "1", "type": "subscribe", "payload": asked}))
                elif message["type"] == "ping":
                    await raw.send(json.dumps({"type": "pong"}))
                elif message["type"] == "next":
                    event = message["payload"]["data"]["recipientEvents"]
                    self.events.append((event["recipientId"], event["version"]))
                    self.cursor = event["cursor"]
                else:
                    assert message["type"] in ("pong", "complete"), message


async def test_all_processes_are_replaced_and_nobody_notices(
    database_url: str,
    redis_url: str,
    workspace_id: UUID,
    actor: Actor,
    vault: Vault,
    tmp_path: Path,
) -> None:
    secret = (await keys.create(workspace_id, "rolling")).secret
    ports = (free_port(), free_port())
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "RELANCE_SECRET_KEY": base64.b64encode(SECRET_KEY).decode(),
        "RELANCE_PUBLIC_URL": "http://localhost:8000",
        "RELANCE_PRIVATE_NETWORKS": "127.0.0.1",
        "RELANCE_WORKER_SLOTS": "4",
        "RELANCE_DATABASE_POOL": "4",
    }
    started = count()
    programs: list[Program] = []

    async def start_api(port: int) -> Program:
        own = {"RELANCE_PORT": str(port), "RELANCE_DRAIN_SECONDS": "1"}
        api = Program("api", said=tmp_path / f"said-{next(started)}", environment=environment | own)
        programs.append(api)
        ready = lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200  # noqa: E731
        await asyncio.to_thread(api.wait_until, ready, "it was ready", timeout_seconds=60)
        return api

    async def start_worker() -> Program:
        worker = Program("worker", said=tmp_path / f"said-{next(started)}", environment=environment)
        programs.append(worker)
        await asyncio.to_thread(
            worker.wait_until, lambda: "the worker is ready" in worker.words, "it was ready", timeout_seconds=60
        )
        return worker

    async def end(program: Program) -> None:
        code = await asyncio.to_thread(program.stop, signal.SIGTERM, 60)
        assert code == 0, program.words

    async with dawdling_server(0.2) as server:
        sequence_id = await enrol_people(workspace_id, actor, vault, server, FIRST_PEOPLE)
        client = Client(secret, to_public(Prefix.SEQUENCE, sequence_id), ports)
        client.cursor = feed.to_cursor((await feed.state(workspace_id)).epoch, 0)
        try:
            apis = [await start_api(port) for port in ports]
            workers = [await start_worker() for _ in range(2)]
            async with asyncio.TaskGroup() as group:
                enrolling = group.create_task(client.enrol_on())
                listening = group.create_task(client.listen_on())
                for number, old in enumerate(apis):
                    await end(old)
                    apis[number] = await start_api(ports[number])
                    seen = len(client.enrolled)

                    async def goes_on(seen: int = seen) -> bool:
                        return len(client.enrolled) > seen and client.connected > 0

                    await until(goes_on, seconds=60)
                for old in workers:
                    await start_worker()
                    await end(old)
                client.enough = True
                await enrolling
                await until(lambda: drained(workspace_id), seconds=120)
                newest = (await feed.state(workspace_id)).last_seq

                async def heard_all() -> bool:
                    return len(client.events) >= newest

                await until(heard_all, seconds=60)
                listening.cancel()
            unconfirmed = await judge(workspace_id, server)
        finally:
            for program in programs:
                if program.process.poll() is None:
                    program.process.kill()
                    program.process.wait(10)

    rows = await fetch("SELECT recipient_id, version FROM events WHERE workspace_id = $1 ORDER BY seq", workspace_id)
    people = await fetch("SELECT count(*) AS n FROM recipients WHERE workspace_id = $1", workspace_id)
    print(f"{len(client.enrolled)} enrolled, {len(rows)} events over {client.connected} sockets, {client.codes}")
    assert unconfirmed == 0, "a worker that ends waits for the mail servers it is speaking to"
    assert client.statuses.keys() == {200}
    assert set(client.codes) <= set(ADVISED)
    assert client.connected >= 2
    assert client.events == [(to_public(Prefix.RECIPIENT, row["recipient_id"]), row["version"]) for row in rows]
    assert len(set(client.enrolled)) == len(client.enrolled)
    assert people[0]["n"] == FIRST_PEOPLE + len(client.enrolled)
    assert all('"level":"error"' not in program.words for program in programs)
