"""What hangs on a recipient and follows it: its done steps, its errors and its pending actions.

Only the one writer calls this, in the transaction of the change, with the changes that it has written.
"""

from collections.abc import Sequence
from uuid import UUID

from domain.changes import Change, NewError
from domain.database import Tx
from domain.rules.error_groups import cause_key
from domain.rules.lifecycle import EndReason
from domain.rules.step_errors import StepErrorCode


async def write_attached(t: Tx, changes: Sequence[Change]) -> None:
    """Write what follows from these changes, which have been written."""
    await _note_done(t, [change for change in changes if change.done])
    await _open_errors(t, [change for change in changes if change.opens])
    await _reopen_steps(t, [change for change in changes if change.goes_back])
    await _close_errors(t, [change for change in changes if _error_closes(change)])
    await _put_pending(t, [change for change in changes if change.puts])
    await _close_pending(t, [change for change in changes if _pending_closes(change)])
    await _touch_pending(t, [change for change in changes if _pending_stays(change)])
    await _note_sent_after_skip(t, [change for change in changes if _was_left_before(change)])


async def _note_done(t: Tx, changes: Sequence[Change]) -> None:
    if changes:
        await t.execute(
            """
            INSERT INTO recipient_steps (workspace_id, recipient_id, step_id, outcome, done_at, message_id)
            SELECT $1, u.recipient_id, u.step_id, u.outcome, u.done_at, u.message_id
            FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::uuid[])
                AS u (recipient_id, step_id, outcome, done_at, message_id)
            ON CONFLICT (recipient_id, step_id)
            DO UPDATE SET outcome = excluded.outcome, done_at = excluded.done_at, message_id = excluded.message_id
            """,
            t.workspace_id,
            [c.before.id for c in changes],
            [c.step_id for c in changes],
            [c.done for c in changes],
            [c.done_at or t.now for c in changes],
            [c.message_id for c in changes],
        )


async def _open_errors(t: Tx, changes: Sequence[Change]) -> None:
    opened = [(change, change.opens) for change in changes if change.opens]
    if opened:
        await t.execute(
            """
            INSERT INTO step_errors (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, step_id,
                message_id, code, detail, occurred_at, cause_key)
            SELECT u.id, $1, u.recipient_id, u.sequence_id, u.contact_id, u.mailbox_id, u.step_id, u.message_id, u.code,
                u.detail, coalesce(u.occurred_at, $2), u.cause_key
            FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[], $10::text[],
                $11::text[], $12::timestamptz[], $13::uuid[])
                AS u (id, recipient_id, sequence_id, contact_id, mailbox_id, step_id, message_id, code, detail,
                    occurred_at, cause_key)
            """,
            t.workspace_id,
            t.now,
            [error.id for _, error in opened],
            [change.before.id for change, _ in opened],
            [change.before.sequence_id for change, _ in opened],
            [change.before.contact_id for change, _ in opened],
            [_mailbox_of(change, error) for change, error in opened],
            [change.step_id for change, _ in opened],
            [error.message_id for _, error in opened],
            [error.code for _, error in opened],
            [error.detail for _, error in opened],
            [error.occurred_at for _, error in opened],
            [_cause_key(change, error) for change, error in opened],
        )


def _mailbox_of(change: Change, error: NewError) -> UUID | None:
    return error.mailbox_id or change.after.mailbox_id


def _cause_key(change: Change, error: NewError) -> UUID:
    return cause_key(
        change.before.workspace_id,
        StepErrorCode(error.code),
        mailbox_id=_mailbox_of(change, error),
        step_id=change.step_id,
        sequence_id=change.before.sequence_id,
        detail=error.detail,
    )


async def _reopen_steps(t: Tx, changes: Sequence[Change]) -> None:
    if changes:
        await t.execute(
            """
            UPDATE recipient_steps s SET outcome = NULL, done_at = NULL, message_id = NULL
            FROM unnest($2::uuid[], $3::uuid[]) AS u (recipient_id, step_id)
            WHERE s.workspace_id = $1 AND s.recipient_id = u.recipient_id AND s.step_id = u.step_id
            """,
            t.workspace_id,
            [change.before.id for change in changes],
            [change.after.current_step_id for change in changes],
        )


def _error_closes(change: Change) -> bool:
    return change.before.error_id is not None and change.after.error_id != change.before.error_id


async def _close_errors(t: Tx, changes: Sequence[Change]) -> None:
    if changes:
        await t.execute(
            "UPDATE step_errors SET resolved_at = $2 WHERE workspace_id = $1 AND id = ANY($3::uuid[])",
            t.workspace_id,
            t.now,
            [change.before.error_id for change in changes],
        )


