"""The variables that a template may name, and what is wrong with one that it names.

Custom fields are free: whether a person has one is known only when the text is filled in. Every other name is known
when the text is written, so a misspelt one is refused then.

Source: product.md section 3 "Templates".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from liquid import BoundTemplate

from domain.rules.plan import StepKind

FIELDS: Final = "fields"
SENDER: Final = "sender"
OPT_OUT: Final = "unsubscribe_url"

OF_CONTACT: Final = ("first_name", "last_name", "full_name", "email", "phone", "company", "time_zone")
OF_SENDER: Final = ("name", "address")
_NAMES: Final = (*OF_CONTACT, *(f"{SENDER}.{name}" for name in OF_SENDER), OPT_OUT)


@dataclass(frozen=True, slots=True)
class Used:
    """A variable that a template asks for, and where. `path` is as it is written: `fields.role`."""

    path: tuple[str, ...]
    index: int

    @property
    def name(self) -> str:
        return ".".join(self.path)


def used_in(template: BoundTemplate) -> Iterator[Used]:
    """Yield the variables that a template asks of its person, in no order; those that it assigns itself left out.

    Of `fields[x]` only the group is known.
    """
    for places in template.analyze(include_partials=False).globals.values():
        for place in places:
            path: list[str] = []
            for segment in place.segments:
                if not isinstance(segment, str):
                    break
                path.append(segment)
            # What follows the name of a value is a property of it, such as `.size`.
            yield Used(tuple(path[:1] if path[0] in (*OF_CONTACT, OPT_OUT) else path[:2]), place.span.index)


def problem_of(used: Used, kind: StepKind) -> str | None:
    """Return why a step of this kind cannot use the variable; None when it can."""
    first, *more = used.path
    if first == OPT_OUT and kind is not StepKind.AUTOMATED_EMAIL:
        return (
            f"{{{{ {OPT_OUT} }}}} is there in automated emails only: what a person sends or does carries no such link. "
            "Take it out."
        )
    known = first in (*OF_CONTACT, OPT_OUT, FIELDS) or (first == SENDER and (not more or more[0] in OF_SENDER))
    if known:
        return None
    return f"there is no variable “{used.name}”. {_way_out(used)}"


def closest(name: str, names: tuple[str, ...]) -> str | None:
    """Return the name that was probably meant; None when none is like it."""
    folded = {one.lower().replace("_", ""): one for one in names}
    found = get_close_matches(name.lower().replace("_", ""), list(folded), n=1, cutoff=0.7)
    return folded[found[0]] if found else None


def _way_out(used: Used) -> str:
    meant = closest(used.name, _NAMES) or closest(used.path[-1], _NAMES)
    if meant is not None:
        return f"Did you mean {{{{ {meant} }}}}?"
    if used.path[0] == SENDER:
        return f"Of the sender there are {' and '.join(OF_SENDER)}."
    return f"A custom field is written {{{{ {FIELDS}.{used.path[0]} }}}}."
