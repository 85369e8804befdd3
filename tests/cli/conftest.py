"""A migrated database for the tests of the commands, and a workspace for each test."""

import asyncio
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from domain import keys
from domain.connections import credentials
from domain.database import database
from domain.secrets import new_key
from domain.settings import Settings, read_settings
from tests.cli.running import Workspace
from tests.conftest import Servers


@pytest.fixture(scope="session")
def environment(servers: Servers, template_url: str) -> Iterator[dict[str, str]]:
    """The settings of an installation whose tables are up to date."""
    name = f"relance_cli_{secrets.token_hex(6)}"
    template = urlsplit(template_url).path.strip("/")
    _administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield {
        "DATABASE_URL": urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}")),
        "REDIS_URL": servers.redis_url,
        "RELANCE_SECRET_KEY": new_key(),
        "RELANCE_PUBLIC_URL": "http://localhost:8000",
    }
    _administer(servers.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """The address of a database without any tables."""
    name = f"relance_empty_{secrets.token_hex(6)}"
    _administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    yield urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    _administer(servers.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def settings(environment: dict[str, str]) -> Settings:
    return read_settings(environment)


@pytest.fixture
def workspace(settings: Settings) -> Workspace:
    """A workspace of its own, with a key."""
    name = f"Workspace {secrets.token_hex(4)}"

    async def make() -> Workspace:
        async with database(settings.database_url, pool_size=2):
            workspace_id = await keys.create_workspace(name)
            return Workspace(workspace_id, name, (await keys.create(workspace_id, "test")).secret)

    return asyncio.run(make())


def _administer(url: str, statement: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(**credentials(url))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(work())
