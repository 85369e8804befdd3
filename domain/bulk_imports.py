"""Importing an uploaded file: ordered, read by a worker, and taken row by row in batches.

Reading is the first turn of the worker: it splits the file into batches, in one transaction, so that a worker that
dies in it leaves it to another; from then on the file itself is not needed any more. Each row is taken or refused with
its batch: done, changed, unchanged and refused count rows.

Source: api.md "Bulk"; docs/import.md.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Final
from uuid import UUID

import asyncpg
import orjson

from domain import bulk_rows, enrolment, faults, import_files
from domain.bulk_rows import MATCHED_AT_MOST, Done, Order, Refused, actor_of, into_of
from domain.database import Tx, tx
from domain.enrolment import Into
from domain.importing import Taken, batches, take
from domain.refusals import Invalid, NotFound, PersonErased
from domain.rules.actor import Actor
from domain.rules.addresses import address_key
from domain.rules.bulk import BulkKind, BulkStatus
from domain.rules.contact_csv import (
    FIELD_NAME_LIMIT,
    BadRow,
    Column,
    ContactRow,
    CsvUnusable,
    Meaning,
    columns_of,
    read_contacts,
)

_LANES: Final = 2
_GOING: Final = "SELECT * FROM bulk_operations WHERE workspace_id = $1 AND id = $2 AND ended_at IS NULL"
_VALUES: Final = ("email", "first_name", "last_name", "company", "phone", "time_zone", "external_id")


async def order(
    workspace_id: UUID,
    actor: Actor,
    file_id: UUID,
    *,
    columns: Sequence[Column] = (),
    into: Into | None = None,
    dry_run: bool = False,
) -> UUID:
    """Order the import of an uploaded file, and return the operation; a worker does it.

    `columns` say what those columns are; the others are known by their names. With `into` each contact is enrolled.
    With `dry_run` nothing is changed: each row is taken, counted, and given back.

    Raises:
        NotFound: there is no such file, or it is not kept any more; no such sequence, mailbox or step.
        Invalid: the columns do not say who is meant, or name a column that the file has not.
        SequenceArchived, SequenceEmpty: nobody can be enrolled in the sequence.
    """

    async def work(t: Tx) -> UUID:
        stream = await import_files.beginning(t, file_id)
        if stream is None:
            raise NotFound("uploaded file", field=["fileId"])
        _check_columns(stream, columns)
        if into is not None:
            await enrolment.opened(t, into)
        said = Order(
            kind=BulkKind.IMPORT,
            dry_run=dry_run,
            into=into,
            file_id=file_id,
            columns=[{"name": one.name, "meaning": one.meaning, "field": one.field_name} for one in columns],
        )
        return await bulk_rows.insert(t, actor, said)

    return await tx(workspace_id, work)


def _check_columns(stream: BinaryIO, columns: Sequence[Column]) -> None:
    known = {column.name for column in columns_of(stream)}
    named: set[str] = set()
    for index, column in enumerate(columns):
        if column.name not in known:
            shown = ", ".join(f"“{name}”" for name in sorted(known)[:8])
            raise Invalid(
                f"The file has no column “{column.name[:FIELD_NAME_LIMIT]}”; it has {shown}.",
                field=["columns", str(index), "name"],
            )
        if column.name in named:
            raise Invalid(f"The column “{column.name}” stands here twice.", field=["columns", str(index), "name"])
        named.add(column.name)
        field = column.field_name or ""
        if column.meaning is Meaning.CUSTOM_FIELD and not 1 <= len(field) <= FIELD_NAME_LIMIT:
            raise Invalid(
                f"The name of a custom field has 1 to {FIELD_NAME_LIMIT} characters.",
                field=["columns", str(index), "fieldName"],
            )
    fields = [column.field_name for column in columns if column.field_name]
    if len(fields) != len(set(fields)):
        raise Invalid("Two columns would become the same custom field.", field=["columns"])
    stream.seek(0)
    try:
        read_contacts(stream, _by_name(columns))
    except CsvUnusable as problem:
        raise Invalid(str(problem), field=["columns"]) from None


def _by_name(columns: Sequence[Column]) -> dict[str, Column]:
    return {column.name: column for column in columns}


def columns_from(stored: str) -> list[Column]:
    """Return the columns as they were ordered."""
    return [Column(one["name"], Meaning(one["meaning"]), one["field"]) for one in orjson.loads(stored)]


class _Ended(Exception):
    pass


async def carry_on(workspace_id: UUID, operation_id: UUID) -> bool:
    """Read the file of an operation, or take its next batches, two side by side: while the database writes the one, the
    other is decided. Return whether anything was done. What another worker has in hand is left alone."""
    lanes = (tx(workspace_id, lambda t: _next(t, operation_id)) for _ in range(_LANES))
    done = await asyncio.gather(*lanes, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException) and not isinstance(one, _Ended):
            raise one
    return True in done


async def _next(t: Tx, operation_id: UUID) -> bool:
    going = await t.fetchrow(_GOING, t.workspace_id, operation_id)
    if going is None:
        return False
    if going["status"] == BulkStatus.PENDING:
        unread = await t.fetchrow(
            f"{_GOING} AND status = 'PENDING' FOR UPDATE SKIP LOCKED", t.workspace_id, operation_id
        )
        if unread is not None:
            await _read_file(t, unread)
        return unread is not None
    batch = await t.fetchrow(
        "SELECT position, file_rows FROM bulk_batches WHERE workspace_id = $1 AND operation_id = $2 "
        "AND file_rows IS NOT NULL ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED",
        t.workspace_id,
        operation_id,
    )
    if batch is None:
        return False
    done = await _carry_out(t, going, batch["position"], batch["file_rows"])
    # Locked last, so that batches go on beside each other; whoever cancelled meanwhile has the last word.
    now = await t.fetchrow(f"{_GOING} FOR NO KEY UPDATE", t.workspace_id, operation_id)
    if now is None:
        raise _Ended
    await bulk_rows.note(t, now, done)
    await faults.point("before_bulk_commit")
    return True


async def _read_file(t: Tx, going: asyncpg.Record) -> None:
    """Split the file of an operation into batches; then it runs. Without its file, or with more than a million rows,
    it is cancelled: nothing of it is done."""
    stream = await import_files.content(t, going["file_id"])
    position = matched = 0
    if stream is not None:
        reader = read_contacts(stream, _by_name(columns_from(going["columns"])))
        for position, rows in enumerate(batches(reader)):
            matched += len(rows)
            if matched > MATCHED_AT_MOST:
                break
            await t.execute(
                "INSERT INTO bulk_batches (workspace_id, operation_id, position, file_rows) VALUES ($1, $2, $3, $4)",
                t.workspace_id,
                going["id"],
                position,
                orjson.dumps([_packed(row) for row in rows]),
            )
    if stream is None or matched > MATCHED_AT_MOST:
        await t.execute(
            "UPDATE bulk_operations SET status = 'CANCELLED', ended_at = $3 WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            going["id"],
            t.now,
        )
    else:
        await bulk_rows.begin(t, going["id"], matched, running=True)
    if not going["dry_run"]:
        await import_files.empty(t, going["file_id"])


def _packed(row: ContactRow | BadRow) -> list[Any]:
    if isinstance(row, BadRow):
        return [row.line, row.cells, row.code, row.reason, row.email]
    return [row.line, row.cells, [getattr(row, name) for name in _VALUES], row.fields]


def _unpacked(packed: Sequence[Any]) -> ContactRow | BadRow:
    line, cells, *rest = packed
    if len(rest) == 3:
        code, reason, email = rest
        return BadRow(line, reason, tuple(cells), code, email)
    values, fields = rest
    return ContactRow(line, **dict(zip(_VALUES, values, strict=True)), fields=fields, cells=cells)


async def _carry_out(t: Tx, going: asyncpg.Record, position: int, packed: bytes) -> Done:
    """Take the rows of one batch; what it held is gone with it."""
    rows = [_unpacked(one) for one in orjson.loads(packed)]
    good = [row for row in rows if isinstance(row, ContactRow)]
    taken = await take(t, actor_of(going), good, into=into_of(going), dry_run=going["dry_run"]) if good else []
    refused = [_refused(row) for row in rows if isinstance(row, BadRow)]
    refused += (
        _refused(row, one, dry_run=going["dry_run"])
        for row, one in zip(good, taken, strict=True)
        if one.refusal is not None
    )
    changed = sum(one.changed for one in taken if one.refusal is None)
    await t.execute(
        "UPDATE bulk_batches SET file_rows = NULL WHERE workspace_id = $1 AND operation_id = $2 AND position = $3",
        t.workspace_id,
        going["id"],
        position,
    )
    return Done(
        changed=changed,
        unchanged=len(rows) - changed - len(refused),
        refused=sorted(refused, key=lambda one: one.line or 0),
        counts=_counted(taken),
    )


def _counted(taken: Sequence[Taken]) -> Mapping[str, int]:
    return {
        "created": sum(one.created for one in taken),
        "updated": sum(one.updated for one in taken),
        "enrolled": sum(one.enrolled for one in taken),
        "already_enrolled": sum(one.already_enrolled for one in taken),
        "not_enrolled": sum(one.contact_id is not None and one.refusal is not None for one in taken),
    }


def _refused(row: ContactRow | BadRow, one: Taken | None = None, *, dry_run: bool = False) -> Refused:
    if isinstance(row, BadRow):
        code, message = row.code, row.reason
    else:
        assert one is not None
        assert one.refusal is not None
        code, message = one.refusal.code, one.refusal.message
    is_erased = one is not None and isinstance(one.refusal, PersonErased)  # nothing of them is kept
    is_gone = one is None or (dry_run and one.created)
    return Refused(
        code=code,
        message=message,
        line=row.line,
        cells=None if is_erased else list(row.cells),
        email_key=address_key(row.email) if row.email else None,
        contact_id=None if is_gone or one is None else one.contact_id,
    )
