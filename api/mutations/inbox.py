"""What people do about pending actions: send, schedule, take back, complete, skip.

Source: product.md section 2 "Pending actions".
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import RecipientPayload
from api.types.fields import resolved
from api.types.pending_actions import PendingAction
from domain import inbox
from domain.inbox import EditedEmail
from domain.refusals import Invalid
from domain.rules.access import Scope
from domain.rules.ids import Prefix

NOTE_LENGTH_LIMIT: Final = 10_000

_ID = "Which pending action."
_VERSION = "The version of the pending action you acted on; when it has changed since, nothing is done. Left out: any."
_SUBJECT = "The subject as it is to be sent, edited: no template any more. Left out or null: as prepared."
_BODY = (
    "The text as it is to be sent, edited: HTML or plain text, no template any more. It is sanitised. Left out or "
    "null: as prepared."
)
_RELEASES = (
    "It goes out from the recipient's mailbox, whose limits count for it; the sending window and blackout dates do "
    "not. It is closed with the outcome SENT once it is handed over."
)


@strawberry.input(description="Sends a prepared email now, as prepared or as edited.")
class PendingEmailSendInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    subject: str | None = strawberry.field(default=None, description=_SUBJECT)
    body: str | None = strawberry.field(default=None, description=_BODY)
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Chooses the time at which a prepared email is sent.")
class PendingEmailScheduleInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    at: datetime = strawberry.field(description="When: a time to come, within a year.")
    subject: str | None = strawberry.field(default=None, description=_SUBJECT)
    body: str | None = strawberry.field(default=None, description=_BODY)
    expected_version: int | None = strawberry.field(default=None, description=_VERSION)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Takes the time back that was chosen for a prepared email.")
class PendingEmailUnscheduleInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Completes a task.")
class TaskCompleteInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    note: str | None = strawberry.field(
        default=None, description=f"What came of it, up to {NOTE_LENGTH_LIMIT:,} characters. Left out or null: nothing."
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Skips a pending action.")
class PendingActionSkipInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Puts a pending action before another user.")
class PendingActionAssignInput:
    id: strawberry.ID = strawberry.field(description=_ID)
    assignee_id: strawberry.ID | None = strawberry.field(
        default=None, description="Which user. Left out or null: nobody in particular."
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of acting on a pending action.")
class PendingActionPayload(RecipientPayload):
    pending_key: strawberry.Private[UUID | None] = None

    @resolved("The pending action as it is now; null when the change was refused.")
    async def pending_action(self, info: Info) -> PendingAction | None:
        found: PendingAction | None = await info.context.loaders.pending_action_of(self)
        return found


@strawberry.type(description="What came of sending a prepared email.")
class PendingEmailSendPayload(PendingActionPayload):
    pass


@strawberry.type(description="What came of scheduling a prepared email.")
class PendingEmailSchedulePayload(PendingActionPayload):
    pass


@strawberry.type(description="What came of taking a chosen time back.")
class PendingEmailUnschedulePayload(PendingActionPayload):
    pass


@strawberry.type(description="What came of completing a task.")
class TaskCompletePayload(PendingActionPayload):
    pass


@strawberry.type(description="What came of skipping a pending action.")
class PendingActionSkipPayload(PendingActionPayload):
    pass


@strawberry.type(description="What came of assigning a pending action.")
class PendingActionAssignPayload(PendingActionPayload):
    pass


def _key(id: str) -> UUID:
    return key_of(Prefix.PENDING_ACTION, id, ["id"])


@strawberry.type
class InboxMutations:
    @mutation(
        f"Sends a prepared email now, as prepared or as edited. {_RELEASES} Available where SEND_NOW is.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def pending_email_send(self, info: Info, input: PendingEmailSendInput) -> PendingEmailSendPayload | None:
        me, key = info.context.caller, _key(input.id)
        edited = EditedEmail(input.subject, input.body)
        recipient_key = await inbox.send(
            me.workspace_id, me.actor, key, edited, expected_version=input.expected_version
        )
        return PendingEmailSendPayload(recipient_key=recipient_key, pending_key=key)

    @mutation(
        f"Lets a prepared email go out at a time, as prepared or as edited; the recipient is IN_PROGRESS until then. "
        f"{_RELEASES} A time that passes while the recipient or its sequence is paused is void: the email then waits "
        "for a person again. Available where SCHEDULE is.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def pending_email_schedule(
        self, info: Info, input: PendingEmailScheduleInput
    ) -> PendingEmailSchedulePayload | None:
        me, key = info.context.caller, _key(input.id)
        edited = EditedEmail(input.subject, input.body)
        recipient_key = await inbox.schedule(
            me.workspace_id, me.actor, key, input.at, edited, expected_version=input.expected_version
        )
        return PendingEmailSchedulePayload(recipient_key=recipient_key, pending_key=key)

    @mutation(
        "Takes back the time that was chosen for a prepared email, or a sending that has not begun: it waits for a "
        "person again. Available where CANCEL_SCHEDULE is.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def pending_email_unschedule(
        self, info: Info, input: PendingEmailUnscheduleInput
    ) -> PendingEmailUnschedulePayload | None:
        me, key = info.context.caller, _key(input.id)
        recipient_key = await inbox.unschedule(me.workspace_id, me.actor, key)
        return PendingEmailUnschedulePayload(recipient_key=recipient_key, pending_key=key)

    @mutation(
        "Completes a task that is due; the next step's wait starts now. Available where COMPLETE is.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def task_complete(self, info: Info, input: TaskCompleteInput) -> TaskCompletePayload | None:
        me, key = info.context.caller, _key(input.id)
        if input.note is not None and len(input.note) > NOTE_LENGTH_LIMIT:
            raise Invalid(f"A note has at most {NOTE_LENGTH_LIMIT:,} characters.", field=["note"])
        recipient_key = await inbox.complete_task(me.workspace_id, me.actor, key, input.note)
        return TaskCompletePayload(recipient_key=recipient_key, pending_key=key)

    @mutation(
        "Skips a pending action: its step counts as skipped, and the next one's wait starts now. Available where SKIP "
        "is.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def pending_action_skip(self, info: Info, input: PendingActionSkipInput) -> PendingActionSkipPayload | None:
        me, key = info.context.caller, _key(input.id)
        recipient_key = await inbox.skip(me.workspace_id, me.actor, key)
        return PendingActionSkipPayload(recipient_key=recipient_key, pending_key=key)

    @mutation(
        "Puts an open pending action before another user, or before nobody in particular.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def pending_action_assign(
        self, info: Info, input: PendingActionAssignInput
    ) -> PendingActionAssignPayload | None:
        me, key = info.context.caller, _key(input.id)
        assignee = None if input.assignee_id is None else key_of(Prefix.USER, input.assignee_id, ["assigneeId"])
        recipient_key = await inbox.assign(me.workspace_id, me.actor, key, assignee)
        return PendingActionAssignPayload(recipient_key=recipient_key, pending_key=key)
