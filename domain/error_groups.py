"""Trying again everything that failed for one cause: a small group at once, a large one in batches by a worker.

What is left of a retry stands in a row of its own: how far it has come and how many were tried. A batch and its
progress are one transaction, so that a worker that dies in the middle has done nothing, and the next one goes on there.
Only errors that were open when the retry was asked for are tried: one that fails again is not tried for ever.

Source: product.md section 2 "Retry belongs to the error", section 4.
"""

import logging
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from domain import causes, retries
from domain.changes import Change
from domain.database import Tx, fetch, tx
from domain.plans import load_plans
from domain.refusals import NotFound, RetryNotAvailable
from domain.retries import ErrorNow
from domain.rules import moves
from domain.rules.actor import Actor, ActorKind
from domain.rules.event_types import EventType
from domain.rules.step_errors import CATALOGUE, StepErrorCode
from domain.rules.timers import is_shut_out
from domain.settling import catch_up
from domain.writing import read, write

log = logging.getLogger("relance.error_groups")

BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the retry of a group has come."""

    cause_key: UUID
    matched: int  # errors that were open when it was asked for
    retried: int
    refused: int  # those that offered no retry when they were looked at: the cause lasts, or the recipient is held
    ended: bool


async def retry(workspace_id: UUID, actor: Actor, cause_key: UUID) -> Progress:
    """Try all open errors of a group again, the first 500 before this returns, the rest by a worker.

    While one is going on, asking again is the same retry. What offers no retry is left as it is, and counted.

    Raises:
        NotFound: no error of this group is open.
        RetryNotAvailable: none of them can be tried again now; the sentence says why and what to do.
    """

    async def work(t: Tx) -> Progress:
        codes = await t.fetch(
            "SELECT code, count(*) AS n FROM step_errors WHERE workspace_id = $1 AND cause_key = $2 "
            "AND resolved_at IS NULL GROUP BY code",
            t.workspace_id,
            cause_key,
        )
        if not codes:
            raise NotFound("error group", field=["id"])
        code = StepErrorCode(codes[0]["code"])
        if not CATALOGUE[code].retryable:
            raise RetryNotAvailable(ErrorNow(code, False, None).why_not)
        # A retry that is going on stays as it is: its end is what the WHERE asks for.
        await t.execute(
            """
            INSERT INTO error_group_retries AS k (workspace_id, cause_key, actor_kind, actor_id, asked_at, reached,
                matched, retried, refused, ended_at)
            VALUES ($1, $2, $3, $4, $5, NULL, $6, 0, 0, NULL)
            ON CONFLICT (workspace_id, cause_key) DO UPDATE SET actor_kind = excluded.actor_kind,
                actor_id = excluded.actor_id, asked_at = excluded.asked_at, reached = NULL, matched = excluded.matched,
                retried = 0, refused = 0, ended_at = NULL
            WHERE k.ended_at IS NOT NULL
            """,
            t.workspace_id,
            cause_key,
            actor.kind,
            actor.id,
            t.now,
            codes[0]["n"],
        )
        progress, why_not = await _next_batch(t, cause_key)
        if progress.ended and not progress.retried and why_not is not None:
            raise RetryNotAvailable(why_not)
        return progress

    return await tx(workspace_id, work)


async def go_on() -> bool:
    """Do the next batch of each retry that is going on; return whether there may be more."""
    rows = await fetch(
        "SELECT workspace_id, cause_key FROM error_group_retries WHERE ended_at IS NULL ORDER BY asked_at LIMIT 20"
    )
    more = False
    for row in rows:
        try:
            progress = await _carry_on(row["workspace_id"], row["cause_key"])
            more = more or not progress.ended
        except Exception:  # one workspace's trouble must not keep the others waiting
            log.exception("the retry of a group of errors of workspace %s stands still", row["workspace_id"])
    return more


async def _carry_on(workspace_id: UUID, cause_key: UUID) -> Progress:
    async def work(t: Tx) -> Progress:
        return (await _next_batch(t, cause_key))[0]

    return await tx(workspace_id, work)


_NEXT: Final = f"""
    SELECT e.id, e.recipient_id, e.code, {causes.GONE_AT} IS NOT NULL AS gone, {causes.HELD} AS held,
        q.status = 'PAUSED' AS with_sequence, m.address
    FROM step_errors e JOIN recipients r ON r.workspace_id = e.workspace_id AND r.id = e.recipient_id
    {causes.JOINS}
    WHERE e.workspace_id = $1 AND e.cause_key = $2 AND e.resolved_at IS NULL AND e.occurred_at <= $3
        AND ($4::uuid IS NULL OR e.id > $4)
    ORDER BY e.id LIMIT $5
