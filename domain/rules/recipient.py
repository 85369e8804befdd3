"""One recipient as facts, and the pure transitions between them.

Every verb is: read the row, change facts here, write it back guarded by its version. `settle` is the only place
that turns facts into timers, so that whatever lifts a pause or closes an error ends in the same calculation.

Three facts hold the wait before the current step:
    anchor_at      when the wait began (the step before was carried out), holds since then left out; None until it has
    wait_ends_at   when it ends; None while the clock stands
    wait_left      the rest of it while the clock stands
and `due_at` is when the step may be carried out: `wait_ends_at`, or what holds it longer (the other side's "later", the
pacing of its domain, the person's absence), moved into the sending window.

Two facts hold its place: `current_step_id`, and `last_step_id`, the step it went on from. `plan_revision` is the edit
of the sequence that these two and the wait are in step with (following.py).

Source: product.md sections 2 and 3; architecture.md "Facts, not memories".
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.rules.lifecycle import (
    Action,
    EndReason,
    Facts,
    Stage,
    Status,
    available_actions,
    shown_status,
    stage_of,
    status_of,
)
from domain.rules.plan import AUTOMATED_KINDS, Plan, Step, StepKind
from domain.rules.timing import after_wait, next_opening


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """The facts of one recipient: exactly the columns that the one writer writes, and the keys."""

    id: UUID
    workspace_id: UUID
    sequence_id: UUID
    contact_id: UUID
    version: int
    time_zone: str | None  # the contact's
    out_of_office_until: datetime | None = None  # the contact's: nothing goes out by itself before
    mailbox_id: UUID | None
    end_reason: EndReason | None = None
    ended_at: datetime | None = None
    paused_at: datetime | None = None  # held by a person, for this recipient
    sequence_paused_at: datetime | None = None  # held by the pause of the sequence
    error_id: UUID | None = None  # the open step error
    pending_id: UUID | None = None  # the open pending action
    # The time a person chose for a pending email, which may be now: it is then not pending, it goes out by itself.
    scheduled_for: datetime | None = None
    begun: bool = False
    current_step_id: UUID | None = None
    last_step_id: UUID | None = None  # its last done step; for one that has done none, the step before its first
    plan_revision: int = 0
    done: Set[UUID] = frozenset()  # the steps carried out or skipped; read, never written
    # Rises when a step is tried again as a new message, and never falls: whatever step the recipient goes back to,
    # its next message is a new one.
    step_run: int = 1
    start_at: datetime | None = None  # no wait begins before
    anchor_at: datetime | None = None
    wait_ends_at: datetime | None = None
    wait_left: timedelta | None = None
    due_at: datetime | None = None
    due_kind: StepKind | None = None  # which queue it waits in; set exactly while due_at is
    retry_at: datetime | None = None  # a hand-over was refused for now; tried again then
    paced_until: datetime | None = None  # the turn of the domain that it goes to comes then
    contacted_at: datetime | None = None  # the first email or SMS was sent
    replied_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def facts(self) -> Facts:
        return Facts(
            end_reason=self.end_reason,
            paused_by_recipient=self.paused_at is not None,
            paused_by_sequence=self.sequence_paused_at is not None,
            error_open=self.error_id is not None,
            action_pending=self.pending_id is not None and self.scheduled_for is None,
            begun=self.begun,
        )

    @property
    def status(self) -> Status:
        return status_of(self.facts)

    @property
    def stage(self) -> Stage:
        return stage_of(self.status, contacted=self.contacted_at is not None)

    @property
    def held_since(self) -> datetime | None:
        """The time of the first of the two holds; None while it is not held."""
        return min((at for at in (self.paused_at, self.sequence_paused_at) if at is not None), default=None)

    @property
    def held(self) -> bool:
        return self.held_since is not None

    @property
    def ended(self) -> bool:
        return self.end_reason is not None


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
        over = replace(recipient, start_at=None, retry_at=None, paced_until=None)
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
        return replace(standing, retry_at=None, paced_until=None)
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
    due_at = _due_at(wait_ends_at, step, recipient, plan)
    return replace(recipient, anchor_at=anchor_at, wait_ends_at=wait_ends_at, wait_left=None, due_at=due_at)


def zone_of(recipient: Recipient, plan: Plan) -> ZoneInfo:
    """Return the zone that days and windows are counted in: the recipient's where the sequence says so."""
    if plan.window is not None:
        return plan.window.zone_for(recipient.time_zone)
    return ZoneInfo(recipient.time_zone or plan.time_zone)


