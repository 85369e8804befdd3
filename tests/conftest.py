"""Real servers for the tests: one PostgreSQL and one Valkey for the run, a database of its own for each test that
needs the engine. With DATABASE_URL / REDIS_URL set, those are used instead.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest

from cli.embedded import start_servers
from domain import keys
from domain.connections import credentials
from domain.database import database
from domain.migrating import migrate
from domain.rules.actor import Actor, ActorKind
from domain.secrets import Vault
from tests.databases import Emptying

TEMPLATE = f"relance_template_{os.getpid()}"


def _with_name(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(frozen=True)
class Servers:
    database_url: str  # of a database that is not the tests' own
    redis_url: str


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL and Redis for the whole run."""
    outside = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    own = start_servers(
        tmp_path_factory.mktemp("servers"), postgres=not outside[0], valkey=not outside[1], durable=False
    )
    try:
        yield Servers(outside[0] or own.database_url or "", outside[1] or own.redis_url or "")
    finally:
        own.stop()


async def _administer(url: str, statement: str) -> None:
    connection = await asyncpg.connect(**credentials(url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template_url(servers: Servers) -> Iterator[str]:
    """A migrated, empty database; each test's own database is a copy of it."""
    url = _with_name(servers.database_url, TEMPLATE)

    async def make() -> None:
        await _administer(servers.database_url, f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        await _administer(servers.database_url, f"CREATE DATABASE {TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'")
        await migrate(url)

    asyncio.run(make())
    yield url
    for name in (*_kept, TEMPLATE):
        asyncio.run(_administer(servers.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def emptying(template_url: str) -> Emptying:
    return asyncio.run(Emptying.of(template_url))


_kept: list[str] = []  # databases that are empty again


@pytest.fixture
async def database_url(servers: Servers, emptying: Emptying) -> AsyncIterator[str]:
    """The address of an empty, migrated database of this test's own."""
    name = _kept.pop() if _kept else ""
    if not name:
        name = f"relance_test_{secrets.token_hex(6)}"
        await _administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    url = _with_name(servers.database_url, name)
    try:
        yield url
    finally:
        if await emptying.succeeds(url):
            _kept.append(name)
        else:
            await _administer(servers.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_database_url(servers: Servers, template_url: str) -> Iterator[str]:
    """One migrated database for all tests that need only a workspace of their own, and run no worker."""
    name = f"relance_shared_{os.getpid()}"
    asyncio.run(_administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield _with_name(servers.database_url, name)
    asyncio.run(_administer(servers.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@pytest.fixture
async def redis_url(servers: Servers) -> str:
    return servers.redis_url


@pytest.fixture
async def open_database(database_url: str) -> AsyncIterator[str]:
    """The same, opened in this process: verbs and Tortoise's models work in the test."""
    async with database(database_url, pool_size=12, pepper=Vault(SECRET_KEY).pepper):
        yield database_url


@pytest.fixture
async def workspace_id(open_database: str) -> UUID:
    return await keys.create_workspace("Acme")


@pytest.fixture
async def actor(workspace_id: UUID) -> Actor:
    return Actor(ActorKind.API_KEY, (await keys.create(workspace_id, "tests")).id)


SECRET_KEY = bytes(range(32))


@pytest.fixture
def vault() -> Vault:
    return Vault(SECRET_KEY)
