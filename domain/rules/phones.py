"""Phone numbers as they are stored, compared and written to: E.164, with their country.

Which country a number without one is in is not guessed: it is refused with the way to write it.

Source: ITU-T E.164; product.md 3 ("refused when written, never discovered when sending").
"""

import re
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

_WRITTEN_AT_MOST: Final = 60
_TRUNK_ZERO: Final = re.compile(r"\(0\)")
_CODE: Final = re.compile(r"\+\d")


class PhoneInvalid(ValueError):
    """This text is not one phone number with its country."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text[:60]!r} is not a phone number: {reason}")
        self.text = text
        self.reason = reason


def normalise_phone(text: str) -> str:
    """The number in its one form, such as +491701234567. 00 in the place of + is taken, and (0) left out.

    Whether the length can be right is looked at, not whether the number is in use: lists of those are always a little
    old, and the provider knows better.

    Raises:
        PhoneInvalid: the reason is a sentence for people.
    """
    bare = _TRUNK_ZERO.sub("", text.strip())
    if not bare:
        raise PhoneInvalid(text, "It is empty.")
    if len(bare) > _WRITTEN_AT_MOST:
        raise PhoneInvalid(text, f"It is longer than {_WRITTEN_AT_MOST} characters.")
    if bare.startswith("00"):
        bare = f"+{bare[2:]}"
    if not bare.startswith("+"):
        raise PhoneInvalid(text, "Write it with its country, such as +49 170 1234567.")
    try:
        found = phonenumbers.parse(bare, None)
    except NumberParseException as problem:
        if problem.error_type == NumberParseException.INVALID_COUNTRY_CODE and _CODE.match(bare):
            raise PhoneInvalid(text, "There is no country with this code.") from None
        raise PhoneInvalid(text, "Write it with its country, such as +49 170 1234567.") from None
    if found.extension:
        raise PhoneInvalid(text, "Leave out the extension, or keep it in a field of its own.")
    length = phonenumbers.is_possible_number_with_reason(found)
    if length != ValidationResult.IS_POSSIBLE:
        raise PhoneInvalid(text, _LENGTHS.get(length, "Numbers of this country have another length."))
    return phonenumbers.format_number(found, PhoneNumberFormat.E164)


_LENGTHS: Final = {
    ValidationResult.TOO_SHORT: "It is too short for a number of its country.",
    ValidationResult.TOO_LONG: "It is too long for a number of its country.",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "Its area code is missing.",
}
