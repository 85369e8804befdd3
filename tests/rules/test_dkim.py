"""A signed mail is what its receivers verify; dkimpy is the receiver here."""

import re
from base64 import b64encode
from datetime import UTC, datetime

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.rules.dkim import Signer, record_name, record_value
from domain.rules.mime import OutgoingEmail, compose

KEY = generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
SIGNER = Signer("sender.example", "one", PEM)


def record(name: bytes, timeout: int = 5) -> bytes | None:
    published = f"{record_name('sender.example', 'one')}."
    return record_value(PUBLIC).encode() if name.decode() == published else None


def verifies(mail: bytes) -> bool:
    return bool(dkim.verify(mail, dnsfunc=record))


def mail(**changes: object) -> bytes:
    said = {
        "message_id": "<abc@sender.example>",
        "sent_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "from_name": "Jo Ärmel",
        "from_address": "jobs@sender.example",
        "to_name": "Ann",
        "to_address": "ann@people.example",
        "subject": "Grüße, and a subject that is long enough to be folded at least once or twice, perhaps thrice",
        "text": "Dear Ann,\n\n  two  blanks \n\n.\nend\n\n\n",
        "html": "<p>Dear Ann</p>",
        "in_reply_to": "<first@sender.example>",
        "references": tuple(f"<{n}-{'x' * 40}@sender.example>" for n in range(5)),
        "extra_headers": (
            ("List-Unsubscribe", f"<https://{'relance-' * 20}x.example/u/1>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ),
    } | changes
    return compose(OutgoingEmail(**said))  # type: ignore[arg-type]


def test_a_signed_mail_verifies_and_is_otherwise_as_it_was() -> None:
    signed = SIGNER.signed(mail())
    assert verifies(signed)
    assert signed.endswith(b"\r\n" + mail())
    assert signed == SIGNER.signed(mail())
    assert max(map(len, signed.split(b"\r\n"))) <= 998


def test_both_headers_of_the_opt_out_are_signed_and_each_header_once_more_than_it_occurs() -> None:
    signed = SIGNER.signed(mail(in_reply_to=None, references=()))
    names = re.sub(rb"\s", b"", re.findall(rb" h=([^;]*);", signed)[0]).split(b":")
    for name in (b"from", b"to", b"subject", b"date", b"message-id", b"list-unsubscribe", b"list-unsubscribe-post"):
        assert names.count(name) == 2, name
    for name in (b"in-reply-to", b"references", b"cc", b"reply-to"):
        assert names.count(name) == 1, name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: ", b"Subject: X"),
        (b"Jo", b"No"),
        (b"/u/1>", b"/u/2>"),
        (b"=One-Click", b"=Two-Click"),
        (b"<first@", b"<fifth@"),
        (b"<p>Dear Ann</p>", b"<p>Dear Bob</p>"),
        (b"MIME-Version", b"Reply-To: evil@else.example\r\nMIME-Version"),
        (b"\r\nFrom: ", b"\r\nFrom: evil@else.example\r\nFrom: "),
        (b"MIME-Version", b"List-Unsubscribe: <https://else.example>\r\nMIME-Version"),
    ],
)
def test_a_changed_or_added_header_or_body_does_not_verify(old: bytes, new: bytes) -> None:
    signed = SIGNER.signed(mail(from_name="Jo"))
    assert verifies(signed)
    assert old in signed
    head, mark, rest = signed.partition(b"\r\nDate: ")
    assert not verifies(head + mark + rest.replace(old, new, 1))


def test_blanks_that_servers_change_on_the_way_do_no_harm() -> None:
    signed = SIGNER.signed(mail(from_name="Jo"))
    assert verifies(signed.replace(b"\r\nTo: Ann", b"\r\nTO:   Ann"))
    assert verifies(signed + b"\r\n\r\n")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=120),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)
def test_whatever_is_said_verifies(subject: str, text: str) -> None:
    try:
        composed = mail(subject=subject, text=text, html=None)
    except ValueError:
        return
    assert verifies(SIGNER.signed(composed))