def _due_at(earliest_at: datetime, step: Step, recipient: Recipient, plan: Plan) -> datetime | None:
    """Return when the step may be carried out, not before `earliest_at`."""
    holds = [earliest_at, recipient.retry_at, recipient.paced_until]
    if step.kind in AUTOMATED_KINDS:
        holds.append(recipient.out_of_office_until)
    return opening(max(at for at in holds if at is not None), step, recipient, plan)


def opening(at: datetime, step: Step, recipient: Recipient, plan: Plan) -> datetime | None:
    """Return when the step may be carried out: `at`, or the next opening of the window; None if it never opens."""
    if plan.window is None or step.kind not in AUTOMATED_KINDS:
        return at
    return next_opening(at, plan.window, zone_of(recipient, plan))


# ---- transitions: each returns new facts; `settle` does the rest


def pause(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    return settle(replace(recipient, paused_at=now), plan, now)


def resume(recipient: Recipient, plan: Plan, now: datetime, *, retry: bool = False) -> Recipient:
    """Lift this recipient's own pause. `retry` says that an open error can be tried again now, and is."""
    resumed = _lifted(recipient, replace(recipient, paused_at=None), now)
    return try_again(resumed, plan, now) if retry else settle(resumed, plan, now)


def hold_with_sequence(recipient: Recipient, plan: Plan, paused_at: datetime) -> Recipient:
    return settle(replace(recipient, sequence_paused_at=paused_at), plan, paused_at)


def release_with_sequence(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Lift only the sequence's hold. A wait that has not begun begins then."""
    return settle(_lifted(recipient, replace(recipient, sequence_paused_at=None), now), plan, now)


def follow_pauses(
    recipient: Recipient, plan: Plan, pauses: Iterable[tuple[datetime, datetime | None]], written_at: datetime
) -> Recipient:
    """Follow the pauses of the sequence, oldest first, that this recipient has not followed yet: each from when it was
    answered until when it was lifted (None: it stands), however late the row is rewritten.

    `written_at` is when it was last written: a pause that was over by then is behind it.
    """
    for paused_at, resumed_at in pauses:
        if recipient.sequence_paused_at is None:
            if resumed_at is not None and resumed_at <= written_at:
                continue
            recipient = hold_with_sequence(recipient, plan, paused_at)
        held_at = recipient.sequence_paused_at
        if resumed_at is not None and held_at is not None and held_at <= resumed_at:
            recipient = release_with_sequence(recipient, plan, resumed_at)
    return recipient


def _lifted(held: Recipient, recipient: Recipient, now: datetime) -> Recipient:
    """A time chosen for a pending email that has passed when the hold is lifted is void: never a late send. The wait's
    beginning moves by the length of the hold, so that the wait can be counted anew from it.

    One whose email failed stays: the error was there before, and its retry sends what a person had released.
    """
    if recipient.held:
        return recipient
    if held.held_since is not None and recipient.anchor_at is not None and recipient.wait_left is not None:
        recipient = replace(recipient, anchor_at=recipient.anchor_at + max(now - held.held_since, timedelta(0)))
    if recipient.scheduled_for is None or recipient.scheduled_for > now:
        return recipient
    return recipient if recipient.error_id is not None else replace(recipient, scheduled_for=None, retry_at=None)


def end(recipient: Recipient, plan: Plan, reason: EndReason, now: datetime) -> Recipient:
    """End it. Its holds, its error and its pending action are over with it."""
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
        replied_at=recipient.replied_at or (now if reason is EndReason.REPLIED else None),
    )
    return settle(ended, plan, now)


def take_back_end(recipient: Recipient, plan: Plan, step: Step, anchor_at: datetime, now: datetime) -> Recipient:
    """Open it again at this step, held by a person: what had ended it turned out not to be so. The wait that began at
    `anchor_at` goes on with what was left of it at the end."""
    waits_until = after_wait(anchor_at, step.wait, zone_of(recipient, plan))
    left = waits_until - (recipient.ended_at or now)
    reopened = replace(
        recipient,
        end_reason=None,
        ended_at=None,
        paused_at=now,
        sequence_paused_at=now if plan.paused else None,
        current_step_id=step.id,
        plan_revision=plan.revision,
        anchor_at=anchor_at,
        wait_left=max(left, timedelta(0)),
    )
    return settle(reopened, plan, now)


def leave_step(recipient: Recipient, plan: Plan, at: datetime, now: datetime) -> Recipient:
    """Go on to the next step: its wait starts at `at`, when this one was carried out or skipped, but not before
    `start_at`; complete after the last. A pause stays: what of the new wait lies behind it waits for the resume."""
    left = recipient.current_step_id
    done = recipient.done | {left} if left else recipient.done
    following = plan.next_after(left, done) if plan.step(left) else None
    moved = replace(recipient, begun=True, error_id=None, pending_id=None, scheduled_for=None, done=done)
    moved = replace(moved, retry_at=None, paced_until=None)
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
    )
    return settle(again, plan, now)


