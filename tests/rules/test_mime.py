import email
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.mime import HeaderForbidden, OutgoingEmail, compose, message_token, reply_subject

KEY = b"k" * 32
PLAIN = OutgoingEmail(
    message_id="<abc@example.com>",
    sent_at=datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC),
    from_name="Bo Smith",
    from_address="bo@example.com",
    to_name="Ann Lee",
    to_address="ann@example.org",
    subject="Hello",
    text="Hi Ann,\n\nHow are you?\n",
    html="<p>Hi Ann,</p>\n<p>How are you?</p>",
)
LONG_TOKEN = "<https://example.com/u/" + "t" * 300 + ">"
LONG_ID = "<" + "i" * 200 + "@example.com>"

printable = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120)
words = st.one_of(
    printable,
    st.sampled_from(
        [
            "",
            'O\'Brien, "Bob" \\ <x@y>',
            "Zoë 🦊👩‍👩‍👧",
            "שלום עולם " * 9,
            "日本語の件名" * 20,
            "x" * 300,
            "=?utf-8?q?x?=",
            "a  b",
        ]
    ),
)
bodies = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), words, st.sampled_from([".\n.\n", "x" * 5_000, "a \nb\t\n"])
)


def parsed(mail: OutgoingEmail) -> EmailMessage:
    message = email.message_from_bytes(compose(mail), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def header_lines(raw: bytes) -> str:
    return raw.split(b"\r\n\r\n", 1)[0].decode("ascii")


def test_a_mail_has_its_headers_and_two_parts() -> None:
    message = parsed(PLAIN)
    assert message.keys() == ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"]
    assert message["Date"].datetime == PLAIN.sent_at
    assert message["From"] == "Bo Smith <bo@example.com>"
    assert message["To"] == "Ann Lee <ann@example.org>"
    assert message["Message-ID"] == "<abc@example.com>"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content_charset() for part in message.iter_parts()] == ["utf-8", "utf-8"]
    assert not message.defects
    assert not any(part.defects for part in message.walk())


def test_a_mail_without_html_is_one_part() -> None:
    message = parsed(replace(PLAIN, html=None))
    assert message.get_content_type() == "text/plain"
    assert lines(message.get_content()) == ["Hi Ann,", "", "How are you?"]


def test_it_has_the_structure_that_the_standard_library_gives() -> None:
    reference = EmailMessage(policy=policy.SMTP.clone(max_line_length=998))
    reference["From"], reference["To"], reference["Subject"] = (
        "Bo Smith <bo@example.com>",
        "Ann Lee <ann@example.org>",
        "Hello",
    )
    reference["Message-ID"], reference["References"] = PLAIN.message_id, LONG_ID
    reference.set_content(PLAIN.text)
    reference.add_alternative(PLAIN.html or "", subtype="html")
    ours = email.message_from_bytes(compose(replace(PLAIN, references=(LONG_ID,))), policy=policy.default)
    theirs = email.message_from_bytes(reference.as_bytes(), policy=policy.default)
    assert [part.get_content_type() for part in ours.walk()] == [part.get_content_type() for part in theirs.walk()]
    for header in ("From", "To", "Subject", "Message-ID", "References", "MIME-Version"):
        assert ours[header] == theirs[header]
    for mine, its in zip(ours.iter_parts(), theirs.iter_parts(), strict=True):
        assert lines(mine.get_content()) == lines(its.get_content())


def test_equal_mails_have_equal_bytes_and_another_message_another_boundary() -> None:
    assert compose(PLAIN) == compose(replace(PLAIN))
    other = replace(PLAIN, message_id="<other@example.com>")
    assert parsed(PLAIN).get_boundary() != parsed(other).get_boundary()


def test_the_date_is_in_utc_wherever_the_caller_is() -> None:
    there = PLAIN.sent_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert compose(replace(PLAIN, sent_at=there)) == compose(PLAIN)
    assert b"Date: Sun, 22 Nov 2026 10:00:05 +0000\r\n" in compose(PLAIN)


def test_a_reply_names_its_parent_and_the_whole_thread_in_whole_tokens() -> None:
    thread = (*(f"<{'i' * 70}{n}@example.com>" for n in range(12)), LONG_ID)
    raw = compose(replace(PLAIN, in_reply_to=LONG_ID, references=thread))
    assert f"In-Reply-To: {LONG_ID}\r\n".encode() in raw
    assert "=?" not in header_lines(raw)
    references = re.search(r"^References: ([^\r]*(?:\r\n [^\r]*)*)", header_lines(raw), re.MULTILINE)
    assert references is not None
    assert tuple(references.group(1).split()) == thread


