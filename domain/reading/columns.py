"""The columns of the statements, and the way from a record to rows. Rows that occur often in a page are made once."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from domain.reading.rows import ContactRow, MailboxRow, SequenceRow, StepRow
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.timing import WaitUnit

R = TypeVar("R")


def columns_of(alias: str, names: Sequence[str]) -> list[str]:
    return [f'{alias}."{name}"' for name in names]


def to_contact(values: Sequence[Any]) -> ContactRow:
    return ContactRow(*values)


def to_mailbox(values: Sequence[Any]) -> MailboxRow:
    return MailboxRow(*values)


def to_sequence(values: Sequence[Any]) -> SequenceRow:
    key, external_id, name, status, settings, created_at = values
    return SequenceRow(key, external_id, name, SequenceStatus(status), settings, created_at)


def to_step(values: Sequence[Any]) -> StepRow:
    key, sequence_key, position, kind, amount, unit, *rest = values
    return StepRow(key, sequence_key, position, StepKind(kind), amount, WaitUnit(unit), *rest)


class Layout:
    """A statement's columns, part by part; each part is read back by its place."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self._parts: dict[str, slice] = {}
        self._made: dict[tuple[str, UUID], Any] = {}

    def add(self, part: str, columns: Sequence[str]) -> None:
        self._parts[part] = slice(len(self.columns), len(self.columns) + len(columns))
        self.columns += columns

    def __contains__(self, part: str) -> bool:
        return part in self._parts

    def values(self, part: str, record: asyncpg.Record) -> tuple[Any, ...]:
        found: tuple[Any, ...] = record[self._parts[part]]
        return found

    def row(self, part: str, record: asyncpg.Record, make: Callable[[Sequence[Any]], R]) -> R | None:
        """Return the row of a part; None where it was not asked for, or the join found nothing."""
        if part not in self._parts:
            return None
        values = record[self._parts[part]]
        if values[0] is None:
            return None
        place = (part, values[0])
        found = self._made.get(place)
        if found is None:
            found = self._made[place] = make(values)
        row: R = found
        return row
