"""Every row of the classification of SMTP replies, pasted as data, and the patience with each kind of delay."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.smtp_replies import (
    ERROR_WHEN_PATIENCE_IS_OUT,
    Later,
    LaterReason,
    MailboxBroken,
    Outcome,
    Refused,
    Sent,
    Stage,
    Unknown,
    classify,
    retry_after,
)

CONNECT, GREETING, TLS, AUTH = Stage.CONNECT, Stage.GREETING, Stage.TLS, Stage.AUTH
MAIL, RCPT, DATA, DOT = Stage.MAIL_FROM, Stage.RCPT_TO, Stage.DATA, Stage.DOT
TRANSPORT, THROTTLED, GREYLISTED = LaterReason.TRANSPORT, LaterReason.THROTTLED, LaterReason.GREYLISTED
FULL, SOFT = LaterReason.MAILBOX_FULL, LaterReason.SOFT
BOUNCED, CONTENT, TOO_LARGE = "bounced", "RECIPIENT_REFUSED_CONTENT", "MESSAGE_TOO_LARGE"
UNREACHED = "SOFT_BOUNCE_EXHAUSTED"
UNPROVEN, SENDER = "DOMAIN_NOT_AUTHENTICATED", "SENDER_NOT_ALLOWED"

# (stages, code, text, what it means): a LaterReason, "bounced", the code of a refusal, or ("mailbox", code)
TABLE: list[tuple[tuple[Stage, ...], int | None, str, object]] = [
    # connect, greeting | refused, timeout, 421, 4xx | transport
    ((CONNECT,), None, "Connection refused", TRANSPORT),
    ((GREETING,), None, "Timed out", TRANSPORT),
    ((GREETING,), 421, "4.3.2 too many connections", TRANSPORT),
    ((GREETING,), 450, "later", TRANSPORT),
    # greeting | 554 5.3.2 / 5.7.x, 521 | mailbox blocked
    ((GREETING,), 554, "5.3.2 no SMTP service for you", ("mailbox", "MAILBOX_SUSPENDED")),
    ((GREETING,), 554, "5.7.1 your address is listed", ("mailbox", "MAILBOX_SUSPENDED")),
    ((GREETING,), 521, "this host does not accept mail", ("mailbox", "MAILBOX_SUSPENDED")),
    ((GREETING,), 550, "what", ("mailbox", "MAILBOX_SERVER_UNREACHABLE")),
    # TLS | handshake or certificate fails | mailbox config; never plain text
    ((TLS,), None, "certificate verify failed", ("mailbox", "MAILBOX_CERTIFICATE_INVALID")),
    ((TLS,), 501, "5.5.4 no TLS today", ("mailbox", "MAILBOX_CERTIFICATE_INVALID")),
    ((TLS,), 454, "4.7.0 TLS not available due to temporary reason", TRANSPORT),
    # AUTH | 535 5.7.8, 534 5.7.9, 530 5.7.0, 538, XOAUTH2 400/401 | mailbox disconnected; 454 4.7.0 retry
    ((AUTH,), 535, "5.7.8 Username and password not accepted", ("mailbox", "MAILBOX_CREDENTIALS_REFUSED")),
    ((AUTH,), 534, "5.7.9 Application-specific password required", ("mailbox", "MAILBOX_CREDENTIALS_REFUSED")),
    ((AUTH, MAIL, RCPT), 530, "5.7.0 Authentication required", ("mailbox", "MAILBOX_DISCONNECTED")),
    ((AUTH, MAIL), 538, "5.7.11 Encryption required", ("mailbox", "MAILBOX_DISCONNECTED")),
    ((AUTH,), 400, '{"status":"400","schemes":"Bearer"}', ("mailbox", "MAILBOX_DISCONNECTED")),
    ((AUTH,), 401, '{"status":"401"}', ("mailbox", "MAILBOX_DISCONNECTED")),
    ((AUTH, MAIL), 554, "5.7.7 Your account has been suspended", ("mailbox", "MAILBOX_SUSPENDED")),
    ((AUTH,), 454, "4.7.0 Temporary authentication failure", TRANSPORT),
    ((AUTH,), 421, "4.7.0 Try again later", TRANSPORT),
    # MAIL FROM | 5.1.7, 5.1.8, 553, send-as denied (5.7.60, 5.2.252) | mailbox config
    ((MAIL,), 550, "5.1.7 Invalid address", ("mailbox", SENDER)),
    ((MAIL,), 501, "5.1.8 Bad sender", ("mailbox", SENDER)),
    ((MAIL,), 553, "sorry, that domain is not yours", ("mailbox", SENDER)),
    ((MAIL, RCPT, DOT), 550, "5.7.60 Client does not have permissions to send as this sender", ("mailbox", SENDER)),
    ((MAIL, DOT), 554, "5.2.252 SendAsDenied; a@b not allowed to send as c@d", ("mailbox", SENDER)),
    ((RCPT,), 553, "5.7.1 <a@b>: Sender address rejected: not owned by user c", ("mailbox", SENDER)),
    ((MAIL,), 552, "5.3.4 Message size exceeds fixed limit", TOO_LARGE),
    ((MAIL,), 550, "no", SENDER),
    # MAIL, RCPT, dot | throttle, although some are 5xx
    ((MAIL, RCPT, DOT), 421, "4.7.0 Try again later, closing connection", THROTTLED),
    ((MAIL, DOT), 451, "4.7.1 Slow down", THROTTLED),
    ((MAIL, RCPT, DOT), 450, "4.7.28 Unusual rate of mail", THROTTLED),
    ((RCPT,), 451, "4.7.1 Rate limit exceeded", THROTTLED),
    ((MAIL, RCPT, DOT), 451, "4.4.5 Server busy", THROTTLED),
    ((MAIL, RCPT, DOT), 452, "4.3.2 System not accepting messages", THROTTLED),
    ((MAIL, RCPT, DOT), 550, "5.4.5 Daily user sending\n5.4.5 limit exceeded", "next day"),
    ((MAIL, RCPT, DOT), 554, "5.1.90 You have reached your daily limit for message recipients", "next day"),
    ((MAIL, RCPT, DOT), 550, "5.7.232 Your tenant has exceeded its daily limit", "next day"),
    # RCPT, dot | hard bounce
    ((RCPT, DATA, DOT), 550, "5.1.1 The email account that you tried to reach does not exist", BOUNCED),
    ((RCPT, DOT), 550, "5.1.2 Bad destination system", BOUNCED),
    ((RCPT, DOT), 501, "5.1.3 Bad destination mailbox address syntax", BOUNCED),
    ((RCPT, DOT), 550, "5.1.6 Mailbox has moved", BOUNCED),
    ((RCPT, DOT), 556, "5.1.10 Domain accepts no mail (null MX)", BOUNCED),
    ((RCPT, DOT), 550, "5.1.10 RESOLVER.ADR.RecipientNotFound", BOUNCED),
    ((RCPT, DOT), 554, "5.4.4 Unable to route: no such host", BOUNCED),
    ((RCPT,), 550, "5.2.1 <a@b>... User Unknown", BOUNCED),
    # RCPT, dot | the mailbox exists and takes nothing (RFC 3463, X.2.1): ADR 0019
    ((RCPT, DOT), 550, "5.2.1 The email account that you tried to reach is disabled", UNREACHED),
    ((RCPT, DOT), 550, "5.2.1 Mailbox is inactive", UNREACHED),
    ((RCPT, DOT), 550, "5.2.1 Mailbox temporarily disabled", UNREACHED),
    ((RCPT,), 550, "Mailbox is frozen", UNREACHED),
    ((RCPT, DOT), 550, "5.2.1 No way in", CONTENT),
    ((RCPT, DOT), 550, "No such user here", BOUNCED),
    ((RCPT, DOT), 551, "User not local: unknown user", BOUNCED),
    ((RCPT, DOT), 553, "sorry, no mailbox here by that name. (#5.1.1)", BOUNCED),
    ((RCPT, DOT), 550, "5.0.0 <a@b>... User unknown", BOUNCED),
    ((RCPT, DOT), 550, "Recipient address rejected: User unknown in virtual mailbox table", BOUNCED),
    ((DOT,), 554, "host mx.example.com said: 550 5.1.1 bad", BOUNCED),
    ((RCPT,), 550, "Requested action not taken: mailbox unavailable", BOUNCED),
    ((RCPT,), 550, "Sender mailbox not found", CONTENT),
    # RCPT, dot | 5.2.2, 552 full, 4.2.2 | mailbox full
    ((RCPT, DOT), 552, "5.2.2 Over quota", FULL),
    ((RCPT, DOT), 554, "5.2.2 Mailbox full", FULL),
    ((RCPT, DOT), 552, "Mailbox is full", FULL),
    ((RCPT, DOT), 552, "Requested action aborted: exceeded storage allocation", FULL),
    ((RCPT, DOT), 452, "4.2.2 The email account is over quota", FULL),
    ((RCPT,), 452, "Mailbox full", FULL),
    # RCPT | 450/451 4.7.1, 4.2.0 "greylisted, try later" | greylist
    ((RCPT,), 450, "4.7.1 Please come back later", GREYLISTED),
    ((RCPT, DATA), 451, "4.7.1 Greylisting in action", GREYLISTED),
    ((RCPT,), 450, "4.2.0 <a@b>: Recipient address rejected: Greylisted", GREYLISTED),
    ((RCPT,), 450, "4.2.0 try again later", GREYLISTED),
    ((RCPT, DOT), 451, "Greylisted, see http://example.com", GREYLISTED),
    # RCPT, dot | policy or reputation
    ((RCPT, DOT), 550, "5.7.1 Message rejected; user unknown to us", CONTENT),
    ((RCPT, DOT), 554, "5.7.0 Blocked", CONTENT),
    ((RCPT, DOT), 552, "5.7.0 This message was blocked because its content is a security risk", CONTENT),
    ((RCPT, DOT), 550, "5.7.25 No PTR record", UNPROVEN),
    ((RCPT, DOT), 550, "5.7.26 Unauthenticated email is not accepted", UNPROVEN),
    ((RCPT, DOT), 550, "5.7.27 SPF did not pass", UNPROVEN),
    ((RCPT, DOT), 550, "5.7.509 Access denied, sending domain does not pass DMARC", UNPROVEN),
    ((RCPT, DOT), 550, "5.7.515 Access denied, authentication level", UNPROVEN),
    ((RCPT, DOT), 550, "5.7.9 Policy", CONTENT),
    ((RCPT, DOT), 554, "Your message looks like spam", CONTENT),
    ((RCPT, DOT), 554, "Service unavailable; client host blocked using a blocklist", CONTENT),
    ((RCPT, DOT), 550, "Refused by local policy. No such user", CONTENT),
    ((RCPT, DOT), 554, "5.6.0 Bad content", CONTENT),
    # dot | 5.3.4, 5.2.3, 552 size; 5.6.x | content
    ((DOT,), 552, "5.3.4 Message too big for system", TOO_LARGE),
    ((DOT,), 550, "5.2.3 Message exceeds size limit", TOO_LARGE),
    ((DOT,), 552, "Message size exceeds maximum permitted", TOO_LARGE),
    ((DOT,), 554, "5.6.2 Conversion required", CONTENT),
    # any | 4xx else | soft
    ((MAIL, RCPT, DATA, DOT), 451, "4.3.0 Temporary lookup failure", SOFT),
    ((MAIL, RCPT, DATA, DOT), 450, "Mailbox busy", SOFT),
    ((RCPT,), 452, "4.5.3 Too many recipients", SOFT),
    ((RCPT,), 450, "4.2.1 Receiving mail too quickly", SOFT),
    # any | 5xx else, no known text | Error, not Bounced
    ((RCPT, DATA, DOT), 554, "Transaction failed", CONTENT),
    ((DOT,), 550, "Requested action not taken: mailbox unavailable", CONTENT),
    # the basic code wins on 4 against 5, the enhanced one on the reason
    ((RCPT,), 450, "5.1.1 Unknown, perhaps", SOFT),
    ((RCPT,), 550, "4.1.1 Unknown", BOUNCED),
    ((RCPT, DOT), 550, "4.2.2 Full", FULL),
    ((DOT,), 550, "4.7.1 Policy", CONTENT),
]


def meaning(outcome: Outcome) -> object:
    match outcome:
        case Later(reason=reason, until_next_day=True):
            assert reason is THROTTLED
            return "next day"
        case Later(reason=reason):
            return reason
        case Refused(hard_bounce=True):
            return BOUNCED
        case Refused(code=code):
            return code
        case MailboxBroken(code=code):
            return ("mailbox", code)
    return outcome


@pytest.mark.parametrize(
    ("stage", "code", "text", "meant"),
    [(stage, code, text, meant) for stages, code, text, meant in TABLE for stage in stages],
)
def test_each_row_of_the_table_of_replies(stage: Stage, code: int | None, text: str, meant: object) -> None:
    assert meaning(classify(stage, code, text)) == meant


def test_an_accepted_message_keeps_the_words_of_the_server() -> None:
    assert classify(DOT, 250, "2.0.0 Ok:\nqueued as 4F1A") == Sent("250 2.0.0 Ok: queued as 4F1A")


@pytest.mark.parametrize("stage", [DATA, DOT])
def test_no_reply_after_data_leaves_the_message_unknown(stage: Stage) -> None:
    assert classify(stage, None, "The connection was lost.") == Unknown("The connection was lost.")


def test_a_strange_reply_to_the_message_leaves_it_unknown() -> None:
    assert isinstance(classify(DOT, 354, "go ahead"), Unknown)
    assert isinstance(classify(DOT, 999, "?"), Unknown)
    assert isinstance(classify(DOT, -1, "not SMTP"), Unknown)


def test_only_a_refusal_no_rule_knows_is_marked_for_the_log() -> None:
    unknown, known = classify(RCPT, 554, "Transaction failed"), classify(RCPT, 550, "5.7.1 Spam")
    assert isinstance(unknown, Refused)
    assert isinstance(known, Refused)
    assert (unknown.recognised, known.recognised) == (False, True)


def test_a_version_or_an_ip_address_is_not_taken_for_an_enhanced_code() -> None:
    assert meaning(classify(RCPT, 550, "Exim 4.2.2 does not like 5.1.1.7")) == CONTENT


@given(
    stage=st.sampled_from([MAIL, RCPT, DATA, DOT]),
    code=st.integers(400, 599),
    detail=st.integers(0, 999),
    text=st.text(max_size=60) | st.sampled_from(["user unknown", "no such user", "mailbox disabled"]),
)
def test_a_policy_refusal_never_marks_an_address_dead(stage: Stage, code: int, detail: int, text: str) -> None:
    outcome = classify(stage, code, f"5.7.{detail} {text}")
    assert not (isinstance(outcome, Refused) and outcome.hard_bounce)


@given(stage=st.sampled_from(list(Stage)), code=st.none() | st.integers(-1, 1200), text=st.text())
def test_every_answer_has_an_outcome_and_a_short_clean_text(stage: Stage, code: int | None, text: str) -> None:
    outcome = classify(stage, code, text)
    words = outcome.why if isinstance(outcome, Unknown) else outcome.reply
    assert len(words) <= 1000
    assert words.isprintable() or not any(ord(letter) < 32 for letter in words)
    if isinstance(outcome, Unknown):
        assert stage in (DATA, DOT)
    if isinstance(outcome, Sent):
        assert stage is DOT


def pauses_in_minutes(reason: LaterReason) -> list[float]:
    pauses = [retry_after(reason, tries) for tries in range(1, 100)]
    given_up = pauses.index(None)
    assert all(pause is None for pause in pauses[given_up:])
    return [pause.total_seconds() / 60 for pause in pauses[:given_up] if pause is not None]


def test_a_soft_refusal_is_tried_again_for_72_hours_with_growing_pauses() -> None:
    pauses = pauses_in_minutes(SOFT)
    assert pauses[:6] == [1, 5, 15, 60, 240, 240]
    assert 68 * 60 < sum(pauses) <= 72 * 60


def test_a_greylisted_message_waits_at_least_five_minutes_and_up_to_three_days() -> None:
    pauses = pauses_in_minutes(GREYLISTED)
    assert pauses[:5] == [5, 15, 30, 60, 240]
    assert 68 * 60 < sum(pauses) <= 72 * 60


def test_a_full_mailbox_is_tried_for_three_days() -> None:
    assert 68 * 60 < sum(pauses_in_minutes(FULL)) <= 72 * 60


@pytest.mark.parametrize("reason", [TRANSPORT, THROTTLED])
def test_what_holds_the_whole_mailbox_is_never_given_up_by_the_number_of_tries(reason: LaterReason) -> None:
    assert retry_after(reason, 10_000) is not None


def test_each_reason_that_ends_has_an_error_to_end_with() -> None:
    by_tries = {reason for reason in LaterReason if retry_after(reason, 100) is None}
    assert by_tries | {THROTTLED} == set(ERROR_WHEN_PATIENCE_IS_OUT)  # a provider's limit ends by time


def test_jitter_only_lengthens_a_pause() -> None:
    assert retry_after(GREYLISTED, 1, jitter=0.0) == timedelta(minutes=5)
    assert retry_after(GREYLISTED, 1, jitter=1.0) == timedelta(minutes=6)
    with pytest.raises(ValueError, match="from 1"):
        retry_after(SOFT, 0)