def test_links_in_added_headers_are_never_encoded_or_broken() -> None:
    added = (
        ("List-Unsubscribe", f"{LONG_TOKEN}, <mailto:u@example.com>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )
    raw = compose(replace(PLAIN, extra_headers=added))
    assert LONG_TOKEN.encode() in raw
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    assert "=?" not in header_lines(raw)


def test_a_domain_outside_ascii_is_written_in_a_labels() -> None:
    raw = compose(replace(PLAIN, to_address="ann@münchen.de"))
    assert b"To: Ann Lee <ann@xn--mnchen-3ya.de>\r\n" in raw


def test_a_name_that_is_missing_leaves_the_bare_address() -> None:
    assert b"To: ann@example.org\r\n" in compose(replace(PLAIN, to_name="  "))


@pytest.mark.parametrize(
    "sign", ["\r", "\n", "\r\n", "\x00", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]
)
@pytest.mark.parametrize(
    "field", ["from_name", "from_address", "to_name", "to_address", "subject", "message_id", "in_reply_to"]
)
def test_no_control_character_passes_into_a_header(field: str, sign: str) -> None:
    text = f"a{sign}Bcc: b@example.com"
    changed: dict[str, Any] = {field: f"<{text}>" if "message" in field or "reply" in field else text}
    with pytest.raises(HeaderForbidden):
        compose(replace(PLAIN, **changed))
    with pytest.raises(HeaderForbidden):
        compose(replace(PLAIN, references=("<a@b>", f"<{text}>")))
    with pytest.raises(HeaderForbidden):
        compose(replace(PLAIN, extra_headers=(("X-Tag", text),)))
    with pytest.raises(HeaderForbidden):
        compose(replace(PLAIN, extra_headers=((f"X-{text}", "a"),)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"to_address": "ann@example.org, bob@example.org"},
        {"to_address": "ann"},
        {"to_address": ""},
        {"to_address": "<ann@example.org>"},
        {"to_address": "a b@example.org"},
        {"message_id": "abc@example.com"},
        {"message_id": "<a b@example.com>"},
        {"in_reply_to": "<a@b> <c@d>"},
        {"references": ("<" + "x" * 1_000 + ">",)},
        {"extra_headers": (("X Tag", "a"),)},
        {"extra_headers": (("X-Tag:", "a"),)},
        {"extra_headers": (("", "a"),)},
        {"extra_headers": (("X-Tag", "a" * 1_000),)},
    ],
)
def test_what_is_not_one_address_identifier_or_name_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(HeaderForbidden):
        compose(replace(PLAIN, **wrong))


@given(words, words, words, bodies, st.one_of(st.none(), bodies))
def test_what_was_meant_is_what_is_read_back(
    from_name: str, to_name: str, subject: str, text: str, html: str | None
) -> None:
    mail = replace(PLAIN, from_name=from_name, to_name=to_name, subject=subject, text=text, html=html)
    raw = compose(mail)
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert max(map(len, raw.split(b"\r\n\r\n", 1)[1].split(b"\r\n"))) <= 78
    assert b"\r\n.\r\n" not in raw
    message = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert len(message.keys()) == 7 if html is not None else 8
    assert [(address.addr_spec) for address in message["To"].addresses] == ["ann@example.org"]
    old = email.message_from_bytes(raw)
    decoded = str(email.header.make_header(email.header.decode_header(old["Subject"])))
    assert decoded == subject.strip()
    parts = list(message.iter_parts()) if html is not None else [message]
    for part, written in zip(parts, (text, html), strict=False):
        read = part.get_payload(decode=True)
        assert isinstance(read, bytes)
        assert lines(read.decode()) == lines(written or "")


@given(words)
def test_a_name_is_read_back_as_it_was_meant(name: str) -> None:
    old = email.message_from_bytes(compose(replace(PLAIN, to_name=name)))
    shown, address = email.utils.parseaddr(re.sub(r"\r?\n", "", old["To"]))
    assert address == "ann@example.org"
    decoded = str(email.header.make_header(email.header.decode_header(shown))) if shown else ""
    assert decoded == re.sub(r"[ \t]+", " ", name).strip()


@given(words)
def test_header_lines_are_folded_where_they_can_be(subject: str) -> None:
    raw = compose(replace(PLAIN, subject=subject, from_name=subject, to_name=subject))
    assert max(map(len, header_lines(raw).split("\r\n"))) <= 200 + 78
    if not subject.isascii():
        subject_lines = re.findall(r"^Subject: [^\r]*(?:\r\n [^\r]*)*", header_lines(raw), re.MULTILINE)[0].split(
            "\r\n"
        )
        assert max(map(len, subject_lines)) <= 78


def lines(text: str) -> list[str]:
    return re.sub(r"\r\n|\r", "\n", text).rstrip("\n").split("\n")


def test_a_message_id_is_fixed_by_key_and_message_and_tells_nothing() -> None:
    uuid = UUID("019a0000-0000-7000-8000-000000000001")
    made = message_token(KEY, uuid)
    assert re.fullmatch(r"[a-z2-7]{26}", made)
    assert made == message_token(KEY, uuid)
    assert made != message_token(b"other", uuid)
    assert made != message_token(KEY, UUID(int=uuid.int + 1))
    compose(replace(PLAIN, message_id=f"<{made}@example.com>"))


@pytest.mark.parametrize(
    ("subject", "reply"),
    [
        ("Hello", "Re: Hello"),
        ("Re: Hello", "Re: Hello"),
        ("RE: Hello", "RE: Hello"),
        ("re:Hello", "re:Hello"),
        ("Reply", "Re: Reply"),
    ],
)
def test_a_reply_says_re_once(subject: str, reply: str) -> None:
    assert reply_subject(subject) == reply
    assert reply_subject(reply_subject(subject)) == reply
