"""What people do about pending actions: send an email now or at a time, take that back, complete a task, skip.

To send is to choose the time "now": the email leaves the inbox for the queue of its mailbox and goes out as automated
ones do, with the same claim, both marks and the same outcomes (sending.py). It is closed when the hand-over is
recorded, by whoever released it.

Two people at once: one wins, the other is decided again against what it has become, and is told who did what.

Source: product.md section 2 "Pending actions".
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain.database import Tx, tx
from domain.plans import load_plan
from domain.reading import actors
from domain.refusals import ActionNotAvailable, Invalid, NotFound, PendingActionNotAvailable, VersionMismatch
from domain.rules import recipient as rules
from domain.rules.actor import Actor
from domain.rules.content import ContentProblem, check_finished, finished_body, finished_subject
from domain.rules.event_types import EventType
from domain.rules.inbox import PendingActionAction, Waiting, available_pending_actions, unavailable_because
from domain.rules.plan import Plan, StepKind
from domain.rules.recipient import Recipient
from domain.writing import Change, read, write

SCHEDULED_WITHIN: Final = timedelta(days=366)
_ROUNDS: Final = 20  # a row that moves more often between two statements does not exist in practice

Decide = Callable[[Tx, Recipient, Plan, asyncpg.Record], Change]
Afterwards = Callable[[Tx, asyncpg.Record], Awaitable[None]]


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
        after = rules.release(before, plan, at or t.now, t.now)
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

    return await _act(workspace_id, pending_id, action, decide, afterwards, expected_version=expected_version)


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
        after = rules.take_back(before, plan, t.now)
        kind = EventType.ACTION_UNSCHEDULED
        return Change(before=before, after=after, type=kind, actor=actor, step_id=row["step_id"])

    return await _act(workspace_id, pending_id, PendingActionAction.CANCEL_SCHEDULE, decide)


async def complete_task(workspace_id: UUID, actor: Actor, pending_id: UUID, note: str | None = None) -> UUID:
    """Complete a pending task, with a note; the next step's wait starts now. Return the recipient's id.

    Raises:
        NotFound
        PendingActionNotAvailable: it is closed, or an email; the refusal says how and by whom.
        ActionNotAvailable: the recipient is paused; a paused one's task can be read, not acted on.
    """

    def decide(t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record) -> Change:
        return _leaves(t, before, plan, row, actor, "CARRIED_OUT", note)

    return await _act(workspace_id, pending_id, PendingActionAction.COMPLETE, decide)


async def skip(workspace_id: UUID, actor: Actor, pending_id: UUID) -> UUID:
    """Skip a pending action; the next step's wait starts now. Return the recipient's id.

    An email that is being handed over cannot be called back; when it is then sent, the step counts as carried out.

    Raises:
        NotFound, PendingActionNotAvailable, ActionNotAvailable
    """

    def decide(t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record) -> Change:
        return _leaves(t, before, plan, row, actor, "SKIPPED", None)

    return await _act(workspace_id, pending_id, PendingActionAction.SKIP, decide)


def _leaves(
    t: Tx, before: Recipient, plan: Plan, row: asyncpg.Record, actor: Actor, done: str, note: str | None
) -> Change:
    return Change(
        before=before,
        after=rules.leave_step(before, plan, t.now, t.now),
        type=EventType.STEP_CARRIED_OUT if done == "CARRIED_OUT" else EventType.STEP_SKIPPED,
        actor=actor,
        step_id=row["step_id"],
        done=done,
        completes=done == "CARRIED_OUT",
        note=note,
    )


# The recipient's version and the present with the row: whoever released it before this was read did so in the past.
_ROW: Final = """
    SELECT p.*, r.version AS recipient_version,
        clock_timestamp() + make_interval(secs => w.clock_offset_seconds) AS present
    FROM pending_actions p
    JOIN recipients r ON r.workspace_id = p.workspace_id AND r.id = p.recipient_id
    JOIN workspaces w ON w.id = p.workspace_id
    WHERE p.workspace_id = $1 AND p.id = $2
