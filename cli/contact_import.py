"""Importing contacts from a CSV file: streamed in batches, with an account of every row.

Each batch is a transaction of its own, so an interruption loses nothing that was counted, and the same file can be
imported again: what is there already stays as it is, who is enrolled already stays enrolled.

Source: product.md section 3 "Enrolment".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from cli.bad_rows import LINE_COLUMN, REASON_COLUMN, Rejects, batches
from domain.contacts import ContactFields, Matched, write_contacts
from domain.database import Tx, tx
from domain.enrolment import Candidate, Enrolment, enroll
from domain.refusals import AlreadyEnrolled, Refusal
from domain.rules.actor import Actor
from domain.rules.contact_csv import BadRow, ContactRow, read_contacts

_KNOWN: Final = ("email", "first_name", "last_name", "company", "phone", "time_zone", "external_id")


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


class _DryRun(Exception):
    pass


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
                    rejects.add(row.line, str(reasons[row.line]), _cells(row, reader.columns))
            rejects.flush()
            account.last_line = batch[-1].line
            account.empty_rows = reader.empty_rows
            progress(account)
    finally:
        account.bad_rows_file = rejects.close()
    return account


async def _take(wanted: Import, rows: Sequence[ContactRow], account: Account) -> list[Refusal | None]:
    """Write one batch, and enrol it where that is asked for; return for each row why it was refused, or None."""
    given = [_fields(row) for row in rows]
    found, changed = await _write(wanted, given)
    refusals: list[Refusal | None] = [answer if isinstance(answer, Refusal) else None for answer in found]
    matched = [(index, answer) for index, answer in enumerate(found) if isinstance(answer, Matched)]
    account.created += sum(answer.created for _, answer in matched)
    account.changed += len(changed)
    account.unchanged += len(matched) - sum(answer.created for _, answer in matched) - len(changed)
    account.refused += len(rows) - len(matched)
    if wanted.sequence_id is None or not matched:
        return refusals
    # In a dry run the contacts are not there, so they are given whole.
    candidates = [
        Candidate(given[index] if wanted.dry_run else ContactFields(answer.row["id"])) for index, answer in matched
    ]
    enrolment = Enrolment(sequence_id=wanted.sequence_id, candidates=candidates)
    answers = await enroll(wanted.workspace_id, wanted.actor, enrolment, dry_run=wanted.dry_run)
    for (index, _), answer in zip(matched, answers, strict=True):
        if answer.refusal is None:
            account.enrolled += 1
        elif isinstance(answer.refusal, AlreadyEnrolled):
            account.already_enrolled += 1
        else:
            account.not_enrolled += 1
            refusals[index] = answer.refusal
    return refusals


async def _write(wanted: Import, given: Sequence[ContactFields]) -> tuple[list[Matched | Refusal], set[UUID]]:
    """Return the contacts as they are now, and which of them were there before and have changed."""
    kept: list[tuple[list[Matched | Refusal], set[UUID]]] = []

    async def work(t: Tx) -> tuple[list[Matched | Refusal], set[UUID]]:
        found = await write_contacts(t, given)
        known = [answer.row["id"] for answer in found if isinstance(answer, Matched) and not answer.created]
        # A row that was written carries the time of its transaction.
        changed = await t.fetch(
            "SELECT id FROM contacts WHERE workspace_id = $1 AND id = ANY($2::uuid[]) AND updated_at = $3",
            t.workspace_id,
            known,
            t.now,
        )
        outcome = found, {row["id"] for row in changed}
        if wanted.dry_run:
            kept.append(outcome)
            raise _DryRun
        return outcome

    try:
        return await tx(wanted.workspace_id, work, rings=False)
    except _DryRun:
        return kept[-1]


def _fields(row: ContactRow) -> ContactFields:
    values: dict[str, str | None] = {name: value for name in _KNOWN if (value := getattr(row, name)) is not None}
    custom = {name: value for name, value in row.fields.items() if name not in (LINE_COLUMN, REASON_COLUMN)}
    return ContactFields(values=values, custom=custom or None)


def _cells(row: ContactRow, columns: Sequence[str]) -> list[str]:
    """Return the cells of a row, in the order of the file's columns."""
    seen: set[str] = set()
    cells = []
    for name in columns:
        known = name in _KNOWN and name not in seen
        seen.add(name)
        cells.append((getattr(row, name) if known else row.fields.get(name)) or "")
    return cells
