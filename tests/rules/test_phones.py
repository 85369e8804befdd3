"""Phone numbers: one form for all their spellings, and a sentence for what is none."""

import pytest

from domain.rules.addresses import phone_key
from domain.rules.phones import PhoneInvalid, normalise_phone


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("+49 170 1234567", "+491701234567"),
        ("0049 (0)170 / 123-45 67", "+491701234567"),
        (" +1 (415) 867-5310 ", "+14158675310"),
        ("+33 1 42 68 53 00", "+33142685300"),
        ("+44 (0) 7400 123456", "+447400123456"),
        ("+39 06 1234 5678", "+390612345678"),  # Italy keeps its zero
    ],
)
def test_every_spelling_of_a_number_becomes_one(written: str, stored: str) -> None:
    assert normalise_phone(written) == stored
    assert phone_key(stored) == stored.removeprefix("+")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "It is empty"),
        ("0170 1234567", "with its country"),
        ("170 1234567", "with its country"),
        ("call me", "with its country"),
        ("+33 1 42 68", "too short"),
        ("+1 415 867 53100", "too long"),
        ("+999 123456789", "no country"),
        ("+49 30 1234567 ext. 12", "extension"),
        ("+" + "1" * 80, "longer than"),
    ],
)
def test_what_is_no_number_with_its_country_is_refused_with_the_reason(written: str, why: str) -> None:
    with pytest.raises(PhoneInvalid) as refused:
        normalise_phone(written)
    assert why in refused.value.reason