async def _put_pending(t: Tx, changes: Sequence[Change]) -> None:
    put = [(change, change.puts) for change in changes if change.puts]
    if put:
        await t.execute(
            """
            INSERT INTO pending_actions (id, workspace_id, recipient_id, sequence_id, step_id, kind, subject, body,
                task_kind, task_title, task_notes, assignee_id, due_since, version)
            SELECT u.*, $2, 1
            FROM (SELECT id, $1::uuid, recipient_id, sequence_id, step_id, kind, subject, body, task_kind, task_title,
                    task_notes, assignee_id
                FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
                    $10::text[], $11::text[], $12::text[], $13::uuid[])
                AS a (id, recipient_id, sequence_id, step_id, kind, subject, body, task_kind, task_title, task_notes,
                    assignee_id)) u
            """,
            t.workspace_id,
            t.now,
            [pending.id for _, pending in put],
            [change.before.id for change, _ in put],
            [change.before.sequence_id for change, _ in put],
            [pending.step_id for _, pending in put],
            [pending.kind for _, pending in put],
            [pending.subject for _, pending in put],
            [pending.body for _, pending in put],
            [pending.task_kind for _, pending in put],
            [pending.task_title for _, pending in put],
            [pending.task_notes for _, pending in put],
            [pending.assignee_id for _, pending in put],
        )


_OUTCOME_OF_END = {
    EndReason.REPLIED: "REPLIED",
    EndReason.COMPANY_REPLIED: "STOPPED",
    EndReason.STOPPED: "STOPPED",
    EndReason.UNSUBSCRIBED: "OPTED_OUT",
    EndReason.SUPPRESSED: "OPTED_OUT",
    EndReason.COMPLAINED: "OPTED_OUT",
    EndReason.BOUNCED: "BOUNCED",
}


def _pending_closes(change: Change) -> bool:
    return change.before.pending_id is not None and change.after.pending_id is None


def _pending_outcome(change: Change) -> str:
    if change.completes:
        return "COMPLETED"
    if change.done is not None:
        return "SENT" if change.done == "CARRIED_OUT" else "SKIPPED"
    if change.after.deleted_at is not None:
        return "DELETED"
    reason = change.after.end_reason
    return _OUTCOME_OF_END.get(reason, "SKIPPED") if reason else "SKIPPED"


def _pending_stays(change: Change) -> bool:
    return change.before.pending_id is not None and change.after.pending_id == change.before.pending_id


async def _touch_pending(t: Tx, changes: Sequence[Change]) -> None:
    """What may be done about it, its chosen time, its words: a change of the recipient shows in it, too."""
    if changes:
        await t.execute(
            "UPDATE pending_actions SET version = version + 1 WHERE workspace_id = $1 AND id = ANY($2::uuid[])",
            t.workspace_id,
            [change.before.pending_id for change in changes],
        )


def _was_left_before(change: Change) -> bool:
    return change.done == "CARRIED_OUT" and change.before.current_step_id != change.step_id


async def _note_sent_after_skip(t: Tx, changes: Sequence[Change]) -> None:
    """A person skipped an email while it was being handed over, and it was sent: so says its pending action."""
    if changes:
        await t.execute(
            """
            UPDATE pending_actions p SET outcome = 'SENT', version = p.version + 1,
                closed_by_kind = p.released_by_kind, closed_by_id = p.released_by_id
            FROM unnest($2::uuid[], $3::uuid[]) AS u (recipient_id, step_id)
            WHERE p.workspace_id = $1 AND p.recipient_id = u.recipient_id AND p.step_id = u.step_id
                AND p.outcome = 'SKIPPED' AND p.released_by_kind IS NOT NULL
            """,
            t.workspace_id,
            [change.before.id for change in changes],
            [change.step_id for change in changes],
        )


async def _close_pending(t: Tx, changes: Sequence[Change]) -> None:
    """Close them by whoever made the change; what was sent, by the person who released it."""
    if changes:
        await t.execute(
            """
            UPDATE pending_actions p SET closed_at = $2, outcome = u.outcome, note = u.note, version = p.version + 1,
                closed_by_kind = CASE WHEN u.outcome = 'SENT' THEN coalesce(p.released_by_kind, u.kind) ELSE u.kind END,
                closed_by_id = CASE WHEN u.outcome = 'SENT' AND p.released_by_kind IS NOT NULL THEN p.released_by_id
                    ELSE u.actor_id END
            FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[])
                AS u (id, kind, actor_id, outcome, note)
            WHERE p.workspace_id = $1 AND p.id = u.id AND p.closed_at IS NULL
            """,
            t.workspace_id,
            t.now,
            [change.before.pending_id for change in changes],
            [change.actor.kind for change in changes],
            [change.actor.id for change in changes],
            [_pending_outcome(change) for change in changes],
            [change.note for change in changes],
        )
