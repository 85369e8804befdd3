import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.step_errors import (
    CATALOGUE,
    DETAIL_LENGTH_MAX,
    ClearedBy,
    FixCode,
    FixTarget,
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


# Where the cause lies with others, who do not say when they change their mind.
UNSEEN = """
SENDER_NOT_ALLOWED PROVIDER_LIMIT_REACHED DOMAIN_NOT_AUTHENTICATED MAILBOX_FULL RECIPIENT_REFUSED_CONTENT
SOFT_BOUNCE_EXHAUSTED INTEGRATION_FAILED INTERNAL_ERROR
"""


def offered(
    code: StepErrorCode, *, gone: bool, open: bool = True, ended: bool = False, held: bool = False
) -> list[str]:
    actions = available_error_actions(code, open=open, recipient_ended=ended, cause_gone=gone, held=held)
    return [str(action) for action in actions]


@every_code
def test_a_retry_is_offered_when_the_cause_is_gone_or_only_a_retry_can_find_out(code: StepErrorCode) -> None:
    if code is StepErrorCode.DELIVERY_UNCONFIRMED:
        assert offered(code, gone=True) == offered(code, gone=False) == ["CONFIRM_SENT", "SEND_AGAIN"]
        return
    assert offered(code, gone=True) == ["RETRY"]
    assert offered(code, gone=False) == (["RETRY"] if code in UNSEEN.split() else [])


@every_code
def test_a_closed_error_and_one_of_an_ended_recipient_offer_nothing(code: StepErrorCode) -> None:
    for gone in (True, False):
        assert offered(code, gone=gone, open=False) == offered(code, gone=gone, ended=True) == []


@every_code
def test_while_it_is_held_it_can_only_be_said_what_became_of_a_message(code: StepErrorCode) -> None:
    expected = ["CONFIRM_SENT"] if code is StepErrorCode.DELIVERY_UNCONFIRMED else []
    assert offered(code, gone=True, held=True) == expected
    assert offered(code, gone=True, held=True, open=False) == offered(code, gone=True, held=True, ended=True) == []


@every_code
def test_what_nobody_sees_go_can_always_be_tried(code: StepErrorCode) -> None:
    if CATALOGUE[code].cleared_by is ClearedBy.NOT_SEEN:
        assert CATALOGUE[code].retry_finds_out


def test_only_an_unconfirmed_delivery_is_never_retried() -> None:
    assert [code for code in StepErrorCode if not CATALOGUE[code].retryable] == [StepErrorCode.DELIVERY_UNCONFIRMED]


def test_every_fix_is_suggested_by_some_error() -> None:
    of_refusals = {FixCode.CHECK_SEQUENCE, FixCode.RELEASE_GUARDRAIL}  # of what is asked before anything fails
    assert {definition.fix for definition in CATALOGUE.values()} == set(FixCode) - of_refusals


def test_the_errors_of_a_number_speak_of_its_provider_and_of_no_mail() -> None:
    for code in (c for c in StepErrorCode if CATALOGUE[c].target is FixTarget.MAILBOX):
        words = sentence(code, mailbox_address="+14155550100") + fix_sentence(code, mailbox_address="+14155550100")
        assert "mailbox" not in words
        assert "mail server" not in words
    said = sentence(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, mailbox_address="+14155550100")
    assert said == "The provider of the number +14155550100 cannot be reached."
    said = sentence(StepErrorCode.SENDER_NOT_ALLOWED, mailbox_address="jobs@example.com")
    assert said == "The mail server does not accept the mailbox jobs@example.com as the sender."
