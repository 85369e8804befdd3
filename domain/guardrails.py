"""Holding a mailbox or a sequence back when too much of what it sends bounces or is complained about, until a person
releases it.

What did harm is noted on our message, whatever had become of its recipient by then. A rate only rises with such a note,
so it is looked at then, and in a slow round for samples that were too small. The second mark looks for the hold.

A sample is the messages handed over within the window: machine time, as all limits of mailboxes. A release begins a new
one, and a bounce of an older message no longer counts.

Source: product.md section 6; reliability.md 2.9.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

from domain.database import Tx, fetch, tx
from domain.refusals import Invalid, NotFound, api_name
from domain.rules.guardrails import BOUNDS, Hold, Limits, Sample, judged

_STANDARD: Final = orjson.dumps(asdict(Limits())).decode()


class Guarded(StrEnum):
    """What a guardrail watches over: the table of it."""

    MAILBOX = "mailboxes"
    SEQUENCE = "sequences"


class Harm(StrEnum):
    """What a message can have done: the column that notes when."""

    BOUNCED = "bounced_at"
    COMPLAINED = "complained_at"


_COLUMN: Final = {Guarded.MAILBOX: "mailbox_id", Guarded.SEQUENCE: "sequence_id"}
_HARMED: Final = "(x.bounced_at IS NOT NULL OR x.complained_at IS NOT NULL)"
# When a message counts: what was refused before it was handed over has no mark.
_COUNTED_AT: Final = "coalesce(x.marked_at, x.bounced_at)"


def limits_sql(alias: str) -> str:
    """Return the limits of a mailbox or sequence: its own before the workspace's (`w`), those before the standard."""
    return f"'{_STANDARD}'::jsonb || w.guardrail_limits || {alias}.guardrail_limits"


def sample_sql(guarded: Guarded, enough: str = "") -> str:
    """Return the statement that reads samples: of workspace $1, the ones $2. `enough` bounds how many are counted."""
    column = _COLUMN[guarded]
    return f"""
        SELECT o.id, o.guardrail_hold, o.guardrail_released_at, o.guardrail_limits AS own_limits, l.limits,
            h.bounced, h.complained, h.unmarked + s.marked AS sent
        FROM {guarded} o JOIN workspaces w ON w.id = o.workspace_id
        CROSS JOIN LATERAL (SELECT {limits_sql("o")} AS limits) l
        CROSS JOIN LATERAL (
            SELECT greatest(now() - make_interval(days => (l.limits ->> 'window_days')::int), o.guardrail_released_at)
                AS since) f
        CROSS JOIN LATERAL (
            SELECT count(x.bounced_at) AS bounced, count(x.complained_at) AS complained,
                count(*) FILTER (WHERE x.marked_at IS NULL) AS unmarked
            FROM messages x
            WHERE x.workspace_id = $1 AND x.{column} = o.id AND {_HARMED} AND {_COUNTED_AT} > f.since
        ) h
        CROSS JOIN LATERAL (
            SELECT count(*) AS marked FROM (
                SELECT FROM messages x
                WHERE x.workspace_id = $1 AND x.{column} = o.id AND x.marked_at > f.since AND x.channel = 'EMAIL'
                {enough}) counted
        ) s
        WHERE o.workspace_id = $1 AND o.id = ANY($2::uuid[])
    """


# No more are counted than it takes to know that both rates are low enough.
_ENOUGH: Final = """LIMIT 1 + greatest((l.limits ->> 'minimum_sends')::bigint,
    ceil(h.bounced * 100 / (l.limits ->> 'bounce_percent')::numeric),
    ceil(h.complained * 100 / (l.limits ->> 'complaint_percent')::numeric))"""
_JUDGED: Final = {
    guarded: f"{sample_sql(guarded, _ENOUGH)} AND o.guardrail_hold IS NULL AND h.bounced + h.complained > 0"
    for guarded in Guarded
}


async def note(t: Tx, harm: Harm, message_ids: Collection[UUID]) -> None:
    """Note what became of messages of ours, and hold back the mailboxes and sequences whose rates are too high by it.

    A message is counted once, however often it is reported."""
    rows = await t.fetch(
        f"UPDATE messages x SET {harm} = now() WHERE x.workspace_id = $1 AND x.id = ANY($2::uuid[]) "
        f"AND x.direction = 'OUTGOING' AND x.{harm} IS NULL RETURNING x.mailbox_id, x.sequence_id",
        t.workspace_id,
        list(message_ids),
    )
    await check(t, Guarded.MAILBOX, (row["mailbox_id"] for row in rows if row["mailbox_id"]))
    await check(t, Guarded.SEQUENCE, (row["sequence_id"] for row in rows))