"""


async def _next_batch(t: Tx, cause_key: UUID) -> tuple[Progress, str | None]:
    """Try the next 500 of a group again; return how far it is, and why the first that was not tried was not."""
    going = await t.fetchrow(
        "SELECT * FROM error_group_retries WHERE workspace_id = $1 AND cause_key = $2 FOR UPDATE",
        t.workspace_id,
        cause_key,
    )
    assert going is not None
    if going["ended_at"] is not None:
        return _progress(going), None
    meant = t.workspace_id, cause_key, going["asked_at"], going["reached"], BATCH
    found = errors = await t.fetch(_NEXT, *meant)
    if await catch_up(t, [row["recipient_id"] for row in found]):
        still = {row["id"] for row in found}
        errors = [row for row in await t.fetch(_NEXT, *meant) if row["id"] in still]
    actor = Actor(ActorKind(going["actor_kind"]), going["actor_id"])
    able = [row["recipient_id"] for row in errors if not row["held"] and _now(row).offers_retry]
    tried = await _try_again(t, actor, able, {row["id"] for row in errors})
    left_out = next((row for row in errors if row["recipient_id"] not in tried), None)
    going = await t.fetchrow(
        "UPDATE error_group_retries SET reached = coalesce($3, reached), retried = retried + $4, "
        "refused = refused + $5, ended_at = CASE WHEN $6 THEN $7::timestamptz END "
        "WHERE workspace_id = $1 AND cause_key = $2 RETURNING *",
        t.workspace_id,
        cause_key,
        found[-1]["id"] if found else None,
        len(tried),
        len(found) - len(tried),
        len(found) < BATCH,
        t.now,
    )
    assert going is not None
    return _progress(going), _why_not(left_out) if left_out is not None else None


async def _try_again(t: Tx, actor: Actor, recipient_ids: list[UUID], error_ids: set[UUID]) -> set[UUID]:
    """Try the step of each of these recipients again, but of those of whom a message is being handed over."""
    # Locked before it is asked what is being handed over: the second mark waits for the lock or is seen.
    await t.fetch(
        "SELECT id FROM recipients WHERE workspace_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR NO KEY UPDATE",
        t.workspace_id,
        recipient_ids,
    )
    being_sent = await t.fetch(
        "SELECT recipient_id FROM messages WHERE workspace_id = $1 AND recipient_id = ANY($2::uuid[]) "
        "AND state = 'HANDING_OVER'",
        t.workspace_id,
        recipient_ids,
    )
    free = set(recipient_ids) - {row["recipient_id"] for row in being_sent}
    before = {key: each for key, each in (await read(t, free)).items() if each.error_id in error_ids and not each.held}
    plans = await load_plans(t, [each.sequence_id for each in before.values()])
    changes = []
    for able in (await retries.with_mailboxes(t, list(before.values()))).values():
        plan = plans[able.sequence_id]
        after = moves.try_again(able, plan, t.now)
        if plan.paused or is_shut_out(after, plan):
            continue
        changes.append(
            Change(
                before=before[able.id],
                after=after,
                type=EventType.STEP_RETRIED,
                actor=actor,
                step_id=able.current_step_id,
            )
        )
    return await write(t, changes)


def _now(row: asyncpg.Record) -> ErrorNow:
    return ErrorNow(StepErrorCode(row["code"]), row["gone"], row["address"])


def _why_not(row: asyncpg.Record) -> str:
    if row["with_sequence"]:
        return "Their sequence is paused. Resume the sequence first, then retry."
    if not _now(row).offers_retry:  # nor does a resume try it again
        return _now(row).why_not
    if row["held"]:
        return "They are paused. Resume them: their steps are then tried again."
    return "Their messages are being sent right now. Try again in a minute."


def _progress(row: asyncpg.Record) -> Progress:
    return Progress(row["cause_key"], row["matched"], row["retried"], row["refused"], row["ended_at"] is not None)
