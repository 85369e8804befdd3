import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules import addresses
from domain.rules.addresses import (
    EmailInvalid,
    TimeZoneUnknown,
    address_key,
    check_time_zone,
    normalise_email,
)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Ann.Lee@Example.COM", "Ann.Lee@example.com"),
        ("  ann@demo.test ", "ann@demo.test"),
        ("ann@mail.localhost", "ann@mail.localhost"),
        ("ann+jobs@sub.example.co.uk", "ann+jobs@sub.example.co.uk"),
        ("ann@MÜNCHEN.de", "ann@xn--mnchen-3ya.de"),
        ("ann@xn--mnchen-3ya.de", "ann@xn--mnchen-3ya.de"),
        ("o'brien@example.ie", "o'brien@example.ie"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ],
)
def test_an_address_is_stored_with_its_domain_in_lower_case_a_labels(written: str, stored: str) -> None:
    assert normalise_email(written) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "ann@@example.com",
        "ann@example.com,bob@example.com",
        "ann@example.com bob@example.com",
        "Ann <ann@example.com>",
        "<ann@example.com>",
        "ann..lee@example.com",
        ".ann@example.com",
        "ann.@example.com",
        "ann@-example.com",
        "ann@example-.com",
        "ann@exa--mple.com\n",
        "ann@example.com\r\nBcc: bob@example.com",
        "ann\n@example.com",
        "ann\x00@example.com",
        "ann\t@example.com",
        "ann\x85@example.com",
        "ann\u2028@example.com",
        "ann\ud800@example.com",
        '"ann lee"@example.com',
        "ann@[127.0.0.1]",
        "jürgen@example.com",
        "x" * 65 + "@example.com",
        "a@" + ".".join(["x" * 63] * 4) + ".com",
        "a@" + "x" * 5000 + ".com",
    ],
)
def test_what_is_not_exactly_one_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(EmailInvalid) as refusal:
        normalise_email(text)
    assert refusal.value.text == text
    assert refusal.value.reason.endswith(".")


@given(st.text(alphabet=string.ascii_letters + string.digits + "@.-_+'", min_size=1, max_size=40))
def test_the_short_way_never_accepts_what_the_library_refuses(text: str) -> None:
    if addresses._PLAIN.fullmatch(text):
        assert addresses._normalised_by_the_library(text, text) == normalise_email(text)


@given(
    st.from_regex(
        r"[a-zA-Z0-9_+-]{1,12}(\.[a-zA-Z0-9_+-]{1,8})?@([a-zA-Z0-9-]{1,12}\.){1,3}[a-zA-Z]{1,6}", fullmatch=True
    )
)
def test_the_short_way_agrees_with_the_library_on_what_looks_like_an_address(text: str) -> None:
    try:
        expected: str | None = addresses._normalised_by_the_library(text, text)
    except EmailInvalid:
        expected = None
    if addresses._PLAIN.fullmatch(text):
        assert normalise_email(text) == expected


@given(st.text(max_size=60))
def test_an_accepted_address_is_one_ascii_token_and_stays_as_it_is(text: str) -> None:
    try:
        address = normalise_email(text)
    except EmailInvalid:
        return
    assert address.isascii()
    assert address.isprintable()
    assert " " not in address
    assert address.count("@") == 1
    assert normalise_email(address) == address


def test_two_spellings_of_one_mailbox_have_one_key() -> None:
    assert address_key(normalise_email("Ann@Example.com")) == address_key(normalise_email("aNN@example.COM"))


def test_a_zone_of_the_database_is_found() -> None:
    assert check_time_zone("Europe/Paris").key == "Europe/Paris"
    assert check_time_zone("UTC").key == "UTC"


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("europe/paris", "Europe/Paris"),
        ("Paris", "Europe/Paris"),
        ("Europe/Pari", "Europe/Paris"),
        ("america/new york", "America/New_York"),
        ("America/New_Yrok", "America/New_York"),
    ],
)
def test_an_unknown_zone_is_refused_with_near_names(name: str, suggested: str) -> None:
    with pytest.raises(TimeZoneUnknown) as refusal:
        check_time_zone(name)
    assert suggested in refusal.value.suggestions
    assert suggested in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "/etc/passwd", "Mars/Olympus", "x" * 10_000, "Europe/Paris\x00"]
)
def test_nonsense_is_no_zone(name: str) -> None:
    with pytest.raises(TimeZoneUnknown):
        check_time_zone(name)
