"""What a person may do about one recipient: pause, resume, skip step, edit content, stop, delete, retry.

Each verb reads the row, asks the lifecycle table, decides, and writes guarded by the version. Two people at once: one
wins, the other is decided again against what the row has become, and usually gets a refusal that says so.

Source: product.md section 2 "What each action does".
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import own_content, prepared, retries
from domain.changes import Change
from domain.database import Tx, tx
from domain.deciding import decide_one, guard
from domain.own_content import NewContent
from domain.plans import load_plan
from domain.refusals import NotFound, Refusal, StepBeingSent
from domain.rules import moves
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction
from domain.rules.event_types import EventType
from domain.rules.lifecycle import Action
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient, present
from domain.rules.step_errors import CATALOGUE
from domain.settling import catch_up
from domain.writing import read, write

_ROUNDS = 20  # a row that moves more often between two statements does not exist in practice


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of an action."""

    recipient_id: UUID
    in_flight: int = 0  # messages whose hand-over had begun before the answer; they cannot be called back


Decide = Callable[[Tx, Recipient, Plan], Awaitable[Change]]


async def pause(workspace_id: UUID, actor: Actor, recipient_id: UUID, *, expected_version: int | None = None) -> Acted:
    """Hold this recipient: no step runs until `resume`, and the clock of the running wait stops.

    Raises:
        NotFound, ActionNotAvailable, VersionMismatch
    """

    decide = _deciding(actor, BulkAction.PAUSE)
    return await _act(workspace_id, recipient_id, Action.PAUSE, expected_version, decide)


async def resume(workspace_id: UUID, actor: Actor, recipient_id: UUID, *, expected_version: int | None = None) -> Acted:
    """Lift this recipient's pause: the wait goes on with what was left. An open error that can be retried is.

    Raises:
        NotFound, ActionNotAvailable, VersionMismatch
    """

    decide = _deciding(actor, BulkAction.RESUME)
    return await _act(workspace_id, recipient_id, Action.RESUME, expected_version, decide)


async def skip_step(
    workspace_id: UUID, actor: Actor, recipient_id: UUID, step_id: UUID, *, expected_version: int | None = None
) -> Acted:
    """Skip the named step, which must be the current one (a double click does not skip two). The next one's wait
    starts now; skipping the last completes the recipient.

    Raises:
        NotFound, ActionNotAvailable, VersionMismatch
    """

    decide = _deciding(actor, BulkAction.SKIP_STEP, step_id)
    return await _act(workspace_id, recipient_id, Action.SKIP_STEP, expected_version, decide)


async def stop(workspace_id: UUID, actor: Actor, recipient_id: UUID, *, expected_version: int | None = None) -> Acted:
    """End this recipient for good. Its history stays in reports.

    Raises:
        NotFound, ActionNotAvailable, VersionMismatch
    """

    decide = _deciding(actor, BulkAction.STOP)
    return await _act(workspace_id, recipient_id, Action.STOP, expected_version, decide)


async def delete(workspace_id: UUID, actor: Actor, recipient_id: UUID, *, expected_version: int | None = None) -> Acted:
    """Remove this recipient from lists and reports. Late replies and bounces about it are still taken in.

    Raises:
        NotFound: also when someone else has deleted it already.
        VersionMismatch
    """

    decide = _deciding(actor, BulkAction.DELETE)
    return await _act(workspace_id, recipient_id, Action.DELETE, expected_version, decide)


async def edit_content(
    workspace_id: UUID,
    actor: Actor,
    recipient_id: UUID,
    step_id: UUID,
    content: NewContent | None,
    *,
    expected_version: int | None = None,
) -> Acted:
    """Give this recipient a text of its own for a step it has not carried out; None takes its own text back.

    In ERROR, editing the failed step tries it again, unless its delivery is unconfirmed. What waits for a person
    already is written out again; the time chosen for an email stays.

    Raises:
        NotFound, ActionNotAvailable, VersionMismatch
        StepBeingSent: the message of this step is being handed over.
        Invalid: the step cannot have such a text, the template is broken, or the text is already so.
    """

    async def decide(t: Tx, before: Recipient, plan: Plan) -> Change:
        after = before
        if step_id == before.current_step_id and before.error_id and await _retryable(t, before):
            after = moves.try_again((await retries.with_mailboxes(t, [before]))[before.id], plan, t.now)
        return Change(before=before, after=after, type=EventType.CONTENT_EDITED, actor=actor, step_id=step_id)

    async def afterwards(t: Tx, before: Recipient, plan: Plan) -> None:
        # Only now is it certain: our row lock and the second mark exclude each other. And only the winner of a race
        # may save: a text saved before a round that is decided again would look as if it had been there already.
        await _refuse_while_being_sent(t, before, plan, step_id)
        await own_content.save(t, before, plan, step_id, content)
        if before.pending_id is not None and step_id == before.current_step_id:
            await prepared.write_out_again(t, before.pending_id, content)

    return await _act(workspace_id, recipient_id, Action.EDIT_CONTENT, expected_version, decide, afterwards)


