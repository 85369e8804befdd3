"""What became of a hand-over: recording the outcome, once, guarded by the claim's token.

The next step is due from the actual send. An outcome that arrives late (its recipient was paused, skipped, stopped or
deleted meanwhile) is recorded as a fact, as the signal table says. DELIVERY_UNCONFIRMED is never sent again by
itself: only proof or a person moves it.

Source: product.md section 2 (signals, "While a message is being handed over", "Retry belongs to the error").
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain import guardrails, signals, waiting
from domain.changes import Change, NewError
from domain.database import Tx, tx
from domain.erasing import keep_erased
from domain.plans import load_plans
from domain.rules import moves, timers
from domain.rules.actor import ENGINE, Actor, ActorKind
from domain.rules.addresses import address_key, phone_key
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.lifecycle import EndReason, Signal, effect_of
from domain.rules.outcomes import (
    ERROR_WHEN_PATIENCE_IS_OUT,
    PATIENCE,
    Later,
    LaterReason,
    MailboxBroken,
    OptedOut,
    Outcome,
    Refused,
    Sent,
    Unknown,
    retry_after,
)
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.rules.suppressed import SuppressionSource
from domain.turns import TURN_BACK
from domain.waiting import MAILBOX_WAITS
from domain.writing import read, write

_ADDRESS: Final = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")
UNCONFIRMED: Final = "DELIVERY_UNCONFIRMED"
PHONE_INVALID: Final = "PHONE_INVALID"


@dataclass(frozen=True, slots=True)
class NotSendable:
    """The message could not even be made: a missing value, a broken template, no address. Nothing was sent."""

    code: str  # a step error code
    detail: str | None = None


def _just_now() -> timedelta:
    return timedelta(0)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one claimed message."""

    message_id: UUID
    token: int
    outcome: Outcome | NotSendable
    # How long ago the server answered. Asked when it is recorded, which after an outage may be hours later.
    ago: Callable[[], timedelta] = _just_now
    claimed_at: datetime | None = None  # business time: when what it was made of was read


