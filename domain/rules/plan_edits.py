"""The edits of a sequence under way: each returns the plan as it will be, one revision on.

They say whom an edit may concern: a step's `revision` is raised for those who wait for it and have to look where they
go on. Everybody else goes on undisturbed.

Source: product.md section 3 "Live edits".
"""

from dataclasses import replace
from uuid import UUID

from domain.rules.plan import Plan, Step
from domain.rules.timing import Wait, WaitUnit


def with_step(plan: Plan, step: Step, before_id: UUID | None) -> Plan:
    """Return the plan with a new step directly before another one, or (None) at the end."""
    revision = plan.revision + 1
    new = replace(step, revision=revision, wait_revision=revision, placed_revision=revision)
    steps = _inserted(plan.steps, new, before_id)
    later = [s.id for s in steps[steps.index(new) + 1 :] if not s.removed]
    # Whoever waits for the step behind it. Where steps were moved, that step may be done, and a later one waited for.
    moved_before = any(s.placed_revision for s in plan.steps)
    concerned = later if moved_before else later[:1]
    return _numbered(plan, [replace(s, revision=revision) if s.id in concerned else s for s in steps])


def without_step(plan: Plan, step_id: UUID) -> Plan:
    """Return the plan with a step removed. It keeps its place: whoever has done it goes on from there."""
    revision = plan.revision + 1
    gone = [replace(s, removed=True, revision=revision) if s.id == step_id else s for s in plan.steps]
    return _numbered(plan, gone)


def with_step_moved(plan: Plan, step_id: UUID, before_id: UUID | None) -> Plan:
    """Return the plan with a step directly before another one, or (None) at the end."""
    revision = plan.revision + 1
    others = tuple(s for s in plan.steps if s.id != step_id)
    moved = next(replace(s, placed_revision=revision) for s in plan.steps if s.id == step_id)
    return _numbered(plan, [replace(s, revision=revision) for s in _inserted(others, moved, before_id)])


def with_wait(plan: Plan, step_id: UUID, wait: Wait) -> Plan:
    """Return the plan with another wait before a step."""
    revision = plan.revision + 1
    changed = [
        replace(s, wait=wait, revision=revision, wait_revision=revision) if s.id == step_id else s for s in plan.steps
    ]
    return _numbered(plan, changed)


def with_new_times(plan: Plan, *, zone_changed: bool) -> Plan:
    """Return the plan after a change of its window; with another zone, days are counted anew, too."""
    revision = plan.revision + 1
    counted_anew = (WaitUnit.DAYS, WaitUnit.BUSINESS_DAYS) if zone_changed else ()
    changed = [
        replace(s, revision=revision, wait_revision=revision if s.wait.unit in counted_anew else s.wait_revision)
        for s in plan.steps
    ]
    return _numbered(plan, changed)


def _inserted(steps: tuple[Step, ...], step: Step, before_id: UUID | None) -> list[Step]:
    at = next((index for index, other in enumerate(steps) if other.id == before_id), len(steps))
    return [*steps[:at], step, *steps[at:]]


def _numbered(plan: Plan, steps: list[Step]) -> Plan:
    numbered = tuple(replace(step, position=number) for number, step in enumerate(steps, start=1))
    return replace(plan, steps=numbered, revision=plan.revision + 1)
