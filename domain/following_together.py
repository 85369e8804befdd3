"""Recipients that are alike follow a pause, a resume or an archiving together: two statements for a batch of them.

By far the most are: no error, no pending action, one wait. What they become, what their event says and what they count
as depends on their status, their step and whether they were written to, so it is decided once for each kind of them, by
the rule for one recipient (rules/following.py) on a model of the kind. Only the sums with their times, which are each
one's own, are done by the database; a test holds them to the rule. Everyone else follows one by one (settling.py).

Source: product.md section 2 "Sequences"; architecture.md "Facts, not memories".
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.changes import Change
from domain.database import Tx
from domain.rules.following import Pauses, follow
from domain.rules.lifecycle import Status
from domain.rules.plan import Plan, SequenceStatus
from domain.rules.recipient import Recipient
from domain.rules.timers import comes_due

_RUNNING: Final = (Status.SCHEDULED, Status.IN_PROGRESS)
_NOBODY: Final = UUID(int=0)
_LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)

# The sums of rules/timers.py and holds.py. q: from when until when the pause is that they follow, and the present.
_HELD: Final = """
    sequence_paused_at = q.began_at, due_at = NULL, due_kind = NULL, wait_ends_at = NULL,
    anchor_at = CASE WHEN r.wait_ends_at IS NULL OR r.anchor_at <= q.began_at THEN r.anchor_at END,
    wait_left_seconds = CASE WHEN r.wait_ends_at IS NULL THEN r.wait_left_seconds
        WHEN r.anchor_at IS NULL OR r.anchor_at <= q.began_at
        THEN extract(epoch FROM greatest(r.wait_ends_at - q.began_at, interval '0')) END
"""
_RELEASED: Final = """
    sequence_paused_at = NULL, due_at = u.due_at, due_kind = a.due_kind, wait_left_seconds = NULL,
    wait_ends_at = q.ended_at + make_interval(secs => r.wait_left_seconds),
    anchor_at = coalesce(r.anchor_at + (q.ended_at - r.sequence_paused_at), q.ended_at)
"""
_STOPPED: Final = """
    end_reason = a.end_reason, ended_at = q.now, paused_at = NULL, sequence_paused_at = NULL, bounced_step_id = NULL,
    left_step_id = r.current_step_id, current_step_id = NULL, start_at = NULL, retry_at = NULL, paced_until = NULL,
    frequency_capped = false, anchor_at = NULL, wait_ends_at = NULL, wait_left_seconds = NULL, due_at = NULL,
    due_kind = NULL
