"""Contacts from a CSV file: every row becomes a contact or is reported with its line and the reason.

Source: product.md 3 (enrolment: how contacts are matched); the aliases of columns are below.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import BinaryIO, Final, Self

from domain.rules.addresses import EmailInvalid, TimeZoneUnknown, address_key, check_time_zone, normalise_email
from domain.rules.csv_records import CsvUnusable, Record, read_records

__all__ = [
    "BadRow",
    "Column",
    "ContactReader",
    "ContactRow",
    "CsvUnusable",
    "Meaning",
    "columns_of",
    "problem_with",
    "read_contacts",
]

FIELD_NAME_LIMIT: Final = 100
COLUMNS_LIMIT: Final = 500
LINE_COLUMN, CODE_COLUMN, REASON_COLUMN = "relance_line", "relance_code", "relance_reason"
"""Columns of the file of refused rows. They are left out when that file is corrected and imported again."""


class Meaning(StrEnum):
    """What a column of the file says."""

    EMAIL = "EMAIL"
    FIRST_NAME = "FIRST_NAME"
    LAST_NAME = "LAST_NAME"
    COMPANY = "COMPANY"
    PHONE = "PHONE"
    TIME_ZONE = "TIME_ZONE"
    EXTERNAL_ID = "EXTERNAL_ID"
    CUSTOM_FIELD = "CUSTOM_FIELD"
    IGNORED = "IGNORED"


MEANING: Final[Mapping[Meaning, str]] = {
    Meaning.EMAIL: "The address.",
    Meaning.FIRST_NAME: "The first name.",
    Meaning.LAST_NAME: "The last name.",
    Meaning.COMPANY: "The company.",
    Meaning.PHONE: "The phone number.",
    Meaning.TIME_ZONE: "The time zone, such as Europe/Paris.",
    Meaning.EXTERNAL_ID: "Your own id of the person.",
    Meaning.CUSTOM_FIELD: "A custom field.",
    Meaning.IGNORED: "Nothing that is kept.",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file and what it is taken for. `field_name` is the custom field's, where it is one."""

    name: str  # as the file heads it; the second of the same name is “name (2)”
    meaning: Meaning
    field_name: str | None = None


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
    cells: Sequence[str] = field(default=(), compare=False, repr=False)  # as they stand


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no contact: the line (from 1) it begins on, a sentence why, and its cells as they stand."""

    line: int
    reason: str
    cells: tuple[str, ...]
    code: str = "INVALID"
    email: str | None = None  # where it could be read


class ContactReader(Iterator[ContactRow | BadRow]):
    """The rows of a file in order, one at a time. `columns` are the names found, `empty_rows` what was skipped."""

    def __init__(self, stream: BinaryIO, meant: Mapping[str, Column] | None = None) -> None:
        self._records = read_records(stream)
        columns = _understood(_header_cells(self._records), meant or {})
        self._header = _Header.of(columns)
        self._line_by_key: dict[str, int] = {}
        self.columns: tuple[str, ...] = tuple(column.name for column in columns)
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
        except _RowRefused as refusal:
            return BadRow(record.line, refusal.reason, tuple(record.cells))
        if before := self._before(row):
            name, line = before
            reason = f"The same {name} is on line {line} already."
            return BadRow(record.line, reason, tuple(record.cells), "DUPLICATE_IN_BATCH", row.email)
        return row

    def _before(self, row: ContactRow) -> tuple[str, int] | None:
        """Return what an earlier row has in common with this one, and its line."""
        keys = {}
        if row.email:
            keys[f"email {address_key(row.email)}"] = "address"
        if row.external_id:
            keys[f"id {row.external_id}"] = "external id"
        for key, name in keys.items():
            if before := self._line_by_key.get(key):
                return name, before
        for key in keys:
            self._line_by_key[key] = row.line
        return None


def read_contacts(stream: BinaryIO, meant: Mapping[str, Column] | None = None) -> ContactReader:
    """The contacts of a CSV file, read as it is asked for; memory holds one row, and the keys seen to find duplicates.

    `meant` says of columns, by name, what they are; the others are known by their names.

    Raises:
        CsvUnusable: at once, when the header is missing or names neither an address nor an external id.
    """
    return ContactReader(stream, meant)


def columns_of(stream: BinaryIO) -> list[Column]:
    """Return the columns of a file as their names are understood, also where they leave open who is meant.

    Raises:
        CsvUnusable: it is no text, has no header, or too many columns.
    """
    return _understood(_header_cells(read_records(stream)), {})


class _RowRefused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Header:
    width: int
    known: dict[str, int]
    custom: dict[str, int]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Self:
        """Raises:
        CsvUnusable: who is meant is left open.
        """
        header = cls(len(columns), {}, {})
        for index, column in enumerate(columns):
            if column.field_name is not None:
                header.custom[column.field_name] = index
            elif column.meaning is not Meaning.IGNORED:
                name = column.meaning.lower()
                if name in header.known:
                    raise CsvUnusable(
                        f"Two columns name the {_IDENTITY.get(name, name.replace('_', ' '))}: "
                        f"{columns[header.known[name]].name!r} and {column.name!r}. Remove one of them, "
                        "or give it another name or meaning: it then becomes a field of its own."
                    )
                header.known[name] = index
        if not header.known.keys() & _IDENTITY.keys():
            named = ", ".join(repr(column.name) for column in columns[:8])
            raise CsvUnusable(
                f"No column is called email or external_id; found {named}. Name the column of the addresses email."
            )
        return header

    def contact(self, record: Record) -> ContactRow:
        if record.problem:
            raise _RowRefused(record.problem)
        cells = [cell.strip() for cell in record.cells]
        if len(cells) > self.width and any(cells[self.width :]):
            raise _RowRefused(
                f"It has {len(cells)} cells, but the header has {self.width}: "
                "put cells that hold the delimiter in quotation marks."
            )
        cells += [""] * (self.width - len(cells))
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
            cells=record.cells,
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


def problem_with(columns: Sequence[Column]) -> str | None:
    """Return why contacts cannot be read from these columns until one of them is said to be something else."""
    try:
        _Header.of(columns)
    except CsvUnusable as problem:
        return str(problem)
    return None


def _header_cells(records: Iterator[Record]) -> list[str]:
    for record in records:
        if record.problem:
            raise CsvUnusable(
                f"Line {record.line} should name the columns. {record.problem} Correct it and import again."
            )
        if any(map(str.strip, record.cells)):
            return record.cells
    raise CsvUnusable("The file is empty. Its first line should name the columns, such as email,first_name,last_name.")


def _understood(cells: list[str], meant: Mapping[str, Column]) -> list[Column]:
    """Return the columns of a header: as they are meant, else by their names. Of those that need not be unique the
    first of a kind is it, and the others become custom fields."""
    if any("@" in cell for cell in cells):
        raise CsvUnusable(
            "The first line holds a contact. Put a line above it that names the columns, such as email,first_name."
        )
    if len(cells) > COLUMNS_LIMIT:
        raise CsvUnusable(f"The file has more than {COLUMNS_LIMIT} columns. Remove those that are not needed.")
    names = _names(cells)
    said = {meant[name].meaning for name in names if name in meant}
    chosen = set(said)
    fields: set[str] = {field for name in names if name in meant and (field := meant[name].field_name)}
    columns = []
    for name, cell in zip(names, cells, strict=True):
        if name in meant:
            columns.append(meant[name])
            continue
        shown = _shown(cell)
        alias = _COLUMN_BY_ALIAS.get(_SEPARATORS.sub("_", shown.lower()))
        meaning = Meaning(alias.upper()) if alias else Meaning.CUSTOM_FIELD
        if shown in (LINE_COLUMN, CODE_COLUMN, REASON_COLUMN):
            columns.append(Column(name, Meaning.IGNORED))
        elif alias and (meaning not in chosen or (alias in _IDENTITY and meaning not in said)):
            chosen.add(meaning)
            columns.append(Column(name, meaning))
        else:
            field_name = _unused(shown or name, fields)
            columns.append(Column(name, Meaning.CUSTOM_FIELD, field_name))
    return columns


def _names(cells: Sequence[str]) -> list[str]:
    """Return the names of the columns, each once."""
    taken: set[str] = set()
    return [_unused(_shown(cell) or f"column {number}", taken) for number, cell in enumerate(cells, start=1)]


def _unused(shown: str, taken: set[str]) -> str:
    """Return the name, with a number where it is taken, and take it."""
    name, number = shown, 2
    while name in taken:
        name, number = f"{shown} ({number})", number + 1
    taken.add(name)
    return name


def _shown(cell: str) -> str:
    return _SPACES.sub(" ", cell).strip()[:FIELD_NAME_LIMIT]
