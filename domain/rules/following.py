"""What a recipient becomes when its sequence has changed: paused or resumed, archived, edited.

One function, whatever the change and however late the recipient's row gets its turn: it compares the row with the
sequence as it is now. Calling it twice changes nothing more.

Source: product.md section 2 "Sequences", section 3 "Live edits".
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from domain.rules.holds import follow_pauses, release_with_sequence
from domain.rules.lifecycle import EndReason
from domain.rules.moves import end, leave_step
from domain.rules.plan import Plan, SequenceStatus, Step
from domain.rules.recipient import Recipient
from domain.rules.timers import put_off, settle, zone_of
from domain.rules.timing import after_wait

Pauses = Sequence[tuple[datetime, datetime | None]]  # from, until; None: it stands


def follow(
    recipient: Recipient,
    plan: Plan,
    now: datetime,
    *,
    pauses: Pauses = (),
    written_at: datetime | None = None,
    being_sent: bool = False,
) -> Recipient:
    """Return the recipient in step with its sequence.

    `pauses` are the sequence's pauses that rows still follow, oldest first, and `written_at` is when this one was last
    written. `being_sent` says that its present step is being handed over: it keeps its step until the outcome is
    known, and has to follow once more then.
    """
    if recipient.ended or recipient.deleted_at is not None:
        return recipient
    if plan.status is SequenceStatus.ARCHIVED:
        return end(recipient, plan, EndReason.STOPPED, now)
    moved = follow_pauses(recipient, plan, pauses, written_at or now)
    if moved.sequence_paused_at is not None and not plan.paused:
        moved = release_with_sequence(moved, plan, now)
    if being_sent or moved.plan_revision >= plan.revision:
        return moved
    placed = settle(_placed(moved, plan, now), plan, now)
    opened = put_off(placed, plan, now)
    return placed if opened.due_at is None else opened  # one that never opens is shown when it comes due


def _placed(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Put it where the edited sequence has it go on."""
    here = plan.step(recipient.current_step_id)
    if recipient.error_id is not None or recipient.pending_id is not None:
        if here is not None and here.removed:
            return leave_step(recipient, plan, now, now)  # as skipped
        return replace(recipient, plan_revision=plan.revision)
    recipient, there = _next(recipient, here, plan)
    if there is None:
        return end(recipient, plan, EndReason.COMPLETED, now)
    moved = replace(recipient, plan_revision=plan.revision)
    if here is None or there.id != here.id:
        moved = replace(moved, current_step_id=there.id, retry_at=None)
    elif recipient.plan_revision >= there.wait_revision:
        return moved
    if moved.anchor_at is None:
        return replace(moved, wait_ends_at=None, wait_left=None)
    ends_at = after_wait(moved.anchor_at, there.wait, zone_of(moved, plan))
    return replace(moved, wait_ends_at=ends_at, wait_left=None)


def _next(recipient: Recipient, here: Step | None, plan: Plan) -> tuple[Recipient, Step | None]:
    """Return the step that is next: the first after its last done one that it has not done."""
    last = plan.step(recipient.last_step_id)
    if last is None or last.id in recipient.done or last.placed_revision <= recipient.plan_revision or here is None:
        return recipient, plan.next_after(recipient.last_step_id, recipient.done)
    # It only marked where this recipient began, without being done, and stands elsewhere now: the step waited for
    # says the place.
    before = plan.preceding(here.id)
    recipient = replace(recipient, last_step_id=before.id if before else None)
    return recipient, plan.next_after(recipient.last_step_id, recipient.done)
