"""What became of a hand-over: recording the outcome, once, guarded by the claim's token.

The next step is due from the actual send. An outcome that arrives late (its recipient was paused, skipped, stopped or
deleted meanwhile) is recorded as a fact, as the signal table says. DELIVERY_UNCONFIRMED is never sent again by
itself: only proof or a person moves it.

Source: product.md section 2 (signals, "While a message is being handed over", "Retry belongs to the error").
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain.database import Tx, fetch, tx
from domain.plans import load_plans
from domain.refusals import ActionNotAvailable, NotFound, RetryNotAvailable
from domain.rules import recipient as rules
from domain.rules.actor import ENGINE, Actor
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.lifecycle import EndReason, Signal, available_actions, effect_of
from domain.rules.outcomes import (
    ERROR_WHEN_PATIENCE_IS_OUT,
    Later,
    LaterReason,
    MailboxBroken,
    Outcome,
    Refused,
    Sent,
    Unknown,
    retry_after,
)
from domain.rules.recipient import Plan, Recipient
from domain.writing import Change, NewError, read, write

UNCONFIRMED: Final = "DELIVERY_UNCONFIRMED"
_MAILBOX_WAITS = frozenset({LaterReason.TRANSPORT, LaterReason.THROTTLED})


@dataclass(frozen=True, slots=True)
class NotSendable:
    """The message could not even be made: a missing value, a broken template, no address. Nothing was sent."""

    code: str  # a step error code
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one claimed message."""

    message_id: UUID
    token: int
    outcome: Outcome | NotSendable


async def record(workspace_id: UUID, results: Sequence[Result]) -> set[UUID]:
    """Record outcomes and return the messages recorded. Missing ones belong to another claim by now.

    A hand-over that another worker gave up as unconfirmed and that turns out to be sent is recorded as sent: that is
    proof.
    """
    by_id = {result.message_id: result for result in results}

    async def work(t: Tx) -> set[UUID]:
        rows = await _locked_messages(t, by_id)
        recorded: set[UUID] = set()
        pending = [row for row in rows if _still_ours(row, by_id[row["id"]])]
        while pending:
            written = await _record_round(t, pending, by_id)
            recorded |= written
            pending = [row for row in pending if row["id"] not in written]
        return recorded

    return await tx(workspace_id, work)


async def _locked_messages(t: Tx, by_id: dict[UUID, Result]) -> list[asyncpg.Record]:
    # The recipients first and in id order, as everywhere; then their messages.
    return await t.fetch(
        """
        WITH r AS (
            SELECT r.id FROM recipients r JOIN messages x ON x.recipient_id = r.id
            WHERE r.workspace_id = $1 AND x.id = ANY($2::uuid[]) ORDER BY r.id FOR NO KEY UPDATE OF r
        )
        SELECT x.* FROM r JOIN messages x ON x.recipient_id = r.id
        WHERE x.workspace_id = $1 AND x.id = ANY($2::uuid[]) ORDER BY x.id FOR NO KEY UPDATE OF x
        """,
        t.workspace_id,
        list(by_id),
    )


def _still_ours(row: asyncpg.Record, result: Result) -> bool:
    if row["state"] == "UNCONFIRMED":
        return row["token"] == result.token and isinstance(result.outcome, Sent)
    return row["token"] == result.token and row["state"] in ("CLAIMED", "HANDING_OVER")


async def _record_round(t: Tx, rows: Sequence[asyncpg.Record], by_id: dict[UUID, Result]) -> set[UUID]:
    recipients = await read(t, [row["recipient_id"] for row in rows], deleted=True)
    plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
    changes: dict[UUID, Change] = {}
    states: list[tuple[asyncpg.Record, str, str | None]] = []
    for row in rows:
        before = recipients[row["recipient_id"]]
        outcome = by_id[row["id"]].outcome
        change, state = _decide(before, plans[before.sequence_id], row, outcome, t.now)
        states.append((row, state, _words(outcome)))
        if change is not None:
            changes[row["id"]] = change
        await _side_effects(t, row, outcome, before)
    written = await write(t, list(changes.values()))
    done = [entry for entry in states if entry[0]["id"] not in changes or entry[0]["recipient_id"] in written]
    await t.execute(
        """
        UPDATE messages x SET state = u.state, reply = u.reply, lease_until = NULL,
            at = CASE WHEN u.state = 'SENT' THEN $2::timestamptz ELSE x.at END
        FROM unnest($3::uuid[], $4::text[], $5::text[]) AS u (id, state, reply)
        WHERE x.workspace_id = $1 AND x.id = u.id
        """,
        t.workspace_id,
        t.now,
        [row["id"] for row, _, _ in done],
        [state for _, state, _ in done],
        [words for _, _, words in done],
    )
    return {row["id"] for row, _, _ in done}


