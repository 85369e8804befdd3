"""How well mail is understood that was written for this, before the rules were looked at (tests/data/README.md).

The figures hold what has been reached; what is still misread is printed.
"""

from collections.abc import Iterable

from domain.rules.inbound.bounces import Fate
from domain.rules.inbound.opt_out import asks_to_stop
from domain.rules.inbound.reading import Classification, Reading, read
from tests.data.written.automatic import AUTOMATIC
from tests.data.written.bounces import BOUNCES, WHO
from tests.data.written.replies import FORMS, HARD
from tests.data.written.requests import WORDS

_OF_MACHINES = {Classification.AUTOMATIC_ANSWER, Classification.NOTICE}
_OF_REPORTS = {Classification.HARD_BOUNCE, Classification.DELIVERY_FAILED, Classification.DELIVERY_DELAYED}


def _read(raw: bytes) -> Reading:
    found = read(raw)
    assert isinstance(found, Reading), found
    return found


def _at_most(share: float, wrong: Iterable[str], of: int) -> None:
    names = list(wrong)
    print(f"{len(names)} of {of}: {names}")
    assert len(names) <= share * of, names


def test_automatic_answers_are_seldom_taken_for_replies() -> None:
    assert len(AUTOMATIC) > 120
    wrong = (one.name for one in AUTOMATIC if _read(one.raw).classification not in _OF_MACHINES)
    _at_most(0.05, wrong, len(AUTOMATIC))


def test_replies_are_hardly_ever_taken_for_automatic_answers() -> None:
    replies = [*FORMS, *HARD]
    assert len(replies) > 280
    wrong = (one.name for one in replies if _read(one.raw).classification is not Classification.HUMAN_REPLY)
    _at_most(0.0075, wrong, len(replies))


def test_what_was_written_is_told_from_what_mail_programs_quote_in_seventeen_languages() -> None:
    def lines(text: str) -> list[str]:
        return [line.strip() for line in text.split("\n") if line.strip()]

    wrong = (one.name for one in FORMS if lines(_read(one.raw).text) != lines(one.wrote))
    _at_most(0.03, wrong, len(FORMS))


def test_who_asks_to_be_left_alone_is_told_from_who_asks_for_something_else_in_six_languages() -> None:
    assert len(WORDS) > 130
    asked = [one for one in WORDS if one.asks_to_stop]
    _at_most(0.02, (one.said for one in asked if not asks_to_stop("Re: Hello", one.said)), len(asked))
    others = [one for one in WORDS if not one.asks_to_stop]
    _at_most(0.02, (one.said for one in others if asks_to_stop("Re: Hello", one.said)), len(others))


def test_dead_addresses_are_told_from_the_rest_in_the_forms_of_many_mail_systems() -> None:
    reports = [(one, _read(one.raw)) for one in BOUNCES]
    hard = {one.name for one, found in reports if any(told.verdict.fate is Fate.HARD for told in found.reports)}
    _at_most(0.013, (one.name for one, _ in reports if one.name in hard and not one.hard), len(reports))
    _at_most(0.033, (one.name for one, _ in reports if one.hard and one.name not in hard), len(reports))
    _at_most(0.02, (one.name for one, found in reports if found.classification not in _OF_REPORTS), len(reports))
    _at_most(0.02, (o.name for o, found in reports if [told.address for told in found.reports] != [WHO]), len(reports))
