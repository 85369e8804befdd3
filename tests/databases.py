"""Databases for tests: making one takes a tenth of a second, emptying a small one a hundredth, so they serve again."""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from domain.connections import credentials

_LARGEST_KEPT_BYTES = 256 * 1024  # what large tables leave behind would change the plans of the next test
_SHAPE = """
    SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace), (SELECT count(*) FROM pg_proc),
        (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger)
"""


@dataclass(frozen=True)
class Emptying:
    """How a copy of the template becomes like new again."""

    statements: str
    shape: tuple[Any, ...]

    @classmethod
    async def of(cls, template_url: str) -> "Emptying":
        connection = await asyncpg.connect(**credentials(template_url))
        try:
            tables = await connection.fetch(
                "SELECT quote_ident(tablename) AS name FROM pg_tables "
                "WHERE schemaname = 'public' AND tablename <> 'tortoise_migrations'"
            )
            numbers = await connection.fetch(
                "SELECT quote_ident(sequencename) AS name FROM pg_sequences WHERE sequencename NOT LIKE 'tortoise%'"
            )
            statements = [f"DELETE FROM {table['name']}" for table in tables]
            statements += [f"ALTER SEQUENCE {number['name']} RESTART" for number in numbers]
            return cls("; ".join(statements), tuple(await connection.fetchrow(_SHAPE) or ()))
        finally:
            await connection.close()

    async def succeeds(self, url: str) -> bool:
        """Empty the database; return whether it is like new. Where it is not, it must be dropped."""
        try:
            connection = await asyncpg.connect(**credentials(url))
        except asyncpg.PostgresError:
            return False
        try:
            return await self._empty(connection)
        except asyncpg.PostgresError:
            return False
        finally:
            await connection.close()

    async def _empty(self, connection: asyncpg.Connection) -> bool:
        for _ in range(20):
            others = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            if not others:
                break
            await asyncio.sleep(0.01)
        else:
            return False
        largest = await connection.fetchval(
            "SELECT max(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        )
        if largest > _LARGEST_KEPT_BYTES or tuple(await connection.fetchrow(_SHAPE) or ()) != self.shape:
            return False
        await connection.execute("SET session_replication_role = replica")  # no foreign keys, no triggers
        await connection.execute(self.statements)
        return True
