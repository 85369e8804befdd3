"""Sequences: writing them, and moving them between DRAFT, ACTIVE, PAUSED and ARCHIVED.

Source: product.md section 2 "Sequences".
"""

from typing import Final
from uuid import UUID

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import Payload, SequencePayload
from api.mutations.refusals import BatchTooLarge
from api.mutations.sequence_inputs import SequenceSettingsInput, StepInput, settings_of, step_of
from domain import authoring, sequences
from domain.plans import SequenceSettings
from domain.rules.access import Scope
from domain.rules.ids import Prefix

MAILBOXES_AT_MOST: Final = 100
_ID = "Which sequence."
_IN_FLIGHT = "How many messages were being handed over already; they cannot be called back."


@strawberry.input(description="Writes a new sequence, a DRAFT.")
class SequenceCreateInput:
    name: str = strawberry.field(description="Its name, 1 to 200 characters.")
    external_id: str | None = strawberry.field(default=None, description="Your own id of it, unique in the workspace.")
    settings: SequenceSettingsInput | None = strawberry.field(
        default=None, description="What it is told beside its steps. Left out: the defaults."
    )
    steps: list[StepInput] = strawberry.field(
        default_factory=list, description="Its steps in order, up to 50; more can be added later."
    )
    mailbox_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="The mailboxes it sends from, in turn."
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Changes a sequence. What is left out is kept.")
class SequenceUpdateInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    name: str | None = strawberry.field(default=None, description="Its name. Left out or null: kept.")
    settings: SequenceSettingsInput | None = strawberry.field(
        default=None, description="What it is told beside its steps. Left out or null: kept."
    )
    mailbox_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="All mailboxes it sends from, in turn. Left out or null: kept. Empty: none."
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Starts a draft.")
class SequenceActivateInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Holds a whole sequence.")
class SequencePauseInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Lets a paused sequence go on.")
class SequenceResumeInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Puts a sequence away.")
class SequenceArchiveInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    stop_open_recipients: bool = strawberry.field(
        default=False, description="Whether to stop the recipients that are still open; else they forbid it."
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Takes an archived sequence out again.")
class SequenceUnarchiveInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Deletes a draft.")
class SequenceDeleteInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Writes a new draft like another sequence.")
class SequenceDuplicateInput:
    id: strawberry.ID = strawberry.field(description="Like which sequence.")
    name: str | None = strawberry.field(
        default=None, description="Its name, 1 to 200 characters. Left out or null: “Copy of …”."
    )
    external_id: str | None = strawberry.field(default=None, description="Your own id of it, unique in the workspace.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of writing a sequence.")
class SequenceCreatePayload(SequencePayload):
    pass


@strawberry.type(description="What came of changing a sequence.")
class SequenceUpdatePayload(SequencePayload):
    pass


@strawberry.type(description="What came of activating a sequence.")
class SequenceActivatePayload(SequencePayload):
    pass


@strawberry.type(description="What came of pausing a sequence.")
class SequencePausePayload(SequencePayload):
    in_flight: int = strawberry.field(default=0, description=_IN_FLIGHT)


@strawberry.type(description="What came of resuming a sequence.")
class SequenceResumePayload(SequencePayload):
    pass


@strawberry.type(description="What came of archiving a sequence.")
class SequenceArchivePayload(SequencePayload):
    in_flight: int = strawberry.field(default=0, description=_IN_FLIGHT)


@strawberry.type(description="What came of unarchiving a sequence.")
class SequenceUnarchivePayload(SequencePayload):
    pass


@strawberry.type(description="What came of deleting a sequence.")
class SequenceDeletePayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The sequence that is gone.")


@strawberry.type(description="What came of duplicating a sequence.")
class SequenceDuplicatePayload(SequencePayload):
    pass


def _key(id: str, field: str = "id") -> UUID:
    return key_of(Prefix.SEQUENCE, id, [field])


def _mailboxes(ids: list[strawberry.ID]) -> list[UUID]:
    if len(ids) > MAILBOXES_AT_MOST:
        raise BatchTooLarge("mailboxes", len(ids), MAILBOXES_AT_MOST, "mailboxIds")
    return [key_of(Prefix.MAILBOX, id, ["mailboxIds"]) for id in ids]


@strawberry.type
class SequenceMutations:
    @mutation("Writes a new sequence with its steps. It is a DRAFT until it is activated.", scope=Scope.SEQUENCES_WRITE)
    async def sequence_create(self, info: Info, input: SequenceCreateInput) -> SequenceCreatePayload | None:
        key = await authoring.create(
            info.context.caller.workspace_id,
            input.name,
            [step_of(step, [f"steps.{index}"]) for index, step in enumerate(input.steps)],
            settings=settings_of(input.settings, SequenceSettings()),
            mailbox_ids=_mailboxes(input.mailbox_ids),
            external_id=input.external_id,
        )
        return SequenceCreatePayload(sequence_key=key)

    @mutation("Changes a sequence that is not archived.", scope=Scope.SEQUENCES_WRITE)
    async def sequence_update(self, info: Info, input: SequenceUpdateInput) -> SequenceUpdatePayload | None:
        workspace_id, key = info.context.caller.workspace_id, _key(input.id)
        settings = None
        if input.settings is not None:
            settings = settings_of(input.settings, await authoring.settings_of(workspace_id, key))
        mailbox_ids = _mailboxes(input.mailbox_ids) if input.mailbox_ids is not None else None
        await authoring.update(workspace_id, key, name=input.name, settings=settings, mailbox_ids=mailbox_ids)
        return SequenceUpdatePayload(sequence_key=key)

    @mutation(
        "DRAFT to ACTIVE: the waits of those enrolled start now. Needs a step, and a mailbox where it sends email.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def sequence_activate(self, info: Info, input: SequenceActivateInput) -> SequenceActivatePayload | None:
        moved = await sequences.activate(info.context.caller.workspace_id, _key(input.id))
        return SequenceActivatePayload(sequence_key=moved.sequence_id)

    @mutation(
        "ACTIVE to PAUSED: no hand-over begins after this has answered, whatever the number of recipients.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def sequence_pause(self, info: Info, input: SequencePauseInput) -> SequencePausePayload | None:
        moved = await sequences.pause(info.context.caller.workspace_id, _key(input.id))
        return SequencePausePayload(sequence_key=moved.sequence_id, in_flight=moved.in_flight)

    @mutation(
        "PAUSED to ACTIVE: waits go on with what was left. Those paused by hand stay paused; nothing is retried.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def sequence_resume(self, info: Info, input: SequenceResumeInput) -> SequenceResumePayload | None:
        moved = await sequences.resume(info.context.caller.workspace_id, _key(input.id))
        return SequenceResumePayload(sequence_key=moved.sequence_id)

    @mutation(
        "Any status to ARCHIVED: enrolling is refused from now on. Open recipients forbid it, or are stopped.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def sequence_archive(self, info: Info, input: SequenceArchiveInput) -> SequenceArchivePayload | None:
        moved = await sequences.archive(
            info.context.caller.workspace_id, _key(input.id), stop_open_recipients=input.stop_open_recipients
        )
        return SequenceArchivePayload(sequence_key=moved.sequence_id, in_flight=moved.in_flight)

    @mutation("ARCHIVED to PAUSED.", scope=Scope.SEQUENCES_WRITE)
    async def sequence_unarchive(self, info: Info, input: SequenceUnarchiveInput) -> SequenceUnarchivePayload | None:
        moved = await sequences.unarchive(info.context.caller.workspace_id, _key(input.id))
        return SequenceUnarchivePayload(sequence_key=moved.sequence_id)

    @mutation("Deletes a draft without recipients. Everything else is archived instead.", scope=Scope.SEQUENCES_WRITE)
    async def sequence_delete(self, info: Info, input: SequenceDeleteInput) -> SequenceDeletePayload | None:
        await authoring.delete(info.context.caller.workspace_id, _key(input.id))
        return SequenceDeletePayload(deleted_id=input.id)

    @mutation(
        "Writes a new DRAFT with the steps, settings and mailboxes of another sequence, and nobody in it.",
        scope=Scope.SEQUENCES_WRITE,
    )
    async def sequence_duplicate(self, info: Info, input: SequenceDuplicateInput) -> SequenceDuplicatePayload | None:
        key = await authoring.duplicate(
            info.context.caller.workspace_id, _key(input.id), name=input.name, external_id=input.external_id
        )
        return SequenceDuplicatePayload(sequence_key=key)
