from dataclasses import fields
from itertools import product

import pytest

from domain.rules.lifecycle import (
    ACTIONS,
    ENDED,
    ENDS,
    MEANING,
    OPEN,
    SIGNALS,
    Action,
    Effect,
    EndReason,
    Facts,
    Signal,
    Stage,
    Status,
    available_actions,
    stage_of,
    status_of,
    unavailable_reason,
)
from tests.rules import product_tables as law

every_status = pytest.mark.parametrize("status", list(Status))
every_action = pytest.mark.parametrize("action", list(Action))
whether_the_sequence_is_paused = pytest.mark.parametrize("sequence_paused", [False, True])


def law_allows(status: Status, action: Action, sequence_paused: bool) -> bool:
    if sequence_paused and status.value in law.names(law.OPEN):
        return action.value in law.names(law.WHILE_THE_SEQUENCE_IS_PAUSED)
    return law.allowed_actions()[status.value, action.value]


def test_the_statuses_are_those_of_the_product_and_end_where_it_says() -> None:
    assert [status.value for status in Status] == [row[0] for row in law.rows(law.STATUSES)]
    assert {status.value for status in ENDED} == {row[0] for row in law.rows(law.STATUSES) if row[2] == "ends"}
    assert {status.value for status in OPEN} == set(law.names(law.OPEN))
    assert set(MEANING) == set(Status)


def test_the_actions_are_those_of_the_product_in_its_order() -> None:
    assert [action.value for action in Action] == law.head(law.ACTIONS)[1:]
    assert set(law.allowed_actions()) == {(status.value, action.value) for status in Status for action in Action}


@every_status
@every_action
@whether_the_sequence_is_paused
def test_an_action_is_available_exactly_where_the_product_says(
    status: Status, action: Action, sequence_paused: bool
) -> None:
    available = available_actions(status, sequence_paused=sequence_paused)
    assert (action in available) is law_allows(status, action, sequence_paused)


@every_status
@whether_the_sequence_is_paused
def test_available_actions_come_in_the_order_of_the_enum(status: Status, sequence_paused: bool) -> None:
    available = available_actions(status, sequence_paused=sequence_paused)
    assert list(available) == [action for action in Action if action in available]


@every_status
@every_action
@whether_the_sequence_is_paused
def test_one_sentence_says_why_exactly_when_an_action_is_off(
    status: Status, action: Action, sequence_paused: bool
) -> None:
    reason = unavailable_reason(action, status, sequence_paused=sequence_paused)
    if law_allows(status, action, sequence_paused):
        assert reason is None
    else:
        assert reason is not None
        assert reason[0].isupper()
        assert reason.endswith(".")
        assert "{" not in reason
        assert "_" not in reason


def test_every_status_has_a_row_of_actions() -> None:
    assert set(ACTIONS) == set(Status)


def test_the_signals_are_the_rows_of_the_product() -> None:
    assert [signal.value for signal in Signal] == law.SIGNAL_NAMES
    assert len(law.rows(law.SIGNALS)) == len(Signal)


def test_every_status_says_what_every_signal_does_to_it() -> None:
    assert set(SIGNALS) == set(Signal)
    assert all(set(row) == set(Status) for row in SIGNALS.values())


@every_status
@pytest.mark.parametrize("signal", list(Signal))
def test_a_signal_does_exactly_what_the_product_says(signal: Signal, status: Status) -> None:
    expected = law.signal_effects()[signal.value, status.value]
    effect = SIGNALS[signal][status]
    reason = effect.end_reason
    leads_to = ENDS[reason] if reason else (Status.ERROR if effect is Effect.OPEN_ERROR else None)
    assert (leads_to and leads_to.value, reason and reason.value) == (expected.status, expected.reason)
    assert (effect is Effect.NOTE_REPLY) is expected.reply_noted
    assert (effect is Effect.TRY_LATER) is expected.tried_later
    assert (effect is Effect.CARRY_OUT) is expected.carried_out


def test_no_effect_stands_in_the_rules_without_being_used() -> None:
    assert {effect for row in SIGNALS.values() for effect in row.values()} == set(Effect)


def test_every_end_reason_leads_to_its_status() -> None:
    assert [reason.value for reason in EndReason] == law.names(law.END_REASONS)
    assert {reason.value: status.value for reason, status in ENDS.items()} == {
        "COMPLETED": "COMPLETED",
        "REPLIED": "REPLIED",
        "COMPANY_REPLIED": "STOPPED",
        "STOPPED": "STOPPED",
        "UNSUBSCRIBED": "UNSUBSCRIBED",
        "SUPPRESSED": "UNSUBSCRIBED",
        "COMPLAINED": "UNSUBSCRIBED",
        "BOUNCED": "BOUNCED",
    }


def expected_status(facts: Facts) -> str:
    # "ended → its end; a pause flag up → PAUSED; an open step error → ERROR; an open, unscheduled pending action →
    # PENDING_ACTION; otherwise SCHEDULED or IN_PROGRESS."
    ordered = [
        (facts.end_reason is not None, facts.end_reason and ENDS[facts.end_reason].value),
        (facts.paused_by_recipient, "PAUSED"),
        (facts.paused_by_sequence, "PAUSED"),
        (facts.error_open, "ERROR"),
        (facts.action_pending, "PENDING_ACTION"),
        (facts.begun, "IN_PROGRESS"),
        (True, "SCHEDULED"),
    ]
    return next(str(status) for holds, status in ordered if holds)


def test_the_status_is_the_first_fact_that_holds_over_all_combinations() -> None:
    flags = list(product([False, True], repeat=5))
    combinations = [Facts(reason, *five) for reason in (None, *EndReason) for five in flags]
    assert len(combinations) == 9 * 32
    assert len(fields(Facts)) == 6
    for facts in combinations:
        assert status_of(facts).value == expected_status(facts), facts
    assert {status_of(facts) for facts in combinations} == set(Status)


@every_status
@pytest.mark.parametrize("contacted", [False, True])
def test_the_stage_is_the_row_of_the_product_that_fits(status: Status, contacted: bool) -> None:
    when = dict(law.rows(law.STAGES))
    named = [stage for stage in ("FINISHED", "ERROR") if status.value in law.names(when[stage])]
    expected = named[0] if named else ("IN_PROGRESS" if contacted else "SCHEDULED")
    assert stage_of(status, contacted=contacted).value == expected
    assert [stage.value for stage in Stage] == list(when)
