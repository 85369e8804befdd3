"""Taking the rows of a file: each becomes a contact, new or changed, and is enrolled where that is asked for.

A dry run does the same, and takes it back: so it says exactly what would have happened.

Source: product.md section 3 "Enrolment".
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from domain import enrolment
from domain.contacts import ContactFields, Matched, write_contacts
from domain.database import Tx
from domain.enrolment import Into
from domain.refusals import AlreadyEnrolled, DuplicateInBatch, Refusal
from domain.rules.actor import Actor
from domain.rules.contact_csv import ContactRow

BATCH: Final = 500
T = TypeVar("T")
_KNOWN: Final = ("email", "first_name", "last_name", "company", "phone", "time_zone", "external_id")


@dataclass(slots=True)
class Taken:
    """What became of one row. Without a contact it was refused as a whole; with a contact, its enrolment was."""

    contact_id: UUID | None = None
    created: bool = False
    updated: bool = False
    enrolled: bool = False
    already_enrolled: bool = False
    refusal: Refusal | None = None

    @property
    def changed(self) -> bool:
        """Whether anything has changed by it."""
        return self.created or self.updated or self.enrolled


def batches(rows: Iterable[T]) -> Iterator[list[T]]:
    """Return the rows in lists of BATCH, the last one shorter; none is empty."""
    batch: list[T] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def take(
    t: Tx, actor: Actor, rows: Sequence[ContactRow], *, into: Into | None = None, dry_run: bool = False
) -> list[Taken]:
    """Write the contacts of the rows, enrol them where `into` says, and return what became of each, in order.

    Where nobody can be enrolled any more, because the sequence was archived meanwhile, each row says so.
    """
    async with t.taken_back() if dry_run else nullcontext():
        return await _take(t, actor, rows, into)


async def _take(t: Tx, actor: Actor, rows: Sequence[ContactRow], into: Into | None) -> list[Taken]:
    sequence = await enrolment.opened_or_why_not(t, into) if into is not None else None
    found = await write_contacts(t, [_fields(row) for row in rows])
    taken = [_written(answer, rows) for answer in found]
    if isinstance(sequence, Refusal):
        for one in taken:
            one.refusal = one.refusal or sequence
    elif sequence is not None:
        for one, answer in zip(taken, await enrolment.admit(t, actor, sequence, found), strict=True):
            _note(one, answer)
    return taken


def _written(answer: Matched | Refusal, rows: Sequence[ContactRow]) -> Taken:
    if isinstance(answer, DuplicateInBatch):
        line = rows[answer.first_index].line
        return Taken(refusal=DuplicateInBatch(answer.first_index, f"The same person is on line {line} already."))
    if isinstance(answer, Refusal):
        return Taken(refusal=answer)
    return Taken(answer.row["id"], answer.created, answer.changed)


def _note(one: Taken, answer: enrolment.Answer) -> None:
    if one.contact_id is None:
        return
    if answer.refusal is None:
        one.enrolled = True
    elif isinstance(answer.refusal, AlreadyEnrolled):
        one.already_enrolled = True
    else:
        one.refusal = answer.refusal


def _fields(row: ContactRow) -> ContactFields:
    values: dict[str, str | None] = {name: value for name in _KNOWN if (value := getattr(row, name)) is not None}
    return ContactFields(values=values, custom=row.fields or None)
