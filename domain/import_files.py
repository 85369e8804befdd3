"""Files handed in to be imported: kept in pieces until they are, for a day at most.

Source: api.md "Bulk".
"""

import io
from collections.abc import Sequence
from datetime import timedelta
from typing import BinaryIO, Final
from uuid import UUID

import orjson

from domain.database import Tx, tx
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.rules.contact_csv import Column, CsvUnusable, columns_of
from domain.rules.ids import new_id

BYTES_AT_MOST: Final = 52_428_800
NAME_LENGTH: Final = 200
KEPT: Final = timedelta(hours=24)
_PIECE_BYTES: Final = 1_048_576


def columns_in(stream: BinaryIO) -> list[Column]:
    """Return the columns of a file, read from its beginning, as their names are understood.

    Raises:
        Invalid: it is no CSV file with a header.
    """
    stream.seek(0)
    try:
        return columns_of(stream)
    except CsvUnusable as problem:
        raise Invalid(str(problem), field=["file"]) from None


async def keep(workspace_id: UUID, actor: Actor, name: str, stream: BinaryIO, columns: Sequence[Column]) -> UUID:
    """Keep a file of contacts, which has these columns, and return it.

    Raises:
        Invalid: it is too large, or its name cannot be stored.
    """
    shown = name.strip()
    if not 1 <= len(shown) <= NAME_LENGTH or not shown.isprintable():
        raise Invalid(f"The name of the file has 1 to {NAME_LENGTH} printable characters.", field=["name"])
    size_bytes = stream.seek(0, io.SEEK_END)
    if size_bytes > BYTES_AT_MOST:
        raise Invalid(f"A file has {BYTES_AT_MOST:,} bytes at most. Split it.", field=["file"])

    async def work(t: Tx) -> UUID:
        file_id = new_id()
        await t.execute(
            "INSERT INTO import_files (id, workspace_id, name, size_bytes, headings, actor_kind, actor_id, "
            "uploaded_at) VALUES ($2, $1, $3, $4, $5, $6, $7, now())",
            t.workspace_id,
            file_id,
            shown,
            size_bytes,
            orjson.dumps([column.name.replace("\0", "") for column in columns]).decode(),
            actor.kind,
            actor.id,
        )
        stream.seek(0)
        position = 0
        while piece := stream.read(_PIECE_BYTES):
            await t.execute(
                "INSERT INTO import_chunks (workspace_id, file_id, position, content) VALUES ($1, $2, $3, $4)",
                t.workspace_id,
                file_id,
                position,
                piece,
            )
            position += 1
        return file_id

    return await tx(workspace_id, work, rings=False)


async def content(t: Tx, file_id: UUID) -> BinaryIO | None:
    """Return what the file holds; None when it is not kept any more, or there is no such file."""
    rows = await t.fetch(
        "SELECT content FROM import_chunks WHERE workspace_id = $1 AND file_id = $2 ORDER BY position",
        t.workspace_id,
        file_id,
    )
    return io.BytesIO(b"".join(row["content"] for row in rows)) if rows else None


async def beginning(t: Tx, file_id: UUID) -> BinaryIO | None:
    """Return the first two mebibytes, which hold the header; the file is kept until the end of the transaction. None
    when it is not kept any more, or there is no such file."""
    known = await t.fetchrow(
        "SELECT FROM import_files WHERE workspace_id = $1 AND id = $2 AND emptied_at IS NULL FOR SHARE",
        t.workspace_id,
        file_id,
    )
    if known is None:
        return None
    rows = await t.fetch(
        "SELECT content FROM import_chunks WHERE workspace_id = $1 AND file_id = $2 AND position < 2 ORDER BY position",
        t.workspace_id,
        file_id,
    )
    return io.BytesIO(b"".join(row["content"] for row in rows))


async def empty(t: Tx, file_id: UUID) -> None:
    """Forget what the file holds, unless an operation that has not begun is about to read it."""
    emptied = await t.fetchval(
        "UPDATE import_files SET emptied_at = now() WHERE workspace_id = $1 AND id = $2 AND emptied_at IS NULL "
        "AND NOT EXISTS (SELECT FROM bulk_operations o WHERE o.workspace_id = $1 AND o.file_id = $2 "
        "AND o.status = 'PENDING') RETURNING id",
        t.workspace_id,
        file_id,
    )
    if emptied is not None:
        await t.execute("DELETE FROM import_chunks WHERE workspace_id = $1 AND file_id = $2", t.workspace_id, file_id)


async def forget_old(limit: int = 20) -> bool:
    """Forget up to `limit` files that are older than a day and that nothing is about to read; return whether there may
    be more."""

    async def work(t: Tx) -> bool:
        rows = await t.fetch(
            """
            SELECT f.workspace_id, f.id, EXISTS (SELECT FROM bulk_operations o
                WHERE o.workspace_id = f.workspace_id AND o.file_id = f.id) AS named
            FROM import_files f
            WHERE f.uploaded_at < now() - $1::interval AND NOT EXISTS (SELECT FROM bulk_operations o
                WHERE o.workspace_id = f.workspace_id AND o.file_id = f.id
                    AND (o.status = 'PENDING' OR f.emptied_at IS NOT NULL))
            ORDER BY f.uploaded_at LIMIT $2 FOR UPDATE OF f SKIP LOCKED
            """,
            KEPT,
            limit,
        )
        keys = [row["workspace_id"] for row in rows], [row["id"] for row in rows]
        await t.execute(
            "DELETE FROM import_chunks x USING unnest($1::uuid[], $2::uuid[]) AS u (workspace_id, id) "
            "WHERE x.workspace_id = u.workspace_id AND x.file_id = u.id",
            *keys,
        )
        await t.execute(
            "UPDATE import_files x SET emptied_at = now() FROM unnest($1::uuid[], $2::uuid[]) AS u (workspace_id, id) "
            "WHERE x.workspace_id = u.workspace_id AND x.id = u.id",
            *keys,
        )
        unnamed = [row for row in rows if not row["named"]]
        await t.execute(
            "DELETE FROM import_files x USING unnest($1::uuid[], $2::uuid[]) AS u (workspace_id, id) "
            "WHERE x.workspace_id = u.workspace_id AND x.id = u.id",
            [row["workspace_id"] for row in unnamed],
            [row["id"] for row in unnamed],
        )
        return len(rows) == limit

    return await tx(None, work, rings=False)
