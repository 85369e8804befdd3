"""How many recipients an edit of a sequence touches, and how: counted before it is made.

What an edit does is asked of the same function that does it (rules/following.py), once for each group of recipients who
stand alike, so that 100,000 of them are a few groups.

Source: product.md section 3 "Live edits": "A dry run of each edit counts the recipients in each case".
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

import asyncpg

from domain.database import Tx
from domain.rules.following import follow
from domain.rules.lifecycle import EndReason
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient
from domain.rules.timers import zone_of
from domain.rules.timing import after_wait


class Effect(StrEnum):
    NEW_CONTENT = "NEW_CONTENT"
    CONTENT_KEPT = "CONTENT_KEPT"
    WAIT_CHANGED = "WAIT_CHANGED"
    DUE_NOW = "DUE_NOW"
    NEXT_STEP_CHANGED = "NEXT_STEP_CHANGED"
    REACHES_LATER = "REACHES_LATER"
    PASSED = "PASSED"
    SKIPPED = "SKIPPED"
    BEING_SENT = "BEING_SENT"
    COMPLETED = "COMPLETED"
    NOT_TOUCHED = "NOT_TOUCHED"


MEANING: Final[Mapping[Effect, str]] = {
    Effect.NEW_CONTENT: "The new text reaches them.",
    Effect.CONTENT_KEPT: "They keep the old text: it waits for a person, is being sent, or was edited by hand.",
    Effect.WAIT_CHANGED: "They wait for the step, and the wait ends at another time, counted from the same beginning.",
    Effect.DUE_NOW: "They wait for the step, and the wait is over by the change: it is due now.",
    Effect.NEXT_STEP_CHANGED: "Another step is their next one, with its own wait from the same beginning.",
    Effect.REACHES_LATER: "The step lies ahead of them.",
    Effect.PASSED: "They are past the step's place, and it does not run for them.",
    Effect.SKIPPED: "The step waits for a person, or has failed: it counts as skipped.",
    Effect.BEING_SENT: "The step is being sent: what becomes of it is recorded.",
    Effect.COMPLETED: "No step is left for them: they are completed.",
    Effect.NOT_TOUCHED: "Nothing changes for them.",
}


@dataclass(frozen=True, slots=True)
class EffectCount:
    effect: Effect
    count: int


_GROUPS: Final = """
    SELECT g.*, count(*) AS n FROM (
        SELECT r.current_step_id, r.last_step_id, r.plan_revision, r.pending_id IS NOT NULL AS pending,
            r.error_id IS NOT NULL AS failed,
            EXISTS (SELECT FROM messages x WHERE x.workspace_id = $1 AND x.recipient_id = r.id
                AND x.step_id = r.current_step_id AND x.step_run = r.step_run
                AND x.state = 'HANDING_OVER') AS being_sent,
            ARRAY(SELECT o.step_id FROM recipient_steps o WHERE o.workspace_id = $1 AND o.recipient_id = r.id
                AND o.outcome IS NOT NULL ORDER BY o.step_id) AS done,
            EXISTS (SELECT FROM recipient_steps o WHERE o.workspace_id = $1 AND o.recipient_id = r.id
                AND o.step_id = $3 AND o.edited_at IS NOT NULL) AS edited_by_hand
        FROM recipients r
        WHERE r.workspace_id = $1 AND r.sequence_id = $2 AND r.end_reason IS NULL AND r.deleted_at IS NULL
    ) g GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

_WAITS: Final = """
    SELECT r.anchor_at, c.time_zone, count(*) AS n
    FROM recipients r JOIN contacts c ON c.id = r.contact_id AND c.workspace_id = r.workspace_id
    WHERE r.workspace_id = $1 AND r.sequence_id = $2 AND r.current_step_id = $3 AND r.end_reason IS NULL
        AND r.deleted_at IS NULL AND r.pending_id IS NULL AND r.error_id IS NULL
        AND NOT EXISTS (SELECT FROM messages x WHERE x.workspace_id = $1 AND x.recipient_id = r.id
            AND x.step_id = r.current_step_id AND x.step_run = r.step_run AND x.state = 'HANDING_OVER')
    GROUP BY 1, 2
"""