def send_again(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Try again by a person's word: that releases an email which waits for a person, too."""
    ordered_at = (recipient.scheduled_for or now) if recipient.pending_id is not None else None
    return try_again(replace(recipient, scheduled_for=ordered_at), plan, now)


def try_later(recipient: Recipient, plan: Plan, retry_at: datetime, now: datetime) -> Recipient:
    """The other side said "not now": the step comes due again at `retry_at`, or at the window's next opening after it.
    While it is held, after the resume and not before `retry_at`."""
    return settle(replace(recipient, retry_at=retry_at), plan, now)


def put_off(recipient: Recipient, plan: Plan, now: datetime, paced_until: datetime | None = None) -> Recipient:
    """Move a step that is due and cannot go out now to when it can: its window has shut since (a backlog, a limit, an
    outage), the person is away, or its domain's turn comes at `paced_until`.

    It comes back unchanged when nothing holds it, and without a due time when the window never opens.
    """
    step = plan.step(recipient.current_step_id)
    if step is None or recipient.due_at is None or recipient.due_at > now:
        return recipient
    held = recipient if paced_until is None else replace(recipient, paced_until=paced_until)
    due_at = _due_at(now, step, held, plan)
    if due_at == now:
        return recipient
    return replace(held, due_at=due_at, due_kind=held.due_kind if due_at else None)


def put_before_person(recipient: Recipient, plan: Plan, pending_id: UUID, now: datetime) -> Recipient:
    return settle(replace(recipient, pending_id=pending_id, begun=True), plan, now)


def release(recipient: Recipient, plan: Plan, at: datetime, now: datetime) -> Recipient:
    """Let a pending email go out at `at`, or now. Windows do not count for it: a person chose the time."""
    return settle(replace(recipient, scheduled_for=at, retry_at=None), plan, now)


def take_back(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    """Put a released email before a person again."""
    return settle(replace(recipient, scheduled_for=None, retry_at=None), plan, now)


def delete(recipient: Recipient, plan: Plan, now: datetime) -> Recipient:
    closed = replace(recipient, deleted_at=now, error_id=None, pending_id=None, scheduled_for=None)
    return settle(closed, plan, now)


def present(recipient: Recipient, plan: Plan) -> tuple[Status, tuple[Action, ...]]:
    """Return what a refusal says: the status as it is shown, and what is available."""
    return (
        shown_status(recipient.status, sequence_paused=plan.paused),
        available_actions(recipient.status, sequence_paused=plan.paused),
    )
