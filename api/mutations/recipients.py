"""The six actions on one recipient, retry, and one action for many.

Source: product.md section 2 "What each action does", "Retry belongs to the error".
"""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import strawberry

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation
from api.mutations.payloads import Payload, RecipientPayload
from api.mutations.recipient_inputs import (
    IDS_AT_MOST,
    RecipientDeleteInput,
    RecipientEditContentInput,
    RecipientPauseInput,
    RecipientResumeInput,
    RecipientRetryInput,
    RecipientsApplyInput,
    RecipientSkipStepInput,
    RecipientStopInput,
)
from api.mutations.refusals import BatchTooLarge, told
from domain import recipients
from domain.own_content import NewContent
from domain.recipients import Acted
from domain.refusals import Invalid, Refusal
from domain.rules.access import Scope
from domain.rules.bulk import BulkAction
from domain.rules.ids import Prefix

_IN_FLIGHT = "How many of its messages were being handed over already; they cannot be called back."


@strawberry.type(description="What came of a pause.")
class RecipientPausePayload(RecipientPayload):
    in_flight: int = strawberry.field(default=0, description=_IN_FLIGHT)


@strawberry.type(description="What came of a resume.")
class RecipientResumePayload(RecipientPayload):
    pass


@strawberry.type(description="What came of skipping a step.")
class RecipientSkipStepPayload(RecipientPayload):
    pass


@strawberry.type(description="What came of editing a text.")
class RecipientEditContentPayload(RecipientPayload):
    pass


@strawberry.type(description="What came of a stop.")
class RecipientStopPayload(RecipientPayload):
    in_flight: int = strawberry.field(default=0, description=_IN_FLIGHT)


@strawberry.type(description="What came of a deletion.")
class RecipientDeletePayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The recipient that is gone.")


@strawberry.type(description="What came of a retry.")
class RecipientRetryPayload(RecipientPayload):
    pass


@strawberry.type(description="What became of one recipient of many.")
class RecipientsApplyResult(RecipientPayload):
    id: strawberry.ID = strawberry.field(default=strawberry.ID(""), description="The id as it was given.")
    in_flight: int = strawberry.field(default=0, description=_IN_FLIGHT)


@strawberry.type(description="What came of an action for many recipients.")
class RecipientsApplyPayload(Payload):
    results: list[RecipientsApplyResult] = strawberry.field(
        default_factory=list, description="One for each id, in the order given."
    )
    succeeded: int = strawberry.field(default=0, description="For how many it was done.")
    failed: int = strawberry.field(default=0, description="For how many it was refused.")


_SIMPLE: Final = {
    BulkAction.PAUSE: recipients.pause,
    BulkAction.RESUME: recipients.resume,
    BulkAction.STOP: recipients.stop,
    BulkAction.DELETE: recipients.delete,
    BulkAction.RETRY: recipients.retry,
}


def _key(id: str) -> UUID:
    return key_of(Prefix.RECIPIENT, id, ["id"])


