"""A backup made while mails go out, and restored after more have gone: nothing is sent a second time, and what may have
been is shown. With PostgreSQL's own pg_dump and psql.

Source: reliability.md 2.1, 2.4; docs/operations.md "Backup and restore".
"""

import asyncio
import base64
import json
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest

from cli.embedded.postgres import installation
from domain import feed
from domain.connections import credentials
from domain.database import database, fetch
from domain.feed import ResyncRequired
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.cli.running import relance_process
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until
from tests.faults.crew import Crew, dawdling_server
from tests.faults.judging import drained, enrol_people, judge_feed

PEOPLE, LATER = 60, 5  # so many of them are due a day later


def program(name: str, url: str, *arguments: str) -> None:
    done = subprocess.run([installation() / "bin" / name, *arguments, url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_a_restored_backup_sends_nothing_a_second_time(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault, tmp_path: Path
) -> None:
    async with dawdling_server(0.1) as server:
        await enrol_people(workspace_id, actor, vault, server, PEOPLE)
        await fetch(
            "WITH u AS (UPDATE recipients SET due_at = due_at + interval '1 day' WHERE id IN "
            "(SELECT id FROM recipients ORDER BY id DESC LIMIT $1) RETURNING 1) SELECT 1",
            LATER,
        )
        worker = crew.start(slots=4)

        def taken(count: int) -> bool:
            return len(server.mails) >= count

        async def some() -> bool:
            return taken(5)

        await until(some)
        dump = tmp_path / "backup.sql"
        await asyncio.to_thread(program, "pg_dump", crew.database_url, "--no-owner", "--file", str(dump))
        at_the_dump = len(server.mails)

        async def more() -> bool:
            return taken(min(at_the_dump + 10, PEOPLE - LATER))

        await until(more)
        cursor = (await feed.state(workspace_id)).cursor
        worker.kill()

        name = f"restored_{workspace_id.hex[:12]}"
        url = urlunsplit(urlsplit(crew.database_url)._replace(path=f"/{name}"))
        admin = await asyncpg.connect(**credentials(crew.database_url))
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        try:
            await asyncio.to_thread(
                program, "psql", url, "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "--file", str(dump)
            )
            environment = {
                "DATABASE_URL": url,
                "REDIS_URL": crew.redis_url,
                "RELANCE_SECRET_KEY": base64.b64encode(SECRET_KEY).decode(),
            }
            done = await asyncio.to_thread(relance_process, "reconcile", "--json", environment=environment)
            assert done.returncode == 0, done.stderr
            held_back = json.loads(done.stdout)["messages"]
            again = await asyncio.to_thread(relance_process, "reconcile", "--json", environment=environment)
            assert json.loads(again.stdout)["messages"] == 0

            async with database(url, pool_size=4, pepper=vault.pepper):
                with pytest.raises(ResyncRequired):
                    await feed.after(workspace_id, cursor)
                await fetch(
                    "WITH u AS (UPDATE recipients SET due_at = now() WHERE due_at > now() RETURNING 1) SELECT 1"
                )
                before = len(server.mails)
                crew.database_url = url
                crew.start(slots=4)
                # What was being handed over in the backup comes out unconfirmed by itself, when its lease is over.
                await until(lambda: drained(workspace_id), seconds=60)
                rows = await fetch(
                    "SELECT c.email, r.status, e.code FROM recipients r JOIN contacts c ON c.id = r.contact_id "
                    "LEFT JOIN step_errors e ON e.id = r.error_id WHERE r.workspace_id = $1",
                    workspace_id,
                )
                await judge_feed(workspace_id)
            for one in crew.alive:
                one.kill()
        finally:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await admin.close()

    mails = Counter(mail.to for mail in server.mails)
    unconfirmed = {row["email"] for row in rows if row["code"] == "DELIVERY_UNCONFIRMED"}
    print(f"{at_the_dump} mails at the backup, {len(mails)} of {PEOPLE} in the end, {held_back} held back")
    assert len(server.mails) == before + LATER, "what came due later goes out as ever"
    assert max(mails.values()) == 1, "somebody was written to twice"
    assert {row["email"] for row in rows} == set(mails) | unconfirmed, "somebody is lost without a word"
    assert {row["email"] for row in rows if row["status"] not in ("ERROR", "COMPLETED")} == set()
    assert 0 < held_back <= len(unconfirmed)
