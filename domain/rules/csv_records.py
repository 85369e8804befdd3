"""Lines and records of a CSV file as people export them: any usual encoding, delimiter and line end, read as a stream.

Source: RFC 4180, and what spreadsheets really write.
"""

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

LINE_LIMIT: Final = 1_000_000
"""Bytes of a physical line that are kept; a longer one is reported."""

CELL_LIMIT: Final = 100_000
"""Characters of one cell."""

RECORD_LINES_LIMIT: Final = 200
"""Physical lines of one record; beyond it a quotation mark was opened and never closed."""

_CHUNK_BYTES: Final = 65_536
_DELIMITERS: Final = (",", ";", "\t")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)


class CsvUnusable(ValueError):
    """The file as a whole cannot be read as contacts; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one record, the physical line (from 1) it begins on, and what is wrong with it, if anything."""

    line: int
    cells: list[str]
    problem: str | None = None


def read_records(stream: BinaryIO) -> Iterator[Record]:
    """All records, the header among them; a blank line is a record without cells.

    UTF-8 and UTF-16 by their byte order mark, otherwise each line as UTF-8 or, where it is none, as Windows-1252.
    Comma, semicolon or tab, whichever the first line has most of. Memory: one record.

    Raises:
        CsvUnusable: the file is a workbook or another binary file.
    """
    lines = _Lines(stream)
    first = lines.peek()
    if declared := _SEPARATOR_LINE.fullmatch(first):
        delimiter = declared.group(1)
        lines.take()
    else:
        unquoted = re.sub(r'"[^"]*"', "", first)
        delimiter = max(_DELIMITERS, key=unquoted.count)
    opening = re.compile(rf'(?:\A|{re.escape(delimiter)})"')
    while lines.more():
        begin = lines.next_number
        yield _record(lines, begin, delimiter, opening)


def _record(lines: "_Lines", begin: int, delimiter: str, opening: re.Pattern[str]) -> Record:
    first = lines.take()
    if len(first) > LINE_LIMIT:
        return Record(begin, [first[:200]], f"The line is longer than {LINE_LIMIT:,} characters.")
    if '"' not in first:
        cells = first.split(delimiter) if first.strip() else []
        return _checked(Record(begin, cells))
    parts, in_quotes = [first], _quotes_open(first, False, opening)
    while in_quotes:
        if not lines.more() or len(parts) >= RECORD_LINES_LIMIT:
            lines.give_back(parts[1:])
            return Record(begin, [first], "A quotation mark is opened and never closed.")
        parts.append(lines.take())
        in_quotes = _quotes_open(parts[-1], True, opening)
    return _parsed(begin, parts, delimiter)


def _parsed(begin: int, parts: list[str], delimiter: str) -> Record:
    try:
        # One string, not lines: the module joins what it is given, and stops for good at its limit.
        rows = list(csv.reader(["\n".join(parts)], delimiter=delimiter))
    except csv.Error:
        return Record(
            begin, parts, f"A cell is longer than {CELL_LIMIT:,} characters or its quotation marks are wrong."
        )
    return _checked(Record(begin, rows[0] if rows else []))


def _checked(record: Record) -> Record:
    if any(len(cell) > CELL_LIMIT for cell in record.cells):
        return Record(record.line, record.cells, f"A cell is longer than {CELL_LIMIT:,} characters.")
    if any("\x00" in cell for cell in record.cells):
        return Record(record.line, record.cells, "It contains a character that is no text (NUL).")
    return record


def _quotes_open(line: str, in_quotes: bool, opening: re.Pattern[str]) -> bool:
    """Whether a quoted cell goes on behind the end of this line."""
    position = 0
    while True:
        if in_quotes:
            end = line.find('"', position)
            if end < 0:
                return True
            is_doubled = line.startswith('""', end)
            position, in_quotes = end + (2 if is_doubled else 1), is_doubled
        else:
            found = opening.search(line, position) if position else opening.match(line) or opening.search(line)
            if found is None:
                return False
            position, in_quotes = found.end(), True


class _Lines:
    """The physical lines of a stream, one at a time, each without its line end."""

    def __init__(self, stream: BinaryIO) -> None:
        self.next_number = 1
        self._waiting: deque[str] = deque()
        self._rest = _physical_lines(stream)

    def more(self) -> bool:
        if not self._waiting:
            line = next(self._rest, None)
            if line is None:
                return False
            self._waiting.append(line)
        return True

    def peek(self) -> str:
        return self._waiting[0] if self.more() else ""

    def take(self) -> str:
        line = self.peek()
        if self._waiting:
            self._waiting.popleft()
            self.next_number += 1
        return line

    def give_back(self, lines: list[str]) -> None:
        self._waiting.extendleft(reversed(lines))
        self.next_number -= len(lines)


def _physical_lines(stream: BinaryIO) -> Iterator[str]:
    chunks = _utf8_chunks(stream)
    pending, is_skipping, line_end = b"", False, b""
    for chunk in chunks:
        if not line_end:
            line_end = b"\r" if b"\r" in chunk[:-1] and b"\n" not in chunk else b"\n"
        *whole, last = chunk.split(line_end)
        for number, piece in enumerate(whole):
            line = pending + piece if number == 0 else piece
            if not is_skipping:
                yield _decoded(line)
            pending, is_skipping = b"", False
        pending = last if whole else pending + last
        if len(pending) > LINE_LIMIT and not is_skipping:
            yield _decoded(pending[: LINE_LIMIT + 1]).ljust(LINE_LIMIT + 1)
            is_skipping = True
        if is_skipping:
            pending = b""
    if pending and not is_skipping:
        yield _decoded(pending)


def _utf8_chunks(stream: BinaryIO) -> Iterator[bytes]:
    chunk = stream.read(_CHUNK_BYTES)
    if chunk.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise CsvUnusable("This is a spreadsheet workbook. Save it as CSV (UTF-8) and import that file.")
    if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
        while chunk:
            yield decoder.decode(chunk).encode("utf-8", "replace")
            chunk = stream.read(_CHUNK_BYTES)
        yield decoder.decode(b"", True).encode("utf-8", "replace")
        return
    if b"\x00" in chunk.partition(b"\n")[0]:
        raise CsvUnusable("This is not a text file. Export the contacts as CSV (UTF-8) and import that file.")
    yield chunk.removeprefix(codecs.BOM_UTF8)
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def _decoded(line: bytes) -> str:
    line = line.removesuffix(b"\r")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")
