"""Rows of a CSV file that a spreadsheet can open without carrying anything out.

Source: RFC 4180; OWASP "CSV Injection".
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

_COMMANDS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER: Final = re.compile(r"\+[\d ]+")


def safe_cell(text: str | None) -> str:
    """Return a cell that no spreadsheet takes for a formula: one that begins like it gets an apostrophe in front.

    A phone number is left as it is.
    """
    if not text:
        return ""
    return f"'{text}" if text.startswith(_COMMANDS) and not _NUMBER.fullmatch(text) else text


def written_rows(rows: Iterable[Sequence[str | None]]) -> bytes:
    """Return the rows as UTF-8, each ending with CR LF; a None is an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()
