"""The timers of a recipient: when its current step may be carried out, as its facts and its sequence say.

`settle` is the only place that turns facts into timers, so that whatever lifts a pause or closes an error ends in the
same calculation. What moves nothing but timers stands here too; it never raises the version.

Source: product.md sections 2 and 3.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from domain.rules.plan import AUTOMATED_KINDS, Plan, Step, StepKind
from domain.rules.recipient import Recipient
from domain.rules.timing import after_wait, next_opening


def settle(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Return the recipient with its timers in step with its facts. Calling it twice changes nothing more."""
    timed = _timed(recipient, plan, now)
    step = plan.step(timed.current_step_id)
    if step is None or timed.due_at is None:
        return replace(timed, due_at=None, due_kind=None)
    # An email that a person has released goes out by itself: it waits in the queue of its mailbox.
    released = timed.pending_id is not None and timed.scheduled_for is not None
    return replace(timed, due_kind=StepKind.AUTOMATED_EMAIL if released else step.kind)


def _timed(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    if recipient.ended or recipient.deleted_at is not None:
        over = replace(recipient, start_at=None, retry_at=None, paced_until=None, frequency_capped=False)
        return replace(over, anchor_at=None, wait_ends_at=None, wait_left=None, due_at=None)
    if recipient.held_since is not None:
        return _stop_clock(recipient, recipient.held_since)
    if recipient.error_id is not None or recipient.pending_id is not None:
        return _stand(recipient)
    if not plan.running:
        return replace(recipient, anchor_at=None, wait_ends_at=None, wait_left=None, due_at=None)
    return _run_clock(recipient, plan, now)


def _stand(recipient: Recipient) -> Recipient:
    """No wait runs. What a person released goes out at the time they chose, or when the other side takes it."""
    standing = replace(recipient, wait_ends_at=None, wait_left=None, due_at=None)
    if recipient.error_id is not None or recipient.scheduled_for is None:
        return replace(standing, retry_at=None, paced_until=None, frequency_capped=False)
    holds = (recipient.scheduled_for, recipient.retry_at, recipient.paced_until)
    return replace(standing, due_at=max(at for at in holds if at is not None))


def _stop_clock(recipient: Recipient, held_since: datetime) -> Recipient:
    """Keep the rest of the wait. `retry_at` stays: the other side's "later" does not care about our pause."""
    if recipient.wait_ends_at is None:
        return replace(recipient, due_at=None)
    if recipient.anchor_at is not None and recipient.anchor_at > held_since:
        # It would have begun during the hold, so it begins when that is lifted; not before `start_at`.
        return replace(recipient, anchor_at=None, wait_ends_at=None, wait_left=None, due_at=None)
    left = max(recipient.wait_ends_at - held_since, timedelta(0))
    return replace(recipient, wait_ends_at=None, wait_left=left, due_at=None)


def _run_clock(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    step = plan.step(recipient.current_step_id)
    if step is None:
        return replace(recipient, wait_ends_at=None, wait_left=None, due_at=None)
    anchor_at = recipient.anchor_at
    wait_ends_at = recipient.wait_ends_at
    if recipient.wait_left is not None:
        anchor_at = anchor_at or now  # a wait that goes on has begun
        wait_ends_at = now + recipient.wait_left
    elif wait_ends_at is None:
        anchor_at = anchor_at or max(now, recipient.start_at or now)
        wait_ends_at = after_wait(anchor_at, step.wait, zone_of(recipient, plan))
    due_at = comes_due(
        _not_before(wait_ends_at, recipient), step, plan, recipient.time_zone, recipient.out_of_office_until
    )
    return replace(recipient, anchor_at=anchor_at, wait_ends_at=wait_ends_at, wait_left=None, due_at=due_at)


def zone_of(recipient: Recipient, plan: Plan) -> ZoneInfo:
    """Return the zone that days and windows are counted in: the recipient's where the sequence says so."""
    if plan.window is not None:
        return plan.window.zone_for(recipient.time_zone)
    return ZoneInfo(recipient.time_zone or plan.time_zone)


def _not_before(earliest_at: datetime, recipient: Recipient) -> datetime:
    """Return from when on neither the other side nor its pacing holds it, not before `earliest_at`."""
    return max(at for at in (earliest_at, recipient.retry_at, recipient.paced_until) if at is not None)


def _ready_at(earliest_at: datetime, step: Step, away_until: datetime | None) -> datetime:
    """Return from when on nothing but the window holds the step: not while the person is away."""
    if away_until is None or step.kind not in AUTOMATED_KINDS:
        return earliest_at
    return max(earliest_at, away_until)


def comes_due(
    earliest_at: datetime, step: Step, plan: Plan, time_zone: str | None, away_until: datetime | None
) -> datetime:
    """Return when a step that may go out from `earliest_at` on comes due for a person of this zone, who is away until
    then. One whose window never opens comes due all the same: `put_off` finds out, and it is shown as an error."""
    ready_at = _ready_at(earliest_at, step, away_until)
    return _opening(ready_at, step, time_zone, plan) or ready_at


def opening(at: datetime, step: Step, recipient: Recipient, plan: Plan) -> datetime | None:
    """Return when the step may be carried out: `at`, or the next opening of the window; None if it never opens."""
    return _opening(at, step, recipient.time_zone, plan)


def _opening(at: datetime, step: Step, time_zone: str | None, plan: Plan) -> datetime | None:
    if plan.window is None or step.kind not in AUTOMATED_KINDS:
        return at
    return next_opening(at, plan.window, plan.window.zone_for(time_zone))


def is_shut_out(recipient: Recipient, plan: Plan) -> bool:
    """Return whether the step that is due waits for a window that never opens."""
    step = plan.step(recipient.current_step_id)
    return (
        step is not None and recipient.due_at is not None and opening(recipient.due_at, step, recipient, plan) is None
    )


def put_off(
    recipient: Recipient,
    plan: Plan,
    now: datetime,
    paced_until: datetime | None = None,
    *,
    frequency_capped: bool = False,
) -> Recipient:
    """Move a step that is due and cannot go out now to when it can: its window has shut since (a backlog, a limit, an
    outage), the person is away, or its domain's turn (where it is
    `frequency_capped`, the person's) comes at `paced_until`.

    It comes back unchanged when nothing holds it, and without a due time when the window never opens.
    """
    step = plan.step(recipient.current_step_id)
    if step is None or recipient.due_at is None or recipient.due_at > now:
        return recipient
    held = recipient
    if paced_until is not None:
        held = replace(recipient, paced_until=paced_until, frequency_capped=frequency_capped)
    due_at = opening(_ready_at(_not_before(now, held), step, held.out_of_office_until), step, held, plan)
    if due_at == now:
        return recipient
    return replace(held, due_at=due_at, due_kind=held.due_kind if due_at else None)


def try_later(recipient: Recipient, plan: Plan, retry_at: datetime, now: datetime) -> Recipient:
    """The other side said "not now": the step comes due again at `retry_at`, or at the window's next opening after it.
    While it is held, after the resume and not before `retry_at`."""
    return settle(replace(recipient, retry_at=retry_at), plan, now)
