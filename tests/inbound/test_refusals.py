"""What many providers say, and in which form, is understood in a report and at the hand-over alike (tests/data)."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from domain.rules.inbound.bounces import Fate, verdict
from domain.rules.inbound.reading import Reading, read
from domain.rules.inbound.reports import Undelivered
from domain.rules.outcomes import Later, LaterReason, Outcome, Refused, Stage
from domain.rules.smtp_replies import classify
from domain.rules.step_errors import StepErrorCode

_DATA = Path(__file__).parents[1] / "data"
_FILE = _DATA / "refusals" / "sentences.txt"
_FORMATS = _DATA / "formats"
_STAGES = {"MAIL": Stage.MAIL_FROM, "RCPT": Stage.RCPT_TO, "DATA": Stage.DOT}


class Sentence(NamedTuple):
    means: str
    provider: str
    command: str
    words: str


SENTENCES = [
    Sentence(*line.split("|", 3)) for line in _FILE.read_text().splitlines() if line and not line.startswith("#")
]


def _as_report(sentence: Sentence) -> Undelivered:
    status = re.search(r"\b[245]\.\d{1,3}\.\d{1,3}\b", sentence.words)
    for_now = sentence.words.startswith("4")
    return Undelivered(
        address="nobody@example.com",
        action="failed",
        status=status[0] if status else "4.0.0" if for_now else "5.0.0",
        said=f"smtp; {sentence.words}",
        notice="Your message could not be delivered.",
        command=sentence.command if sentence.command in _STAGES else "",
    )


def _is_hard(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.hard_bounce


@pytest.mark.parametrize("means", ["HARD", "FULL", "LARGE", "SOFT", "OTHER"])
def test_a_report_with_the_sentence_of_any_provider_is_understood(means: str) -> None:
    codes = {"FULL": StepErrorCode.MAILBOX_FULL, "LARGE": StepErrorCode.MESSAGE_TOO_LARGE}
    for sentence in (one for one in SENTENCES if one.means == means):
        found = verdict(_as_report(sentence))
        assert (found.fate is Fate.HARD) == (means == "HARD"), sentence
        assert means not in codes or found.code is codes[means], sentence


def test_at_the_hand_over_the_sentence_of_any_provider_is_understood_alike() -> None:
    at_hand_over = [one for one in SENTENCES if one.command in _STAGES and one.words[:3].isdigit()]
    assert len(at_hand_over) > 250
    for sentence in at_hand_over:
        words = re.sub(r"^\d{3}[ -]", "", sentence.words)
        found = classify(_STAGES[sentence.command], int(sentence.words[:3]), words)
        if "5.7." in words:  # a policy refusal never makes an address dead here, whatever else it says
            assert not _is_hard(found), sentence
        else:
            assert _is_hard(found) == (sentence.means == "HARD"), sentence
        if sentence.means == "FULL":
            assert isinstance(found, Later), sentence
            assert found.reason is LaterReason.MAILBOX_FULL, sentence


@pytest.mark.parametrize("path", sorted(_FORMATS.glob("*.eml")), ids=lambda path: path.stem)
def test_the_report_of_any_mail_system_tells_whom_it_is_about_and_what_became_of_the_mail(path: Path) -> None:
    found = read(path.read_bytes())
    assert isinstance(found, Reading)
    assert [one.verdict.fate.value.lower() for one in found.reports] == [path.name.partition(".")[0]]
    address = found.reports[0].address
    assert address is not None
    assert address.endswith("@example.com")