def _words(outcome: Outcome | NotSendable) -> str | None:
    if isinstance(outcome, Unknown):
        return outcome.why
    return outcome.detail if isinstance(outcome, NotSendable) else outcome.reply


def _decide(
    before: Recipient, plan: Plan, row: asyncpg.Record, outcome: Outcome | NotSendable, now: datetime
) -> tuple[Change | None, str]:
    """Return what the recipient becomes (None: nothing that it shows) and the new state of the message."""
    if isinstance(outcome, Sent):
        return _sent(before, plan, row, now), "SENT"
    if isinstance(outcome, MailboxBroken):
        return None, "DEFERRED"  # due as before; the mailbox's state is what holds it back
    if isinstance(outcome, Later):
        code = _patience_out(outcome, row)
        return (None, "DEFERRED") if code is None else (_failed(before, plan, row, code, outcome.reply, now), "REFUSED")
    if isinstance(outcome, Unknown):
        return _failed(before, plan, row, UNCONFIRMED, outcome.why, now), "UNCONFIRMED"
    if isinstance(outcome, Refused) and outcome.hard_bounce:
        return _bounced(before, plan, row, now), "REFUSED"
    detail = outcome.reply if isinstance(outcome, Refused) else outcome.detail
    return _failed(before, plan, row, outcome.code, detail, now), "REFUSED"


def _at_this_step(before: Recipient, row: asyncpg.Record) -> bool:
    return (
        before.deleted_at is None
        and not before.ended
        and before.current_step_id == row["step_id"]
        and before.step_run == row["step_run"]
    )


def _sent(before: Recipient, plan: Plan, row: asyncpg.Record, now: datetime) -> Change | None:
    if before.deleted_at is not None:
        return None
    contacted = replace(before, contacted_at=before.contacted_at or now)
    # Whatever run of the step it was: once one is known to be sent, no further one may go out.
    here = not before.ended and before.current_step_id == row["step_id"]
    after = rules.leave_step(contacted, plan, now, now) if here else contacted
    return Change(
        before=before,
        after=after,
        type=EventType.STEP_CARRIED_OUT,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
        done="CARRIED_OUT",
    )


def _failed(
    before: Recipient, plan: Plan, row: asyncpg.Record, code: str, detail: str | None, now: datetime
) -> Change | None:
    """Open an error; None when the recipient has left this step, so that the failure is only recorded."""
    if not _at_this_step(before, row):
        return None
    error = NewError(id=new_id(), code=code, detail=detail, message_id=row["id"], mailbox_id=row["mailbox_id"])
    return Change(
        before=before,
        after=rules.fail(before, plan, error.id, now),
        type=EventType.STEP_FAILED,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
        opens=error,
    )


def _bounced(before: Recipient, plan: Plan, row: asyncpg.Record, now: datetime) -> Change | None:
    if before.deleted_at is not None or not effect_of(Signal.HARD_BOUNCE, before.status).end_reason:
        return None
    return Change(
        before=before,
        after=rules.end(before, plan, EndReason.BOUNCED, now),
        type=EventType.STATUS_CHANGED,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
    )


def _patience_out(outcome: Later, row: asyncpg.Record) -> str | None:
    if outcome.reason in _MAILBOX_WAITS or retry_after(outcome.reason, row["tries"]) is not None:
        return None
    return ERROR_WHEN_PATIENCE_IS_OUT[outcome.reason]


async def _side_effects(t: Tx, row: asyncpg.Record, outcome: Outcome | NotSendable, before: Recipient) -> None:
    if isinstance(outcome, Sent):
        await t.execute(
            "UPDATE mailboxes SET failures_in_a_row = 0 WHERE workspace_id = $1 AND id = $2 AND failures_in_a_row > 0",
            t.workspace_id,
            row["mailbox_id"],
        )
    elif isinstance(outcome, MailboxBroken):
        await t.execute(
            "UPDATE mailboxes SET state = 'DISCONNECTED', state_code = $3, state_message = $4, updated_at = $5 "
            "WHERE workspace_id = $1 AND id = $2 AND state = 'CONNECTED'",
            t.workspace_id,
            row["mailbox_id"],
            outcome.code,
            outcome.reply,
            t.now,
        )
    elif isinstance(outcome, Refused) and outcome.hard_bounce:
        await t.execute(
            "UPDATE contacts SET email_bounced_at = $4 WHERE workspace_id = $1 AND id = $2 AND email = $3",
            t.workspace_id,
            row["contact_id"],
            row["to_address"] or await _address(t, row["contact_id"]),
            t.now,
        )
    elif isinstance(outcome, Later):
        await _wait(t, row, outcome, before)


