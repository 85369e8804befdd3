"""The same for everyone whom a filter keeps: chosen at once, done in batches by a worker.

Whom an operation means is settled when it is ordered: the ids are written down with it, five hundred to a row. So it
means whom the person saw, whatever they do meanwhile, and each of them is changed or refused once. A batch, its
refusals and the progress are one transaction: a worker that dies in the middle has done nothing of it, and the next one
goes on there.

Each workspace has one batch in turn, so that a large operation of one keeps no other waiting.

Source: api.md "Bulk"; docs/adr/0016.
"""

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain import bulk_contacts, bulk_imports, bulk_rows, faults
from domain.bulk_rows import Done, Refused
from domain.changes import Change
from domain.database import Tx, fetch, tx
from domain.deciding import decide_each
from domain.plans import load_plans
from domain.reading import recipient_rows
from domain.reading.filters import RecipientFilter, compile_filter
from domain.reading.pages import Parameters
from domain.refusals import ActionNotAvailable, BulkOperationEnded, Invalid, NotFound, Refusal
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction, BulkKind, BulkStatus
from domain.settling import catch_up
from domain.writing import read, write

log = logging.getLogger("relance.bulk")

KEPT: Final = timedelta(days=30)
_ROUNDS: Final = 20  # a row that moves more often between two statements does not exist in practice
_WORKSPACES_AT_ONCE: Final = 20
_PAUSE_AFTER_FAILURE: Final = timedelta(seconds=5)
_HAND_OVERS_COUNT: Final = (BulkAction.PAUSE, BulkAction.STOP, BulkAction.DELETE)


async def create(
    workspace_id: UUID,
    actor: Actor,
    action: BulkAction,
    filter: RecipientFilter,
    *,
    step_id: UUID | None = None,
    dry_run: bool = False,
) -> UUID:
    """Order an action for everyone whom the filter keeps at this moment; return the operation. A worker does it.

    With `dry_run` nothing is changed: each is decided, and counted.

    Raises:
        Invalid: the filter is out of bounds or keeps more than a million; SKIP_STEP names no step, or another one does.
        NotFound: the workspace has no such step.
    """
    if (action is BulkAction.SKIP_STEP) != (step_id is not None):
        raise Invalid(
            "Name the step to skip: those who are not at it are refused."
            if step_id is None
            else "A step is named only with SKIP_STEP.",
            field=["stepId"],
        )

    async def work(t: Tx) -> UUID:
        if step_id is not None and not await t.fetch(
            "SELECT FROM steps WHERE workspace_id = $1 AND id = $2", t.workspace_id, step_id
        ):
            raise NotFound("step", field=["stepId"])
        said = bulk_rows.Order(kind=BulkKind(action), step_id=step_id, dry_run=dry_run)
        operation_id = await bulk_rows.insert(t, actor, said)
        parameters = Parameters([t.workspace_id])
        living = ("r.workspace_id = $1", "r.deleted_at IS NULL")
        source = f"{recipient_rows.FROM} WHERE {' AND '.join([*living, *compile_filter(filter, parameters)])}"
        await bulk_rows.choose(
            t, operation_id, column="recipient_ids", key="r.id", source=source, values=parameters.values
        )
        return operation_id

    return await tx(workspace_id, work)


async def cancel(workspace_id: UUID, operation_id: UUID) -> None:
    """End an operation where it is: once this has returned nobody else is changed by it. Repeated, it stays so.

    Raises:
        NotFound
        BulkOperationEnded: it has gone through all already.
    """

    async def work(t: Tx) -> None:
        row = await t.fetchrow(
            "SELECT status FROM bulk_operations WHERE workspace_id = $1 AND id = $2 FOR UPDATE",
            t.workspace_id,
            operation_id,
        )
        if row is None:
            raise NotFound("bulk operation", field=["id"])
        if row["status"] == BulkStatus.COMPLETED:
            raise BulkOperationEnded
        await t.execute(
            "UPDATE bulk_operations SET status = 'CANCELLED', ended_at = coalesce(ended_at, $3) "
            "WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            operation_id,
            t.now,
        )

    await tx(workspace_id, work)


async def go_on() -> bool:
    """Do one batch for each workspace that has an operation going on; return whether there may be more."""
    rows = await fetch(
        """
        SELECT workspace_id, id, action FROM (
            SELECT DISTINCT ON (workspace_id) workspace_id, id, turned_at, action FROM bulk_operations
            WHERE ended_at IS NULL AND turned_at <= now() ORDER BY workspace_id, turned_at, id
        ) next ORDER BY turned_at LIMIT $1
        """,
        _WORKSPACES_AT_ONCE,
    )
    more = False
    for row in rows:
        try:
            carry_on = bulk_imports.carry_on if row["action"] == BulkKind.IMPORT else _carry_on
            more = await carry_on(row["workspace_id"], row["id"]) or more
        except Exception:  # one workspace's trouble must not keep the others waiting
            log.exception("operation %s of workspace %s stands still", row["id"], row["workspace_id"])
            await _put_off(row["workspace_id"], row["id"])
    return more


