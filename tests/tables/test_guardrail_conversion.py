"""The migration that gave guardrails their figures converts the holds and the harm that were noted before it."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as apply_migrations

from domain.connections import credentials
from domain.rules.guardrails import GuardrailCause, Hold
from domain.tables.config import tortoise_config
from tests.cli.conftest import empty_database_url  # noqa: F401

_DUMMY = {
    "uuid": lambda: uuid4(),
    "integer": lambda: 1,
    "smallint": lambda: 1,
    "bigint": lambda: 1,
    "boolean": lambda: False,
    "jsonb": lambda: "{}",
}


async def _migrate_to(url: str, target: str) -> None:
    try:
        await apply_migrations(config=tortoise_config(credentials(url)), target=f"models.{target}")
    finally:
        await Tortoise.close_connections()


class Old:
    """Rows as an earlier version wrote them: what is not named is filled in with anything of its type."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def insert(self, table: str, **values: Any) -> UUID:
        row = {"id": uuid4()} | values
        for column in await self.connection.fetch(
            "SELECT column_name AS name, data_type AS type FROM information_schema.columns "
            "WHERE table_name = $1 AND is_nullable = 'NO' AND column_default IS NULL",
            table,
        ):
            if column["name"] not in row:
                made = _DUMMY.get(column["type"])
                row[column["name"]] = made() if made else await self.ago(0) if "time" in column["type"] else "x"
        names, numbers = ", ".join(f'"{name}"' for name in row), ", ".join(f"${n + 1}" for n in range(len(row)))
        await self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({numbers})", *row.values())
        return row["id"]

    async def ago(self, days: int) -> datetime:
        at: datetime = await self.connection.fetchval("SELECT now() - make_interval(days => $1)", days)
        return at


async def _before(old: Old) -> dict[str, UUID]:
    """What stood in the tables: two holds, with the sentences of that time, and harm noted on recipients."""
    workspace_id = await old.insert("workspaces", clock_offset_seconds=0)
    held = {
        "workspace_id": workspace_id,
        "smtp_security": "TLS",
        "daily_limit": 100,
        "minimum_gap_seconds": 0,
        "state": "HELD",
    }
    rows = {}
    for name, words in (
        ("bounced", "7 of the last messages bounced: more than 5.00 %."),
        ("spam", "1 of the last messages were reported as spam: more than 0.100 %."),
    ):
        rows[name] = await old.insert(
            "mailboxes", **held, address_key=name, guardrail_since=await old.ago(0), state_message=words
        )
    rows["free"] = await old.insert("mailboxes", **held | {"state": "CONNECTED", "address_key": "free"})
    for name, reason, days in (("new", "BOUNCED", 2), ("complaint", "COMPLAINED", 2), ("old", "BOUNCED", 40)):
        ended = {"end_reason": reason, "status": "UNSUBSCRIBED" if reason == "COMPLAINED" else reason}
        person = await old.insert("recipients", **ended, ended_at=await old.ago(days))
        outgoing = {"recipient_id": person, "direction": "OUTGOING", "state": "SENT", "step_id": uuid4()}
        for which, its_days in ((f"{name} first", days + 1), (f"{name} last", days)):
            at = await old.ago(its_days)
            rows[which] = await old.insert("messages", **outgoing, mailbox_id=rows["bounced"], marked_at=at)
    return rows


def _hold_of(row: asyncpg.Record) -> Hold | None:
    return Hold.from_json(json.loads(row["guardrail_hold"])) if row["guardrail_hold"] else None


@pytest.mark.witness  # goes through twenty-one migrations, one by one
async def test_holds_and_harm_of_before_are_found_again(empty_database_url: str) -> None:  # noqa: F811
    await _migrate_to(empty_database_url, "0020_signing_keys")
    connection = await asyncpg.connect(**credentials(empty_database_url))
    try:
        await connection.execute("SET session_replication_role = replica")  # rows without those they refer to
        rows = await _before(Old(connection))
        await _migrate_to(empty_database_url, "0021_guardrail_samples")
        boxes = {row["id"]: row for row in await connection.fetch("SELECT * FROM mailboxes")}
        harmed = {row["id"]: row for row in await connection.fetch("SELECT * FROM messages")}
    finally:
        await connection.close()
    holds = {name: _hold_of(boxes[rows[name]]) for name in ("bounced", "spam", "free")}
    assert holds["free"] is None
    bounced, spam = holds["bounced"], holds["spam"]
    assert bounced is not None
    assert spam is not None
    assert (bounced.cause, bounced.count, bounced.sent, bounced.limit_percent) == (GuardrailCause.BOUNCES, 7, 50, 5)
    assert (spam.cause, spam.count, spam.limit_percent) == (GuardrailCause.COMPLAINTS, 1, 0.1)
    assert {boxes[rows[name]]["state_message"] for name in ("bounced", "spam")} == {None}
    noted = {
        name: (harmed[rows[name]]["bounced_at"] is not None, harmed[rows[name]]["complained_at"] is not None)
        for name in rows
        if rows[name] in harmed
    }
    nothing = (False, False)
    assert noted == {
        "new first": nothing,
        "new last": (True, False),
        "complaint first": nothing,
        "complaint last": (False, True),
        "old first": nothing,
        "old last": nothing,  # of no sample any more
    }
