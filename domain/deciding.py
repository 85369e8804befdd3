"""What an action makes of recipients, or why it is refused to them: decided for any number with the same few
statements, so that one recipient and a hundred thousand are decided alike.

Source: product.md section 2 "Actions", "What each action does".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain import retries
from domain.changes import Change
from domain.database import Tx
from domain.refusals import ActionNotAvailable, Refusal, StepBeingSent, VersionMismatch
from domain.retries import ErrorNow
from domain.rules import holds, moves
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction
from domain.rules.event_types import EventType
from domain.rules.lifecycle import Action, EndReason, unavailable_reason
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient, present

# Retry belongs to the error, not to the table of statuses.
_IN_TABLE: Final[Mapping[BulkAction, Action]] = {one: Action(one) for one in BulkAction if one is not BulkAction.RETRY}


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What a decision needs beside the rows."""

    errors: Mapping[UUID, ErrorNow]  # by the error's id
    able: Mapping[UUID, Recipient]  # with a mailbox, where the sequence has one by now
    being_sent: frozenset[UUID]  # recipients whose current step's message is being handed over


async def decide_each(
    t: Tx,
    actor: Actor,
    action: BulkAction,
    recipients: Sequence[Recipient],
    plans: Mapping[UUID, Plan],
    *,
    step_id: UUID | None = None,
) -> dict[UUID, Change | Refusal]:
    """Return by id what each becomes, or its refusal: ActionNotAvailable, StepBeingSent, RetryNotAvailable.

    `step_id` is the step that SKIP_STEP means.
    """
    around = await _surroundings(t, action, recipients)
    found: dict[UUID, Change | Refusal] = {}
    for before in recipients:
        try:
            found[before.id] = _decide(t, actor, action, before, plans[before.sequence_id], step_id, around)
        except Refusal as refusal:
            found[before.id] = refusal
    return found


async def decide_one(
    t: Tx, actor: Actor, action: BulkAction, before: Recipient, plan: Plan, step_id: UUID | None = None
) -> Change:
    """Return what one recipient becomes.

    Raises:
        ActionNotAvailable, StepBeingSent, RetryNotAvailable
    """
    plans = {before.sequence_id: plan}
    answer = (await decide_each(t, actor, action, [before], plans, step_id=step_id))[before.id]
    if isinstance(answer, Refusal):
        raise answer
    return answer


def guard(
    before: Recipient,
    plan: Plan,
    action: Action | None,
    expected_version: int | None = None,
    seen_version: int | None = None,
) -> None:
    """Refuse what the lifecycle table does not allow. The field `availableActions` reads the same table.

    `seen_version` is the one that people could see, where the row caught up with its sequence in this transaction.

    Raises:
        VersionMismatch, ActionNotAvailable
    """
    version = before.version if seen_version is None else seen_version
    if expected_version is not None and expected_version != version:
        raise VersionMismatch(expected_version, version, *present(before, plan))
    if action is not None:
        reason = unavailable_reason(action, before.status, sequence_paused=plan.paused)
        if reason is not None:
            raise ActionNotAvailable(reason, *present(before, plan))


async def _surroundings(t: Tx, action: BulkAction, recipients: Sequence[Recipient]) -> _Surroundings:
    failed = [one for one in recipients if one.error_id is not None]
    if action not in (BulkAction.RESUME, BulkAction.RETRY) or not failed:
        return _Surroundings({}, {}, frozenset())
    errors = await retries.errors_now(t, [one.error_id for one in failed if one.error_id is not None])
    sending = await t.fetch(
        "SELECT m.recipient_id FROM messages m JOIN recipients r ON r.workspace_id = m.workspace_id "
        "AND r.id = m.recipient_id AND r.current_step_id = m.step_id "
        "WHERE m.workspace_id = $1 AND m.recipient_id = ANY($2::uuid[]) AND m.state = 'HANDING_OVER'",
        t.workspace_id,
        [one.id for one in failed],
    )
    able = await retries.with_mailboxes(t, failed)
    return _Surroundings(errors, able, frozenset(row["recipient_id"] for row in sending))


def _decide(
    t: Tx,
    actor: Actor,
    action: BulkAction,
    before: Recipient,
    plan: Plan,
    step_id: UUID | None,
    around: _Surroundings,
) -> Change:
    guard(before, plan, _IN_TABLE.get(action))
    error = around.errors.get(before.error_id) if before.error_id else None
    able = around.able.get(before.id, before)
    match action:
        case BulkAction.PAUSE:
            return _status(before, holds.pause(before, plan, t.now), actor)
        case BulkAction.STOP:
            return _status(before, moves.end(before, plan, EndReason.STOPPED, t.now), actor)
        case BulkAction.DELETE:
            return Change(before=before, after=moves.delete(before, plan, t.now), type=EventType.DELETED, actor=actor)
        case BulkAction.RESUME:
            # What is being handed over decides; a second try beside it could be a second copy.
            retry = error is not None and error.offers_retry and before.id not in around.being_sent
            after = holds.resume(able if retry else before, plan, t.now, retry=retry)
            return _status(before, after, actor, step_id=after.current_step_id)
        case BulkAction.SKIP_STEP:
            if before.current_step_id != step_id:
                reason = "This step is not the current one any more. Look again, then decide."
                raise ActionNotAvailable(reason, *present(before, plan))
            after = moves.leave_step(before, plan, t.now, t.now)
            return Change(
                before=before, after=after, type=EventType.STEP_SKIPPED, actor=actor, step_id=step_id, done="SKIPPED"
            )
        case BulkAction.RETRY:
            after = retries.tried_again(before, able, error, plan, t.now)
            if before.id in around.being_sent:
                raise StepBeingSent(*present(before, plan))
            step = before.current_step_id
            return Change(before=before, after=after, type=EventType.STEP_RETRIED, actor=actor, step_id=step)


def _status(before: Recipient, after: Recipient, actor: Actor, step_id: UUID | None = None) -> Change:
    return Change(before=before, after=after, type=EventType.STATUS_CHANGED, actor=actor, step_id=step_id)
