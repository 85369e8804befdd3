"""The steps before and behind recipients: two statements at most, whatever the number of recipients."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from domain.database import fetch
from domain.reading.columns import columns_of, to_step
from domain.reading.rows import RecipientStepRow, StepRow
from domain.rules.lifecycle import Action, Status, available_actions

_STEPS = f"""
    SELECT {", ".join(columns_of("t", StepRow.COLUMNS))} FROM steps t
    WHERE t.workspace_id = $1 AND t.sequence_id = ANY($2::uuid[]) ORDER BY t.sequence_id, t.position
"""
_OWN = """
    SELECT o.recipient_id, o.step_id, o.outcome, o.done_at, o.message_id, o.subject, o.body, o.task_title, o.task_notes,
        o.edited_at IS NOT NULL AS edited,
        EXISTS (SELECT FROM messages x WHERE x.workspace_id = $1 AND x.recipient_id = o.recipient_id
            AND x.step_id = o.step_id AND x.state = 'HANDING_OVER') AS in_flight
    FROM recipient_steps o WHERE o.workspace_id = $1 AND o.recipient_id = ANY($2::uuid[])
    UNION ALL
    SELECT DISTINCT x.recipient_id, x.step_id, NULL, NULL::timestamptz, NULL::uuid, NULL, NULL, NULL, NULL, false, true
    FROM messages x WHERE x.workspace_id = $1 AND x.recipient_id = ANY($2::uuid[]) AND x.state = 'HANDING_OVER'
        AND NOT EXISTS (SELECT FROM recipient_steps o WHERE o.workspace_id = $1 AND o.recipient_id = x.recipient_id
            AND o.step_id = x.step_id)
"""


async def steps_of_sequences(workspace_id: UUID, sequence_ids: Collection[UUID]) -> dict[UUID, list[StepRow]]:
    """Return the steps of each sequence by position, removed ones included."""
    found: dict[UUID, list[StepRow]] = {sequence_id: [] for sequence_id in sequence_ids}
    for record in await fetch(_STEPS, workspace_id, list(sequence_ids)):
        step = to_step(record)  # type: ignore[arg-type]  # a record is a sequence of its values
        found[step.sequence_key].append(step)
    return found


@dataclass(frozen=True, slots=True)
class Paths:
    """The steps of the sequences of a page, and what the recipients have of their own."""

    steps: Mapping[UUID, Sequence[StepRow]]  # by sequence
    known: Mapping[UUID, StepRow]
    own: Mapping[tuple[UUID, UUID], asyncpg.Record]  # by recipient and step

    def step(self, key: UUID | None) -> StepRow | None:
        return self.known.get(key) if key is not None else None

    def number(self, sequence_key: UUID, step_key: UUID | None) -> int | None:
        """Return which step it is, counted from 1 over those still there; None when it was removed."""
        left = (step.key for step in self.steps[sequence_key] if step.removed_at is None)
        return next((number for number, key in enumerate(left, start=1) if key == step_key), None)

    def following(self, recipient_key: UUID, sequence_key: UUID, step_key: UUID | None) -> StepRow | None:
        """Return the step after this one that the recipient has not done; None after the last, and where there is no
        current one."""
        here = self.step(step_key)
        if here is None:
            return None
        later = (s for s in self.steps[sequence_key] if s.position > here.position and s.removed_at is None)
        return next((s for s in later if not self._is_done(recipient_key, s.key)), None)

    def _is_done(self, recipient_key: UUID, step_key: UUID) -> bool:
        own = self.own.get((recipient_key, step_key))
        return own is not None and own["outcome"] is not None

    def steps_of(
        self,
        recipient_key: UUID,
        sequence_key: UUID,
        current_key: UUID | None,
        due_at: datetime | None,
        status: Status,
        sequence_paused: bool,
    ) -> list[RecipientStepRow]:
        """Return each step as it is for one recipient: those still there, and removed ones it has done or is at."""
        may_edit = Action.EDIT_CONTENT in available_actions(status, sequence_paused=sequence_paused)
        found = []
        for step in self.steps[sequence_key]:
            own = self.own.get((recipient_key, step.key))
            outcome = own["outcome"] if own is not None else None
            current = step.key == current_key
            if step.removed_at is not None and outcome is None and not current:
                continue
            in_flight = own is not None and own["in_flight"]
            editable = may_edit and outcome is None and step.removed_at is None and not in_flight
            found.append(
                RecipientStepRow(
                    step=step,
                    state=outcome or ("CURRENT" if current else "UPCOMING"),
                    subject=_own(own, "subject", step.subject),
                    body=_own(own, "body", step.body),
                    task_title=_own(own, "task_title", step.task_title),
                    task_notes=_own(own, "task_notes", step.task_notes),
                    edited=own is not None and own["edited"],
                    editable=editable,
                    planned_for=due_at if current and outcome is None else None,
                    carried_out_at=own["done_at"] if own is not None else None,
                    message_key=own["message_id"] if own is not None else None,
                )
            )
        return found


def _own(own: asyncpg.Record | None, name: str, otherwise: str | None) -> str | None:
    text: str | None = own[name] if own is not None and own[name] is not None else otherwise
    return text


async def load_paths(workspace_id: UUID, sequence_ids: Collection[UUID], recipient_ids: Collection[UUID]) -> Paths:
    """Return the steps of the sequences, and what the recipients named have of their own (none named: not asked)."""
    steps = await steps_of_sequences(workspace_id, sequence_ids)
    own = await fetch(_OWN, workspace_id, list(recipient_ids)) if recipient_ids else []
    return Paths(
        steps=steps,
        known={step.key: step for found in steps.values() for step in found},
        own={(record["recipient_id"], record["step_id"]): record for record in own},
    )
