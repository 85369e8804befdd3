"""Steps that a person carries out: they come due, wait in the inbox, and are completed or skipped.

Source: product.md section 2 "Pending actions".
"""

import logging
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from domain import task_words
from domain.database import Tx, fetch, tx
from domain.plans import load_plan, load_plans
from domain.refusals import ActionNotAvailable, NotFound, PendingActionNotAvailable
from domain.rules import recipient as rules
from domain.rules.actor import ENGINE, Actor
from domain.rules.content import ContentProblem
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.plan import Plan, StepKind
from domain.rules.recipient import Recipient
from domain.writing import Change, NewError, NewPending, read, write

log = logging.getLogger("relance.pending")

_ROUNDS: Final = 20  # a row that moves more often between two statements does not exist in practice

_DUE = f"""
    SELECT r.id, r.workspace_id, r.version, t.kind, t.task_kind,
        coalesce(o.subject, t.subject) AS subject, coalesce(o.body, t.body) AS body, {task_words.COLUMNS}
    FROM recipients r JOIN workspaces w ON w.id = r.workspace_id
    JOIN sequences s ON s.id = r.sequence_id AND s.workspace_id = r.workspace_id
    JOIN steps t ON t.id = r.current_step_id AND t.workspace_id = r.workspace_id
    JOIN contacts c ON c.id = r.contact_id
    LEFT JOIN mailboxes m ON m.id = r.mailbox_id
    LEFT JOIN recipient_steps o ON o.recipient_id = r.id AND o.step_id = t.id AND o.workspace_id = r.workspace_id
    WHERE r.due_kind IN ('MANUAL_EMAIL', 'TASK', 'SMS') AND t.kind = 'TASK' AND s.status = 'ACTIVE'
        AND s.settling IS NULL AND r.pending_id IS NULL
        AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds)
    ORDER BY r.due_at, r.id LIMIT $1
"""


async def put_due_before_people(limit: int = 500) -> int:
    """Put up to `limit` due tasks of all workspaces into their inboxes; return how many."""
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
            log.exception("the due tasks of workspace %s are not put before people yet", workspace_id)
    return count


def _put(before: Recipient, plan: Plan, row: asyncpg.Record, step_id: UUID, now: datetime) -> Change:
    """Return the change that puts the task before a person, in words for this recipient; or the error that it has."""
    prepared = _prepared(row, step_id)
    failed = isinstance(prepared, NewError)
    move = rules.fail if failed else rules.put_before_person
    return Change(
        before=before,
        after=move(before, plan, prepared.id, now),
        type=EventType.STEP_FAILED if failed else EventType.ACTION_PENDING,
        actor=ENGINE,
        step_id=step_id,
        opens=prepared if isinstance(prepared, NewError) else None,
        puts=prepared if isinstance(prepared, NewPending) else None,
    )


def _prepared(row: asyncpg.Record, step_id: UUID) -> NewPending | NewError:
    try:
        title, notes = task_words.for_person(row)
    except ContentProblem as problem:
        return NewError(id=new_id(), code=problem.code, detail=problem.detail)
    return NewPending(
        id=new_id(),
        step_id=step_id,
        kind=StepKind(row["kind"]),
        subject=row["subject"],
        body=row["body"],
        task_kind=row["task_kind"],
        task_title=title,
        task_notes=notes,
    )


async def complete_task(workspace_id: UUID, actor: Actor, pending_id: UUID, note: str | None = None) -> UUID:
    """Complete a pending task, with a note; the next step's wait starts now. Return the recipient's id.

    Raises:
        NotFound
        PendingActionNotAvailable: it is closed; the refusal says how and by whom.
        ActionNotAvailable: the recipient is paused; a paused one's task can be read, not acted on.
    """
    return await _close(workspace_id, actor, pending_id, "COMPLETED", note)


async def skip(workspace_id: UUID, actor: Actor, pending_id: UUID) -> UUID:
    """Skip a pending action; the next step's wait starts now. Return the recipient's id.

    Raises:
        NotFound, PendingActionNotAvailable, ActionNotAvailable
    """
    return await _close(workspace_id, actor, pending_id, "SKIPPED", None)


async def _close(workspace_id: UUID, actor: Actor, pending_id: UUID, outcome: str, note: str | None) -> UUID:
    async def work(t: Tx) -> UUID:
        for _ in range(_ROUNDS):
            row = await t.fetchrow(
                "SELECT * FROM pending_actions WHERE workspace_id = $1 AND id = $2", t.workspace_id, pending_id
            )
            if row is None:
                raise NotFound("pending action", field=["id"])
            if row["closed_at"] is not None:
                raise _closed(row)
            before = (await read(t, [row["recipient_id"]])).get(row["recipient_id"])
            if before is None or before.pending_id != pending_id:
                continue  # it is being closed at this moment: read again what it became
            plan = await load_plan(t, before.sequence_id)
            if before.held or plan.paused:
                raise ActionNotAvailable("It is paused. Resume it first.", *rules.present(before, plan))
            change = Change(
                before=before,
                after=rules.leave_step(before, plan, t.now, t.now),
                type=EventType.STEP_CARRIED_OUT if outcome == "COMPLETED" else EventType.STEP_SKIPPED,
                actor=actor,
                step_id=row["step_id"],
                done="CARRIED_OUT" if outcome == "COMPLETED" else "SKIPPED",
                pending_outcome=outcome,
                note=note,
            )
            if await write(t, [change]):
                return before.id
        raise PendingActionNotAvailable(
            "Others are changing this recipient at this moment. Try again.",
            outcome=None,
            closed_by_kind=None,
            closed_by_id=None,
        )

    return await tx(workspace_id, work)


def _closed(row: asyncpg.Record) -> PendingActionNotAvailable:
    words = {
        "COMPLETED": "It was completed already.",
        "SENT": "It was sent already.",
        "SKIPPED": "It was skipped already.",
        "REPLIED": "The person has replied, so it is closed.",
        "STOPPED": "The recipient was stopped, so it is closed.",
        "OPTED_OUT": "The person has opted out, so it is closed.",
        "BOUNCED": "Mail to this person bounced, so it is closed.",
        "DELETED": "The recipient was deleted, so it is closed.",
    }
    return PendingActionNotAvailable(
        words[row["outcome"]],
        outcome=row["outcome"],
        closed_by_kind=row["closed_by_kind"],
        closed_by_id=row["closed_by_id"],
    )
