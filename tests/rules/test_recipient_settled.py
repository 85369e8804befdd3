"""What holds after `settle`, whatever the facts were. The database refuses some of the rest by CHECKs."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.rules.lifecycle import ENDED, EndReason, Status, status_of
from domain.rules.plan import Plan, SequenceStatus, StepKind
from domain.rules.recipient import Recipient
from domain.rules.timers import settle
from domain.rules.timing import Wait, WaitUnit
from tests.rules.recipient_facts import ERROR, FIRST, NINE_TO_FIVE, NOW, PENDING, SECOND, fresh, plan

spans = st.timedeltas(timedelta(0), timedelta(days=30))
instants = st.timedeltas(timedelta(days=-30), timedelta(days=30)).map(lambda span: NOW + span)
plans = st.builds(
    lambda kinds, status, window, amount, unit: plan(*kinds, status=status, window=window, wait=Wait(amount, unit)),
    st.tuples(st.sampled_from(StepKind), st.sampled_from(StepKind)),
    st.sampled_from(SequenceStatus),
    st.sampled_from([None, NINE_TO_FIVE]),
    st.integers(0, 10),
    st.sampled_from(WaitUnit),
)
zones = st.sampled_from([None, "Europe/Paris", "Asia/Kolkata"])


@st.composite
def recipients(draw: st.DrawFn) -> Recipient:
    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    times = ("paused_at", "sequence_paused_at", "scheduled_for", "start_at", "anchor_at", "wait_ends_at", "due_at")
    facts = {name: maybe(instants) for name in (*times, "retry_at", "deleted_at")}
    end_reason = maybe(st.sampled_from(EndReason))
    return fresh(
        **facts,
        end_reason=end_reason,
        ended_at=NOW if end_reason else None,
        error_id=maybe(st.just(ERROR)),
        pending_id=maybe(st.just(PENDING)),
        begun=draw(st.booleans()),
        current_step_id=maybe(st.sampled_from([FIRST, SECOND])),
        wait_left=maybe(spans),
        due_kind=maybe(st.sampled_from(StepKind)),
        time_zone=draw(zones),
    )


@given(recipients(), plans, instants)
def test_settling_twice_changes_nothing_more(recipient: Recipient, sequence: Plan, now: Any) -> None:
    once = settle(recipient, sequence, now)
    assert settle(once, sequence, now) == once


@given(recipients(), plans, instants, instants)
def test_a_settled_recipient_can_be_settled_again_later_without_moving(
    recipient: Recipient, sequence: Plan, now: Any, later: Any
) -> None:
    once = settle(recipient, sequence, now)
    assert settle(once, sequence, max(now, later)) == once


@given(recipients(), plans, instants)
def test_a_due_time_and_its_queue_come_together(recipient: Recipient, sequence: Plan, now: Any) -> None:
    settled = settle(recipient, sequence, now)
    assert (settled.due_at is None) == (settled.due_kind is None)
    if settled.due_kind is not None:
        step = sequence.step(settled.current_step_id)
        assert step is not None
        released = settled.pending_id is not None and settled.scheduled_for is not None
        assert settled.due_kind is (StepKind.AUTOMATED_EMAIL if released else step.kind)


@given(recipients(), plans, instants)
def test_what_must_not_go_on_has_no_due_time(recipient: Recipient, sequence: Plan, now: Any) -> None:
    settled = settle(recipient, sequence, now)
    unscheduled = settled.pending_id is not None and settled.scheduled_for is None
    stands = settled.ended or settled.held or settled.deleted_at or settled.error_id or unscheduled
    if stands or settled.status in ENDED | {Status.PAUSED, Status.ERROR, Status.PENDING_ACTION}:
        assert settled.due_at is None
        assert settled.wait_ends_at is None
    if settled.ended or settled.deleted_at:
        assert settled.wait_left is None


@given(recipients(), plans, instants)
def test_settling_moves_timers_and_never_the_status(recipient: Recipient, sequence: Plan, now: Any) -> None:
    settled = settle(recipient, sequence, now)
    assert settled.facts == recipient.facts
    assert settled.status is status_of(settled.facts)


@given(recipients(), plans, instants)
def test_a_clock_runs_or_stands_but_never_both(recipient: Recipient, sequence: Plan, now: Any) -> None:
    settled = settle(recipient, sequence, now)
    assert settled.wait_ends_at is None or settled.wait_left is None
    if settled.due_at is not None and settled.wait_ends_at is not None:
        assert settled.due_at >= settled.wait_ends_at
        assert settled.retry_at is None or settled.due_at >= settled.retry_at
