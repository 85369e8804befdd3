"""The pure transitions, each in its own words of product.md section 2 and 3."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.rules import holds, moves, timers
from domain.rules.lifecycle import EndReason, Stage, Status
from domain.rules.plan import Plan, SequenceStatus, StepKind
from domain.rules.recipient import Recipient
from domain.rules.timing import Wait, WaitUnit
from tests.rules.recipient_facts import (
    DAY,
    ERROR,
    FIRST,
    HOUR,
    MINUTE,
    NINE_TO_FIVE,
    NOW,
    PENDING,
    SECOND,
    THIRD,
    enrolled,
    plan,
)

EMAILS = plan()


# ---- pause and resume


def test_a_wait_begins_at_enrolment() -> None:
    recipient = enrolled(EMAILS)
    assert (recipient.anchor_at, recipient.due_at) == (NOW, NOW + DAY)
    assert recipient.due_kind is StepKind.AUTOMATED_EMAIL
    assert recipient.status is Status.SCHEDULED


def test_a_pause_stops_the_clock_of_the_wait_and_a_resume_gives_back_what_was_left() -> None:
    paused = holds.pause(enrolled(EMAILS), EMAILS, NOW + HOUR)
    assert paused.status is Status.PAUSED
    assert (paused.wait_left, paused.due_at, paused.due_kind) == (23 * HOUR, None, None)
    resumed = holds.resume(paused, EMAILS, NOW + 10 * DAY)
    assert resumed.status is Status.SCHEDULED
    assert (resumed.due_at, resumed.wait_left) == (NOW + 10 * DAY + 23 * HOUR, None)


def test_a_wait_that_was_over_at_the_pause_is_over_at_the_resume() -> None:
    paused = holds.pause(enrolled(EMAILS), EMAILS, NOW + 2 * DAY)
    assert holds.resume(paused, EMAILS, NOW + 3 * DAY).due_at == NOW + 3 * DAY


def test_a_second_pause_takes_only_what_was_left_of_the_rest() -> None:
    recipient = holds.pause(enrolled(EMAILS), EMAILS, NOW + HOUR)
    recipient = holds.resume(recipient, EMAILS, NOW + 2 * DAY)
    recipient = holds.pause(recipient, EMAILS, NOW + 2 * DAY + HOUR)
    assert recipient.wait_left == 22 * HOUR


def test_resuming_the_sequence_lifts_only_its_own_flag() -> None:
    both = holds.hold_with_sequence(holds.pause(enrolled(EMAILS), EMAILS, NOW + HOUR), EMAILS, NOW + 2 * HOUR)
    still = holds.release_with_sequence(both, EMAILS, NOW + 3 * HOUR)
    assert (still.status, still.paused_at, still.sequence_paused_at) == (Status.PAUSED, NOW + HOUR, None)
    assert (still.wait_left, still.due_at) == (23 * HOUR, None)
    assert holds.resume(still, EMAILS, NOW + DAY).due_at == NOW + DAY + 23 * HOUR


def test_resuming_the_recipient_leaves_the_flag_of_the_sequence_up() -> None:
    both = holds.hold_with_sequence(holds.pause(enrolled(EMAILS), EMAILS, NOW + HOUR), EMAILS, NOW + 2 * HOUR)
    still = holds.resume(both, EMAILS, NOW + 3 * HOUR)
    assert (still.status, still.held_since, still.wait_left) == (Status.PAUSED, NOW + 2 * HOUR, 23 * HOUR)


def test_the_clock_stops_at_the_time_of_the_sequences_pause_however_late_the_row_is_rewritten() -> None:
    paused_plan = plan(status=SequenceStatus.PAUSED)
    touched = timers.settle(enrolled(EMAILS), paused_plan, NOW + 5 * HOUR)
    held = holds.hold_with_sequence(touched, paused_plan, NOW + HOUR)
    assert (held.wait_left, held.due_at) == (23 * HOUR, None)


def test_the_other_sides_later_does_not_care_about_a_pause() -> None:
    due = replace(enrolled(EMAILS, NOW - DAY), retry_at=NOW + 4 * HOUR)
    assert timers.settle(due, EMAILS, NOW).due_at == NOW + 4 * HOUR
    paused = holds.pause(due, EMAILS, NOW + MINUTE)
    assert paused.due_at is None
    assert holds.resume(paused, EMAILS, NOW + HOUR).due_at == NOW + 4 * HOUR
    assert holds.resume(paused, EMAILS, NOW + 5 * HOUR).due_at == NOW + 5 * HOUR


# ---- errors


def failed() -> Recipient:
    return moves.fail(enrolled(EMAILS), EMAILS, ERROR, NOW + DAY)


def test_an_error_has_no_clock() -> None:
    recipient = failed()
    assert (recipient.status, recipient.stage) == (Status.ERROR, Stage.ERROR)
    assert (recipient.due_at, recipient.wait_ends_at, recipient.wait_left, recipient.due_kind) == (None,) * 4


def test_a_pause_with_an_open_error_comes_back_to_the_error() -> None:
    paused = holds.pause(failed(), EMAILS, NOW + 2 * DAY)
    assert (paused.status, paused.error_id) == (Status.PAUSED, ERROR)
    resumed = holds.resume(paused, EMAILS, NOW + 3 * DAY)
    assert (resumed.status, resumed.error_id, resumed.due_at) == (Status.ERROR, ERROR, None)


def test_a_resume_that_retries_closes_the_error_and_comes_due_at_once_as_a_new_run() -> None:
    paused = holds.pause(failed(), EMAILS, NOW + 2 * DAY)
    resumed = holds.resume(paused, EMAILS, NOW + 3 * DAY, retry=True)
    assert (resumed.status, resumed.error_id) == (Status.SCHEDULED, None)
    assert (resumed.due_at, resumed.step_run, resumed.current_step_id) == (NOW + 3 * DAY, 2, FIRST)


def test_resuming_the_sequence_retries_nothing() -> None:
    held = holds.hold_with_sequence(failed(), EMAILS, NOW + 2 * DAY)
    released = holds.release_with_sequence(held, EMAILS, NOW + 3 * DAY)
    assert (released.status, released.error_id, released.step_run) == (Status.ERROR, ERROR, 1)


def test_a_retry_while_the_sequence_is_paused_waits_for_its_resume() -> None:
    held = holds.hold_with_sequence(failed(), EMAILS, NOW + 2 * DAY)
    again = moves.try_again(held, EMAILS, NOW + 3 * DAY)
    assert (again.status, again.due_at) == (Status.PAUSED, None)
    assert holds.release_with_sequence(again, EMAILS, NOW + 9 * DAY).due_at == NOW + 9 * DAY


def test_a_failure_that_arrives_while_paused_shows_after_the_resume() -> None:
    paused = holds.pause(enrolled(EMAILS), EMAILS, NOW + HOUR)
    late = moves.fail(paused, EMAILS, ERROR, NOW + 2 * HOUR)
    assert (late.status, late.wait_left) == (Status.PAUSED, None)
    assert holds.resume(late, EMAILS, NOW + DAY).status is Status.ERROR


def test_a_delivery_that_failed_later_goes_back_to_its_step_and_no_run_comes_twice() -> None:
    waiting = moves.leave_step(replace(enrolled(EMAILS), step_run=2), EMAILS, NOW + DAY, NOW + DAY)
    assert (waiting.current_step_id, waiting.step_run) == (SECOND, 2)
    back = moves.fail(waiting, EMAILS, ERROR, NOW + DAY + HOUR, step_id=FIRST)
    assert (back.status, back.current_step_id) == (Status.ERROR, FIRST)
    again = moves.try_again(back, EMAILS, NOW + 2 * DAY)
    assert (again.current_step_id, again.step_run) == (FIRST, 3)
    forth = moves.leave_step(again, EMAILS, NOW + 2 * DAY, NOW + 2 * DAY)
    assert (forth.current_step_id, forth.step_run) == (SECOND, 3)


def test_a_wait_that_goes_on_has_begun_whatever_brought_it() -> None:
    back = moves.fail(moves.end(enrolled(EMAILS), EMAILS, EndReason.COMPLETED, NOW), EMAILS, ERROR, NOW, step_id=THIRD)
    assert moves.try_again(back, EMAILS, NOW + HOUR).anchor_at is not None


def test_a_delivery_that_failed_opens_a_completed_recipient_again() -> None:
    done = moves.end(enrolled(EMAILS, begun=True), EMAILS, EndReason.COMPLETED, NOW)
    back = moves.fail(done, EMAILS, ERROR, NOW + HOUR, step_id=THIRD)
    assert (back.status, back.ended_at, back.current_step_id) == (Status.ERROR, None, THIRD)
    assert moves.leave_step(back, EMAILS, NOW + DAY, NOW + DAY).status is Status.COMPLETED


# ---- leaving a step


def test_leaving_a_step_starts_the_next_wait_when_it_was_left() -> None:
    moved = moves.leave_step(enrolled(EMAILS), EMAILS, NOW + HOUR, NOW + 2 * HOUR)
    assert (moved.status, moved.current_step_id, moved.begun) == (Status.IN_PROGRESS, SECOND, True)
    assert (moved.anchor_at, moved.due_at) == (NOW + HOUR, NOW + HOUR + DAY)


def test_leaving_the_last_step_completes() -> None:
    recipient = enrolled(EMAILS, current_step_id=THIRD)
    done = moves.leave_step(recipient, EMAILS, NOW + HOUR, NOW + 2 * HOUR)
    assert (done.status, done.end_reason) == (Status.COMPLETED, EndReason.COMPLETED)
    assert (done.ended_at, done.current_step_id, done.begun) == (NOW + 2 * HOUR, None, True)


def test_removed_steps_are_passed_over() -> None:
    first, second, third = EMAILS.steps
    shorter = plan(steps=(first, replace(second, removed=True), third))
    assert moves.leave_step(enrolled(shorter), shorter, NOW, NOW).current_step_id == THIRD


def test_a_step_that_was_removed_under_a_recipient_still_leads_to_the_next() -> None:
    first, second, third = EMAILS.steps
    shorter = plan(steps=(first, replace(second, removed=True), third))
    recipient = enrolled(EMAILS, current_step_id=SECOND)
    assert moves.leave_step(recipient, shorter, NOW, NOW).current_step_id == THIRD


def test_skipping_a_failed_step_closes_its_error() -> None:
    moved = moves.leave_step(failed(), EMAILS, NOW + DAY, NOW + DAY)
    assert (moved.status, moved.error_id, moved.due_at) == (Status.IN_PROGRESS, None, NOW + 2 * DAY)


def test_a_late_sent_keeps_the_pause_and_the_next_wait_begins_with_the_resume() -> None:
    paused = holds.pause(enrolled(EMAILS, NOW - DAY), EMAILS, NOW)
    late = moves.leave_step(paused, EMAILS, NOW + MINUTE, NOW + 3 * HOUR)
    assert (late.status, late.paused_at, late.current_step_id) == (Status.PAUSED, NOW, SECOND)
    assert (late.due_at, late.wait_ends_at) == (None, None)
    assert holds.resume(late, EMAILS, NOW + 5 * DAY).due_at == NOW + 6 * DAY


def test_a_late_sent_from_before_the_pause_has_used_its_wait_up_to_the_pause() -> None:
    paused = holds.pause(enrolled(EMAILS, NOW - DAY), EMAILS, NOW + HOUR)
    late = moves.leave_step(paused, EMAILS, NOW, NOW + 8 * HOUR)
    assert (late.status, late.wait_left, late.due_at) == (Status.PAUSED, 23 * HOUR, None)


def test_a_wait_of_business_days_that_begins_during_a_pause_is_counted_from_the_resume() -> None:
    friday, monday = NOW - 3 * DAY, NOW
    sequence = plan(wait=Wait(1, WaitUnit.BUSINESS_DAYS))
    paused = holds.pause(enrolled(sequence, friday - DAY), sequence, friday - MINUTE)
    late = moves.leave_step(paused, sequence, friday, friday)
    assert holds.resume(late, sequence, monday).due_at == monday + DAY


def test_a_late_sent_closes_the_error_about_it() -> None:
    moved = moves.leave_step(holds.pause(failed(), EMAILS, NOW + 2 * DAY), EMAILS, NOW + DAY, NOW + 3 * DAY)
    assert (moved.status, moved.error_id, moved.current_step_id) == (Status.PAUSED, None, SECOND)
    assert holds.resume(moved, EMAILS, NOW + 4 * DAY).status is Status.IN_PROGRESS


# ---- the end


@pytest.mark.parametrize("reason", list(EndReason))
def test_an_end_clears_holds_error_pending_and_timers(reason: EndReason) -> None:
    full = enrolled(EMAILS, error_id=ERROR, pending_id=PENDING, scheduled_for=NOW + DAY, start_at=NOW, begun=True)
    full = holds.hold_with_sequence(holds.pause(full, EMAILS, NOW), EMAILS, NOW)
    full = replace(full, wait_left=HOUR, retry_at=NOW + HOUR)
    ended = moves.end(full, EMAILS, reason, NOW + HOUR)
    assert (ended.end_reason, ended.ended_at) == (reason, NOW + HOUR)
    assert not ended.held
    cleared = ("paused_at", "sequence_paused_at", "error_id", "pending_id", "scheduled_for", "current_step_id")
    timers = ("start_at", "anchor_at", "wait_ends_at", "wait_left", "due_at", "due_kind", "retry_at")
    assert [name for name in cleared + timers if getattr(ended, name) is not None] == []
    assert (ended.replied_at is not None) == (reason is EndReason.REPLIED)


def test_the_first_reply_is_the_one_whose_time_is_kept() -> None:
    assert moves.end(enrolled(EMAILS, replied_at=NOW), EMAILS, EndReason.REPLIED, NOW + DAY).replied_at == NOW


def test_a_bounce_after_completion_is_the_end_that_shows() -> None:
    done = moves.end(enrolled(EMAILS), EMAILS, EndReason.COMPLETED, NOW)
    bounced = moves.end(done, EMAILS, EndReason.BOUNCED, NOW + HOUR)
    assert (bounced.status, bounced.ended_at) == (Status.BOUNCED, NOW + HOUR)


def test_a_deleted_recipient_has_no_clock() -> None:
    gone = moves.delete(holds.pause(enrolled(EMAILS), EMAILS, NOW + HOUR), EMAILS, NOW + 2 * HOUR)
    assert gone.deleted_at == NOW + 2 * HOUR
    assert (gone.due_at, gone.due_kind, gone.wait_left, gone.anchor_at) == (None,) * 4


# ---- drafts, start times, windows


def test_a_draft_has_no_clock_and_its_activation_starts_the_wait() -> None:
    draft = plan(status=SequenceStatus.DRAFT)
    waiting = enrolled(draft)
    assert (waiting.status, waiting.anchor_at, waiting.due_at) == (Status.SCHEDULED, None, None)
    started = holds.release_with_sequence(waiting, EMAILS, NOW + 7 * DAY)
    assert (started.anchor_at, started.due_at) == (NOW + 7 * DAY, NOW + 8 * DAY)


def test_one_paused_in_a_draft_starts_with_its_own_resume() -> None:
    draft = plan(status=SequenceStatus.DRAFT)
    paused = holds.pause(enrolled(draft), draft, NOW)
    activated = holds.release_with_sequence(paused, EMAILS, NOW + DAY)
    assert (activated.status, activated.due_at) == (Status.PAUSED, None)
    assert holds.resume(activated, EMAILS, NOW + 2 * DAY).due_at == NOW + 3 * DAY


def test_one_enrolled_in_a_paused_sequence_starts_with_its_resume() -> None:
    paused = plan(status=SequenceStatus.PAUSED)
    recipient = enrolled(paused, sequence_paused_at=NOW - DAY)
    assert (recipient.status, recipient.due_at) == (Status.PAUSED, None)
    assert holds.release_with_sequence(recipient, EMAILS, NOW + 2 * DAY).due_at == NOW + 3 * DAY


def test_no_wait_begins_before_the_start_time() -> None:
    recipient = enrolled(EMAILS, start_at=NOW + 5 * DAY)
    assert (recipient.anchor_at, recipient.due_at) == (NOW + 5 * DAY, NOW + 6 * DAY)
    assert enrolled(EMAILS, start_at=NOW - 5 * DAY).due_at == NOW + DAY
    skipped = moves.leave_step(recipient, EMAILS, NOW, NOW)
    assert (skipped.current_step_id, skipped.due_at) == (SECOND, NOW + 6 * DAY)


def test_a_pause_before_the_start_time_moves_it_only_when_it_lasts_longer() -> None:
    paused = holds.pause(enrolled(EMAILS, start_at=NOW + 5 * DAY), EMAILS, NOW + HOUR)
    assert holds.resume(paused, EMAILS, NOW + DAY).due_at == NOW + 6 * DAY
    assert holds.resume(paused, EMAILS, NOW + 9 * DAY).due_at == NOW + 10 * DAY


def windowed(kind: StepKind) -> Plan:
    return plan(kind, StepKind.AUTOMATED_EMAIL, window=NINE_TO_FIVE, wait=Wait(8, WaitUnit.HOURS))


@pytest.mark.parametrize("kind", list(StepKind))
def test_automated_steps_move_into_the_window_and_manual_ones_come_due_when_the_wait_ends(kind: StepKind) -> None:
    recipient = enrolled(windowed(kind))  # its wait ends at 18:00
    manual = kind in (StepKind.MANUAL_EMAIL, StepKind.TASK)
    assert recipient.wait_ends_at == NOW + 8 * HOUR
    assert recipient.due_at == (NOW + 8 * HOUR if manual else NOW + 23 * HOUR)
    assert recipient.due_kind is kind


def test_a_second_try_keeps_to_the_window_too() -> None:
    sequence = windowed(StepKind.AUTOMATED_EMAIL)
    due = enrolled(sequence, NOW - 2 * HOUR)  # at 16:00
    assert timers.try_later(due, sequence, NOW + 6 * HOUR + MINUTE, NOW + 6 * HOUR).due_at == NOW + 6 * HOUR + MINUTE
    assert timers.try_later(due, sequence, NOW + 10 * HOUR, NOW + 6 * HOUR).due_at == NOW + 23 * HOUR


def test_a_second_try_of_a_paused_recipient_waits_for_the_resume() -> None:
    sequence = windowed(StepKind.AUTOMATED_EMAIL)
    paused = holds.pause(enrolled(sequence, NOW - 8 * HOUR), sequence, NOW)
    later = timers.try_later(paused, sequence, NOW + 2 * HOUR, NOW)
    assert (later.status, later.due_at) == (Status.PAUSED, None)
    assert holds.resume(later, sequence, NOW + HOUR).due_at == NOW + 2 * HOUR
    assert holds.resume(later, sequence, NOW + 3 * HOUR).due_at == NOW + 3 * HOUR


def test_a_step_that_is_still_waiting_when_its_window_shuts_moves_to_the_next_opening() -> None:
    sequence = windowed(StepKind.AUTOMATED_EMAIL)
    due = enrolled(sequence, NOW - 2 * HOUR)  # at 16:00
    assert timers.put_off(due, sequence, NOW) == due  # not due yet
    assert timers.put_off(due, sequence, NOW + 6 * HOUR + MINUTE) == due
    moved = timers.put_off(due, sequence, NOW + 7 * HOUR)
    assert (moved.due_at, moved.due_kind) == (NOW + 23 * HOUR, StepKind.AUTOMATED_EMAIL)
    by_hand = enrolled(windowed(StepKind.TASK), NOW - 2 * HOUR)
    assert timers.put_off(by_hand, windowed(StepKind.TASK), NOW + 9 * HOUR) == by_hand


def test_whoever_waits_for_a_window_that_never_opens_comes_due_so_that_the_error_is_seen() -> None:
    years = frozenset(NOW.date() + timedelta(days=n) for n in range(-1, 900))
    sequence = plan(window=replace(NINE_TO_FIVE, blackout_dates=years))
    waiting = enrolled(sequence)
    assert (waiting.due_at, waiting.due_kind) == (NOW + DAY, StepKind.AUTOMATED_EMAIL)
    assert timers.is_shut_out(waiting, sequence)
    found = timers.put_off(waiting, sequence, NOW + DAY)
    assert (found.due_at, found.due_kind) == (None, None)
    assert not timers.is_shut_out(waiting, plan(window=NINE_TO_FIVE))


def test_the_window_is_read_in_the_recipients_zone_where_the_sequence_says_so() -> None:
    window = replace(NINE_TO_FIVE, use_recipient_time_zone=True)
    sequence = plan(window=window, wait=Wait(0, WaitUnit.MINUTES))
    assert enrolled(sequence, time_zone="America/New_York").due_at == datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
    assert enrolled(sequence, time_zone=None).due_at == NOW
    assert enrolled(sequence, time_zone="Mars/Olympus").due_at == NOW


def test_an_end_that_is_taken_back_moves_the_waits_beginning_by_as_long_as_it_was_ended() -> None:
    sequence = plan()
    ended = moves.end(enrolled(sequence), sequence, EndReason.REPLIED, NOW + HOUR)
    again = moves.take_back_end(ended, sequence, sequence.steps[0], NOW, NOW + 5 * HOUR)
    assert (again.status, again.wait_left, again.anchor_at) == (Status.PAUSED, 23 * HOUR, NOW + 4 * HOUR)
    resumed = holds.resume(again, sequence, NOW + 10 * HOUR)
    assert resumed.due_at == NOW + 33 * HOUR
    assert resumed.anchor_at is not None
    assert resumed.anchor_at + DAY == resumed.due_at, "counted anew, as after an edit, the wait ends at the same time"


# ---- a step before a person


def pending_email() -> tuple[Recipient, Plan]:
    sequence = plan(StepKind.MANUAL_EMAIL, StepKind.AUTOMATED_EMAIL)
    return moves.put_before_person(enrolled(sequence), sequence, PENDING, NOW + DAY), sequence


def test_a_step_before_a_person_has_no_clock() -> None:
    recipient, _ = pending_email()
    assert (recipient.status, recipient.begun, recipient.due_at) == (Status.PENDING_ACTION, True, None)


def test_a_paused_pending_action_comes_back() -> None:
    recipient, sequence = pending_email()
    paused = holds.pause(recipient, sequence, NOW + 2 * DAY)
    assert (paused.status, paused.pending_id) == (Status.PAUSED, PENDING)
    assert holds.resume(paused, sequence, NOW + 3 * DAY).status is Status.PENDING_ACTION


def test_a_chosen_time_is_kept_by_a_pause_unless_it_passes() -> None:
    recipient, sequence = pending_email()
    chosen = timers.settle(replace(recipient, scheduled_for=NOW + 3 * DAY), sequence, NOW + DAY)
    assert (chosen.status, chosen.due_at) == (Status.IN_PROGRESS, NOW + 3 * DAY)
    for hold, lift in ((holds.pause, holds.resume), (holds.hold_with_sequence, holds.release_with_sequence)):
        held = hold(chosen, sequence, NOW + DAY)
        assert (held.status, held.due_at) == (Status.PAUSED, None)
        in_time = lift(held, sequence, NOW + 2 * DAY)
        assert (in_time.status, in_time.due_at) == (Status.IN_PROGRESS, NOW + 3 * DAY)
        too_late = lift(held, sequence, NOW + 4 * DAY)
        assert (too_late.status, too_late.due_at) == (Status.PENDING_ACTION, None)
