"""The steps of a sequence as they are written and stored.

Source: product.md section 3.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from domain.database import Tx
from domain.refusals import Invalid
from domain.rules.content import TemplateInvalid, check_variables
from domain.rules.plan import EMAIL_KINDS, Plan, StepKind
from domain.rules.timing import Wait, WaitUnit

STEPS_AT_MOST: Final = 50
TEXTS: Final = ("subject", "body", "task_kind", "task_title", "task_notes", "send_as_reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    """A step as a caller gives it."""

    kind: StepKind
    wait: Wait
    subject: str | None = None
    body: str | None = None
    task_kind: str | None = None
    task_title: str | None = None
    task_notes: str | None = None
    send_as_reply: bool = False


def to_new_step(row: asyncpg.Record) -> NewStep:
    """Return a row of `steps` as a caller would give it."""
    wait = Wait(row["wait_amount"], WaitUnit(row["wait_unit"]))
    return NewStep(kind=StepKind(row["kind"]), wait=wait, **{name: row[name] for name in TEXTS})


def check_step(step: NewStep, path: list[str]) -> None:
    """Return when a step is complete for its kind and its templates can be read. `path` is what the caller calls it.

    Raises:
        Invalid
    """
    if step.kind is StepKind.TASK:
        if not (step.task_title or "").strip():
            raise Invalid("A task needs a title.", field=[*path, "taskTitle"])
    elif step.kind in EMAIL_KINDS:
        if not (step.body or "").strip():
            raise Invalid("An email step needs a body.", field=[*path, "body"])
        if not step.send_as_reply and not (step.subject or "").strip():
            raise Invalid("An email step needs a subject, unless it is sent as a reply.", field=[*path, "subject"])
    else:
        if not (step.body or "").strip():
            raise Invalid("A text message needs a text.", field=[*path, "body"])
        if step.subject is not None:
            raise Invalid("A text message has no subject.", field=[*path, "subject"])
    for name, template in (
        ("subject", step.subject),
        ("body", step.body),
        ("taskTitle", step.task_title),
        ("taskNotes", step.task_notes),
    ):
        if template is not None:
            if len(template) > 200_000:
                raise Invalid("This text is longer than 200,000 characters.", field=[*path, name])
            try:
                check_variables(template, step.kind)
            except TemplateInvalid as problem:
                raise Invalid(str(problem), field=[*path, name]) from None


async def insert_step(t: Tx, sequence_id: UUID, step_id: UUID, position: int, step: NewStep) -> None:
    await t.execute(
        """
        INSERT INTO steps (id, workspace_id, sequence_id, position, kind, wait_amount, wait_unit, subject, body,
            task_kind, task_title, task_notes, send_as_reply, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
        """,
        step_id,
        t.workspace_id,
        sequence_id,
        position,
        step.kind,
        step.wait.amount,
        step.wait.unit,
        step.subject,
        step.body,
        step.task_kind,
        step.task_title,
        step.task_notes,
        step.send_as_reply,
        t.now,
    )


async def save_plan(t: Tx, sequence_id: UUID, plan: Plan) -> None:
    """Write the places and revisions of the steps, and the sequence's revision: the gate is shut with the commit."""
    await t.execute(
        """
        UPDATE steps s SET position = u.position, revision = u.revision, wait_revision = u.wait_revision,
            placed_revision = u.placed_revision,
            removed_at = CASE WHEN u.removed THEN coalesce(s.removed_at, $3::timestamptz) END
        FROM unnest($4::uuid[], $5::int[], $6::int[], $7::int[], $8::int[], $9::bool[])
            AS u (id, position, revision, wait_revision, placed_revision, removed)
        WHERE s.workspace_id = $1 AND s.sequence_id = $2 AND s.id = u.id
        """,
        t.workspace_id,
        sequence_id,
        t.now,
        [step.id for step in plan.steps],
        [step.position for step in plan.steps],
        [step.revision for step in plan.steps],
        [step.wait_revision for step in plan.steps],
        [step.placed_revision for step in plan.steps],
        [step.removed for step in plan.steps],
    )
    await t.execute(
        "UPDATE sequences SET revision = $3, settling = settling OR $4, updated_at = $5 "
        "WHERE workspace_id = $1 AND id = $2",
        t.workspace_id,
        sequence_id,
        plan.revision,
        any(step.revision == plan.revision for step in plan.steps),
        t.now,
    )
