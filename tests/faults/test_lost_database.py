"""Who listens while PostgreSQL crashes is not sent away: what happens afterwards is told on the same lines."""

import asyncio
import json
import signal
from pathlib import Path

import httpx

from cli.embedded import datadir
from cli.embedded.postgres import Postgres
from domain import contacts, feed, keys, recipients
from domain.contacts import ContactFields
from domain.database import database
from domain.migrating import migrate
from domain.secrets import Vault
from domain.settings import Settings
from tests.api.conftest import Api, serving
from tests.conftest import SECRET_KEY
from tests.world import HERE, IN_AN_HOUR, email

WORKSPACE = "subscription ($after: String) { workspaceEvents(after: $after) { type } }"
RECIPIENTS = "subscription ($after: String) { recipientEvents(after: $after) { status } }"
_PATIENCE_SECONDS = 60


async def test_sockets_and_streams_outlive_a_crash_of_the_database(tmp_path: Path, redis_url: str) -> None:
    postgres = Postgres(datadir.prepare(tmp_path / "postgres"))
    await asyncio.to_thread(postgres.start)
    settings = Settings(database_url=postgres.url, redis_url=redis_url, secret_key=SECRET_KEY, reach=HERE)
    try:
        await migrate(postgres.url)
        async with (
            database(postgres.url, pool_size=4, pepper=Vault(SECRET_KEY).pepper),
            serving(settings) as running,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.config.port}", timeout=_PATIENCE_SECONDS) as http,
            asyncio.timeout(_PATIENCE_SECONDS),
        ):
            workspace_id = await keys.create_workspace("Crash")
            key = await keys.create(workspace_id, "tests")
            process = running.config.app.state.process  # type: ignore[union-attr]
            api = Api(str(http.base_url).rstrip("/"), process, workspace_id, key, http)
            world = await api.world(steps=[email(wait=IN_AN_HOUR)])
            while await feed.number():
                pass
            asked = {"query": WORKSPACE, "variables": await api.ask("{ after: workspaceEventsCursor }")}
            headers = {"authorization": f"Bearer {key.secret}", "accept": "text/event-stream"}
            async with api.socket() as socket, http.stream("POST", "/graphql", json=asked, headers=headers) as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == ":"
                await socket.start(WORKSPACE, asked["variables"])
                await socket.start(RECIPIENTS)
                for _ in range(2):  # both have everything until now
                    assert (await socket.any_message())["type"] == "ping"
                assert postgres.child is not None
                postgres.child.program.send_signal(signal.SIGQUIT)  # what pg_ctl calls "immediate": a crash
                await asyncio.to_thread(postgres.child.program.wait, 20)
                await asyncio.sleep(2)  # whoever looks now finds nobody
                await asyncio.to_thread(postgres.start)
                await contacts.upsert(workspace_id, ContactFields(values={"email": "new@people.example"}))
                await recipients.pause(workspace_id, api.actor, world.recipient_ids[0])
                told = {json.dumps((await socket.message())["payload"]["data"]) for _ in range(2)}
                assert told == {
                    '{"workspaceEvents": {"type": "contact.created"}}',
                    '{"recipientEvents": {"status": "PAUSED"}}',
                }
                async for line in lines:
                    if line.startswith("data: "):
                        assert json.loads(line[6:])["data"] == {"workspaceEvents": {"type": "contact.created"}}
                        break
    finally:
        await asyncio.to_thread(postgres.stop)