async def _carry_on(workspace_id: UUID, operation_id: UUID) -> bool:
    return await tx(workspace_id, lambda t: _next_batch(t, operation_id))


async def _put_off(workspace_id: UUID, operation_id: UUID) -> None:
    async def work(t: Tx) -> None:
        await t.execute(
            "UPDATE bulk_operations SET turned_at = now() + $3 WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            operation_id,
            _PAUSE_AFTER_FAILURE,
        )

    await tx(workspace_id, work, rings=False)


async def _next_batch(t: Tx, operation_id: UUID) -> bool:
    """Do the next batch; return whether it was one. Another worker's, or a cancelled operation, is left alone."""
    going = await t.fetchrow(
        "SELECT * FROM bulk_operations WHERE workspace_id = $1 AND id = $2 AND ended_at IS NULL FOR UPDATE SKIP LOCKED",
        t.workspace_id,
        operation_id,
    )
    if going is None:
        return False
    batch = await t.fetchrow(
        "SELECT * FROM bulk_batches WHERE workspace_id = $1 AND operation_id = $2 AND position = $3",
        t.workspace_id,
        operation_id,
        going["batches_done"],
    )
    assert batch is not None, "an operation that has not ended has a batch left"
    match going["action"]:
        case BulkKind.ENROLL | BulkKind.SUPPRESS:
            done = await bulk_contacts.carry_out(t, going, batch["contact_ids"])
        case _:
            done = await _carry_out(t, going, batch["recipient_ids"])
    await bulk_rows.note(t, going, done)
    await faults.point("before_bulk_commit")
    return True


async def _carry_out(t: Tx, going: asyncpg.Record, recipient_ids: Collection[UUID]) -> Done:
    action, dry_run = BulkAction(going["action"]), going["dry_run"]
    actor = bulk_rows.actor_of(going)
    left = set(recipient_ids)
    changed: set[UUID] = set()
    refused: dict[UUID, Refusal] = {}
    if not dry_run:
        # Locked before it is asked what is being handed over: the second mark waits for the lock or is seen.
        await t.fetch(
            "SELECT id FROM recipients WHERE workspace_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR NO KEY UPDATE",
            t.workspace_id,
            list(left),
        )
    for _ in range(_ROUNDS):
        await catch_up(t, left)
        found = await read(t, left)
        refused |= {key: NotFound("recipient") for key in left - found.keys()}
        plans = await load_plans(t, {one.sequence_id for one in found.values()})
        answers = await decide_each(t, actor, action, list(found.values()), plans, step_id=going["step_id"])
        refused |= {key: answer for key, answer in answers.items() if isinstance(answer, Refusal)}
        changes = [answer for answer in answers.values() if isinstance(answer, Change)]
        written = {one.before.id for one in changes} if dry_run else await write(t, changes)
        changed |= written
        left = {one.before.id for one in changes} - written
        if not left:
            in_flight = await _in_flight(t, changed) if action in _HAND_OVERS_COUNT and not dry_run else 0
            told = [_refused(key, refusal) for key, refusal in refused.items()]
            return Done(changed=len(changed), refused=told, in_flight=in_flight)
    raise RuntimeError(f"{len(left)} recipients moved more often than they could be written")


async def _in_flight(t: Tx, recipient_ids: Collection[UUID]) -> int:
    count: int = await t.fetchval(
        "SELECT count(*) FROM messages WHERE workspace_id = $1 AND recipient_id = ANY($2::uuid[]) "
        "AND state = 'HANDING_OVER'",
        t.workspace_id,
        list(recipient_ids),
    )
    return count


def _refused(recipient_id: UUID, refusal: Refusal) -> Refused:
    status = refusal.status if isinstance(refusal, ActionNotAvailable) else None
    return Refused(code=refusal.code, message=refusal.message, status=status, recipient_id=recipient_id)


async def forget_old(limit: int = 20) -> bool:
    """Remove up to `limit` operations that ended more than 30 days ago; return whether there may be more."""

    async def work(t: Tx) -> bool:
        rows = await t.fetch(
            "SELECT workspace_id, id FROM bulk_operations WHERE ended_at < now() - $1::interval "
            "ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED",
            KEPT,
            limit,
        )
        keys = [row["workspace_id"] for row in rows], [row["id"] for row in rows]
        for table, column in (
            ("bulk_refusals", "operation_id"),
            ("bulk_batches", "operation_id"),
            ("bulk_operations", "id"),
        ):
            await t.execute(
                f"DELETE FROM {table} x USING unnest($1::uuid[], $2::uuid[]) AS u (workspace_id, id) "
                f"WHERE x.workspace_id = u.workspace_id AND x.{column} = u.id",
                *keys,
            )
        return len(rows) == limit

    return await tx(None, work, rings=False)
