"""What became of a hand-over: recording the outcome, once, guarded by the claim's token.

What it makes of the recipient is decided in after_hand_over.py, what it means for the mailbox in mailbox_answers.py. An
outcome that arrives late (its recipient was paused, skipped, stopped or
deleted meanwhile) is recorded as a fact, as the signal table says. DELIVERY_UNCONFIRMED is never sent again by
itself: only proof or a person moves it.

Source: product.md section 2 (signals, "While a message is being handed over", "Retry belongs to the error").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain import guardrails, mailbox_answers, signals, waiting
from domain.after_hand_over import at_this_step, decide
from domain.changes import Change
from domain.database import Tx, tx
from domain.erasing import keep_erased
from domain.plans import load_plans
from domain.rules.actor import Actor, ActorKind
from domain.rules.addresses import address_key, phone_key
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import (
    Later,
    MailboxBroken,
    NotSendable,
    OptedOut,
    Outcome,
    Refused,
    Sent,
    Unknown,
    is_the_mailboxes,
)
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.rules.suppressed import SuppressionSource
from domain.turns import TURN_BACK
from domain.writing import read, write

PHONE_INVALID: Final = "PHONE_INVALID"


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
        change, state = decide(before, plan, row, outcome, claimed_at=result.claimed_at, answered_at=at, now=t.now)
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
        [is_the_mailboxes(by_id[row["id"]].outcome) for row, *_ in done],
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
        fact = Fact(
            signal=Signal.OPT_OUT,
            recipient_id=row["recipient_id"],
            actor=Actor(ActorKind.CONTACT, row["contact_id"]),
            message_id=row["id"],
            source=SuppressionSource.REPLY,
        )
        await signals.apply_within(t, fact)


def _words(outcome: Outcome | NotSendable, *, assumed: bool) -> str | None:
    if isinstance(outcome, Unknown):
        return f"Assumed to be sent, as the sequence says. {outcome.why}" if assumed else outcome.why
    return outcome.detail if isinstance(outcome, NotSendable) else outcome.reply


async def _side_effects(
    t: Tx, row: asyncpg.Record, outcome: Outcome | NotSendable, before: Recipient, plan: Plan
) -> None:
    await mailbox_answers.note(t, row["mailbox_id"], outcome)
    if isinstance(outcome, Refused) and outcome.hard_bounce:
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
    elif isinstance(outcome, Later) and not is_the_mailboxes(outcome):
        due = row["state"] != "UNCONFIRMED" and at_this_step(before, row)
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
