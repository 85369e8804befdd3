"""Editing the steps of a sequence while recipients are under way.

Each edit is one small transaction: the steps as they are now, and a new revision of the sequence. From its commit on no
message goes out that was made before it (sending.py asks for the revision at the second mark), and no one who has to
follow it is claimed before having done so; their rows follow in batches (settling.py).

Source: product.md section 3 "Live edits".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from domain.database import Tx, fetch, tx
from domain.edit_effects import EffectCount, count_content, count_places, count_wait
from domain.plans import load_plan
from domain.refusals import Invalid, NotFound, SequenceActionNotAvailable
from domain.rules import plan_edits
from domain.rules.ids import new_id
from domain.rules.plan import Plan, SequenceStatus, Step
from domain.sequences import locked
from domain.settling import settle_small
from domain.steps import STEPS_AT_MOST, TEXTS, NewStep, check_step, insert_step, save_plan, to_new_step


@dataclass(frozen=True, slots=True)
class Edited:
    """What came of an edit; in a dry run, what would come of it: then `effects` counts the recipients in each case."""

    sequence_id: UUID
    step_id: UUID
    effects: Sequence[EffectCount] = ()


async def add_step(
    workspace_id: UUID,
    sequence_id: UUID,
    step: NewStep,
    *,
    before_step_id: UUID | None = None,
    dry_run: bool = False,
) -> Edited:
    """Add a step directly before another one, or (None) at the end. Those who have passed its place do not get it, and
    those who have completed do not reopen.

    Raises:
        Invalid, NotFound, SequenceActionNotAvailable
    """
    check_step(step, ["step"])
    step_id = new_id()

    async def work(t: Tx) -> Edited:
        plan = await _plan(t, sequence_id, dry_run=dry_run)
        if sum(not s.removed for s in plan.steps) >= STEPS_AT_MOST:
            raise Invalid(f"A sequence has at most {STEPS_AT_MOST} steps.", field=["sequenceId"])
        _check_place(plan, before_step_id)
        new = Step(id=step_id, position=0, kind=step.kind, wait=step.wait)
        edited = plan_edits.with_step(plan, new, before_step_id)
        if dry_run:
            return Edited(sequence_id, step_id, await count_places(t, sequence_id, edited, added=step_id))
        await insert_step(t, sequence_id, step_id, len(edited.steps), step)
        await save_plan(t, sequence_id, edited)
        return Edited(sequence_id, step_id)

    return await _carried_out(workspace_id, work, dry_run=dry_run)


async def update_step(
    workspace_id: UUID, step_id: UUID, changes: Mapping[str, Any], *, dry_run: bool = False
) -> Edited:
    """Change a step's texts or wait: `changes` holds fields of NewStep but the kind; those left out are kept.

    New texts reach everyone for whom the step is not done, pending, being sent or edited by hand. A new wait counts
    from when the old one began; what has passed by it is due now.

    Raises:
        Invalid, NotFound, SequenceActionNotAvailable
    """
    if not changes:
        raise Invalid("Nothing is given that could be changed.", field=["id"])
    sequence_id = await _sequence_of(workspace_id, step_id)

    async def work(t: Tx) -> Edited:
        plan = await _plan(t, sequence_id, dry_run=dry_run)
        before = await _texts_of(t, plan, step_id)
        after = replace(before, **changes)
        check_step(after, [])
        edited = replace(plan, revision=plan.revision + 1)
        if after.wait != before.wait:
            edited = plan_edits.with_wait(plan, step_id, after.wait)
        rewritten = any(getattr(after, name) != getattr(before, name) for name in TEXTS)
        if dry_run:
            effects = await count_content(t, sequence_id, edited, step_id) if rewritten else []
            effects += await count_wait(t, sequence_id, edited, step_id) if after.wait != before.wait else []
            return Edited(sequence_id, step_id, effects)
        await t.execute(
            """
            UPDATE steps SET wait_amount = $3, wait_unit = $4, subject = $5, body = $6, task_kind = $7, task_title = $8,
                task_notes = $9, send_as_reply = $10,
                updated_at = CASE WHEN $12 THEN $11 ELSE updated_at END
            WHERE workspace_id = $1 AND id = $2
            """,
            t.workspace_id,
            step_id,
            after.wait.amount,
            after.wait.unit,
            *(getattr(after, name) for name in TEXTS),
            t.now,
            rewritten,  # a new text may be what an error waits for; a new wait is not
        )
        await save_plan(t, sequence_id, edited)
        return Edited(sequence_id, step_id)

    return await _carried_out(workspace_id, work, dry_run=dry_run)


async def move_step(
    workspace_id: UUID, step_id: UUID, *, before_step_id: UUID | None = None, dry_run: bool = False
) -> Edited:
    """Put a step directly before another one, or (None) at the end. Nobody gets a step twice: whoever has done it goes
    on from its new place, to the first step that is not done.

    Raises:
        NotFound, SequenceActionNotAvailable
    """
    return await _rearrange(
        workspace_id,
        step_id,
        lambda plan: _moved(plan, step_id, before_step_id),
        dry_run=dry_run,
    )


async def remove_step(workspace_id: UUID, step_id: UUID, *, dry_run: bool = False) -> Edited:
    """Remove a step. Those waiting for it wait for the next one, from the same beginning; for those in front of whom it
    lies, or for whom it failed, it counts as skipped; one being sent is recorded. After the last step it is COMPLETED.

    Raises:
        NotFound, SequenceActionNotAvailable
    """
    return await _rearrange(workspace_id, step_id, lambda plan: plan_edits.without_step(plan, step_id), dry_run=dry_run)


def _moved(plan: Plan, step_id: UUID, before_step_id: UUID | None) -> Plan:
    _check_place(plan, before_step_id)
    return plan if before_step_id == step_id else plan_edits.with_step_moved(plan, step_id, before_step_id)


async def _rearrange(workspace_id: UUID, step_id: UUID, edit: Callable[[Plan], Plan], *, dry_run: bool) -> Edited:
    sequence_id = await _sequence_of(workspace_id, step_id)

    async def work(t: Tx) -> Edited:
        plan = await _plan(t, sequence_id, dry_run=dry_run)
        _check_step_of(plan, step_id)
        edited = edit(plan)
        if dry_run:
            return Edited(sequence_id, step_id, await count_places(t, sequence_id, edited))
        await save_plan(t, sequence_id, edited)
        return Edited(sequence_id, step_id)

    return await _carried_out(workspace_id, work, dry_run=dry_run)


async def _carried_out(workspace_id: UUID, work: Callable[[Tx], Any], *, dry_run: bool) -> Edited:
    edited: Edited = await tx(workspace_id, work, rings=not dry_run)
    if not dry_run:
        await settle_small(workspace_id, edited.sequence_id)
    return edited


async def _sequence_of(workspace_id: UUID, step_id: UUID) -> UUID:
    rows = await fetch("SELECT sequence_id FROM steps WHERE workspace_id = $1 AND id = $2", workspace_id, step_id)
    if not rows:
        raise NotFound("step", field=["id"])
    found: UUID = rows[0]["sequence_id"]
    return found


async def _plan(t: Tx, sequence_id: UUID, *, dry_run: bool) -> Plan:
    """Return the sequence as it is; locked against everyone who reads it for a decision, but for a dry run."""
    if not dry_run:
        await locked(t, sequence_id, field="sequenceId")
    plan = await load_plan(t, sequence_id)
    if plan.status is SequenceStatus.ARCHIVED:
        raise SequenceActionNotAvailable("The sequence is archived. Unarchive it first.", plan.status)
    return plan


def _check_step_of(plan: Plan, step_id: UUID, field: str = "id") -> None:
    step = plan.step(step_id)
    if step is None or step.removed:
        raise NotFound("step", field=[field])


def _check_place(plan: Plan, before_step_id: UUID | None) -> None:
    if before_step_id is not None:
        _check_step_of(plan, before_step_id, "beforeStepId")


async def _texts_of(t: Tx, plan: Plan, step_id: UUID) -> NewStep:
    _check_step_of(plan, step_id)
    row: asyncpg.Record | None = await t.fetchrow(
        "SELECT * FROM steps WHERE workspace_id = $1 AND id = $2", t.workspace_id, step_id
    )
    assert row is not None
    return to_new_step(row)
