"""What people do about pending actions: send an email now or at a time, take that back, complete, skip, assign.

To send is to choose the time "now": the email leaves the inbox for the queue of its mailbox and goes out as automated
ones do, with the same claim, both marks and the same outcomes (sending.py). It is closed when the hand-over is
recorded, by whoever released it.

Source: product.md section 2 "Pending actions".
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain.changes import Change
from domain.database import Tx
from domain.pending_changes import ROUNDS, act, never_still, open_pending, told
from domain.refusals import Invalid, NotFound
from domain.rules import moves
from domain.rules.actor import Actor
from domain.rules.content import ContentProblem, check_finished, finished_body, finished_subject
from domain.rules.event_types import EventType
from domain.rules.inbox import PendingActionAction
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.writing import write

SCHEDULED_WITHIN: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class EditedEmail:
    """The finished words of one email, no templates. None keeps what was prepared."""

    subject: str | None = None
    body: str | None = None


AS_PREPARED: Final = EditedEmail()


async def send(
    workspace_id: UUID,
    actor: Actor,
    pending_id: UUID,
    edited: EditedEmail = AS_PREPARED,
    *,
    expected_version: int | None = None,
) -> UUID:
    """Release a prepared email: it goes out at its mailbox's next turn, whatever the window. Return the recipient's id.

    Raises:
        NotFound, VersionMismatch
        PendingActionNotAvailable: it is closed or released already, being sent, failed, or a task.
        ActionNotAvailable: the recipient is paused.
        Invalid: the edited words are empty, too long, or have a placeholder that nobody would fill in.
    """
    return await _release(workspace_id, actor, pending_id, PendingActionAction.SEND_NOW, None, edited, expected_version)


async def schedule(
    workspace_id: UUID,
    actor: Actor,
    pending_id: UUID,
    at: datetime,
    edited: EditedEmail = AS_PREPARED,
    *,
    expected_version: int | None = None,
) -> UUID:
    """Let a prepared email go out at a time within a year, or at another than was chosen. Return the recipient's id.

    Raises:
        NotFound, VersionMismatch, PendingActionNotAvailable, ActionNotAvailable: as `send`.
        Invalid: as `send`; or the time has passed, has no zone, or is more than a year away.
    """
    if at.tzinfo is None:
        raise Invalid("The time needs its zone, such as 2026-11-24T09:00:00Z.", field=["at"])
    return await _release(workspace_id, actor, pending_id, PendingActionAction.SCHEDULE, at, edited, expected_version)


async def _release(
    workspace_id: UUID,
    actor: Actor,
    pending_id: UUID,
    action: PendingActionAction,
    at: datetime | None,
    edited: EditedEmail,
    expected_version: int | None,
) -> UUID:
    def decide(t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record) -> Change:
        if at is not None and not t.now < at <= t.now + SCHEDULED_WITHIN:
            raise Invalid("Choose a time that is still to come, within a year; or send it now.", field=["at"])
        after = moves.release(before, plan, at or t.now, t.now)
        kind = EventType.ACTION_SCHEDULED
        return Change(before=before, after=after, type=kind, actor=actor, step_id=row["step_id"])

    async def afterwards(t: Tx, row: asyncpg.Record) -> None:
        words = _finished(row, edited)
        await t.execute(
            """
            UPDATE pending_actions SET subject = $3, body = $4, released_by_kind = $5, released_by_id = $6
            WHERE workspace_id = $1 AND id = $2
            """,
            t.workspace_id,
            pending_id,
            words.subject,
            words.body,
            actor.kind,
            actor.id,
        )

    return await act(workspace_id, pending_id, action, decide, afterwards, expected_version=expected_version)


def _finished(row: asyncpg.Record, edited: EditedEmail) -> EditedEmail:
    """Return the words that go out: the prepared ones, sanitised new ones where they were edited.

    Raises:
        Invalid
    """
    found = EditedEmail(row["subject"], row["body"])
    try:
        field = "subject"
        if edited.subject is not None and edited.subject != found.subject:
            check_finished(edited.subject)
            found = replace(found, subject=finished_subject(edited.subject))
        field = "body"
        if edited.body is not None and edited.body != found.body:
            check_finished(edited.body)
            found = replace(found, body=finished_body(edited.body.replace("\0", "")).html)
    except ContentProblem as problem:
        raise Invalid(str(problem), field=[field]) from None
    return found


async def unschedule(workspace_id: UUID, actor: Actor, pending_id: UUID) -> UUID:
    """Take back a chosen time, or a "send now" that has not been carried out: the email waits for a person again.

    Return the recipient's id.

    Raises:
        NotFound, PendingActionNotAvailable, ActionNotAvailable
    """

    def decide(t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record) -> Change:
        after = moves.take_back(before, plan, t.now)
        kind = EventType.ACTION_UNSCHEDULED
        return Change(before=before, after=after, type=kind, actor=actor, step_id=row["step_id"])

    return await act(workspace_id, pending_id, PendingActionAction.CANCEL_SCHEDULE, decide)


async def complete_task(workspace_id: UUID, actor: Actor, pending_id: UUID, note: str | None = None) -> UUID:
    """Complete a pending task, with a note; the next step's wait starts now. Return the recipient's id.

    Raises:
        NotFound
        PendingActionNotAvailable: it is closed, or an email; the refusal says how and by whom.
        ActionNotAvailable: the recipient is paused; a paused one's task can be read, not acted on.
    """

    def decide(t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record) -> Change:
        return _leaves(t, before, plan, row, actor, "CARRIED_OUT", note)

    return await act(workspace_id, pending_id, PendingActionAction.COMPLETE, decide)


async def skip(workspace_id: UUID, actor: Actor, pending_id: UUID) -> UUID:
    """Skip a pending action; the next step's wait starts now. Return the recipient's id.

    An email that is being handed over cannot be called back; when it is then sent, the step counts as carried out.

    Raises:
        NotFound, PendingActionNotAvailable, ActionNotAvailable
    """

    def decide(t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record) -> Change:
        return _leaves(t, before, plan, row, actor, "SKIPPED", None)

    return await act(workspace_id, pending_id, PendingActionAction.SKIP, decide)


def _leaves(
    t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record, actor: Actor, done: str, note: str | None
) -> Change:
    return Change(
        before=before,
        after=moves.leave_step(before, plan, t.now, t.now),
        type=EventType.STEP_CARRIED_OUT if done == "CARRIED_OUT" else EventType.STEP_SKIPPED,
        actor=actor,
        step_id=row["step_id"],
        done=done,
        completes=done == "CARRIED_OUT",
        note=note,
    )


async def assign(workspace_id: UUID, actor: Actor, pending_id: UUID, assignee_id: UUID | None) -> UUID:
    """Put an open pending action before another user, or (None) before nobody in particular, also while its recipient
    is paused: that is not acting on it. Return the recipient's id.

    Raises:
        NotFound, PendingActionNotAvailable
        Invalid: the user is deactivated.
    """

    async def work(t: Tx) -> UUID:
        await _check_assignee(t, assignee_id)
        for _ in range(ROUNDS):
            row, before = await open_pending(t, pending_id)
            if before is None:
                continue
            if row["assignee_id"] == assignee_id:
                return before.id
            kind = EventType.ACTION_ASSIGNED
            if await write(t, [Change(before=before, after=before, type=kind, actor=actor, step_id=row["step_id"])]):
                await t.execute(
                    "UPDATE pending_actions SET assignee_id = $3 WHERE workspace_id = $1 AND id = $2",
                    t.workspace_id,
                    pending_id,
                    assignee_id,
                )
                return before.id
        raise never_still()

    return await told(workspace_id, work)


async def _check_assignee(t: Tx, assignee_id: UUID | None) -> None:
    if assignee_id is None:
        return
    user = await t.fetchrow(
        "SELECT deactivated_at FROM users WHERE workspace_id = $1 AND id = $2", t.workspace_id, assignee_id
    )
    if user is None:
        raise NotFound("user", field=["assigneeId"])
    if user["deactivated_at"] is not None:
        raise Invalid("This user is deactivated. Choose someone who still works here.", field=["assigneeId"])
