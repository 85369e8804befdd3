"""One contact's run through one sequence."""

from datetime import datetime

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.actors import Actor
from api.types.contacts import Contact
from api.types.enums import RecipientStepState
from api.types.events import RecipientEventConnection
from api.types.fields import resolved
from api.types.mailboxes import Mailbox
from api.types.messages import Message, MessageConnection
from api.types.node import After, Connection, First, Node
from api.types.pending_actions import PendingAction
from api.types.schedules import Schedule
from api.types.sequences import Sequence, StageCount, StatusCount, Step
from api.types.step_errors import StepErrorConnection
from domain.rules.lifecycle import Action, EndReason, Stage, Status
from domain.rules.standing import PausedBy, View, WaitingReason


@strawberry.type(description="Whether one action is available, and why not.")
class ActionAvailability:
    action: Action = strawberry.field(description="The action.")
    available: bool = strawberry.field(
        description="Whether it is available now; the mutation decides by the same table."
    )
    unavailable_reason: str | None = strawberry.field(description="Why not, in one sentence.")


@strawberry.type(description="One step as it is for one recipient.")
class RecipientStep:
    step: Step = strawberry.field(description="The step of the sequence.")
    state: RecipientStepState = strawberry.field(description="Where it stands for this recipient.")
    subject: str | None = strawberry.field(description="The subject for this recipient; its own where it was edited.")
    body: str | None = strawberry.field(description="The text for this recipient; its own where it was edited.")
    task_title: str | None = strawberry.field(description="The task's title for this recipient.")
    task_notes: str | None = strawberry.field(description="The task's notes for this recipient.")
    edited: bool = strawberry.field(description="Whether this recipient has a text of its own here.")
    editable: bool = strawberry.field(description="Whether its text can be edited now.")
    planned_for: datetime | None = strawberry.field(description="When the current step is due; null for the others.")
    carried_out_at: datetime | None = strawberry.field(description="When it was carried out or skipped.")

    @resolved("The message it was carried out by.")
    async def message(self, info: Info) -> Message | None:
        found: Message | None = await info.context.loaders.message_of(self)
        return found


@strawberry.type(description="One contact's run through one sequence. Each enrolment makes a new one.")
class Recipient(Node):
    external_id: str | None = strawberry.field(description="The partner's own id for it.")
    status: Status = strawberry.field(description="Where it stands.")
    status_message: str = strawberry.field(description="What is happening, in one sentence for a person.")
    needs_attention: bool = strawberry.field(description="Whether a person has to act.")
    opens: View | None = strawberry.field(description="Where a click on the status leads.")
    stage: Stage = strawberry.field(description="A coarser word for the status.")
    end_reason: EndReason | None = strawberry.field(description="Why it ended; null while it has not.")
    paused_by: PausedBy | None = strawberry.field(description="Whose pause holds it: SEQUENCE while that one does.")
    paused_by_recipient: bool = strawberry.field(description="Whether a person paused this one recipient.")
    available_actions: list[Action] = strawberry.field(description="What may be done now, in the enum's order.")
    actions: list[ActionAvailability] = strawberry.field(description="Each action: available or not, and why not.")
    version: int = strawberry.field(
        description="Grows by one with each change a person or a fact makes; timers do not count."
    )
    contact: Contact = strawberry.field(description="The person.")
    sequence: Sequence = strawberry.field(description="The sequence.")
    mailbox: Mailbox | None = strawberry.field(description="The mailbox it is written to from.")
    sms_mailbox: Mailbox | None = strawberry.field(description="The number that its text messages come from.")
    current_step: Step | None = strawberry.field(description="The step it is at or waits for; null once ended.")
    next_step: Step | None = strawberry.field(description="What Skip leads to; null: it would complete.")
    steps: list[RecipientStep] = strawberry.field(description="Each step as it is for this recipient, in order.")
    waiting_reason: WaitingReason | None = strawberry.field(description="Why nothing is happening at the moment.")
    next_attempt_at: datetime | None = strawberry.field(
        description="Nothing happens before then: the later of the due time and the mailbox's turn; null while held."
    )
    pending_action: PendingAction | None = strawberry.field(description="What waits for a person.")
    enrolled_at: datetime = strawberry.field(description="When it was enrolled.")
    status_changed_at: datetime = strawberry.field(description="When its status last changed.")
    updated_at: datetime = strawberry.field(description="When anything about it last changed.")
    replied_at: datetime | None = strawberry.field(description="When the person answered.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")

    @resolved("Its whole future: each step to come, when it is expected and what moved it there.")
    async def schedule(self, info: Info) -> Schedule:
        found: Schedule = await info.context.loaders.schedule_of(self)
        return found

    @resolved("What is wrong with its step now.")
    async def open_errors(self, info: Info, first: First = 50, after: After = None) -> StepErrorConnection:
        found: StepErrorConnection = await info.context.loaders.open_errors_of_recipient(info, self, first, after)
        return found

    @resolved("What was written either way, oldest first.")
    async def messages(self, info: Info, first: First = 50, after: After = None) -> MessageConnection:
        found: MessageConnection = await info.context.loaders.messages_of_recipient(info, self, first, after)
        return found

    @resolved("What happened to it, oldest first.")
    async def events(self, info: Info, first: First = 50, after: After = None) -> RecipientEventConnection:
        found: RecipientEventConnection = await info.context.loaders.events_of_recipient(info, self, first, after)
        return found

    @resolved("Who enrolled it.")
    async def enrolled_by(self, info: Info) -> Actor:
        found: Actor = await info.context.loaders.actor_of(self)
        return found


@strawberry.type(description="One page of recipients.")
class RecipientConnection(Connection[Recipient]):
    events_cursor: str = strawberry.field(
        description="Read before the page: page and the events `after` it together miss nothing."
    )
    status_counts: list[StatusCount] = strawberry.field(
        description="How many have each status, with the same filter without its status and stage parts; 0 included."
    )
    stage_counts: list[StageCount] = strawberry.field(
        description="How many are in each stage, with the same filter without its status and stage parts; 0 included."
    )
