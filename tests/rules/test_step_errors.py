import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.step_errors import (
    CATALOGUE,
    DETAIL_LENGTH_MAX,
    FixCode,
    StepErrorAction,
    StepErrorCode,
    available_error_actions,
    fix_sentence,
    sentence,
)

# Pasted from product.md section 4.
CODES = """
MAILBOX_DISCONNECTED, MAILBOX_CREDENTIALS_REFUSED, MAILBOX_SUSPENDED, MAILBOX_SERVER_UNREACHABLE, MAILBOX_CERTIFICATE_INVALID,
SENDER_NOT_ALLOWED, PROVIDER_LIMIT_REACHED, DOMAIN_NOT_AUTHENTICATED, EMAIL_MISSING, EMAIL_INVALID, EMAIL_BOUNCED_BEFORE,
MAILBOX_FULL, RECIPIENT_REFUSED_CONTENT, SOFT_BOUNCE_EXHAUSTED, PHONE_MISSING, PHONE_INVALID, VARIABLE_MISSING, TEMPLATE_INVALID,
CONTENT_EMPTY, MESSAGE_TOO_LARGE, THREAD_PARENT_MISSING, WINDOW_NEVER_OPENS, NO_MAILBOX, DELIVERY_UNCONFIRMED,
INTEGRATION_FAILED, INTERNAL_ERROR
"""  # noqa: E501

JARGON = re.compile(
    r"\bNone\b|(?i:\b(smtp|imap|dsn|rcpt|mx|tls|dns|spf|dkim|dmarc|liquid|template|render\w*|exception|null|nil|payload|"
    r"[245]xx|uuid|json|api|backoff|recipient|bounce[sd]? hard)\b)"
)
SNAKE_CASE = re.compile(r"\w_\w")
GAP = re.compile(r"[{}]|  |“”|\( ?\)| [.,;:]|^\s|\s$")

every_code = pytest.mark.parametrize("code", list(StepErrorCode))


def everything_said(code: StepErrorCode) -> list[str]:
    said = [
        sentence(code, mailbox_address=address, detail=detail)
        for address in (None, "", "jobs@example.com")
        for detail in (None, "", "  ", ".", "first name")
    ]
    return said + [fix_sentence(code, mailbox_address=address) for address in (None, "jobs@example.com")]


def test_the_catalogue_holds_exactly_the_errors_of_the_product() -> None:
    assert [code.value for code in StepErrorCode] == re.findall(r"\w+", CODES)
    assert list(CATALOGUE) == list(StepErrorCode)
    assert len(StepErrorCode) == 26


@every_code
def test_every_sentence_is_whole(code: StepErrorCode) -> None:
    for said in everything_said(code):
        assert re.match(r"[A-Z]", said), said
        assert said.endswith("."), said
        assert not said.endswith(".."), said
        assert not GAP.search(said), said


@every_code
def test_every_sentence_is_for_a_recruiter(code: StepErrorCode) -> None:
    for said in everything_said(code):
        # An administrator who must set these two up needs their names.
        words = said.replace("set up SPF and DKIM", "")
        assert not JARGON.search(words), said
        assert not SNAKE_CASE.search(said), said


@every_code
def test_a_known_mailbox_is_named_and_an_unknown_one_is_not_missed(code: StepErrorCode) -> None:
    definition = CATALOGUE[code]
    named = sentence(code, mailbox_address="jobs@example.com")
    assert ("the mailbox jobs@example.com" in named.replace("The mailbox", "the mailbox")) == (
        "{mailbox}" in definition.sentence
    )
    assert "@" not in sentence(code)


def test_the_detail_is_told_where_it_helps() -> None:
    assert sentence(StepErrorCode.VARIABLE_MISSING, detail="company") == (
        "The variable “company” has no value for this person and no default."
    )
    assert sentence(StepErrorCode.MAILBOX_DISCONNECTED, mailbox_address="jobs@example.com") == (
        "The mailbox jobs@example.com is disconnected, so nothing can be sent from it."
    )
    assert "“421 try again”" in sentence(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, detail="421 try\r\n  again. ")


@given(st.sampled_from(StepErrorCode), st.text(max_size=600), st.one_of(st.none(), st.just("jobs@example.com")))
def test_whatever_a_server_said_the_sentence_stays_one_line(code: StepErrorCode, detail: str, address: str) -> None:
    said = sentence(code, mailbox_address=address, detail=detail)
    assert said.splitlines() == [said]
    assert said.endswith(".")
    assert len(said) < DETAIL_LENGTH_MAX + 300


def test_braces_in_the_words_of_a_server_are_only_text() -> None:
    assert "{mailbox}" in sentence(StepErrorCode.MAILBOX_FULL, detail="{mailbox} over {quota}")


@every_code
def test_every_open_error_can_be_acted_upon_and_a_closed_one_cannot(code: StepErrorCode) -> None:
    expected: tuple[StepErrorAction, ...] = (StepErrorAction.RETRY,)
    if code is StepErrorCode.DELIVERY_UNCONFIRMED:
        expected = (StepErrorAction.CONFIRM_SENT, StepErrorAction.SEND_AGAIN)
    assert available_error_actions(code, open=True, recipient_ended=False) == expected
    assert available_error_actions(code, open=False, recipient_ended=False) == ()
    assert available_error_actions(code, open=True, recipient_ended=True) == ()
    assert available_error_actions(code, open=False, recipient_ended=True) == ()


@every_code
def test_while_it_is_held_it_can_only_be_said_what_became_of_a_message(code: StepErrorCode) -> None:
    unconfirmed = code is StepErrorCode.DELIVERY_UNCONFIRMED
    expected = (StepErrorAction.CONFIRM_SENT,) if unconfirmed else ()
    assert available_error_actions(code, open=True, recipient_ended=False, held=True) == expected
    assert available_error_actions(code, open=False, recipient_ended=False, held=True) == ()
    assert available_error_actions(code, open=True, recipient_ended=True, held=True) == ()


def test_only_an_unconfirmed_delivery_is_never_retried() -> None:
    assert [code for code in StepErrorCode if not CATALOGUE[code].retryable] == [StepErrorCode.DELIVERY_UNCONFIRMED]


def test_every_fix_is_suggested_by_some_error() -> None:
    assert {definition.fix for definition in CATALOGUE.values()} == set(FixCode)
