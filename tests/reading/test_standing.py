"""What is said about a recipient at the moment of reading: the reason, the promise, the sentence."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.rules.guardrails import FROM_MAILBOX
from domain.rules.holidays import PublicHolidays
from domain.rules.lifecycle import ENDS, Action, EndReason, Status
from domain.rules.meanings import END_REASON
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.standing import (
    PausedBy,
    Situation,
    View,
    WaitingReason,
    actions_of,
    next_attempt_at,
    paused_by,
    view_of,
    waiting_reason,
)
from domain.rules.status_messages import spoken_time, status_message
from domain.rules.timing import END_OF_DAY, SendingWindow
from tests.world import HOLD

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)  # Monday, 22:00 in Paris
NINE = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)  # Tuesday, 09:00 in Paris
AN_HOUR = timedelta(hours=1)

DUE = Situation(
    now=NOW,
    status=Status.IN_PROGRESS,
    end_reason=None,
    paused_by=None,
    sequence_status=SequenceStatus.ACTIVE,
    window=None,
    zone=PARIS,
    step_number=2,
    step_kind=StepKind.AUTOMATED_EMAIL,
    wait_ends_at=NOW - AN_HOUR,
    due_at=NOW - AN_HOUR,
    mailbox_state="CONNECTED",
    mailbox_turn_at=NOW - AN_HOUR,
)


def office_hours(*blackout_dates: date) -> SendingWindow:
    closes = END_OF_DAY if blackout_dates else time(17)
    return SendingWindow(frozenset(range(5)), time(9), closes, "Europe/Paris", blackout_dates=frozenset(blackout_dates))


WAITING: dict[WaitingReason, tuple[Situation, str, datetime | None]] = {
    WaitingReason.WAIT: (
        replace(DUE, wait_ends_at=NINE, due_at=NINE),
        "Waiting until Tue 24 Nov 09:00 Paris time for step 2.",
        NINE,
    ),
    WaitingReason.OUTSIDE_WINDOW: (
        replace(DUE, window=office_hours(), due_at=NINE),
        "Waiting for the sending window to open; step 2 follows Tue 24 Nov 09:00 Paris time.",
        NINE,
    ),
    WaitingReason.BLACKOUT_DATE: (
        replace(DUE, window=office_hours(date(2026, 11, 23)), due_at=NINE),
        "Nothing goes out on this date; step 2 follows Tue 24 Nov 09:00 Paris time.",
        NINE,
    ),
    WaitingReason.DAILY_LIMIT: (
        replace(DUE, mailbox_turn_at=NINE, mailbox_held_back_by="DAILY_LIMIT"),
        "The mailbox has reached its daily limit; step 2 goes out Tue 24 Nov 09:00 Paris time or later.",
        NINE,
    ),
    WaitingReason.MINIMUM_GAP: (
        replace(DUE, mailbox_turn_at=NOW + timedelta(seconds=20), mailbox_held_back_by="MINIMUM_GAP"),
        "Step 2 is due; the mailbox keeps its gap between two messages.",
        NOW + timedelta(seconds=20),
    ),
    WaitingReason.MAILBOX_BACKOFF: (
        replace(DUE, mailbox_turn_at=NINE, mailbox_held_back_by="MAILBOX_BACKOFF", mailbox_throttled=True),
        "The mail provider asked to slow down; step 2 goes out Tue 24 Nov 09:00 Paris time or later.",
        NINE,
    ),
    WaitingReason.RETRY_BACKOFF: (
        replace(DUE, retry_at=NINE, due_at=NINE),
        "The other side asked to try later; step 2 is tried again Tue 24 Nov 09:00 Paris time.",
        NINE,
    ),
    WaitingReason.GUARDRAIL: (
        replace(DUE, mailbox_state="HELD", mailbox_turn_at=NINE, held=HOLD.message(FROM_MAILBOX)),
        "Sending from the mailbox is held: 4 of the last 60 messages bounced (6.67 %, more than 5 %). "
        "Whoever may change mailboxes can release it (guardrailRelease).",
        None,
    ),
    WaitingReason.OUT_OF_OFFICE: (
        replace(DUE, out_of_office_until=NINE),
        "The person is away; step 2 goes out Tue 24 Nov 09:00 Paris time or later.",
        NINE,
    ),
    WaitingReason.SEND_SCHEDULED: (
        replace(DUE, step_kind=StepKind.MANUAL_EMAIL, wait_ends_at=None, scheduled_for=NINE, due_at=NINE),
        "The email of step 2 goes out Tue 24 Nov 09:00 Paris time, the time a person chose.",
        NINE,
    ),
    WaitingReason.SEQUENCE_NOT_ACTIVE: (
        replace(DUE, status=Status.SCHEDULED, sequence_status=SequenceStatus.DRAFT, wait_ends_at=None, due_at=None),
        "Waits start when the sequence is activated.",
        None,
    ),
    WaitingReason.BEING_SENT: (
        replace(DUE, being_sent=True),
        "The message of step 2 is being sent right now.",
        NOW - AN_HOUR,
    ),
}


def test_a_public_holiday_is_called_by_its_name() -> None:
    named = PublicHolidays("FR", None, date(2029, 12, 31), {date(2026, 11, 23): "Fête {0}"})
    at_home = replace(DUE, window=replace(office_hours(), closes=END_OF_DAY, public_holidays=named), due_at=NINE)
    assert waiting_reason(at_home) is WaitingReason.BLACKOUT_DATE
    sentence = "Nothing goes out on this public holiday (Fête {0}); step 2 follows Tue 24 Nov 09:00 Paris time."
    assert status_message(at_home) == sentence


@pytest.mark.parametrize("reason", WAITING)
def test_a_waiting_recipient_says_why_and_until_when(reason: WaitingReason) -> None:
    situation, sentence, promised_at = WAITING[reason]
    assert waiting_reason(situation) is reason
    assert status_message(situation) == sentence
    assert next_attempt_at(situation) == promised_at


def test_a_mail_server_that_is_not_there_did_not_ask_for_anything() -> None:
    away = replace(DUE, mailbox_turn_at=NINE, mailbox_held_back_by="MAILBOX_BACKOFF")
    said = "The mail server cannot be reached; step 2 is tried again Tue 24 Nov 09:00 Paris time or later."
    assert status_message(away) == said


def test_one_that_is_due_and_has_its_turn_waits_for_nothing() -> None:
    assert waiting_reason(DUE) is None
    assert status_message(DUE) == "Step 2 is due and goes out at the mailbox's next turn."
    task = replace(DUE, step_kind=StepKind.TASK, mailbox_state="HELD", held="Held.", out_of_office_until=NINE)
    assert waiting_reason(task) is None
    assert next_attempt_at(task) == task.due_at
    assert status_message(task) == "Step 2 is due and is being put before a person."
    for state, words in ((None, "there is no mailbox to send from"), ("DISCONNECTED", "its mailbox is disconnected")):
        lost = replace(DUE, mailbox_state=state)
        assert status_message(lost) == f"Step 2 is due, and {words}."


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.SCHEDULED, Status.IN_PROGRESS)])
def test_whoever_does_not_wait_has_no_reason_and_no_promise(status: Status) -> None:
    for situation, _, _ in WAITING.values():
        still = replace(situation, status=status)
        assert (waiting_reason(still), next_attempt_at(still)) == (None, None)


@pytest.mark.parametrize("reason", EndReason)
def test_an_ended_one_says_how_it_ended(reason: EndReason) -> None:
    assert status_message(replace(DUE, status=ENDS[reason], end_reason=reason)) == END_REASON[reason]


def test_held_pending_and_failed_ones_say_so() -> None:
    by_hand = replace(DUE, status=Status.PAUSED, paused_by=PausedBy.RECIPIENT)
    assert status_message(by_hand) == "Paused by a person."
    assert status_message(replace(by_hand, paused_by=PausedBy.SEQUENCE)) == "The sequence is paused."
    pending = replace(DUE, status=Status.PENDING_ACTION, step_kind=StepKind.TASK)
    assert status_message(pending) == "The task of step 2 waits for a person."
    mail = replace(pending, step_kind=StepKind.MANUAL_EMAIL)
    assert status_message(mail) == "The email of step 2 waits for a person."
    failed = replace(DUE, status=Status.ERROR, error_message="This person has no email address.")
    assert status_message(failed) == "Step 2 failed: This person has no email address."
    assert status_message(replace(failed, step_number=None)).startswith("The next step failed")


def test_the_status_leads_where_something_can_be_done() -> None:
    assert view_of(Status.ERROR, None) is View.ERRORS
    assert view_of(Status.PENDING_ACTION, StepKind.TASK) is View.TASK
    assert view_of(Status.PENDING_ACTION, StepKind.MANUAL_EMAIL) is View.EMAIL
    assert {view_of(status, None) for status in set(Status) - {Status.ERROR, Status.PENDING_ACTION}} == {None}


def test_the_pause_of_the_sequence_is_named_before_the_recipients_own() -> None:
    assert paused_by(Status.PAUSED, by_sequence=True) is PausedBy.SEQUENCE
    assert paused_by(Status.PAUSED, by_sequence=False) is PausedBy.RECIPIENT
    assert paused_by(Status.SCHEDULED, by_sequence=False) is None


def test_all_six_actions_are_listed_with_a_reason_where_they_are_off() -> None:
    for status in Status:
        for paused in (False, True):
            listed = actions_of(status, paused)
            assert [entry.action for entry in listed] == list(Action)
            assert all((entry.unavailable_reason is None) == entry.available for entry in listed)


def test_times_are_spoken_in_the_zone_they_are_meant_in() -> None:
    assert spoken_time(NINE, PARIS) == "Tue 24 Nov 09:00 Paris time"
    assert spoken_time(NINE, ZoneInfo("America/New_York")) == "Tue 24 Nov 03:00 New York time"
    assert spoken_time(NINE, ZoneInfo("UTC")) == "Tue 24 Nov 08:00 UTC"
