"""The doctor's look at PostgreSQL and at what Relance keeps in it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

import domain
from cli.findings import Finding, Verdict, broken, fine, unsure
from domain.connections import credentials
from domain.recounting import differing
from domain.secrets import SecretUnreadable, Vault

_OLDEST, _NEWEST = 15, 18
_SKEW: Final = timedelta(seconds=2)
_COUNTING_SECONDS: Final = 120
_MIGRATIONS: Final = Path(domain.__path__[0]) / "tables" / "migrations"


async def database_findings(url: str, vault: Vault | None) -> list[Finding]:
    """Return what was found in the database; one finding when it cannot be reached. Without a key, none is tried."""
    wanted = credentials(url)
    place = f"{wanted['host']}:{wanted['port']}/{wanted['database']}"
    try:
        connection = await asyncpg.connect(**wanted, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as problem:
        return [
            broken(
                "PostgreSQL",
                f"{place} cannot be reached: {problem or type(problem).__name__}",
                "Start PostgreSQL there, or correct DATABASE_URL.",
            )
        ]
    try:
        findings = [await _version(connection, place), await _clock(connection)]
        migrations = await _migrations(connection)
        findings.append(migrations)
        if await connection.fetchval("SELECT to_regclass('mailboxes') IS NOT NULL"):
            findings += [await _secret_key(connection, vault)] if vault else []
            findings.append(await _worker(connection))
        if migrations.verdict is Verdict.FINE:
            findings.append(await _counters(connection))
        return findings
    finally:
        await connection.close()


async def _version(connection: Any, place: str) -> Finding:
    number = int(await connection.fetchval("SELECT current_setting('server_version_num')::int")) // 10_000
    if number < _OLDEST:
        return broken("PostgreSQL", f"version {number} is too old", f"Use PostgreSQL {_OLDEST} to {_NEWEST}.")
    if number > _NEWEST:
        return unsure("PostgreSQL", f"version {number} is not tested", f"Use PostgreSQL {_OLDEST} to {_NEWEST}.")
    return fine("PostgreSQL", f"version {number} at {place}")


async def _clock(connection: Any) -> Finding:
    before = datetime.now(UTC)
    there: datetime = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    skew = max(before - there, there - after, timedelta(0))
    if skew > _SKEW:
        return unsure(
            "clocks",
            f"this machine and the database differ by {skew.total_seconds():.0f} s",
            "Let both follow a time server (NTP). Relance goes by the database's clock; logs here show another time.",
        )
    return fine("clocks", "this machine and the database agree")


async def _migrations(connection: Any) -> Finding:
    there = {file.stem for file in _MIGRATIONS.glob("[0-9]*.py")}
    applied: set[str] = set()
    if await connection.fetchval("SELECT to_regclass('tortoise_migrations') IS NOT NULL"):
        applied = {row["name"] for row in await connection.fetch("SELECT name FROM tortoise_migrations")}
    if missing := sorted(there - applied):
        return broken("tables", f"migrations are missing: {', '.join(missing)}", "Run: relance migrate")
    if unknown := sorted(applied - there):
        return broken(
            "tables",
            f"they are newer than this program: {', '.join(unknown)}",
            "Install the version of Relance that made them.",
        )
    return fine("tables", f"up to date ({len(there)} migrations)")


async def _secret_key(connection: Any, vault: Vault) -> Finding:
    row = await connection.fetchrow(
        "SELECT workspace_id, id, smtp_password FROM mailboxes WHERE smtp_password IS NOT NULL ORDER BY id DESC LIMIT 1"
    )
    if row is None:
        return fine("secret key", "well formed; no password is stored yet")
    try:
        vault.open(row["smtp_password"], row["workspace_id"], "mailboxes.smtp_password", row["id"])
    except SecretUnreadable:
        return broken(
            "secret key",
            "it does not open the stored passwords",
            "Set RELANCE_SECRET_KEY to the key they were saved with, or enter the mailbox passwords anew.",
        )
    return fine("secret key", "opens the stored passwords")


async def _counters(connection: Any) -> Finding:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{_COUNTING_SECONDS}s'")
            wrong = sum([await connection.fetchval(statement, timeout=None) for statement in differing()])
    except asyncpg.QueryCanceledError:
        return unsure(
            "counters",
            f"there are too many rows to compare them within {_COUNTING_SECONDS} s",
            "Make them anew at a quiet hour: relance feed recount",
        )
    if wrong:
        return broken("counters", f"{wrong} numbers of reports are not what the rows say", "Run: relance feed recount")
    return fine("counters", "the numbers of reports are what the rows say")


async def _worker(connection: Any) -> Finding:
    count = await connection.fetchval(
        "SELECT count(DISTINCT (client_addr, application_name)) FROM pg_stat_activity "
        "WHERE application_name = 'relance-worker' AND datname = current_database()"
    )
    if count:
        return fine("worker", "connected to the database")
    return broken("worker", "no worker is connected to the database, so nothing is sent", "Start one: relance worker")
