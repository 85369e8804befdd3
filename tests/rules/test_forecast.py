"""The schedule that is shown is the one that the engine then keeps."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest

from domain.rules import holds, moves, timers
from domain.rules.forecast import Assumption, DayOff, DayOffReason, Turn, forecast
from domain.rules.holidays import PublicHolidays
from domain.rules.lifecycle import EndReason
from domain.rules.plan import AUTOMATED_KINDS, Plan, SequenceStatus, Step, StepKind
from domain.rules.recipient import Recipient
from domain.rules.standing import WaitingReason
from domain.rules.timing import SendingWindow, Wait, WaitUnit
from tests.rules.recipient_facts import DAY, ERROR, HOUR, NINE_TO_FIVE, NOW, PENDING, enrolled, plan

MAILBOX, NUMBER = UUID(int=31), UUID(int=32)
EMAIL, TASK = StepKind.AUTOMATED_EMAIL, StepKind.TASK
CHRISTMAS = PublicHolidays("GB", None, date(2029, 12, 31), {date(2026, 12, 25): "Christmas Day"})


def times(recipient: Recipient, sequence: Plan, now: datetime = NOW) -> list[datetime | None]:
    return [step.at for step in forecast(recipient, sequence, now).steps]


def lived(recipient: Recipient, sequence: Plan, now: datetime, turn_at: datetime) -> list[datetime | None]:
    """Carry it through as the engine does: wait until it is due and the mailbox has its turn, look again, go on."""
    found: list[datetime | None] = []
    while not recipient.ended:
        step = sequence.step(recipient.current_step_id)
        assert step is not None
        assert recipient.due_at is not None
        now = max(now, recipient.due_at, turn_at if step.kind in AUTOMATED_KINDS else now)
        looked = timers.put_off(recipient, sequence, now)
        if looked.due_at is None:
            return [*found, None]
        if looked.due_at > now:
            recipient = looked
            continue
        found.append(now)
        recipient = moves.leave_step(recipient, sequence, now, now)
    return found


def random_plan(dice: random.Random) -> Plan:
    zone = dice.choice(("UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"))
    opens = dice.randrange(0, 23)
    window = SendingWindow(
        weekdays=frozenset(dice.sample(range(7), dice.randint(1, 7))),
        opens=time(opens),
        closes=time(dice.randrange(opens + 1, 24)),
        time_zone=zone,
        use_recipient_time_zone=dice.random() < 0.5,
        blackout_dates=frozenset(NOW.date() + timedelta(days=dice.randrange(60)) for _ in range(dice.randrange(20))),
        public_holidays=dice.choice((None, CHRISTMAS)),
    )
    steps = tuple(
        Step(
            id=UUID(int=number),
            position=number,
            kind=dice.choice((EMAIL, EMAIL, StepKind.MANUAL_EMAIL, TASK)),
            wait=Wait(dice.randrange(9), dice.choice(list(WaitUnit))),
        )
        for number in range(1, dice.randint(2, 7))
    )
    return plan(steps=steps, window=dice.choice((None, window)), time_zone=zone)


@pytest.mark.parametrize("seed", range(150))
def test_the_forecast_is_what_the_engine_then_does(seed: int) -> None:
    dice = random.Random(seed)
    sequence = random_plan(dice)
    zone = dice.choice((None, "Asia/Kolkata", "America/Sao_Paulo"))
    start_at = dice.choice((None, NOW + timedelta(hours=dice.randrange(200))))
    recipient = enrolled(sequence, NOW, time_zone=zone, start_at=start_at, mailbox_id=MAILBOX)
    turn_at = NOW + timedelta(hours=dice.randrange(-5, 30))
    shown = forecast(recipient, sequence, NOW, {MAILBOX: Turn(turn_at, WaitingReason.DAILY_LIMIT)})
    assert [step.at for step in shown.steps] == lived(recipient, sequence, NOW, turn_at)
    later = [at for at in (step.at for step in shown.steps) if at is not None]
    assert later == sorted(later)
    for step in shown.steps:
        assert step.at is None or step.at >= step.wait_ends_at
        assert bool(step.moved_by) == (step.at != step.wait_ends_at)


def test_it_says_what_moved_a_step_and_over_which_days() -> None:
    window = replace(
        NINE_TO_FIVE, public_holidays=CHRISTMAS, blackout_dates=frozenset({date(2026, 12, 24), date(2026, 12, 26)})
    )
    sequence = plan(EMAIL, EMAIL, window=window)
    evening = datetime(2026, 12, 22, 18, tzinfo=UTC)
    first, second = forecast(enrolled(sequence, evening), sequence, evening).steps
    assert (first.wait_ends_at, first.moved_by) == (evening + DAY, (WaitingReason.OUTSIDE_WINDOW,))
    assert first.at == datetime(2026, 12, 28, 9, tzinfo=UTC)
    assert first.days_off == (
        DayOff(date(2026, 12, 24), DayOffReason.BLACKOUT_DATE, None),
        DayOff(date(2026, 12, 25), DayOffReason.PUBLIC_HOLIDAY, "Christmas Day"),
        DayOff(date(2026, 12, 26), DayOffReason.WEEKDAY, None),
        DayOff(date(2026, 12, 27), DayOffReason.WEEKDAY, None),
    )
    assert (second.at, second.moved_by, second.days_off) == (datetime(2026, 12, 29, 9, tzinfo=UTC), (), ())


def test_what_holds_the_next_step_is_said_and_the_later_ones_count_from_there() -> None:
    sequence = plan()
    away = enrolled(sequence, out_of_office_until=NOW + 5 * DAY, mailbox_id=MAILBOX)
    turn = Turn(NOW + 6 * DAY, WaitingReason.DAILY_LIMIT)
    first, *later = forecast(away, sequence, NOW, {MAILBOX: turn}).steps
    assert (first.wait_ends_at, first.at) == (NOW + DAY, NOW + 6 * DAY)
    assert first.moved_by == (WaitingReason.OUT_OF_OFFICE, WaitingReason.DAILY_LIMIT)
    assert [(step.at, step.moved_by) for step in later] == [(NOW + 7 * DAY, ()), (NOW + 8 * DAY, ())]
    capped = enrolled(sequence, paced_until=NOW + 2 * DAY, frequency_capped=True)
    assert forecast(capped, sequence, NOW).steps[0].moved_by == (WaitingReason.FREQUENCY_CAP,)


def test_each_message_waits_for_the_turn_of_its_own_mailbox_which_may_be_unable_to_send() -> None:
    sequence = plan(StepKind.SMS, EMAIL, EMAIL)
    both = enrolled(sequence, mailbox_id=MAILBOX, sms_mailbox_id=NUMBER)
    turns = {
        NUMBER: Turn(NOW + 2 * DAY, WaitingReason.MINIMUM_GAP),
        MAILBOX: Turn(NOW + 5 * DAY, WaitingReason.DAILY_LIMIT),
    }
    shown = forecast(both, sequence, NOW, turns)
    assert [step.at for step in shown.steps] == [NOW + 2 * DAY, NOW + 5 * DAY, NOW + 6 * DAY]
    assert shown.assumptions == ()
    for silent in (NUMBER, MAILBOX):
        assert forecast(both, sequence, NOW, turns, {silent}).assumptions == (Assumption.MAILBOX_SENDS,)


def test_what_stands_still_is_shown_as_if_it_went_on_now() -> None:
    sequence = plan(EMAIL, TASK, EMAIL)
    begun = enrolled(sequence)
    paused = holds.pause(begun, sequence, NOW + HOUR)
    later = NOW + 3 * DAY
    shown = forecast(paused, sequence, later)
    assert [step.at for step in shown.steps] == [later + 23 * HOUR + n * DAY for n in range(3)]
    assert shown.assumptions == (Assumption.RESUMED_NOW, Assumption.PERSON_ACTS_AT_ONCE)
    asleep = replace(sequence, status=SequenceStatus.PAUSED)
    held = holds.hold_with_sequence(begun, asleep, NOW + HOUR)
    assert forecast(held, asleep, later).steps == shown.steps
    draft = replace(sequence, status=SequenceStatus.DRAFT)
    unborn = forecast(enrolled(draft), draft, later)
    assert [step.at for step in unborn.steps] == [later + n * DAY for n in (1, 2, 3)]
    assert unborn.assumptions == (Assumption.ACTIVATED_NOW, Assumption.PERSON_ACTS_AT_ONCE)
    failed = moves.fail(begun, sequence, ERROR, NOW + DAY)
    shown = forecast(failed, sequence, later)
    assert [step.at for step in shown.steps] == [later, later + DAY, later + 2 * DAY]
    assert Assumption.RETRIED_NOW in shown.assumptions


def test_a_step_before_a_person_is_due_now_and_a_released_email_at_the_chosen_time() -> None:
    sequence = plan(StepKind.MANUAL_EMAIL, EMAIL, window=NINE_TO_FIVE)
    pending = moves.put_before_person(enrolled(sequence), sequence, PENDING, NOW + DAY)
    assert times(pending, sequence, NOW + DAY + HOUR) == [NOW + DAY + HOUR, NOW + 2 * DAY + HOUR]
    midnight = datetime(2026, 11, 25, tzinfo=UTC)
    released = moves.release(pending, sequence, midnight, NOW + DAY)
    shown = forecast(released, sequence, NOW + DAY)
    assert [step.at for step in shown.steps] == [midnight, midnight + DAY + 9 * HOUR]
    assert shown.assumptions == ()


def test_nothing_lies_before_one_that_has_ended_and_nothing_behind_a_window_that_never_opens() -> None:
    sequence = plan(EMAIL, EMAIL)
    assert times(moves.end(enrolled(sequence), sequence, EndReason.STOPPED, NOW), sequence) == []
    years = frozenset(NOW.date() + timedelta(days=n) for n in range(-1, 900))
    shut = plan(EMAIL, EMAIL, window=replace(NINE_TO_FIVE, blackout_dates=years))
    (never,) = forecast(enrolled(shut), shut, NOW).steps
    assert (never.at, never.moved_by, len(never.days_off)) == (None, (WaitingReason.BLACKOUT_DATE,), 31)