@strawberry.type
class RecipientMutations:
    @mutation(
        "Holds a recipient: no step runs until resume, and the clock of the running wait stops. Available in "
        "SCHEDULED, IN_PROGRESS, PENDING_ACTION and ERROR, while the sequence is not paused.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipient_pause(self, info: Info, input: RecipientPauseInput) -> RecipientPausePayload | None:
        me = info.context.caller
        acted = await recipients.pause(
            me.workspace_id, me.actor, _key(input.id), expected_version=input.expected_version
        )
        return RecipientPausePayload(recipient_key=acted.recipient_id, in_flight=acted.in_flight)

    @mutation(
        "Lifts a recipient's own pause: the wait goes on with what was left of it. An open error that can be retried "
        "is. Available in PAUSED, while the sequence is not paused.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipient_resume(self, info: Info, input: RecipientResumeInput) -> RecipientResumePayload | None:
        me = info.context.caller
        acted = await recipients.resume(
            me.workspace_id, me.actor, _key(input.id), expected_version=input.expected_version
        )
        return RecipientResumePayload(recipient_key=acted.recipient_id)

    @mutation(
        "Skips the named step, which must be the current one; the next one's wait starts now, and skipping the last "
        "completes the recipient. Available as recipientPause is.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipient_skip_step(self, info: Info, input: RecipientSkipStepInput) -> RecipientSkipStepPayload | None:
        me = info.context.caller
        step = key_of(Prefix.STEP, input.step_id, ["stepId"])
        acted = await recipients.skip_step(
            me.workspace_id, me.actor, _key(input.id), step, expected_version=input.expected_version
        )
        return RecipientSkipStepPayload(recipient_key=acted.recipient_id)

    @mutation(
        "Gives this recipient a text of its own for a step it has not carried out, or takes it back. In ERROR, editing "
        "the failed step tries it again. Available as recipientPause is.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipient_edit_content(
        self, info: Info, input: RecipientEditContentInput
    ) -> RecipientEditContentPayload | None:
        me = info.context.caller
        content = NewContent(input.subject, input.body, input.task_title, input.task_notes)
        if input.reset and content != NewContent():
            raise Invalid("Give a new text or reset to the sequence's own, not both.", field=["reset"])
        step = key_of(Prefix.STEP, input.step_id, ["stepId"])
        acted = await recipients.edit_content(
            me.workspace_id,
            me.actor,
            _key(input.id),
            step,
            None if input.reset else content,
            expected_version=input.expected_version,
        )
        return RecipientEditContentPayload(recipient_key=acted.recipient_id)

    @mutation(
        "Ends a recipient for good; it stays in reports. Available in every status that has not ended.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipient_stop(self, info: Info, input: RecipientStopInput) -> RecipientStopPayload | None:
        me = info.context.caller
        acted = await recipients.stop(
            me.workspace_id, me.actor, _key(input.id), expected_version=input.expected_version
        )
        return RecipientStopPayload(recipient_key=acted.recipient_id, in_flight=acted.in_flight)

    @mutation(
        "Removes a recipient: it disappears from lists and reports, and subscribers are told. Available in "
        "every status.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipient_delete(self, info: Info, input: RecipientDeleteInput) -> RecipientDeletePayload | None:
        me = info.context.caller
        await recipients.delete(me.workspace_id, me.actor, _key(input.id), expected_version=input.expected_version)
        return RecipientDeletePayload(deleted_id=input.id)

    @mutation(
        "Closes the open error of a recipient and tries its step again, as a new message. Available where the error "
        "offers RETRY; never for DELIVERY_UNCONFIRMED (see deliveryResolve).",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipient_retry(self, info: Info, input: RecipientRetryInput) -> RecipientRetryPayload | None:
        me = info.context.caller
        acted = await recipients.retry(
            me.workspace_id, me.actor, _key(input.id), expected_version=input.expected_version
        )
        return RecipientRetryPayload(recipient_key=acted.recipient_id)

    @mutation(
        f"Does the same to up to {IDS_AT_MOST} recipients, with a result for each: one who is refused hinders no "
        "other.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipients_apply(self, info: Info, input: RecipientsApplyInput) -> RecipientsApplyPayload | None:
        act = _verb(info, input)
        if not input.ids:
            raise Invalid("The list of recipients is empty. Give at least one.", field=["ids"])
        if len(input.ids) > IDS_AT_MOST:
            raise BatchTooLarge("recipients", len(input.ids), IDS_AT_MOST, "ids")
        read = [_key_or_refusal(id) for id in input.ids]
        answers = iter(
            await recipients.each(info.context.caller.workspace_id, [one for one in read if isinstance(one, UUID)], act)
        )
        results = [
            _result(id, next(answers) if isinstance(one, UUID) else one, input.action)
            for id, one in zip(input.ids, read, strict=True)
        ]
        failed = sum(bool(result.errors) for result in results)
        return RecipientsApplyPayload(results=results, succeeded=len(results) - failed, failed=failed)


def _key_or_refusal(id: str) -> UUID | Refusal:
    try:
        return _key(id)
    except Refusal as refusal:
        return refusal


def _result(id: strawberry.ID, answer: Acted | Refusal, action: BulkAction) -> RecipientsApplyResult:
    if isinstance(answer, Refusal):
        return RecipientsApplyResult(id=id, errors=[told(answer)])
    key = None if action is BulkAction.DELETE else answer.recipient_id
    return RecipientsApplyResult(id=id, recipient_key=key, in_flight=answer.in_flight)


def _verb(info: Info, input: RecipientsApplyInput) -> Callable[[UUID], Awaitable[Acted]]:
    me = info.context.caller
    if input.action is not BulkAction.SKIP_STEP:
        if input.step_id is not None:
            raise Invalid("A step is named only with SKIP_STEP.", field=["stepId"])
        verb = _SIMPLE[input.action]
        return lambda key: verb(me.workspace_id, me.actor, key)
    if input.step_id is None:
        raise Invalid("Name the step to skip: those who are not at it are refused.", field=["stepId"])
    step = key_of(Prefix.STEP, input.step_id, ["stepId"])
    return lambda key: recipients.skip_step(me.workspace_id, me.actor, key, step)
