"""How a recipient goes through its sequence: from step to step, before a person, into an error and out, to its end.

Each returns new facts; `settle` does the rest.

Source: product.md sections 2 and 3.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from domain.rules.lifecycle import EndReason
from domain.rules.plan import Plan, Step
from domain.rules.recipient import Recipient
from domain.rules.timers import settle, zone_of
from domain.rules.timing import after_wait


def leave_step(recipient: Recipient, plan: Plan, at: datetime, now: datetime) -> Recipient:
    """Go on to the next step: its wait starts at `at`, when this one was carried out or skipped, but not before
    `start_at`; complete after the last. A pause stays: what of the new wait lies behind it waits for the resume."""
    left = recipient.current_step_id
    done = recipient.done | {left} if left else recipient.done
    following = plan.next_after(left, done) if plan.step(left) else None
    moved = replace(recipient, begun=True, error_id=None, pending_id=None, scheduled_for=None, done=done)
    moved = replace(moved, retry_at=None, paced_until=None, frequency_capped=False)
    if following is None:
        return end(moved, plan, EndReason.COMPLETED, now)
    anchor_at = max(at, recipient.start_at or at)
    moved = replace(
        moved,
        current_step_id=following.id,
        last_step_id=left,
        plan_revision=plan.revision,
        anchor_at=anchor_at,
        wait_ends_at=after_wait(anchor_at, following.wait, zone_of(recipient, plan)),
        wait_left=None,
    )
    return settle(moved, plan, now)


def carry_out(recipient: Recipient, plan: Plan, step_id: UUID | None, at: datetime, now: datetime) -> Recipient:
    """Note that the message of a step was sent at `at`, and go on when that is the present step, whatever its run:
    once one is known to be sent, no further one may go out. A fact about another step only counts as contact."""
    contacted = replace(recipient, contacted_at=recipient.contacted_at or at)
    here = not recipient.ended and recipient.current_step_id is not None and recipient.current_step_id == step_id
    return leave_step(contacted, plan, at, now) if here else contacted


def put_before_person(recipient: Recipient, plan: Plan, pending_id: UUID, now: datetime) -> Recipient:
    return settle(replace(recipient, pending_id=pending_id, begun=True), plan, now)


def release(recipient: Recipient, plan: Plan, at: datetime, now: datetime) -> Recipient:
    """Let a pending email go out at `at`, or now. Windows do not count for it: a person chose the time."""
    return settle(replace(recipient, scheduled_for=at, retry_at=None), plan, now)


def take_back(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Put a released email before a person again."""
    return settle(replace(recipient, scheduled_for=None, retry_at=None), plan, now)


def fail(recipient: Recipient, plan: Plan, error_id: UUID, now: datetime, *, step_id: UUID | None = None) -> Recipient:
    """Open an error at the current step, or go back to the step that failed: a delivery report speaks of a message
    whose step was left already, or whose recipient had completed. What was put before a person at this step, and
    perhaps released by them, stays for the retry."""
    here = step_id is None or step_id == recipient.current_step_id
    if step_id is not None and not here:
        before = plan.preceding(step_id)
        recipient = replace(
            recipient,
            current_step_id=step_id,
            last_step_id=before.id if before else None,
            plan_revision=plan.revision,
            done=recipient.done - {step_id},
        )
    failed = replace(
        recipient,
        error_id=error_id,
        pending_id=recipient.pending_id if here else None,
        scheduled_for=recipient.scheduled_for if here else None,
        end_reason=None,
        ended_at=None,
        left_step_id=None,
        wait_ends_at=None,
        wait_left=None,
        retry_at=None,
    )
    return settle(failed, plan, now)


def try_again(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Close the error and let the step come due now, as a new run: a new message, never the old one again.

    While it is held the step comes due with the resume. Where the sequence was edited meanwhile, the step is its place.
    """
    following = plan.next_after(recipient.last_step_id, recipient.done)
    if following is None or following.id != recipient.current_step_id:
        before = plan.preceding(recipient.current_step_id)
        recipient = replace(recipient, last_step_id=before.id if before else None)
    again = replace(
        recipient,
        error_id=None,
        step_run=recipient.step_run + 1,
        wait_ends_at=None,
        wait_left=timedelta(0),
        retry_at=None,
        paced_until=None,
        frequency_capped=False,
    )
    return settle(again, plan, now)


def send_again(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Try again by a person's word: that releases an email which waits for a person, too."""
    ordered_at = (recipient.scheduled_for or now) if recipient.pending_id is not None else None
    return try_again(replace(recipient, scheduled_for=ordered_at), plan, now)


def end(
    recipient: Recipient, plan: Plan, reason: EndReason, now: datetime, *, bounced_step_id: UUID | None = None
) -> Recipient:
    """End it. Its holds, its error and its pending action are over with it. A bounce names the step whose message
    bounced, where that is known."""
    place = recipient.current_step_id or recipient.left_step_id
    ended = replace(
        recipient,
        end_reason=reason,
        ended_at=now,
        paused_at=None,
        sequence_paused_at=None,
        error_id=None,
        pending_id=None,
        scheduled_for=None,
        current_step_id=None,
        left_step_id=None if reason is EndReason.COMPLETED else place,
        bounced_step_id=(bounced_step_id or place or recipient.last_step_id) if reason is EndReason.BOUNCED else None,
        replied_at=recipient.replied_at or (now if reason is EndReason.REPLIED else None),
    )
    return settle(ended, plan, now)


def take_back_end(recipient: Recipient, plan: Plan, step: Step, anchor_at: datetime, now: datetime) -> Recipient:
    """Open it again at this step, held by a person: what had ended it turned out not to be so. The wait that began at
    `anchor_at` goes on with what was left of it at the end; its beginning moves by the time that it was ended, as by
    a hold, so that the wait can be counted anew from it."""
    waits_until = after_wait(anchor_at, step.wait, zone_of(recipient, plan))
    ended_at = recipient.ended_at or now
    left = waits_until - ended_at
    reopened = replace(
        recipient,
        end_reason=None,
        ended_at=None,
        left_step_id=None,
        paused_at=now,
        sequence_paused_at=now if plan.paused else None,
        current_step_id=step.id,
        plan_revision=plan.revision,
        anchor_at=anchor_at + max(now - ended_at, timedelta(0)),
        wait_left=max(left, timedelta(0)),
    )
    return settle(reopened, plan, now)


def delete(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    closed = replace(recipient, deleted_at=now, error_id=None, pending_id=None, scheduled_for=None)
    return settle(closed, plan, now)
