"""Text messages as rules: segments, the words that opt out, what a provider's codes mean, and its signature."""

import pytest

from domain.rules.content import ContentEmpty, ContentTooLarge, VariableMissing
from domain.rules.outcomes import Later, LaterReason, MailboxBroken, OptedOut, Refused, Sent, Unknown
from domain.rules.text_answers import Failure, classify_answer, failure_of
from domain.rules.text_messages import Said, render_text_message, said, segments
from domain.rules.text_signature import is_signed, text_signature


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("ü" * 160, 1),  # in the 7-bit alphabet
        ("€" * 80, 1),  # two units each
        ("€" * 81, 2),
        ("x" * 152 + "€" + "x" * 152, 3),  # the sign is not cut in two: 152, 152 and 3 units
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("“" + "x" * 69, 1),
        ("“" + "x" * 70, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_a_text_is_counted_in_segments_as_networks_do(text: str, count: int) -> None:
    assert segments(text) == count


def test_a_text_message_is_filled_in_strictly_and_has_its_bound() -> None:
    ann = {"first_name": "Ann"}
    assert render_text_message(" Hi {{ first_name }} & co <3\r\n", ann) == "Hi Ann & co <3"
    with pytest.raises(VariableMissing):
        render_text_message("Hi {{ last_name }}", ann)
    with pytest.raises(ContentEmpty):
        render_text_message("{% if last_name %}x{% endif %}", ann)
    assert len(render_text_message("x" * 1_530, ann)) == 1_530
    with pytest.raises(ContentTooLarge):
        render_text_message("x" * 1_531, ann)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "STOP",
            " stop. ",
            "Stop!",
            "STOPALL",
            "stop all",
            "UNSUBSCRIBE",
            "Cancel",
            "END",
            "quit",
            "Abmelden",
            "ARRÊT",
        ),
        *("arret", "Baja", "ALTO", "Please stop texting me", "bitte keine nachrichten mehr", "opt-out"),
    ],
)
def test_a_word_or_a_sentence_that_asks_for_it_opts_out(text: str) -> None:
    assert said(text) is Said.STOP


@pytest.mark.parametrize("text", ["Yes", "HELP", "info?", "Don't stop, I'm interested", "the end is near, call me", ""])
def test_what_else_a_person_writes_is_their_answer(text: str) -> None:
    assert said(text) is Said.WORDS


def test_start_is_noted_and_is_no_answer() -> None:
    assert [said(text) for text in ("START", "unstop")] == [Said.START, Said.START]


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, 21211, Refused("PHONE_INVALID", "21211: No.")),
        (400, 21614, Refused("PHONE_INVALID", "21614: No.")),
        (400, 21610, OptedOut("21610: No.")),
        (400, 21617, Refused("MESSAGE_TOO_LARGE", "21617: No.")),
        (400, 21606, MailboxBroken("SENDER_NOT_ALLOWED", "21606: No.")),
        (401, 20003, MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", "20003: No.")),
        (404, 20404, MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", "20404: No.")),
        (403, 30002, MailboxBroken("MAILBOX_SUSPENDED", "30002: No.")),
        (429, 20429, Later(LaterReason.THROTTLED, "20429: No.")),
        (429, 63038, Later(LaterReason.THROTTLED, "63038: No.", until_next_day=True)),
        (400, 21408, Refused("INTEGRATION_FAILED", "21408: No.")),
        (500, 20500, Unknown("20500: No.")),
        (503, 20503, Unknown("20503: No.")),
    ],
)
def test_an_answer_is_read_by_its_code(status: int, code: int, outcome: object) -> None:
    assert classify_answer(status, b'{"code": %d, "message": "No.", "status": %d}' % (code, status)) == outcome


def test_only_an_answer_with_the_messages_id_says_that_it_was_taken() -> None:
    assert classify_answer(201, b'{"sid": "SM1", "status": "queued"}') == Sent("SM1 queued")
    assert isinstance(classify_answer(201, b"{"), Unknown)
    assert isinstance(classify_answer(200, b"[]"), Unknown)
    assert isinstance(classify_answer(302, b""), Refused)
    assert isinstance(classify_answer(502, b"<html>"), Unknown)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (30003, "SOFT_BOUNCE_EXHAUSTED"),
        (30004, "RECIPIENT_REFUSED_CONTENT"),
        (30005, "PHONE_INVALID"),
        (30006, "PHONE_INVALID"),
        (30007, "RECIPIENT_REFUSED_CONTENT"),
        (30008, "SOFT_BOUNCE_EXHAUSTED"),
        (30010, "INTEGRATION_FAILED"),
        (30001, "PROVIDER_LIMIT_REACHED"),
        (30034, "SENDER_NOT_ALLOWED"),
        (None, "SOFT_BOUNCE_EXHAUSTED"),
        (39999, "INTEGRATION_FAILED"),
    ],
)
def test_a_failed_delivery_is_read_by_its_code(code: int | None, meaning: str) -> None:
    found = failure_of(code)
    assert isinstance(found, Failure)
    assert found.code == meaning
    assert isinstance(failure_of(21610), OptedOut)


def test_the_signature_is_the_one_that_twilio_documents() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = [("CallSid", "CA1234567890ABCDE"), ("From", "+12349013030"), ("To", "+18005551212")]
    fields += [("Caller", "+12349013030"), ("Digits", "1234")]
    assert text_signature("12345", url, fields) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
    assert is_signed("0/KCTR6DLpKmkAf8muzZqo1nDgQ=", "12345", url, reversed(fields))
    for given, token, where in (("", "12345", url), ("0/KCTR6DLpKmkAf8muzZqo1nDgQ=", "1234", url), ("é", "12345", url)):
        assert not is_signed(given, token, where, fields)
    assert not is_signed("0/KCTR6DLpKmkAf8muzZqo1nDgQ=", "12345", f"{url}&x", fields)
