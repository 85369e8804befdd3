"""Outside ids of arguments and inputs, read as keys."""

from collections.abc import Sequence
from uuid import UUID

from domain.refusals import Invalid, NotFound
from domain.rules.ids import IdMalformed, Prefix, from_public

_WORDS = {Prefix.STEP_ERROR: "error"}


def key_of(prefix: Prefix, text: str, field: Sequence[str]) -> UUID:
    """Return the key of an id of this kind.

    Raises:
        Invalid: the text is not an id at all.
        NotFound: it is the id of something else.
    """
    try:
        found, key = from_public(text)
    except IdMalformed as problem:
        raise Invalid(str(problem), field=field) from None
    if found is not prefix:
        raise NotFound(_WORDS.get(prefix, prefix.name.lower().replace("_", " ")), field=field)
    return key
