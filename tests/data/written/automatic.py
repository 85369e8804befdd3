"""Automatic answers as mail programs, ticket systems and filters write them (automatic.txt)."""

from pathlib import Path
from typing import NamedTuple

_DEFAULTS = {
    "From": "Peter Smith <peter@people.example>",
    "To": "jobs@sender.example",
    "Message-ID": "<a@people.example>",
    "In-Reply-To": "<x@sender.example>",
    "Date": "Thu, 1 Oct 2026 12:00:00 +0000",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=utf-8",
}


class Automatic(NamedTuple):
    name: str
    raw: bytes


def _mail(block: str) -> Automatic:
    name, _, rest = block.partition("\n")
    headers, _, body = rest.partition("\n\n")
    given = {line.partition(":")[0].casefold() for line in headers.split("\n")}
    added = "".join(f"{key}: {value}\n" for key, value in _DEFAULTS.items() if key.casefold() not in given)
    return Automatic(name, f"{added}{headers}\n\n{body}".encode())


AUTOMATIC = [_mail(block) for block in f"\n{(Path(__file__).parent / 'automatic.txt').read_text()}".split("\n### ")[1:]]
