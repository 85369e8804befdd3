"""The rows of an operation on many: ordered, and what came of a batch.

Source: docs/adr/0016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx
from domain.enrolment import Into
from domain.refusals import Invalid
from domain.rules.actor import Actor, ActorKind
from domain.rules.bulk import BulkKind
from domain.rules.ids import new_id
from domain.rules.lifecycle import Status

BATCH: Final = 500
MATCHED_AT_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done, and how."""

    kind: BulkKind
    dry_run: bool = False
    step_id: UUID | None = None  # to skip
    into: Into | None = None  # where people are enrolled
    note: str | None = None
    file_id: UUID | None = None
    columns: Sequence[Mapping[str, str | None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Whom, or which row of a file, it was refused to, and why."""

    code: str
    message: str
    status: Status | None = None
    recipient_id: UUID | None = None
    contact_id: UUID | None = None
    line: int | None = None
    cells: Sequence[str] | None = None
    email_key: str | None = None  # by which erasing finds the row of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of one batch. `counts` are added up in the operation."""

    changed: int
    unchanged: int = 0
    refused: Sequence[Refused] = ()
    in_flight: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


async def insert(t: Tx, actor: Actor, order: Order) -> UUID:
    """Insert an operation, about to begin, and return it."""
    operation_id, into = new_id(), order.into
    await t.execute(
        """
        INSERT INTO bulk_operations (id, workspace_id, action, step_id, dry_run, status, matched, done, changed,
            refused, in_flight, batches_done, actor_kind, actor_id, created_at, turned_at, sequence_id, mailbox_id,
            start_at, note, file_id, columns)
        VALUES ($2, $1, $3, $4, $5, 'PENDING', 0, 0, 0, 0, 0, 0, $6, $7, $8, now(), $9, $10, $11, $12, $13, $14)
        """,
        t.workspace_id,
        operation_id,
        order.kind,
        into.start_step_id if into else order.step_id,
        order.dry_run,
        actor.kind,
        actor.id,
        t.now,
        into.sequence_id if into else None,
        into.mailbox_id if into else None,
        into.start_at if into else None,
        order.note,
        order.file_id,
        None if order.columns is None else orjson.dumps(list(order.columns)).decode(),
    )
    return operation_id


async def choose(t: Tx, operation_id: UUID, *, column: str, key: str, source: str, values: list[Any]) -> None:
    """Note whom an operation means: the `key` of the rows of `source`, a FROM clause with its conditions, each once.
    Their values are `values`, the workspace first.

    Raises:
        Invalid: they are more than a million.
    """
    batches = await t.fetch(
        f"""
        INSERT INTO bulk_batches (workspace_id, operation_id, position, {column})
        SELECT $1, ${len(values) + 1}::uuid, n.position, array_agg(n.id ORDER BY n.id)
        FROM (
            SELECT k.id, (row_number() OVER (ORDER BY k.id) - 1) / {BATCH} AS position
            FROM (SELECT {key} AS id {source}) k ORDER BY k.id LIMIT {MATCHED_AT_MOST + 1}
        ) n GROUP BY n.position RETURNING cardinality({column}) AS n
        """,
        *values,
        operation_id,
    )
    matched = sum(row["n"] for row in batches)
    if matched > MATCHED_AT_MOST:
        raise Invalid(
            f"The filter keeps more than {MATCHED_AT_MOST:,}. Make it narrower, and order several.", field=["filter"]
        )
    await begin(t, operation_id, matched)


async def begin(t: Tx, operation_id: UUID, matched: int, *, running: bool = False) -> None:
    """Note how many an operation means; it ends at once when there is nobody."""
    await t.execute(
        "UPDATE bulk_operations SET matched = $3, turned_at = clock_timestamp(), "
        "status = CASE WHEN $3 = 0 THEN 'COMPLETED' WHEN $5 THEN 'RUNNING' ELSE status END, "
        "ended_at = CASE WHEN $3 = 0 THEN $4::timestamptz END WHERE workspace_id = $1 AND id = $2",
        t.workspace_id,
        operation_id,
        matched,
        t.now,
        running,
    )


def into_of(going: asyncpg.Record) -> Into | None:
    """Return where an operation enrols, None where it does not."""
    if going["sequence_id"] is None:
        return None
    return Into(
        sequence_id=going["sequence_id"],
        mailbox_id=going["mailbox_id"],
        start_step_id=going["step_id"],
        start_at=going["start_at"],
    )


def actor_of(going: asyncpg.Record) -> Actor:
    """Return who ordered an operation."""
    return Actor(ActorKind(going["actor_kind"]), going["actor_id"])


async def note(t: Tx, going: asyncpg.Record, done: Done) -> None:
    """Note what came of a batch: its refusals, and how far the operation is."""
    if done.refused:
        await _note_refusals(t, going["id"], done.refused)
    counts = orjson.loads(going["counts"])
    for name, count in done.counts.items():
        counts[name] = counts.get(name, 0) + count
    await t.execute(
        """
        UPDATE bulk_operations SET batches_done = batches_done + 1, done = done + $3 + $4 + $7, changed = changed + $3,
            refused = refused + $4, unchanged = unchanged + $7, in_flight = in_flight + $5, counts = $8,
            turned_at = clock_timestamp(),
            status = CASE WHEN done + $3 + $4 + $7 = matched THEN 'COMPLETED' ELSE 'RUNNING' END,
            ended_at = CASE WHEN done + $3 + $4 + $7 = matched THEN $6::timestamptz END
        WHERE workspace_id = $1 AND id = $2
        """,
        t.workspace_id,
        going["id"],
        done.changed,
        len(done.refused),
        done.in_flight,
        t.now,
        done.unchanged,
        orjson.dumps(counts).decode(),
    )


async def _note_refusals(t: Tx, operation_id: UUID, refused: Sequence[Refused]) -> None:
    await t.execute(
        """
        INSERT INTO bulk_refusals (workspace_id, operation_id, id, recipient_id, contact_id, line, cells, email_hash,
            code, message, status, refused_at)
        SELECT $1, $2, u.id, u.recipient_id, u.contact_id, u.line, u.cells, u.email_hash, u.code, u.message,
            u.status, $3
        FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::jsonb[], $9::text[], $10::text[], $11::text[],
            $12::text[])
        AS u (id, recipient_id, contact_id, line, cells, email_hash, code, message, status)
        """,
        t.workspace_id,
        operation_id,
        t.now,
        sorted(new_id() for _ in refused),  # in their order
        [one.recipient_id for one in refused],
        [one.contact_id for one in refused],
        [one.line for one in refused],
        [None if one.cells is None else _as_json(one.cells) for one in refused],
        [t.hashed(one.email_key) for one in refused],
        [one.code for one in refused],
        [one.message for one in refused],
        [one.status for one in refused],
    )


def _as_json(cells: Sequence[str]) -> str:
    """Return cells as PostgreSQL can keep them: without the character NUL."""
    return orjson.dumps([cell.replace("\0", "") for cell in cells]).decode()
