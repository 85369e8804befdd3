"""A commit whose answer is lost is looked up, never guessed: nothing is carried out twice. reliability.md M11, 2.4."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest

from domain import keys
from domain.commit_fate import fate_of
from domain.database import Tx, database, fetch, tx
from domain.rules.ids import new_id
from domain.secrets import Vault
from tests.conftest import SECRET_KEY

_READY = b"Z\x00\x00\x00\x05I"  # the server is done and outside a transaction


class CuttingProxy:
    """Stands before PostgreSQL and cuts the line at the next COMMIT: before it arrives, or before its answer does."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.cut: str | None = None
        self.cuts = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._host, self._port)
        answers = asyncio.create_task(_pump(server, to_client))
        try:
            while part := await client.read(65536):
                if self.cut is not None and b"COMMIT" in part:
                    when, self.cut = self.cut, None
                    self.cuts += 1
                    answers.cancel()
                    if when == "before the answer":
                        to_server.write(part)
                        while _READY not in await server.read(65536):
                            pass
                    break
                to_server.write(part)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            to_client.transport.abort()
            to_server.transport.abort()


async def _pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await source.read(65536):
            to.write(part)
    to.close()


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[CuttingProxy]:
    parts = urlsplit(database_url)
    assert parts.port is not None
    cutting = CuttingProxy(parts.hostname or "127.0.0.1", parts.port)
    async with cutting.running() as port:
        through = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))
        async with database(through, pool_size=3, pepper=Vault(SECRET_KEY).pepper):
            yield cutting


async def _suppress(t: Tx) -> UUID:
    """Something that nothing guards: done twice, there are two rows."""
    row_id = new_id()
    await t.execute(
        "INSERT INTO suppressions (id, workspace_id, kind, value, reason, source, created_by_kind, settling, "
        "created_at) "
        "VALUES ($1, $2, 'ADDRESS', $3, 'LISTED', 'ENGINE', 'ENGINE', false, now())",
        row_id,
        t.workspace_id,
        str(row_id),
    )
    return row_id


@pytest.mark.parametrize("cut", ["before the answer", "before it arrives"])
async def test_a_commit_cut_off_is_carried_out_exactly_once(cut: str, proxy: CuttingProxy) -> None:
    workspace_id = await keys.create_workspace("Cut")
    for time in range(1, 6):
        runs = 0

        async def work(t: Tx) -> UUID:
            nonlocal runs
            runs += 1
            return await _suppress(t)

        proxy.cut = cut
        row_id = await tx(workspace_id, work)
        assert proxy.cuts == time
        assert runs == (1 if cut == "before the answer" else 2)
        rows = await fetch("SELECT id FROM suppressions WHERE workspace_id = $1", workspace_id)
        assert len(rows) == time
        assert row_id in [row["id"] for row in rows]


async def test_the_fate_of_a_transaction_lost_in_a_crash_is_never_taken_from_another_with_its_number(
    open_database: str,
) -> None:
    async def number_and_time(t: Tx) -> dict[str, Any]:
        return {"xid": await t.fetchval("SELECT pg_current_xact_id()::text"), "begun_at": t.now}

    committed = await tx(None, number_and_time)
    assert await fate_of(committed) == "committed"  # type: ignore[arg-type]
    # The same number given out again after a crash: whoever began before the server did cannot be meant.
    before_the_crash = committed | {"begun_at": datetime(2020, 1, 1, tzinfo=UTC)}
    assert await fate_of(before_the_crash) == "aborted"  # type: ignore[arg-type]
    never_seen = committed | {"xid": str(int(committed["xid"]) + 1_000_000)}
    assert await fate_of(never_seen) == "aborted"  # type: ignore[arg-type]
