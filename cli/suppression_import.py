"""Importing a suppression list from a CSV file: streamed in batches, with an account of every row.

Each batch is a transaction of its own, and what is on the list already stays as it is: the same file can be imported
again after an interruption.

Source: product.md section 5.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from uuid import UUID

from cli.bad_rows import Rejects
from cli.contact_import import Import
from domain import suppressing
from domain.importing import batches
from domain.refusals import Invalid
from domain.rules.csv_records import CsvUnusable, Record, read_records
from domain.rules.suppressed import SuppressionSource
from domain.suppressing import Suppressing, Wanted
from domain.suppression import Entry

_ALIASES: Final = {
    "address": "address email e_mail mail email_address e_mail_address e_mail_adresse",
    "domain": "domain domain_name domäne domaine",
    "phone": "phone phone_number phonenumber mobile telephone telefon",
    "note": "note notes reason comment",
}
_COLUMN_BY_ALIAS: Final = {alias: column for column, aliases in _ALIASES.items() for alias in aliases.split()}
_KINDS: Final = ("address", "domain", "phone")
_SEPARATORS: Final = re.compile(r"[\s_-]+")


@dataclass(slots=True)
class SuppressionAccount:
    """What became of the rows so far. Each row is in exactly one of added, already, bad."""

    added: int = 0
    already: int = 0  # on the list, or in an earlier row
    bad: int = 0
    empty_rows: int = 0
    ended: int = 0  # open recipients that ended by it; a worker may still end others
    last_line: int = 0  # of the file; every row up to here has been dealt with
    interrupted: bool = False
    bad_rows_file: str | None = None

    @property
    def rows(self) -> int:
        return self.added + self.already + self.bad


async def import_suppressions(
    stream: BinaryIO, wanted: Import, progress: Callable[[SuppressionAccount], None], stop: Callable[[], bool]
) -> SuppressionAccount:
    """Import the file and return the account. `progress` is called after each batch; `stop` is asked before each.

    Memory holds one batch, and what was named before to find duplicates.

    Raises:
        CsvUnusable: the header names nothing to suppress; nothing was imported.
    """
    records = read_records(stream)
    names, known = _header(records)
    account, rejects = SuppressionAccount(), Rejects(wanted.bad_rows, names)
    seen: set[Entry] = set()
    try:
        for batch in batches(records):
            if stop():
                account.interrupted = True
                break
            entries: list[tuple[Entry, str | None]] = []
            for record in batch:
                if record.problem is None and not any(map(str.strip, record.cells)):
                    account.empty_rows += 1
                    continue
                try:
                    entry, note = _entry(record, names, known)
                except _RowRefused as refusal:
                    account.bad += 1
                    rejects.add(record.line, str(refusal), record.cells)
                    continue
                if entry in seen:
                    account.already += 1
                    continue
                seen.add(entry)
                entries.append((entry, note))
            if entries:
                await _take(wanted, entries, account)
            rejects.flush()
            account.last_line = batch[-1].line
            progress(account)
    finally:
        account.bad_rows_file = rejects.close()
    return account


async def _take(wanted: Import, entries: list[tuple[Entry, str | None]], account: SuppressionAccount) -> None:
    made: list[UUID] = await suppressing.put_all(
        wanted.workspace_id, wanted.actor, entries, source=SuppressionSource.IMPORT, dry_run=wanted.dry_run
    )
    account.added += len(made)
    account.already += len(entries) - len(made)
    if wanted.dry_run:
        return
    for id in made:
        done = await suppressing.settle_before_the_answer(wanted.workspace_id, Suppressing(id, 0, 0, True))
        account.ended += done.ended


class _RowRefused(Exception):
    pass


def _entry(record: Record, names: list[str], known: dict[str, int]) -> tuple[Entry, str | None]:
    if record.problem:
        raise _RowRefused(record.problem)
    cells = [cell.strip() for cell in record.cells]
    if any(cells[len(names) :]):
        raise _RowRefused(
            f"It has {len(cells)} cells, but the header has {len(names)}: "
            "put cells that hold the delimiter in quotation marks."
        )
    cells += [""] * (len(names) - len(cells))
    found = {column: cells[index] for column, index in known.items() if cells[index]}
    given = [column for column in _KINDS if column in found]
    if len(given) != 1:
        raise _RowRefused(
            f"It names {' and '.join(given)}: give each a row of its own."
            if given
            else "It has no email address, no domain and no phone number."
        )
    wanted = Wanted(
        address=found.get("address"), domain=found.get("domain"), phone=found.get("phone"), note=found.get("note")
    )
    try:
        return suppressing.entry_of(wanted), suppressing.note_of(wanted)
    except Invalid as problem:
        raise _RowRefused(str(problem)) from None


def _header(records: Iterator[Record]) -> tuple[list[str], dict[str, int]]:
    """Return the names of the columns, and where the known ones stand."""
    for record in records:
        if record.problem:
            raise CsvUnusable(
                f"Line {record.line} should name the columns. {record.problem} Correct it and import again."
            )
        if not any(map(str.strip, record.cells)):
            continue
        if any("@" in cell for cell in record.cells):
            raise CsvUnusable("The first line holds an address. Put a line above it that names the columns: email.")
        names = [cell.strip() for cell in record.cells]
        known: dict[str, int] = {}
        for index, name in enumerate(names):
            if column := _COLUMN_BY_ALIAS.get(_SEPARATORS.sub("_", name.lower())):
                known.setdefault(column, index)
        if not set(_KINDS) & set(known):
            shown = ", ".join(repr(name) for name in names[:8])
            raise CsvUnusable(f"No column is called email, domain or phone; found {shown}. Name one of them so.")
        return names, known
    raise CsvUnusable("The file is empty. Its first line should name the columns, such as email,domain,phone,note.")
