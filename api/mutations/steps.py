"""Editing the steps of a sequence, also while recipients are under way.

Source: product.md section 3 "Live edits".
"""

from typing import Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import SequencePayload
from api.mutations.sequence_inputs import StepInput, WaitInput, step_of, wait_of
from api.types import enums as enums
from api.types.enums import TaskKind
from domain import step_edits
from domain.edit_effects import Effect
from domain.rules.access import Scope
from domain.rules.ids import Prefix, to_public
from domain.step_edits import Edited

_ID = "Which step."
_BEFORE = "Directly before which step of the sequence. Left out or null: at the end."
_DRY_RUN = "Whether only to count: nothing is changed, and `effects` says how many recipients it would touch, and how."
_KEPT = "Left out: kept."


@strawberry.input(description="Adds a step to a sequence.")
class StepAddInput:
    sequence_id: strawberry.ID = strawberry.field(description="To which sequence.")
    step: StepInput = strawberry.field(description="The step.")
    before_step_id: strawberry.ID | None = strawberry.field(default=None, description=_BEFORE)
    dry_run: bool = strawberry.field(default=False, description=_DRY_RUN)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Changes a step. Its kind stays; for another one, remove it and add a new step.")
class StepUpdateInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    wait: WaitInput | None = strawberry.field(default=UNSET, description=f"The wait before it; null: none. {_KEPT}")
    subject: str | None = strawberry.field(default=UNSET, description=f"Liquid template of the subject. {_KEPT}")
    body: str | None = strawberry.field(default=UNSET, description=f"Liquid template of the text, in HTML. {_KEPT}")
    task_kind: TaskKind | None = strawberry.field(default=UNSET, description=f"What a task asks for. {_KEPT}")
    task_title: str | None = strawberry.field(default=UNSET, description=f"Liquid template of the title. {_KEPT}")
    task_notes: str | None = strawberry.field(default=UNSET, description=f"Liquid template of the notes. {_KEPT}")
    send_as_reply: bool | None = strawberry.field(
        default=None, description="Whether it goes out in the thread of the email before it. Left out or null: kept."
    )
    dry_run: bool = strawberry.field(default=False, description=_DRY_RUN)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Moves a step to another place in its sequence.")
class StepMoveInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    before_step_id: strawberry.ID | None = strawberry.field(default=None, description=_BEFORE)
    dry_run: bool = strawberry.field(default=False, description=_DRY_RUN)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Removes a step from its sequence.")
class StepRemoveInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    dry_run: bool = strawberry.field(default=False, description=_DRY_RUN)
    idempotency_key: str | None = repeatable()


@strawberry.type(description="How many recipients an edit touches in one way.")
class StepEditEffectCount:
    effect: Effect = strawberry.field(description="In which way.")
    count: int = strawberry.field(description="How many open recipients.")


@strawberry.type(description="What came of editing a step.")
class StepEditPayload(SequencePayload):
    effects: list[StepEditEffectCount] = strawberry.field(
        description="In a dry run: how many open recipients it touches in each way, 0 left out. A change of text and "
        "of wait is counted for each of the two. Else empty.",
        default_factory=list,
    )


@strawberry.type(description="What came of adding a step.")
class StepAddPayload(StepEditPayload):
    step_id: strawberry.ID | None = strawberry.field(default=None, description="The new step; null in a dry run.")


@strawberry.type(description="What came of changing a step.")
class StepUpdatePayload(StepEditPayload):
    pass


@strawberry.type(description="What came of moving a step.")
class StepMovePayload(StepEditPayload):
    pass


@strawberry.type(description="What came of removing a step.")
class StepRemovePayload(StepEditPayload):
    pass


def _step(id: str, field: str = "id") -> UUID:
    return key_of(Prefix.STEP, id, [field])


def _before(id: str | None) -> UUID | None:
    return None if id is None else _step(id, "beforeStepId")


def _told(edited: Edited) -> dict[str, Any]:
    counts = [StepEditEffectCount(effect=found.effect, count=found.count) for found in edited.effects]
    return {"sequence_key": edited.sequence_id, "effects": counts}


def _changes(given: StepUpdateInput) -> dict[str, Any]:
    """Return what is given, under the engine's names.

    Raises:
        Invalid: the wait is out of bounds.
    """
    names = ("subject", "body", "task_title", "task_notes")
    changes = {name: value for name in names if (value := getattr(given, name)) is not UNSET}
    if given.task_kind is not UNSET:
        changes["task_kind"] = given.task_kind.value if given.task_kind else None
    if given.wait is not UNSET:
        changes["wait"] = wait_of(given.wait, [])
    if given.send_as_reply is not None:
        changes["send_as_reply"] = given.send_as_reply
    return changes


@strawberry.type
class StepMutations:
    @mutation(
        "Adds a step. It runs for those who have not passed its place, also for those who wait for the step behind it; "
        "those who have completed do not reopen.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def step_add(self, info: Info, input: StepAddInput) -> StepAddPayload | None:
        edited = await step_edits.add_step(
            info.context.caller.workspace_id,
            key_of(Prefix.SEQUENCE, input.sequence_id, ["sequenceId"]),
            step_of(input.step, ["step"]),
            before_step_id=_before(input.before_step_id),
            dry_run=input.dry_run,
        )
        step_id = None if input.dry_run else strawberry.ID(to_public(Prefix.STEP, edited.step_id))
        return StepAddPayload(**_told(edited), step_id=step_id)

    @mutation(
        "Changes a step's texts or wait. New texts reach everyone for whom it is not done, pending, being sent or "
        "edited by hand; a new wait counts from when the old one began, and what has passed by it is due now.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def step_update(self, info: Info, input: StepUpdateInput) -> StepUpdatePayload | None:
        edited = await step_edits.update_step(
            info.context.caller.workspace_id, _step(input.id), _changes(input), dry_run=input.dry_run
        )
        return StepUpdatePayload(**_told(edited))

    @mutation(
        "Moves a step. Nobody gets a step twice: whoever has done it goes on from its new place.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def step_move(self, info: Info, input: StepMoveInput) -> StepMovePayload | None:
        edited = await step_edits.move_step(
            info.context.caller.workspace_id,
            _step(input.id),
            before_step_id=_before(input.before_step_id),
            dry_run=input.dry_run,
        )
        return StepMovePayload(**_told(edited))

    @mutation(
        "Removes a step. Those who wait for it wait for the next one, from the same beginning; where it is pending or "
        "in error it counts as skipped; where it is being sent, what becomes of it is recorded; after the last step a "
        "recipient is completed.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def step_remove(self, info: Info, input: StepRemoveInput) -> StepRemovePayload | None:
        edited = await step_edits.remove_step(info.context.caller.workspace_id, _step(input.id), dry_run=input.dry_run)
        return StepRemovePayload(**_told(edited))