async def note_about(t: Tx, harm: Harm, recipient_id: UUID, message_id: UUID | None) -> None:
    """As `note`, of the message that a signal is about: the latest handed over, where it does not name one."""
    if message_id is None:
        message_id = await t.fetchval(
            "SELECT id FROM messages WHERE workspace_id = $1 AND recipient_id = $2 AND direction = 'OUTGOING' "
            "AND marked_at IS NOT NULL ORDER BY marked_at DESC, id DESC LIMIT 1",
            t.workspace_id,
            recipient_id,
        )
    if message_id is not None:
        await note(t, harm, [message_id])


async def check(t: Tx, guarded: Guarded, ids: Iterable[UUID]) -> None:
    """Hold those back whose rates are too high."""
    wanted = sorted(set(ids))
    rows = await t.fetch(_JUDGED[guarded], t.workspace_id, wanted) if wanted else []
    for row in sorted(rows, key=lambda row: row["id"]):
        sample = Sample(row["sent"], row["bounced"], row["complained"])
        hold = judged(sample, Limits(**orjson.loads(row["limits"])), t.now)
        if hold is not None:
            await _hold(t, guarded, row["id"], hold)


async def _hold(t: Tx, guarded: Guarded, id: UUID, hold: Hold) -> None:
    # FOR UPDATE, stronger than the update itself needs: it excludes the second mark's locks.
    await t.execute(f"SELECT FROM {guarded} WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, id)
    state = "state = CASE WHEN state = 'CONNECTED' THEN 'HELD' ELSE state END, "
    await t.execute(
        f"UPDATE {guarded} SET {state if guarded is Guarded.MAILBOX else ''} guardrail_hold = $3::jsonb "
        "WHERE workspace_id = $1 AND id = $2 AND guardrail_hold IS NULL",
        t.workspace_id,
        id,
        orjson.dumps(hold.as_json()).decode(),
    )


async def check_all() -> None:
    """Look at whatever had a bounce or a complaint lately: its sample may have grown large enough."""
    for guarded in Guarded:
        rows = await fetch(
            f"""
            SELECT o.workspace_id, o.id FROM {guarded} o WHERE o.guardrail_hold IS NULL AND EXISTS (
                SELECT FROM messages x WHERE x.workspace_id = o.workspace_id AND x.{_COLUMN[guarded]} = o.id
                    AND {_HARMED} AND {_COUNTED_AT} > now() - interval '30 days')
            """
        )
        for workspace_id in sorted({row["workspace_id"] for row in rows}):
            ids = [row["id"] for row in rows if row["workspace_id"] == workspace_id]

            async def work(t: Tx, guarded: Guarded = guarded, ids: list[UUID] = ids) -> None:
                await check(t, guarded, ids)

            await tx(workspace_id, work)


async def release(workspace_id: UUID, held: Mapping[Guarded, UUID]) -> None:
    """Let what is held send again; what happened before counts no more. What is not held stays as it is.

    Raises:
        Invalid: nothing is named.
        NotFound
    """
    if not held:
        raise Invalid("Say which mailbox or which sequence is released.", field=["mailboxId"])

    async def work(t: Tx) -> None:
        for guarded, id in held.items():
            await _locked(t, guarded, id)
            state = "state = CASE WHEN state = 'HELD' THEN 'CONNECTED' ELSE state END, "
            await t.execute(
                f"UPDATE {guarded} SET {state if guarded is Guarded.MAILBOX else ''} guardrail_hold = NULL, "
                "guardrail_released_at = now(), updated_at = $3 "
                "WHERE workspace_id = $1 AND id = $2 AND guardrail_hold IS NOT NULL",
                t.workspace_id,
                id,
                t.now,
            )

    await tx(workspace_id, work)


async def set_limits(
    workspace_id: UUID, changes: Mapping[str, float | None], guarded: Guarded | None = None, id: UUID | None = None
) -> None:
    """Change limits of a mailbox, of a sequence, or of the workspace where neither is named. None lets the next one
    count: the workspace's, or the standard. What is above a new limit is held at once, or within half a minute where
    the workspace's was changed; what is held already waits for a person.

    Raises:
        Invalid: a limit is out of bounds.
        NotFound
    """
    for name, value in changes.items():
        least, most, words = BOUNDS[name]
        if value is not None and not least <= value <= most:
            raise Invalid(words, field=[api_name(name)])
    kept: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}

    async def work(t: Tx) -> None:
        written = "SET guardrail_limits = (guardrail_limits - $2::text[]) || $3::jsonb"
        given = t.workspace_id, list(changes), orjson.dumps(kept).decode()
        if guarded is None or id is None:
            await t.execute(f"UPDATE workspaces {written} WHERE id = $1", *given)
            return
        await _locked(t, guarded, id)
        written += ", updated_at = $5 WHERE workspace_id = $1 AND id = $4"
        await t.execute(f"UPDATE {guarded} {written}", *given, id, t.now)
        await check(t, guarded, [id])

    await tx(workspace_id, work)


async def _locked(t: Tx, guarded: Guarded, id: UUID) -> None:
    known = await t.fetchval(
        f"SELECT id FROM {guarded} WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, id
    )
    if known is None:
        word = guarded.name.lower()
        raise NotFound(word, field=[f"{word}Id"])
