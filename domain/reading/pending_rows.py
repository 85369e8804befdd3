"""Pending actions as they stand in a statement over `p`, pending_actions, `r`, their recipients, and `w.now`, the
business time."""

from collections.abc import Sequence
from typing import Any, Final

from domain.reading.history_rows import PendingActionRow
from domain.rules.inbox import Waiting, available_pending_actions
from domain.rules.plan import StepKind

PENDING_COLUMNS: Final = (
    *("p.id", "p.recipient_id", "p.step_id", "p.kind", "p.subject", "p.body", "p.task_kind", "p.task_title"),
    *("p.task_notes", "p.note", "p.due_since", "p.closed_at", "p.closed_by_kind", "p.closed_by_id", "p.outcome"),
    *(
        "p.assignee_id",
        "p.version",
        "CASE WHEN r.pending_id = p.id THEN r.scheduled_for END",
        "r.error_id IS NOT NULL",
        "w.now",
    ),
    "EXISTS (SELECT FROM messages x WHERE x.workspace_id = $1 AND x.recipient_id = p.recipient_id "
    "AND x.step_id = p.step_id AND x.state = 'HANDING_OVER')",
)


def to_pending(values: Sequence[Any], *, held: bool) -> PendingActionRow:
    """Return the row; `held` says that its recipient is paused, so that it can be read but not acted on."""
    (
        key, recipient_key, step_key, kind, subject, body, task_kind, task_title, task_notes, note, due_since,
        closed_at, actor_kind, actor_key, outcome, assignee_key, version, scheduled_for, failed, now, being_sent,
    ) = values  # fmt: skip
    step_kind = StepKind(kind)
    waiting = Waiting(
        kind=step_kind,
        now=now,
        closed=closed_at is not None,
        held=held,
        failed=failed,
        being_sent=being_sent,
        scheduled_for=scheduled_for,
    )
    return PendingActionRow(
        key=key,
        recipient_key=recipient_key,
        step_key=step_key,
        kind=step_kind,
        subject=subject,
        body=body,
        task_kind=task_kind,
        task_title=task_title,
        task_notes=task_notes,
        note=note,
        due_since=due_since,
        scheduled_for=scheduled_for,
        available_actions=available_pending_actions(waiting),
        closed_at=closed_at,
        actor_kind=actor_kind,
        actor_key=actor_key,
        outcome=outcome,
        assignee_key=assignee_key,
        version=version,
    )