async def _address(t: Tx, contact_id: UUID) -> str | None:
    address: str | None = await t.fetchval(
        "SELECT email FROM contacts WHERE workspace_id = $1 AND id = $2", t.workspace_id, contact_id
    )
    return address


async def _wait(t: Tx, row: asyncpg.Record, outcome: Later, before: Recipient) -> None:
    """Let the mailbox or the recipient wait. Timers do not raise the version."""
    if outcome.reason in _MAILBOX_WAITS:
        failures = await t.fetchval(
            "UPDATE mailboxes SET failures_in_a_row = failures_in_a_row + 1 WHERE workspace_id = $1 AND id = $2 "
            "RETURNING failures_in_a_row",
            t.workspace_id,
            row["mailbox_id"],
        )
        pause = timedelta(days=1) if outcome.until_next_day else retry_after(outcome.reason, failures, random.random())
        await t.execute(
            "UPDATE mailboxes SET next_send_at = greatest(next_send_at, now() + $3::interval), "
            "held_back_by = 'MAILBOX_BACKOFF' WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            row["mailbox_id"],
            pause,
        )
        return
    pause = retry_after(outcome.reason, row["tries"], random.random())
    if pause is None or not _at_this_step(before, row):
        return
    if before.held:
        await t.execute(
            "UPDATE recipients SET wait_left_seconds = $3 WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            before.id,
            pause.total_seconds(),
        )
    else:
        await t.execute(
            "UPDATE recipients SET retry_at = $3, due_at = $3 WHERE workspace_id = $1 AND id = $2 AND due_at IS NOT NULL",
            t.workspace_id,
            before.id,
            t.now + pause,
        )


async def give_up_lost_hand_overs() -> int:
    """Flag the hand-overs whose worker died after the second mark as DELIVERY_UNCONFIRMED; return how many."""
    rows = await fetch(
        "SELECT id, token, workspace_id FROM messages WHERE state = 'HANDING_OVER' AND lease_until < now() LIMIT 500"
    )
    lost = Unknown("The sender stopped in the middle of handing the message over.")
    count = 0
    for workspace_id in {row["workspace_id"] for row in rows}:
        results = [Result(row["id"], row["token"], lost) for row in rows if row["workspace_id"] == workspace_id]
        count += len(await record(workspace_id, results))
    return count


async def resolve(workspace_id: UUID, actor: Actor, error_id: UUID, *, was_sent: bool) -> UUID:
    """Say what became of an unconfirmed message: it was sent, or it is to be sent again. Return the recipient's id.

    Raises:
        NotFound
        RetryNotAvailable: the error is closed already, or is of another kind.
        ActionNotAvailable: the recipient is paused; sending again waits until it is resumed.
    """

    async def work(t: Tx) -> UUID:
        error = await t.fetchrow(
            "SELECT * FROM step_errors WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, error_id
        )
        if error is None:
            raise NotFound("error", field=["errorId"])
        if error["code"] != UNCONFIRMED or error["resolved_at"] is not None:
            raise RetryNotAvailable("Only an open error about an unconfirmed delivery can be resolved so.")
        while True:
            before = (await read(t, [error["recipient_id"]])).get(error["recipient_id"])
            if before is None or before.error_id != error_id:
                raise NotFound("error", field=["errorId"])
            plan = (await load_plans(t, [before.sequence_id]))[before.sequence_id]
            if await write(t, [_resolution(before, plan, error, actor, was_sent, t.now)]):
                break
        if was_sent:
            await t.execute(
                "UPDATE messages SET state = 'SENT', at = coalesce(at, marked_at) WHERE workspace_id = $1 AND id = $2",
                t.workspace_id,
                error["message_id"],
            )
        recipient_id: UUID = before.id
        return recipient_id

    return await tx(workspace_id, work)


def _resolution(
    before: Recipient, plan: Plan, error: asyncpg.Record, actor: Actor, was_sent: bool, now: datetime
) -> Change:
    if was_sent:
        contacted = replace(before, contacted_at=before.contacted_at or now)
        after = rules.leave_step(contacted, plan, error["occurred_at"], now)
        kind, done = EventType.STEP_CARRIED_OUT, "CARRIED_OUT"
    else:
        if before.held:
            available = available_actions(before.status, sequence_paused=plan.paused)
            raise ActionNotAvailable("It is paused. Resume it first, then send again.", before.status, available)
        after, kind, done = rules.try_again(before, plan, now), EventType.STEP_RETRIED, None
    return Change(
        before=before,
        after=after,
        type=kind,
        actor=actor,
        step_id=error["step_id"],
        message_id=error["message_id"] if was_sent else None,
        done=done,
    )