async def count_places(t: Tx, sequence_id: UUID, edited: Plan, *, added: UUID | None = None) -> list[EffectCount]:
    """Return what becomes of the open recipients when steps are added, moved or removed."""
    counts: Counter[Effect] = Counter()
    for group in await t.fetch(_GROUPS, t.workspace_id, sequence_id, added):
        before = _like(t, sequence_id, group)
        after = follow(before, edited, t.now, being_sent=group["being_sent"])
        counts[_place(before, after, edited, added, being_sent=group["being_sent"])] += group["n"]
    return _listed(counts)


async def count_content(t: Tx, sequence_id: UUID, edited: Plan, step_id: UUID) -> list[EffectCount]:
    """Return whom a step's new text reaches."""
    counts: Counter[Effect] = Counter()
    for group in await t.fetch(_GROUPS, t.workspace_id, sequence_id, step_id):
        here = group["current_step_id"] == step_id
        if not _lies_ahead(edited, step_id, group["current_step_id"], group["done"]) and not here:
            effect = Effect.PASSED
        elif group["edited_by_hand"] or (here and (group["pending"] or group["being_sent"])):
            effect = Effect.CONTENT_KEPT
        else:
            effect = Effect.NEW_CONTENT
        counts[effect] += group["n"]
    return _listed(counts)


async def count_wait(t: Tx, sequence_id: UUID, edited: Plan, step_id: UUID) -> list[EffectCount]:
    """Return for how many of those who wait for a step its new wait ends at another time, and for how many it is over.
    The wait of one who is paused goes on with the resume; it does not come due by the edit."""
    step = edited.step(step_id)
    assert step is not None
    counts: Counter[Effect] = Counter()
    for number, group in enumerate(await t.fetch(_WAITS, t.workspace_id, sequence_id, step_id)):
        if number % 1_000 == 999:
            await asyncio.sleep(0)  # others have their turn between
        over = False
        if group["anchor_at"] is not None:
            zone = zone_of(_standing(t, sequence_id, group["time_zone"]), edited)
            over = after_wait(group["anchor_at"], step.wait, zone) <= t.now
        counts[Effect.DUE_NOW if over else Effect.WAIT_CHANGED] += group["n"]
    return _listed(counts)


def _standing(t: Tx, sequence_id: UUID, time_zone: str | None) -> Recipient:
    assert t.workspace_id is not None
    return Recipient(
        id=sequence_id,
        workspace_id=t.workspace_id,
        sequence_id=sequence_id,
        contact_id=sequence_id,
        version=1,
        time_zone=time_zone,
        mailbox_id=None,
    )


def _like(t: Tx, sequence_id: UUID, group: asyncpg.Record) -> Recipient:
    """Return one recipient who stands as all of a group do, but for the timers."""
    return replace(
        _standing(t, sequence_id, None),
        current_step_id=group["current_step_id"],
        last_step_id=group["last_step_id"],
        plan_revision=group["plan_revision"],
        pending_id=sequence_id if group["pending"] else None,
        error_id=sequence_id if group["failed"] else None,
        done=frozenset(group["done"]),
        anchor_at=t.now,
    )


def _place(before: Recipient, after: Recipient, edited: Plan, added: UUID | None, *, being_sent: bool) -> Effect:
    here = edited.step(before.current_step_id)
    if being_sent and here is not None and here.removed:
        return Effect.BEING_SENT
    if after.end_reason is EndReason.COMPLETED:
        return Effect.COMPLETED
    if after.current_step_id != before.current_step_id:
        occupied = before.pending_id is not None or before.error_id is not None
        return Effect.SKIPPED if occupied else Effect.NEXT_STEP_CHANGED
    if added is None:
        return Effect.NOT_TOUCHED
    ahead = _lies_ahead(edited, added, after.current_step_id, before.done)
    return Effect.REACHES_LATER if ahead else Effect.PASSED


def _lies_ahead(plan: Plan, step_id: UUID, current_id: UUID | None, done: Iterable[UUID]) -> bool:
    step, here = plan.step(step_id), plan.step(current_id)
    return step is not None and here is not None and step.position > here.position and step_id not in done


def _listed(counts: Counter[Effect]) -> list[EffectCount]:
    return [EffectCount(effect, counts[effect]) for effect in Effect if counts[effect]]
