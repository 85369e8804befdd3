"""Steps that a person carries out come due: each is written out for its recipient and put into the inbox.

A step that cannot be written out or addressed is an error at once. What people then do stands in inbox.py.

Source: product.md section 2 "Pending actions".
"""

import logging
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from domain.changes import Change, NewError, NewPending
from domain.database import Tx, fetch, tx
from domain.plans import load_plans
from domain.prepared import COLUMNS, NotPreparable, written_out
from domain.rules import moves
from domain.rules.actor import ENGINE
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.plan import Plan, StepKind
from domain.rules.recipient import Recipient
from domain.writing import read, write

log = logging.getLogger("relance.pending")

_DUE: Final = f"""
    SELECT r.id, r.workspace_id, r.version, s.revision AS sequence_revision,
        now() + make_interval(secs => w.clock_offset_seconds) AS read_at, {COLUMNS},
        (SELECT u.id FROM users u WHERE u.workspace_id = r.workspace_id AND u.id = r.enrolled_by_id
            AND r.enrolled_by_kind = 'USER' AND u.deactivated_at IS NULL) AS enroller_id
    FROM recipients r JOIN workspaces w ON w.id = r.workspace_id
    JOIN sequences s ON s.id = r.sequence_id AND s.workspace_id = r.workspace_id
    JOIN steps t ON t.id = r.current_step_id AND t.workspace_id = r.workspace_id
    JOIN contacts c ON c.id = r.contact_id
    LEFT JOIN mailboxes m ON m.id = r.mailbox_id
    LEFT JOIN recipient_steps o ON o.recipient_id = r.id AND o.step_id = t.id AND o.workspace_id = r.workspace_id
    WHERE r.due_kind IN ('MANUAL_EMAIL', 'TASK') AND t.kind IN ('MANUAL_EMAIL', 'TASK') AND s.status = 'ACTIVE'
        AND s.pauses_to_follow IS NULL AND r.plan_revision >= t.revision AND r.pending_id IS NULL
        AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds)
    ORDER BY r.due_at, r.id LIMIT $1
"""


async def put_due_before_people(limit: int = 500) -> int:
    """Put up to `limit` due tasks and manual emails of all workspaces into their inboxes; return how many."""
    due = await fetch(_DUE, limit)
    count = 0
    for workspace_id in {row["workspace_id"] for row in due}:
        rows = {row["id"]: row for row in due if row["workspace_id"] == workspace_id}

        async def work(t: Tx, rows: dict[UUID, asyncpg.Record] = rows) -> int:
            recipients = await read(t, rows)
            plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
            changes = []
            for before in recipients.values():
                if before.version != rows[before.id]["version"] or before.current_step_id is None:
                    continue
                if plans[before.sequence_id].paused:
                    continue  # paused since it was found due
                changes.append(_put(before, plans[before.sequence_id], rows[before.id], before.current_step_id, t.now))
            return len(await write(t, changes))

        try:
            count += await tx(workspace_id, work)
        except Exception:  # one workspace's trouble must not keep the others waiting
            log.exception("the due steps for people of workspace %s are not put before people yet", workspace_id)
    return count


def _put(before: Recipient, plan: Plan, row: asyncpg.Record, step_id: UUID, now: datetime) -> Change:
    """Return the change that puts the step before a person, in words for this recipient; or the error that it has."""
    prepared = _prepared(row, step_id)
    failed = isinstance(prepared, NewError)
    move = moves.fail if failed else moves.put_before_person
    return Change(
        before=before,
        after=move(before, plan, prepared.id, now),
        type=EventType.STEP_FAILED if failed else EventType.ACTION_PENDING,
        actor=ENGINE,
        step_id=step_id,
        opens=prepared if isinstance(prepared, NewError) else None,
        puts=prepared if isinstance(prepared, NewPending) else None,
        seen_revision=row["sequence_revision"],
    )


def _prepared(row: asyncpg.Record, step_id: UUID) -> NewPending | NewError:
    try:
        words = written_out(row)
    except NotPreparable as problem:
        return NewError(id=new_id(), code=problem.code, detail=problem.detail, occurred_at=row["read_at"])
    return NewPending(
        id=new_id(),
        step_id=step_id,
        kind=StepKind(row["kind"]),
        subject=words.subject,
        body=words.body,
        task_kind=row["task_kind"],
        task_title=words.task_title,
        task_notes=words.task_notes,
        assignee_id=row["enroller_id"],
    )