async def retry(workspace_id: UUID, actor: Actor, recipient_id: UUID, *, expected_version: int | None = None) -> Acted:
    """Close the open error and try its step again, as a new message.

    Raises:
        NotFound, VersionMismatch
        RetryNotAvailable: no error is open, its cause is seen to last, or it is DELIVERY_UNCONFIRMED, which only
            `unconfirmed.resolve` moves.
        StepBeingSent: an earlier try is being handed over at this moment; a second one could be a second copy.
    """

    async def afterwards(t: Tx, before: Recipient, plan: Plan) -> None:
        await _refuse_while_being_sent(t, before, plan, before.current_step_id)

    decide = _deciding(actor, BulkAction.RETRY)
    return await _act(workspace_id, recipient_id, None, expected_version, decide, afterwards)


async def each(
    workspace_id: UUID, recipient_ids: Sequence[UUID], act: Callable[[UUID], Awaitable[Acted]]
) -> list[Acted | Refusal]:
    """Do the same to each in one transaction, and return an answer for each, in the order given. One who is refused
    hinders no other."""

    async def work(t: Tx) -> list[Acted | Refusal]:
        answers: dict[int, Acted | Refusal] = {}
        # In the order of their ids: two calls at once then wait for each other instead of for ever.
        for index, recipient_id in sorted(enumerate(recipient_ids), key=lambda one: one[1]):
            try:
                async with t.savepoint():
                    answers[index] = await act(recipient_id)
            except Refusal as refusal:
                answers[index] = refusal
        return [answers[index] for index in range(len(recipient_ids))]

    return await tx(workspace_id, work)


def _deciding(actor: Actor, action: BulkAction, step_id: UUID | None = None) -> Decide:
    async def decide(t: Tx, before: Recipient, plan: Plan) -> Change:
        return await decide_one(t, actor, action, before, plan, step_id)

    return decide


async def _act(
    workspace_id: UUID,
    recipient_id: UUID,
    action: Action | None,
    expected_version: int | None,
    decide: Decide,
    afterwards: Callable[[Tx, Recipient, Plan], Awaitable[None]] | None = None,
) -> Acted:
    async def work(t: Tx) -> Acted:
        for _ in range(_ROUNDS):
            seen = await catch_up(t, [recipient_id])
            before = (await read(t, [recipient_id])).get(recipient_id)
            if before is None:
                raise NotFound("recipient", field=["id"])
            plan = await load_plan(t, before.sequence_id)
            guard(before, plan, action, expected_version, seen.get(recipient_id))
            if await write(t, [await decide(t, before, plan)]):
                if afterwards is not None:
                    await afterwards(t, before, plan)
                return Acted(recipient_id, await _in_flight(t, recipient_id))
        raise NotFound("recipient", field=["id"])

    return await tx(workspace_id, work)


async def _error_of(t: Tx, before: Recipient) -> retries.ErrorNow:
    assert before.error_id is not None
    return (await retries.errors_now(t, [before.error_id]))[before.error_id]


async def _retryable(t: Tx, before: Recipient) -> bool:
    """Return whether an edit tries the step again: it does, whatever the cause, but for an unconfirmed delivery."""
    return CATALOGUE[(await _error_of(t, before)).code].retryable


async def _refuse_while_being_sent(t: Tx, before: Recipient, plan: Plan, step_id: UUID | None) -> None:
    if await _in_flight(t, before.id, step_id):
        raise StepBeingSent(*present(before, plan))


async def _in_flight(t: Tx, recipient_id: UUID, step_id: UUID | None = None) -> int:
    count: int = await t.fetchval(
        """
        SELECT count(*) FROM messages
        WHERE workspace_id = $1 AND recipient_id = $2 AND state = 'HANDING_OVER' AND ($3::uuid IS NULL OR step_id = $3)
        """,
        t.workspace_id,
        recipient_id,
        step_id,
    )
    return count