async def record(workspace_id: UUID, results: Sequence[Result]) -> set[UUID]:
    """Record outcomes and return the messages recorded. Missing ones belong to another claim by now.

    A hand-over that was given up as unconfirmed and whose sender knows the answer after all is recorded as answered:
    sent or refused, that is proof. Its error is closed, or replaced by the one the answer calls for.
    """
    by_id = {result.message_id: result for result in results}

    async def work(t: Tx) -> set[UUID]:
        rows = await _locked_messages(t, by_id)
        recorded: set[UUID] = set()
        pending = [row for row in rows if _still_ours(row, by_id[row["id"]])]
        while pending:
            # One change per recipient and round: the second of two outcomes is decided on what the first has made.
            first = {row["recipient_id"]: row for row in reversed(pending)}
            written = await _record_round(t, list(first.values()), by_id)
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
        SELECT x.*, (SELECT now() - m.throttled_since FROM mailboxes m
            WHERE m.workspace_id = $1 AND m.id = x.mailbox_id) AS throttled_for
        FROM r JOIN messages x ON x.recipient_id = r.id
        WHERE x.workspace_id = $1 AND x.id = ANY($2::uuid[]) ORDER BY x.id FOR NO KEY UPDATE OF x
        """,
        t.workspace_id,
        list(by_id),
    )


def _still_ours(row: asyncpg.Record, result: Result) -> bool:
    if row["state"] == "UNCONFIRMED":
        proof = isinstance(result.outcome, Sent | Refused | Later | MailboxBroken | OptedOut)
        return row["token"] == result.token and proof
    return row["token"] == result.token and row["state"] in ("CLAIMED", "HANDING_OVER")


async def _record_round(t: Tx, rows: Sequence[asyncpg.Record], by_id: dict[UUID, Result]) -> set[UUID]:
    recipients = await read(t, [row["recipient_id"] for row in rows], deleted=True)
    plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
    changes: dict[UUID, Change] = {}
    states: list[tuple[asyncpg.Record, str, str | None, datetime]] = []
    for row in rows:
        before = recipients[row["recipient_id"]]
        result = by_id[row["id"]]
        outcome, plan, at = result.outcome, plans[before.sequence_id], t.now - result.ago()
        change, state = _decide(before, plan, row, result, at, t.now)
        states.append((row, state, _words(outcome, assumed=state == "SENT"), at))
        if change is not None:
            changes[row["id"]] = change
        await _side_effects(t, row, outcome, before, plan)
    written = await write(t, list(changes.values()))
    await _opt_out(t, [row for row in rows if isinstance(by_id[row["id"]].outcome, OptedOut)])
    done = [entry for entry in states if entry[0]["id"] not in changes or entry[0]["recipient_id"] in written]
    await t.execute(
        """
        UPDATE messages x SET state = u.state, reply = u.reply, lease_until = NULL, tries = x.tries - u.free::int,
            at = CASE WHEN u.state = 'SENT' THEN u.at ELSE x.at END
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::bool[]) AS u (id, state, reply, at, free)
        WHERE x.workspace_id = $1 AND x.id = u.id
        """,
        t.workspace_id,
        [row["id"] for row, *_ in done],
        [state for _, state, _, _ in done],
        [words for _, _, words, _ in done],
        [at for *_, at in done],
        [_is_the_mailboxes(by_id[row["id"]].outcome) for row, *_ in done],
    )
    bounced = [row["id"] for row, *_ in done if isinstance(o := by_id[row["id"]].outcome, Refused) and o.hard_bounce]
    await guardrails.note(t, guardrails.Harm.BOUNCED, bounced)
    unused = [row for row, *_ in done if row["marked_at"] is None]
    if unused:
        await t.execute(
            "WITH freed AS (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::bool[]) AS f (id, mailbox_id, touched)) "
            f"{TURN_BACK} AND m.workspace_id = $1",
            t.workspace_id,
            [row["id"] for row in unused],
            [row["mailbox_id"] for row in unused],
            [not isinstance(by_id[row["id"]].outcome, NotSendable) for row in unused],
        )
    # The mail server's words can name the person. Only whose run is over can have been erased meanwhile.
    over = {one.id for one in recipients.values() if one.ended or one.deleted_at is not None}
    for contact_id in {row["contact_id"] for row in rows if row["recipient_id"] in over}:
        await keep_erased(t, contact_id)
    return {row["id"] for row, *_ in done}


async def _opt_out(t: Tx, rows: Sequence[asyncpg.Record]) -> None:
    """Take in that these people told the provider to be left alone: the opt-out that it did not hand on."""
    for row in rows:
        fact = signals.Fact(
            signal=Signal.OPT_OUT,
            recipient_id=row["recipient_id"],
            actor=Actor(ActorKind.CONTACT, row["contact_id"]),
            message_id=row["id"],
            source=SuppressionSource.REPLY,
        )
        await signals.apply_within(t, fact)


def _is_the_mailboxes(outcome: Outcome | NotSendable) -> bool:
    """Return whether a try ended for the mailbox's sake, so that it does not cost the recipient's patience."""
    return isinstance(outcome, MailboxBroken) or (isinstance(outcome, Later) and outcome.reason in MAILBOX_WAITS)


def _server_answered(outcome: Outcome | NotSendable) -> bool:
    """Return whether the mail server was there and took or refused this one message: the mailbox works again."""
    if isinstance(outcome, Later):
        return outcome.reason not in MAILBOX_WAITS
    return isinstance(outcome, Sent | Refused | OptedOut)


def _words(outcome: Outcome | NotSendable, *, assumed: bool) -> str | None:
    if isinstance(outcome, Unknown):
        return f"Assumed to be sent, as the sequence says. {outcome.why}" if assumed else outcome.why
    return outcome.detail if isinstance(outcome, NotSendable) else outcome.reply


def _decide(
    before: Recipient, plan: Plan, row: asyncpg.Record, result: Result, at: datetime, now: datetime
) -> tuple[Change | None, str]:
    """Return what the recipient becomes (None: nothing that it shows) and the new state of the message. `at` is when
    the server answered."""
    outcome = result.outcome
    if isinstance(outcome, Sent) or (isinstance(outcome, Unknown) and plan.assumes_sent):
        return _sent(before, plan, row, at, now), "SENT"
    if isinstance(outcome, MailboxBroken):
        return _due_again(before, plan, row, None, now), "DEFERRED"  # the mailbox's state is what holds it back
    if isinstance(outcome, Later):
        code = _patience_out(outcome, row)
        if code is not None:
            return _failed(before, plan, row, code, outcome.reply, now, result.claimed_at), "REFUSED"
        pause = None
        if outcome.reason not in MAILBOX_WAITS:
            pause = retry_after(outcome.reason, row["tries"], random.random())
        return _due_again(before, plan, row, pause, now), "DEFERRED"
    if isinstance(outcome, Unknown):
        return _failed(before, plan, row, UNCONFIRMED, outcome.why, now), "UNCONFIRMED"
    if isinstance(outcome, OptedOut):
        return None, "REFUSED"  # the person ends with the opt-out itself
    if isinstance(outcome, Refused) and outcome.hard_bounce:
        return _bounced(before, plan, row, now), "REFUSED"
    detail = outcome.reply if isinstance(outcome, Refused) else outcome.detail
    return _failed(before, plan, row, outcome.code, detail, now, result.claimed_at), "REFUSED"


def _at_this_step(before: Recipient, row: asyncpg.Record) -> bool:
    return (
        before.deleted_at is None
        and not before.ended
        and before.current_step_id == row["step_id"]
        and before.step_run == row["step_run"]
    )


def _sent(before: Recipient, plan: Plan, row: asyncpg.Record, at: datetime, now: datetime) -> Change | None:
    if before.deleted_at is not None:
        return None
    return Change(
        before=before,
        after=moves.carry_out(before, plan, row["step_id"], at, now),
        type=EventType.STEP_CARRIED_OUT,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
        done="CARRIED_OUT",
        done_at=at,
    )


def _failed(
    before: Recipient,
    plan: Plan,
    row: asyncpg.Record,
    code: str,
    detail: str | None,
    now: datetime,
    occurred_at: datetime | None = None,
) -> Change | None:
    """Open an error; None when the recipient has left this step, so that the failure is only recorded."""
    if not _at_this_step(before, row):
        return None
    error = NewError(
        id=new_id(),
        code=code,
        detail=detail,
        message_id=row["id"],
        mailbox_id=row["mailbox_id"],
        occurred_at=occurred_at,
    )
    return Change(
        before=before,
        after=moves.fail(before, plan, error.id, now),
        type=EventType.STEP_FAILED,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
        opens=error,
    )


def _due_again(
    before: Recipient, plan: Plan, row: asyncpg.Record, pause: timedelta | None, now: datetime
) -> Change | None:
    """Close the error of a message that is now known not to be delivered, and let the same message come due again.

    None for one that was not given up: it is due as before, and its timers are no change.
    """
    if row["state"] != "UNCONFIRMED" or before.error_id is None or not _at_this_step(before, row):
        return None
    waits = replace(before, error_id=None, wait_ends_at=None, wait_left=timedelta(0))
    return Change(
        before=before,
        after=timers.settle(replace(waits, retry_at=now + pause if pause is not None else None), plan, now),
        type=EventType.STEP_RETRIED,
        actor=ENGINE,
        step_id=row["step_id"],
    )


def _bounced(before: Recipient, plan: Plan, row: asyncpg.Record, now: datetime) -> Change | None:
    if before.deleted_at is not None or not effect_of(Signal.HARD_BOUNCE, before.status).end_reason:
        return None
    return Change(
        before=before,
        after=moves.end(before, plan, EndReason.BOUNCED, now, bounced_step_id=row["step_id"]),
        type=EventType.STATUS_CHANGED,
        actor=ENGINE,
        step_id=row["step_id"],
        message_id=row["id"],
    )


def _patience_out(outcome: Later, row: asyncpg.Record) -> str | None:
    if outcome.reason is LaterReason.THROTTLED and (row["throttled_for"] or PATIENCE) > PATIENCE:
        return ERROR_WHEN_PATIENCE_IS_OUT[outcome.reason]
    if outcome.reason in MAILBOX_WAITS or retry_after(outcome.reason, row["tries"]) is not None:
        return None
    return ERROR_WHEN_PATIENCE_IS_OUT[outcome.reason]


async def _side_effects(
    t: Tx, row: asyncpg.Record, outcome: Outcome | NotSendable, before: Recipient, plan: Plan
) -> None:
    if _server_answered(outcome):
        await t.execute(
            "UPDATE mailboxes SET failures_in_a_row = 0, throttled_since = NULL "
            "WHERE workspace_id = $1 AND id = $2 AND failures_in_a_row > 0",
            t.workspace_id,
            row["mailbox_id"],
        )
    if isinstance(outcome, MailboxBroken):
        await t.execute(
            "UPDATE mailboxes SET state = 'DISCONNECTED', state_code = $3, state_message = $4, updated_at = $5 "
            "WHERE workspace_id = $1 AND id = $2 AND state = 'CONNECTED'",
            t.workspace_id,
            row["mailbox_id"],
            outcome.code,
            _ADDRESS.sub("(an address)", outcome.reply),  # shown, and kept, for everyone it sends to
            t.now,
        )
    elif isinstance(outcome, Refused) and outcome.hard_bounce:
        await t.execute(
            "UPDATE contacts SET email_bounced_at = $3 "
            "WHERE erased_at IS NULL AND workspace_id = $1 AND id = $2 AND ($4::text IS NULL OR email_key = $4)",
            t.workspace_id,
            row["contact_id"],
            t.now,
            address_key(row["to_address"]) if row["to_address"] else None,
        )
    elif isinstance(outcome, Refused) and outcome.code == PHONE_INVALID:
        await note_dead_number(t, row["contact_id"], row["to_address"])
    elif isinstance(outcome, Later):
        due = row["state"] != "UNCONFIRMED" and _at_this_step(before, row)
        await waiting.wait(t, row, outcome, before, plan, at_this_step=due)


async def note_dead_number(t: Tx, contact_id: UUID, number: str | None) -> None:
    """Note that no text message can reach a contact's number, if it still has that one."""
    await t.execute(
        "UPDATE contacts SET phone_invalid_at = $3 WHERE workspace_id = $1 AND id = $2 AND phone_key = $4",
        t.workspace_id,
        contact_id,
        t.now,
        phone_key(number or ""),
    )
