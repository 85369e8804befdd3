"""A recipient's own text for a step: saved beside the sequence's, used instead of it, taken back.

Source: product.md section 2 "Edit content".
"""

from dataclasses import dataclass, replace
from uuid import UUID

from domain.database import Tx
from domain.refusals import ActionNotAvailable, Invalid, NotFound
from domain.rules.plan import Plan, StepKind
from domain.rules.recipient import Recipient, present
from domain.steps import check_step, to_new_step


@dataclass(frozen=True, slots=True)
class NewContent:
    """A recipient's own text for one step. None keeps what is there."""

    subject: str | None = None
    body: str | None = None
    task_title: str | None = None
    task_notes: str | None = None


async def save(t: Tx, before: Recipient, plan: Plan, step_id: UUID, content: NewContent | None) -> None:
    """Save or (None) take back a recipient's own text for a step, in the transaction of the edit.

    Raises:
        NotFound: the sequence has no such step.
        ActionNotAvailable: the step has been carried out or skipped.
        Invalid: the step cannot have such a text, the template is broken, nothing is left of a text it needs, or the
            text is already so.
    """
    step = plan.step(step_id)
    if step is None or step.removed:
        raise NotFound("step", field=["stepId"])
    # Edited by hand is edited whole: what is kept of the sequence's text must not change with it later.
    (texts,) = await t.fetch("SELECT * FROM steps WHERE workspace_id = $1 AND id = $2", t.workspace_id, step_id)
    own = await t.fetchrow(
        "SELECT * FROM recipient_steps WHERE workspace_id = $1 AND recipient_id = $2 AND step_id = $3",
        t.workspace_id,
        before.id,
        step_id,
    )
    if own is not None and own["outcome"] is not None:
        raise ActionNotAvailable("This step has been carried out or skipped already.", *present(before, plan))
    if content is None:
        if own is None or own["edited_at"] is None:
            raise Invalid("This step's text is the sequence's own already; there is nothing to reset.", field=["reset"])
        values: tuple[str | None, ...] = (None, None, None, None)
    else:
        _check_content(step.kind, content)
        edited = own is not None and own["edited_at"] is not None
        kept = own if own is not None and edited else texts
        values = tuple(
            new if new is not None else kept[name]
            for name, new in (
                ("subject", content.subject),
                ("body", content.body),
                ("task_title", content.task_title),
                ("task_notes", content.task_notes),
            )
        )
        if edited and values == (kept["subject"], kept["body"], kept["task_title"], kept["task_notes"]):
            raise Invalid("This text is saved already; nothing was changed.", field=["body"])
        subject, body, task_title, task_notes = values
        whole = replace(to_new_step(texts), subject=subject, body=body, task_title=task_title, task_notes=task_notes)
        check_step(whole, [])
    await t.execute(
        """
        INSERT INTO recipient_steps (workspace_id, recipient_id, step_id, subject, body, task_title, task_notes,
            edited_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 THEN $9::timestamptz END)
        ON CONFLICT (recipient_id, step_id) DO UPDATE SET subject = excluded.subject, body = excluded.body,
            task_title = excluded.task_title, task_notes = excluded.task_notes, edited_at = excluded.edited_at
        """,
        t.workspace_id,
        before.id,
        step_id,
        *values,
        content is not None,
        t.now,
    )


def _check_content(kind: StepKind, content: NewContent) -> None:
    is_task = kind is StepKind.TASK
    given = {"subject": content.subject, "body": content.body}
    tasks = {"taskTitle": content.task_title, "taskNotes": content.task_notes}
    for name, value in (given if is_task else tasks).items():
        if value is not None:
            raise Invalid(f"A {'task' if is_task else 'message'} has no {name}.", field=[name])
    if kind is StepKind.SMS and content.subject is not None:
        raise Invalid("A text message has no subject.", field=["subject"])
    if all(value is None for value in (given | tasks).values()):
        raise Invalid("Give a new text, or reset to the sequence's own.", field=["taskTitle" if is_task else "body"])
