"""Contacts from a CSV file: every row becomes a contact or is reported with its line and the reason.

Source: product.md 3 (enrolment: how contacts are matched); the aliases of columns are below.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, Final, Self

from domain.rules.addresses import EmailInvalid, TimeZoneUnknown, address_key, check_time_zone, normalise_email
from domain.rules.csv_records import CsvUnusable, Record, read_records

__all__ = ["BadRow", "ContactReader", "ContactRow", "CsvUnusable", "read_contacts"]

FIELD_NAME_LIMIT: Final = 100
COLUMNS_LIMIT: Final = 500

_ALIASES: Final = {
    "email": "email e_mail mail email_address e_mail_address e_mail_adresse",
    "first_name": "first_name firstname given_name vorname prénom prenom",
    "last_name": "last_name lastname surname family_name nachname nom",
    "company": "company company_name organisation organization firma",
    "phone": "phone phone_number phonenumber mobile telephone telefon",
    "time_zone": "time_zone timezone tz",
    "external_id": "external_id externalid",
}
"""How a column may be called, in any case, with spaces, hyphens or underscores. Every other one is a custom field."""

_IDENTITY: Final = {"email": "address", "external_id": "external id"}
"""Which person a row is about: two columns for it would leave open who is written to."""

_COLUMN_BY_ALIAS: Final = {alias: column for column, aliases in _ALIASES.items() for alias in aliases.split()}
_SEPARATORS: Final = re.compile(r"[\s_-]+")
_SPACES: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class ContactRow:
    """One contact of the file. What its cells leave empty is None, or absent from `fields`."""

    line: int
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    phone: str | None = None
    time_zone: str | None = None
    external_id: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no contact: the line (from 1) it begins on, a sentence why, and its cells as they stand."""

    line: int
    reason: str
    cells: tuple[str, ...]


class ContactReader(Iterator[ContactRow | BadRow]):
    """The rows of a file in order, one at a time. `columns` are the names found, `empty_rows` what was skipped."""

    def __init__(self, stream: BinaryIO) -> None:
        self._records = read_records(stream)
        self._header = _header(self._records)
        self._line_by_key: dict[str, int] = {}
        self.columns: tuple[str, ...] = tuple(self._header.names)
        self.empty_rows = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ContactRow | BadRow:
        for record in self._records:
            if record.problem is None and not any(map(str.strip, record.cells)):
                self.empty_rows += 1
                continue
            return self._row(record)
        raise StopIteration

    def _row(self, record: Record) -> ContactRow | BadRow:
        try:
            row = self._header.contact(record)
            self._refuse_duplicate(row)
        except _RowRefused as refusal:
            return BadRow(record.line, refusal.reason, tuple(record.cells))
        return row

    def _refuse_duplicate(self, row: ContactRow) -> None:
        keys = {}
        if row.email:
            keys[f"email {address_key(row.email)}"] = "address"
        if row.external_id:
            keys[f"id {row.external_id}"] = "external id"
        for key, name in keys.items():
            if before := self._line_by_key.get(key):
                raise _RowRefused(f"The same {name} is on line {before} already.")
        for key in keys:
            self._line_by_key[key] = row.line


def read_contacts(stream: BinaryIO) -> ContactReader:
    """The contacts of a CSV file, read as it is asked for; memory holds one row, and the keys seen to find duplicates.

    Raises:
        CsvUnusable: at once, when the header is missing or names neither an address nor an external id.
    """
    return ContactReader(stream)


class _RowRefused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Header:
    names: list[str]
    known: dict[str, int]
    custom: dict[str, int]

    def contact(self, record: Record) -> ContactRow:
        if record.problem:
            raise _RowRefused(record.problem)
        cells = [cell.strip() for cell in record.cells]
        if len(cells) > len(self.names) and any(cells[len(self.names) :]):
            raise _RowRefused(
                f"It has {len(cells)} cells, but the header has {len(self.names)}: "
                "put cells that hold the delimiter in quotation marks."
            )
        cells += [""] * (len(self.names) - len(cells))
        found = {column: _SPACES.sub(" ", cells[index]).strip() or None for column, index in self.known.items()}
        if not found.get("email") and not found.get("external_id"):
            raise _RowRefused("It has neither an email address nor an external id.")
        return ContactRow(
            record.line,
            email=_email(cells[self.known["email"]]) if found.get("email") else None,
            first_name=found.get("first_name"),
            last_name=found.get("last_name"),
            company=found.get("company"),
            phone=found.get("phone"),
            time_zone=_time_zone(found.get("time_zone")),
            external_id=found.get("external_id"),
            fields={name: cells[index] for name, index in self.custom.items() if cells[index]},
        )


def _email(cell: str) -> str:
    try:
        return normalise_email(cell)
    except EmailInvalid as refusal:
        raise _RowRefused(str(refusal)) from None


def _time_zone(name: str | None) -> str | None:
    problem = _time_zone_problem(name) if name else None
    if problem:
        raise _RowRefused(problem)
    return name


@lru_cache(maxsize=1_024)
def _time_zone_problem(name: str) -> str | None:
    try:
        check_time_zone(name)
    except TimeZoneUnknown as refusal:
        return str(refusal)
    return None


def _header(records: Iterator[Record]) -> _Header:
    for record in records:
        if record.problem:
            raise CsvUnusable(
                f"Line {record.line} should name the columns. {record.problem} Correct it and import again."
            )
        if any(map(str.strip, record.cells)):
            return _named(record.cells)
    raise CsvUnusable("The file is empty. Its first line should name the columns, such as email,first_name,last_name.")


def _named(cells: list[str]) -> _Header:
    if any("@" in cell for cell in cells):
        raise CsvUnusable(
            "The first line holds a contact. Put a line above it that names the columns, such as email,first_name."
        )
    if len(cells) > COLUMNS_LIMIT:
        raise CsvUnusable(f"The file has more than {COLUMNS_LIMIT} columns. Remove those that are not needed.")
    header = _Header([], {}, {})
    for index, cell in enumerate(cells):
        shown = _SPACES.sub(" ", cell).strip()[:FIELD_NAME_LIMIT]
        column = _COLUMN_BY_ALIAS.get(_SEPARATORS.sub("_", shown.lower()))
        if column in _IDENTITY and column in header.known:
            raise CsvUnusable(
                f"Two columns name the {_IDENTITY[column]}: {cells[header.known[column]].strip()!r} and {shown!r}. "
                "Remove one of them, or give it another name: it then becomes a field of its own."
            )
        if column and column not in header.known:
            header.known[column] = index
            header.names.append(column)
            continue
        name, number = shown or f"column {index + 1}", 2
        while name in header.custom:
            name, number = f"{shown} ({number})", number + 1
        header.custom[name] = index
        header.names.append(name)
    if "email" not in header.known and "external_id" not in header.known:
        named = ", ".join(repr(name) for name in header.names[:8])
        raise CsvUnusable(
            f"No column is called email or external_id; found {named}. Name the column of the addresses email."
        )
    return header
