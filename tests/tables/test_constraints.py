"""What the database refuses: every constraint and index of the list exists with the same definition, and bites."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector

from domain import keys, pending
from domain.connections import credentials
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.tables import constraints
from domain.tables.config import OFFLINE
from tests.conftest import TEMPLATE, Servers
from tests.world import IN_AN_HOUR, email, make_world, task

_CONSTRAINTS = """
    SELECT conname AS name, conrelid::regclass::text || ': ' || pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u')
"""
_INDEXES = """
    SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition
    FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisprimary
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype = 'u')
"""
_TORTOISES_OWN = ("tortoise_migrations", "uid_tortoise", "api_keys_public_id")


async def _definitions(connection: asyncpg.Connection) -> dict[str, str]:
    return {row["name"]: row["definition"] for sql in (_CONSTRAINTS, _INDEXES) for row in await connection.fetch(sql)}


@pytest.fixture
async def migrated(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**credentials(database_url))
    yield connection
    await connection.close()


@pytest.fixture
async def scratch(servers: Servers, template_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A migrated database to take apart."""
    name = f"relance_scratch_{secrets.token_hex(6)}"
    outside = await asyncpg.connect(**credentials(servers.database_url))
    await outside.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    connection = await asyncpg.connect(
        **credentials(urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}")))
    )
    yield connection
    await connection.close()
    await outside.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await outside.close()


def _is_ours(name: str) -> bool:
    return not name.startswith(_TORTOISES_OWN)


async def test_the_migrations_made_exactly_the_constraints_and_indexes_of_the_list(
    migrated: asyncpg.Connection, scratch: asyncpg.Connection
) -> None:
    found = {name: text for name, text in (await _definitions(migrated)).items() if _is_ours(name)}
    for row in await scratch.fetch(
        "SELECT conname, conrelid::regclass::text AS place FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u') ORDER BY contype = 'u'"
    ):
        if _is_ours(row["conname"]):
            await scratch.execute(f"ALTER TABLE {row['place']} DROP CONSTRAINT {row['conname']}")
    for row in await scratch.fetch(_INDEXES):
        if _is_ours(row["name"]):
            await scratch.execute(f"DROP INDEX {row['name']}")
    assert not [name for name in await _definitions(scratch) if _is_ours(name)]
    for statement in constraints.statements():
        await scratch.execute(statement)
    listed = {name: text for name, text in (await _definitions(scratch)).items() if _is_ours(name)}
    assert len(listed) == len(constraints.statements()) > 90
    assert found == listed


async def test_the_models_say_what_the_migrations_made() -> None:
    context = await Tortoise.init(config=OFFLINE, init_connections=False)
    try:
        assert context.apps is not None
        writers = await MigrationAutodetector(context.apps, OFFLINE["apps"]).changes()
        assert [operation for writer in writers for operation in writer.operations] == []
    finally:
        await Tortoise.close_connections()


# table, what is set on its first row, the constraint that refuses it
BROKEN = [
    ("recipients", "status = 'COMPLETED'", "recipients_status_follows_facts"),
    ("recipients", "paused_at = now(), due_at = NULL, due_kind = NULL", "recipients_status_follows_facts"),
    ("recipients", "status = 'PAUSED', paused_at = now()", "recipients_held_has_no_timer"),
    ("recipients", "status = 'STOPPED', end_reason = 'STOPPED', due_at = NULL, due_kind = NULL", "recipients_ended_at"),
    ("recipients", "status = 'STOPPED', end_reason = 'STOPPED', ended_at = now()", "recipients_ended_has_no_timer"),
    ("recipients", "deleted_at = now()", "recipients_ended_has_no_timer"),
    ("recipients", "status = 'LOST'", "recipients_status_"),
    ("recipients", "end_reason = 'BORED', ended_at = now()", "recipients_"),
    ("recipients", "due_kind = NULL", "recipients_due_kind_with_due_at"),
    ("recipients", "version = 0", "recipients_version_positive"),
    ("sequences", "status = 'GONE'", "sequences_status_known"),
    ("sequences", "status = 'PAUSED'", "sequences_paused_at_with_status"),
    ("steps", "kind = 'PIGEON'", "steps_kind_known"),
    ("steps", "wait_unit = 'MOONS'", "steps_wait_unit_known"),
    ("steps", "wait_amount = -1", "steps_wait_not_negative"),
    ("mailboxes", "state = 'TIRED'", "mailboxes_state_known"),
    ("mailboxes", "smtp_security = 'HOPE'", "mailboxes_security_known"),
    ("mailboxes", "daily_limit = 0", "mailboxes_limits_sensible"),
    ("mailboxes", "minimum_gap_seconds = -1", "mailboxes_limits_sensible"),
    ("pending_actions", "closed_at = now()", "pending_actions_closed_with_outcome"),
    ("events", "status = 'LOST'", "events_status_known"),
    ("events", "stage = 'LOST'", "events_stage_known"),
]