"""


async def _act(
    workspace_id: UUID,
    pending_id: UUID,
    action: PendingActionAction,
    decide: Decide,
    afterwards: Afterwards | None = None,
    *,
    expected_version: int | None = None,
) -> UUID:
    async def work(t: Tx) -> UUID:
        for _ in range(_ROUNDS):
            row = await t.fetchrow(_ROW, t.workspace_id, pending_id)
            if row is None:
                raise NotFound("pending action", field=["id"])
            if row["closed_at"] is not None:
                raise _closed(row)
            before = (await read(t, [row["recipient_id"]])).get(row["recipient_id"])
            if before is None or before.version != row["recipient_version"] or before.pending_id != pending_id:
                continue  # it is being changed at this moment: read again what it became
            plan = await load_plan(t, before.sequence_id)
            waiting = _guarded(before, plan, row, action, expected_version)
            if not await write(t, [decide(t, before, plan, row)]):
                continue
            if action is not PendingActionAction.SKIP and await _being_sent(t, before):
                # Only now is it certain: our row lock and the second mark exclude each other.
                raise _not_available(row, replace(waiting, being_sent=True), action)
            if afterwards is not None:
                await afterwards(t, row)
            return before.id
        raise PendingActionNotAvailable("Others are changing this recipient at this moment. Try again.")

    try:
        return await tx(workspace_id, work)
    except PendingActionNotAvailable as refusal:
        raise await _telling_who(workspace_id, refusal) from None


def _guarded(
    before: Recipient, plan: Plan, row: asyncpg.Record, action: PendingActionAction, expected_version: int | None
) -> Waiting:
    """Return what it waits for, when this may be done about it. The field `availableActions` asks the same table.

    Raises:
        ActionNotAvailable, VersionMismatch, PendingActionNotAvailable
    """
    if before.held or plan.paused:
        raise ActionNotAvailable("It is paused. Resume it first.", *rules.present(before, plan))
    if expected_version is not None and expected_version != row["version"]:
        raise VersionMismatch(expected_version, row["version"], *rules.present(before, plan))
    waiting = Waiting(
        kind=StepKind(row["kind"]),
        now=row["present"],
        failed=before.error_id is not None,
        scheduled_for=before.scheduled_for,
    )
    if unavailable_because(action, waiting) is not None:
        raise _not_available(row, waiting, action)
    return waiting


async def _being_sent(t: Tx, before: Recipient) -> bool:
    found: bool = await t.fetchval(
        "SELECT EXISTS (SELECT FROM messages WHERE workspace_id = $1 AND recipient_id = $2 AND step_id = $3 "
        "AND state = 'HANDING_OVER')",
        t.workspace_id,
        before.id,
        before.current_step_id,
    )
    return found


def _not_available(row: asyncpg.Record, waiting: Waiting, action: PendingActionAction) -> PendingActionNotAvailable:
    ordered = waiting.released or waiting.being_sent
    return PendingActionNotAvailable(
        unavailable_because(action, waiting) or "",
        by_kind=row["released_by_kind"] if ordered else None,
        by_id=row["released_by_id"] if ordered else None,
        available=available_pending_actions(waiting),
    )


_CLOSED: Final[Mapping[str, str]] = {
    "COMPLETED": "It was completed already, by {who}.",
    "SENT": "It was sent already, by {who}.",
    "SKIPPED": "It was skipped already, by {who}.",
    "REPLIED": "The person has replied, so it is closed.",
    "STOPPED": "The recipient was stopped, so it is closed.",
    "OPTED_OUT": "The person has opted out, so it is closed.",
    "BOUNCED": "Mail to this person bounced, so it is closed.",
    "DELETED": "The recipient was deleted, so it is closed.",
}


def _closed(row: asyncpg.Record) -> PendingActionNotAvailable:
    return PendingActionNotAvailable(
        _CLOSED[row["outcome"]],
        outcome=row["outcome"],
        by_kind=row["closed_by_kind"],
        by_id=row["closed_by_id"],
    )


async def _telling_who(workspace_id: UUID, refusal: PendingActionNotAvailable) -> PendingActionNotAvailable:
    """Return the refusal with the name of whoever was faster. Read apart: a transaction holds one connection only."""
    if "{who}" not in refusal.message:
        return refusal
    name = "Someone"
    if refusal.by_kind is not None:
        key = refusal.by_kind, refusal.by_id
        name = (await actors.named(workspace_id, [key]))[key].name
    return PendingActionNotAvailable(
        refusal.message.replace("{who}", name),
        outcome=refusal.outcome,
        by_kind=refusal.by_kind,
        by_id=refusal.by_id,
        available=refusal.available,
    )