"""


@dataclass(frozen=True, slots=True)
class _Way:
    """How the alike of a sequence follow it: those of which statuses, which of them, and what is written."""

    statuses: tuple[Status, ...]
    rows: str
    facts: str


# Those who missed an earlier pause, are held by a person beside it, or have no wait to go on with are not alike.
_WAYS: Final = {
    SequenceStatus.PAUSED: _Way(_RUNNING, "r.sequence_paused_at IS NULL AND r.updated_at >= q.ended_at", _HELD),
    SequenceStatus.ACTIVE: _Way(
        (Status.PAUSED,),
        "r.sequence_paused_at BETWEEN q.began_at AND q.ended_at AND r.paused_at IS NULL "
        "AND r.wait_left_seconds IS NOT NULL",
        _RELEASED,
    ),
    SequenceStatus.ARCHIVED: _Way((*_RUNNING, Status.PAUSED), "true", _STOPPED),
}
_TIMES: Final = "q AS (SELECT $3::timestamptz AS began_at, $4::timestamptz AS ended_at, $5::timestamptz AS now)"


def _choice(way: _Way, status: Status) -> str:
    """Read and lock a batch, in the order of `recipients_by_status`, which those who have followed have left. Who is
    locked by another is decided alone.

    The status is a range of one, so that to be in order of it is worth something: of the other lists, which are in the
    same order otherwise, those who have followed are still the beginning, and each batch would go past them all."""
    return f"""
        WITH {_TIMES}
        SELECT r.ctid AS place, r.current_step_id AS step_id, r.contact_id,
            greatest(q.ended_at + make_interval(secs => r.wait_left_seconds), r.retry_at, r.paced_until) AS earliest_at
        FROM recipients r, q
        WHERE r.workspace_id = $1 AND r.sequence_id = $2 AND r.status BETWEEN '{status}' AND '{status}'
            AND r.deleted_at IS NULL AND r.error_id IS NULL AND r.pending_id IS NULL AND {way.rows}
            AND r.plan_revision >= ($7::int[])[array_position($6::uuid[], r.current_step_id)]
        ORDER BY r.status, r.enrolled_at DESC, r.id DESC LIMIT $8 FOR NO KEY UPDATE OF r SKIP LOCKED
    """


_KIND: Final[tuple[tuple[str, str, Callable[[Change], Any]], ...]] = (
    ("begun", "bool", lambda c: c.before.begun),
    ("contacted", "bool", lambda c: c.before.contacted_at is not None),
    ("here", "uuid", lambda c: c.before.current_step_id),
    ("status", "text", lambda c: c.after.status),
    ("end_reason", "text", lambda c: c.after.end_reason),
    ("due_kind", "text", lambda c: c.after.due_kind),
    ("type", "text", lambda c: c.type),
    ("previous_status", "text", lambda c: c.before.status),
    ("previous_stage", "text", lambda c: c.before.stage),
    ("stage", "text", lambda c: c.after.stage),
    ("actor_kind", "text", lambda c: c.actor.kind),
    ("step_id", "uuid", lambda c: c.step_id),
)


def _writing(way: _Way) -> str:
    kinds = ", ".join(f"${number}::{kind}[]" for number, (_, kind, _) in enumerate(_KIND, start=9))
    return f"""
        WITH {_TIMES}, a AS (
            SELECT * FROM unnest($8::jsonb[], {kinds}) AS a (counted, {", ".join(name for name, _, _ in _KIND)})
        ), u AS (
            SELECT * FROM unnest($6::tid[], $7::timestamptz[]) AS u (place, due_at)
        ), changed AS (
            UPDATE recipients r SET {way.facts}, status = a.status, version = r.version + 1, updated_at = q.now,
                status_changed_at = CASE WHEN r.status = a.status THEN r.status_changed_at ELSE q.now END
            FROM q, a, u
            -- One value, so that the place alone finds the row: see writing.py.
            WHERE r.ctid = u.place AND CASE WHEN r.workspace_id = $1 AND r.sequence_id = $2 AND a.begun = r.begun
                AND a.contacted = (r.contacted_at IS NOT NULL) AND a.here = r.current_step_id THEN
                    a.previous_status = r.status ELSE false END
            RETURNING r.id, r.version, r.mailbox_id, a.*
        ), told AS (
            INSERT INTO events (recipient_id, version, workspace_id, sequence_id, mailbox_id, type, previous_status,
                status, previous_stage, stage, end_reason, actor_kind, step_id, counted, occurred_at)
            SELECT c.id, c.version, $1, $2, c.mailbox_id, c.type, c.previous_status, c.status, c.previous_stage,
                c.stage, c.end_reason, c.actor_kind, c.step_id, c.counted, q.now
            FROM changed c, q
        ) SELECT count(*) FROM changed
    """


_CHOICES: Final = {(of, was): _choice(way, was) for of, way in _WAYS.items() for was in way.statuses}
_WRITINGS: Final = {of: _writing(way) for of, way in _WAYS.items()}


async def follow_together(
    t: Tx,
    sequence_id: UUID,
    plan: Plan,
    pauses: Pauses,
    limit: int,
    change: Callable[[Recipient, Recipient], Change],
) -> int:
    """Let up to `limit` recipients that are alike follow the status of their sequence; return how many did.

    `pauses` as in `follow`; `change` says what the event of such a change is.
    """
    way = _WAYS.get(plan.status)
    times = _times(plan, pauses, t.now)
    if way is None or times is None:
        return 0
    followed = 0
    for status in way.statuses:
        if followed < limit:
            rows = await t.fetch(
                _CHOICES[plan.status, status],
                t.workspace_id,
                sequence_id,
                *times,
                [step.id for step in plan.steps],
                [step.revision for step in plan.steps],
                limit - followed,
            )
            if rows:
                followed += await _write(t, sequence_id, plan, pauses, status, rows, times, change)
    return followed


async def _write(
    t: Tx,
    sequence_id: UUID,
    plan: Plan,
    pauses: Pauses,
    status: Status,
    rows: list[asyncpg.Record],
    times: tuple[datetime, datetime, datetime],
    change: Callable[[Recipient, Recipient], Change],
) -> int:
    changes = [
        change(model, follow(model, plan, t.now, pauses=pauses, written_at=times[1]))
        for step_id, begun, contacted in product({row["step_id"] for row in rows}, [False, True], [False, True])
        if (model := _model(t, sequence_id, plan, status, times, step_id, begun, contacted)).status is status
    ]
    written: int = await t.fetchval(
        _WRITINGS[plan.status],
        t.workspace_id,
        sequence_id,
        *times,
        [row["place"] for row in rows],
        await _due(t, plan, rows) if plan.status is SequenceStatus.ACTIVE else [None] * len(rows),
        [each.counted(t.now) for each in changes],
        *([attribute(each) for each in changes] for _, _, attribute in _KIND),
    )
    return written


def _times(plan: Plan, pauses: Pauses, now: datetime) -> tuple[datetime, datetime, datetime] | None:
    """Return the pause that the alike follow, and the present. Of one that stands, instead of its end: when the pauses
    before it, which the alike have followed, were over."""
    if plan.status is SequenceStatus.ARCHIVED:
        return now, now, now
    if not pauses:
        return None
    began_at, ended_at = pauses[-1]
    return began_at, ended_at or (pauses[-2][1] if len(pauses) > 1 else None) or _LONG_AGO, now


def _model(
    t: Tx,
    sequence_id: UUID,
    plan: Plan,
    status: Status,
    times: tuple[datetime, datetime, datetime],
    step_id: UUID,
    begun: bool,
    contacted: bool,
) -> Recipient:
    assert t.workspace_id is not None
    held = status is Status.PAUSED
    return Recipient(
        id=_NOBODY,
        workspace_id=t.workspace_id,
        sequence_id=sequence_id,
        contact_id=_NOBODY,
        version=1,
        time_zone=None,
        mailbox_id=None,
        current_step_id=step_id,
        plan_revision=plan.revision,
        begun=begun,
        contacted_at=times[0] if contacted else None,
        sequence_paused_at=times[0] if held else None,
        wait_left=timedelta(0) if held else None,
        wait_ends_at=None if held else times[0],
    )


async def _due(t: Tx, plan: Plan, rows: list[asyncpg.Record]) -> list[datetime]:
    """Return when each of them comes due, its wait going on."""
    people = await t.fetch(
        "SELECT id, time_zone, out_of_office_until FROM contacts WHERE workspace_id = $1 AND id = ANY($2::uuid[]) "
        "AND num_nonnulls(time_zone, out_of_office_until) > 0",
        t.workspace_id,
        [row["contact_id"] for row in rows],
    )
    known = {row["id"]: (row["time_zone"], row["out_of_office_until"]) for row in people}
    steps = {step.id: step for step in plan.steps}
    return [
        comes_due(row["earliest_at"], steps[row["step_id"]], plan, *known.get(row["contact_id"], (None, None)))
        for row in rows
    ]