async def test_a_row_that_breaks_a_rule_is_refused_by_the_database(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    second = await keys.create_workspace("Tasks")
    await make_world(second, actor, vault, steps=[task()])
    await pending.put_due_before_people()
    for table, change, constraint in BROKEN:
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await fetch(
                f"WITH u AS (UPDATE {table} SET {change} WHERE workspace_id IN ($1, $2) RETURNING 1) SELECT 1",
                workspace_id,
                second,
            )
        assert str(refusal.value.constraint_name).startswith(constraint), (table, change)


async def test_each_id_is_held_to_its_workspace_by_a_key_or_stands_with_its_reason(
    migrated: asyncpg.Connection,
) -> None:
    rows = await migrated.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type = 'uuid' AND column_name LIKE '%\\_id'"
    )
    pointing = {(row["table_name"], row["column_name"]) for row in rows}
    own = {(table, "workspace_id") for table, _ in pointing}
    held = {(table, column) for table, column, _ in constraints.TENANT_KEYS}
    assert pointing - own == held | set(constraints.NOTED)
    assert not held & set(constraints.NOTED)
    keyed = {
        row["table"]
        for row in await migrated.fetch(
            "SELECT conrelid::regclass::text AS table FROM pg_constraint WHERE contype = 'f' AND conkey[1] = "
            "(SELECT attnum FROM pg_attribute WHERE attrelid = conrelid AND attname = 'workspace_id')"
        )
    }
    assert {table for table, _ in own} == keyed, "each table with a workspace_id has a key that holds it"


async def test_nothing_points_into_another_workspace_and_nobody_is_open_twice(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mine = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    other_id = await keys.create_workspace("Other")
    theirs = await make_world(other_id, actor, vault, steps=[email(wait=IN_AN_HOUR)])
    foreign = {
        "sequences": theirs.sequence_id,
        "mailboxes": theirs.mailbox_id,
        "steps": theirs.step_ids[0],
        "recipients": theirs.recipient_ids[0],
        "api_keys": (await keys.create(other_id, "theirs")).id,
        "contacts": (await fetch("SELECT contact_id FROM recipients WHERE id = $1", theirs.recipient_ids[0]))[0][0],
    }
    tried, moves = 0, {"steps": ", position = 99", "events": ", version = 99"}
    for table, column, parent in constraints.TENANT_KEYS:
        if not (await fetch(f"SELECT 1 FROM {table} WHERE workspace_id = $1", workspace_id)):
            continue
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await fetch(
                f"WITH u AS (UPDATE {table} SET {column} = $2 {moves.get(table, '')} WHERE workspace_id = $1 "
                "RETURNING 1) SELECT 1",
                workspace_id,
                foreign[parent],
            )
        tried += 1
    assert tried >= 8
    with pytest.raises(asyncpg.UniqueViolationError) as refusal:
        await fetch(
            "WITH i AS (INSERT INTO recipients (id, workspace_id, sequence_id, contact_id, version, status, begun, "
            "step_run, sort_name, enrolled_by_kind, enrolled_at, status_changed_at, updated_at) SELECT "
            "gen_random_uuid(), workspace_id, sequence_id, contact_id, 1, 'SCHEDULED', false, 1, '', 'ENGINE', now(), "
            "now(), now() FROM recipients WHERE id = $1 RETURNING 1) SELECT 1",
            mine.recipient_ids[0],
        )
    assert refusal.value.constraint_name == "recipients_one_open"


async def test_what_is_append_only_refuses_every_other_change(migrated: asyncpg.Connection) -> None:
    rows = await migrated.fetch(
        "SELECT tgrelid::regclass::text AS place, pg_get_triggerdef(oid) AS definition FROM pg_trigger "
        "WHERE NOT tgisinternal"
    )
    guarded = {row["place"] for row in rows if "BEFORE DELETE OR UPDATE OR TRUNCATE" in row["definition"]}
    assert guarded == set(constraints.APPEND_ONLY)
    for table in constraints.APPEND_ONLY:
        with pytest.raises(asyncpg.RestrictViolationError):
            await migrated.execute(f"TRUNCATE {table}")
