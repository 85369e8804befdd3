"""Importing contacts from a CSV file: streamed in batches, with an account of every row.

Each batch is a transaction of its own, so an interruption loses nothing that was counted, and the same file can be
imported again: what is there already stays as it is, who is enrolled already stays enrolled.

Source: product.md section 3 "Enrolment".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from cli.bad_rows import Rejects
from domain.database import tx
from domain.enrolment import Into
from domain.importing import batches, take
from domain.refusals import Refusal
from domain.rules.actor import Actor
from domain.rules.contact_csv import BadRow, ContactRow, read_contacts


@dataclass(slots=True)
class Account:
    """What became of the rows so far. Each row is in exactly one of created, changed, unchanged, refused, bad; where a
    sequence is named, each of the first three also in one of enrolled, already enrolled, not enrolled."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    enrolled: int = 0
    already_enrolled: int = 0
    not_enrolled: int = 0  # the contact was taken, the enrolment refused
    refused: int = 0
    bad: int = 0
    empty_rows: int = 0
    last_line: int = 0  # of the file; every row up to here has been dealt with
    interrupted: bool = False
    bad_rows_file: str | None = None

    @property
    def taken(self) -> int:
        return self.created + self.changed + self.unchanged

    @property
    def rows(self) -> int:
        return self.taken + self.refused + self.bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What to import, and where to."""

    workspace_id: UUID
    actor: Actor
    sequence_id: UUID | None = None
    bad_rows: Path
    dry_run: bool = False


async def import_contacts(
    stream: BinaryIO, wanted: Import, progress: Callable[[Account], None], stop: Callable[[], bool]
) -> Account:
    """Import the file and return the account. `progress` is called after each batch; `stop` is asked before each.

    Memory holds one batch, and the reader's keys to find duplicates.

    Raises:
        CsvUnusable: the header names no contacts; nothing was imported.
        NotFound, SequenceArchived, SequenceEmpty: nobody can be enrolled in the sequence; nothing was enrolled.
    """
    reader = read_contacts(stream)
    account = Account()
    rejects = Rejects(wanted.bad_rows, reader.columns)
    try:
        for batch in batches(reader):
            if stop():
                account.interrupted = True
                break
            rows = [row for row in batch if isinstance(row, ContactRow)]
            answers = await _take(wanted, rows, account) if rows else []
            reasons = {row.line: refusal for row, refusal in zip(rows, answers, strict=True) if refusal is not None}
            for row in batch:
                if isinstance(row, BadRow):
                    account.bad += 1
                    rejects.add(row.line, row.reason, row.cells)
                elif row.line in reasons:
                    rejects.add(row.line, str(reasons[row.line]), row.cells)
            rejects.flush()
            account.last_line = batch[-1].line
            account.empty_rows = reader.empty_rows
            progress(account)
    finally:
        account.bad_rows_file = rejects.close()
    return account


async def _take(wanted: Import, rows: Sequence[ContactRow], account: Account) -> list[Refusal | None]:
    """Take one batch, and return for each row why it was refused, or None."""
    into = Into(sequence_id=wanted.sequence_id) if wanted.sequence_id else None
    taken = await tx(wanted.workspace_id, lambda t: take(t, wanted.actor, rows, into=into, dry_run=wanted.dry_run))
    for one in taken:
        if one.contact_id is None:
            account.refused += 1
            continue
        account.created += one.created
        account.changed += one.updated
        account.unchanged += not (one.created or one.updated)
        account.enrolled += one.enrolled
        account.already_enrolled += one.already_enrolled
        account.not_enrolled += one.refusal is not None
    return [one.refusal for one in taken]
