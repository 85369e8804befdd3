"""The rows of contacts: found by what names them, inserted and updated, for any number by one statement each.

Source: product.md section 3 "Enrolment".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.database import Tx

TEXT_FIELDS: Final = ("external_id", "email", "phone", "first_name", "last_name", "company", "time_zone")
KEYS: Final = ("email_key", "email_hash", "phone_key", "phone_hash")


@dataclass(frozen=True, slots=True)
class Known:
    """Contacts that were found, by all that names one."""

    by_id: Mapping[UUID, asyncpg.Record]
    by_external_id: Mapping[str, asyncpg.Record]
    by_email_key: Mapping[str, asyncpg.Record]

    @classmethod
    def of(cls, rows: Sequence[asyncpg.Record]) -> "Known":
        return cls(
            {row["id"]: row for row in rows},
            {row["external_id"]: row for row in rows if row["external_id"]},
            {row["email_key"]: row for row in rows if row["email_key"]},
        )


# Each by a look into the index of what names it: a plan of fewer looks reads all contacts of the workspace.
FIND: Final = """
    SELECT c.* FROM unnest($2::uuid[]) AS u (id) CROSS JOIN LATERAL (
        SELECT * FROM contacts c WHERE c.workspace_id = $1 AND c.id = u.id AND c.erased_at IS NULL LIMIT 1) c
    UNION ALL
    SELECT c.* FROM unnest($3::text[]) AS u (external_id) CROSS JOIN LATERAL (
        SELECT * FROM contacts c WHERE c.workspace_id = $1 AND c.external_id = u.external_id AND c.erased_at IS NULL
        LIMIT 1) c
    UNION ALL
    SELECT c.* FROM unnest($4::text[]) AS u (email_key) CROSS JOIN LATERAL (
        SELECT * FROM contacts c WHERE c.workspace_id = $1 AND c.email_key = u.email_key AND c.erased_at IS NULL
        LIMIT 1) c
"""


async def find(
    t: Tx, ids: Sequence[UUID], external_ids: Sequence[str], email_keys: Sequence[str]
) -> list[asyncpg.Record]:
    """Return the contacts that these name, one of them perhaps more than once."""
    return await t.fetch(FIND, t.workspace_id, ids, external_ids, email_keys)


async def erased(t: Tx, hashes: Mapping[str, str | None]) -> set[str]:
    """Return those of the hashes whose person was erased and must not come back."""
    rows = await t.fetch(
        "SELECT value FROM suppressions WHERE workspace_id = $1 AND kind = 'ERASED' AND value = ANY($2::text[]) "
        "AND lifted_at IS NULL",
        t.workspace_id,
        list(hashes.values()),
    )
    return {row["value"] for row in rows}


_COLUMNS: Final = ("id", *TEXT_FIELDS, *KEYS, "custom_fields", "sort_name", "email_bounced_at", "phone_invalid_at")
_TYPES: Final = {
    "id": "uuid",
    "custom_fields": "jsonb",
    "email_bounced_at": "timestamptz",
    "phone_invalid_at": "timestamptz",
}
_ARRAYS: Final = [f"${number}::{_TYPES.get(name, 'text')}[]" for number, name in enumerate(_COLUMNS, start=3)]
_ROWS: Final = f"unnest({', '.join(_ARRAYS)}) AS u ({', '.join(_COLUMNS)})"
_INSERT: Final = f"""
    INSERT INTO contacts ({", ".join(_COLUMNS)}, workspace_id, created_at, updated_at)
    SELECT {", ".join(f"u.{name}" for name in _COLUMNS)}, $1, $2, $2 FROM {_ROWS}
    ON CONFLICT DO NOTHING RETURNING id
"""
# Found by a look for each, and by its place: a plan of fewer looks reads all contacts of the workspace.
_UPDATE: Final = f"""
    UPDATE contacts c SET {", ".join(f"{name} = u.{name}" for name in _COLUMNS if name != "id")}, updated_at = $2,
        email_changed_at = CASE WHEN c.email_key IS DISTINCT FROM u.email_key THEN $2 ELSE c.email_changed_at END,
        phone_changed_at = CASE WHEN c.phone_key IS DISTINCT FROM u.phone_key THEN $2 ELSE c.phone_changed_at END
    FROM (SELECT u.*, p.place FROM {_ROWS} CROSS JOIN LATERAL (
        SELECT o.ctid AS place FROM contacts o WHERE o.workspace_id = $1 AND o.id = u.id LIMIT 1 FOR UPDATE) p) u
    WHERE c.workspace_id = $1 AND c.ctid = u.place AND c.id = u.id
    RETURNING c.id, c.sort_name
"""
_RENAME: Final = """
    UPDATE recipients r SET sort_name = u.sort_name FROM unnest($2::uuid[], $3::text[]) AS u (contact_id, sort_name)
    WHERE r.workspace_id = $1 AND r.contact_id = u.contact_id AND r.sort_name <> u.sort_name
"""


async def insert(t: Tx, rows: Sequence[Mapping[str, Any]]) -> set[UUID]:
    """Insert the rows; return the ids that lost against a contact written at the same moment."""
    return await _lost(t, _INSERT, rows) if rows else set()


async def update(t: Tx, rows: Sequence[Mapping[str, Any]]) -> set[UUID]:
    """Update the rows, and the names of their recipients; return the ids that lost against someone else."""
    if not rows:
        return set()
    lost = await _lost(t, _UPDATE, rows)
    await t.execute(_RENAME, t.workspace_id, [row["id"] for row in rows], [row["sort_name"] for row in rows])
    return lost


async def _lost(t: Tx, statement: str, rows: Sequence[Mapping[str, Any]]) -> set[UUID]:
    ordered = sorted(rows, key=lambda row: row["id"].bytes)
    written = await t.fetch(statement, t.workspace_id, t.now, *([row[name] for row in ordered] for name in _COLUMNS))
    return {row["id"] for row in ordered} - {row["id"] for row in written}
