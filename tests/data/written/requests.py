"""What people write who ask to be left alone, and what sounds like it (requests.txt: meaning, language, words)."""

from pathlib import Path
from typing import NamedTuple


class Words(NamedTuple):
    asks_to_stop: bool
    language: str
    said: str


def _words(line: str) -> Words:
    meaning, language, said = line.split("|", 2)
    return Words(meaning == "OPT_OUT", language, said.replace("\\n", "\n"))


WORDS = [_words(line) for line in (Path(__file__).parent / "requests.txt").read_text().splitlines()]
