"""`relance import`: the commands around `cli.contact_import` and `cli.suppression_import`, progress and summary."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Final, Protocol
from uuid import UUID

from cli.console import CannotGoOn, run, say, say_aside, say_json
from cli.contact_import import Account, Import, import_contacts
from cli.reaching import opened, workspace_named
from cli.suppression_import import SuppressionAccount, import_suppressions
from domain import enrolment, keys
from domain.enrolment import Into
from domain.rules.actor import ENGINE, Actor, ActorKind
from domain.rules.ids import IdMalformed, Prefix, from_public
from domain.settings import Settings

_LINE_EVERY_SECONDS: Final = 5.0
_INTERRUPTED: Final = 130


class _Counting(Protocol):
    @property
    def rows(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the operator typed."""

    file: Path
    sequence: str | None = None
    workspace: str | None = None
    key: str | None = None
    bad_rows: Path | None = None
    dry_run: bool = False
    as_json: bool = False


def run_import(order: Order, settings: Settings) -> int:
    """Import and tell what became of it; return the exit code: 1 when nothing could be taken, 130 when interrupted.

    Raises:
        CannotGoOn, CsvUnusable, Refusal: nothing was imported.
    """
    bad_rows = order.bad_rows or order.file.with_suffix(".bad.csv")
    _refuse_files(order.file, bad_rows)
    sequence_id = _sequence_id(order.sequence) if order.sequence else None

    async def work() -> Account:
        async with opened(settings):
            workspace_id, actor = await _who(order)
            if sequence_id is not None:
                await enrolment.check(workspace_id, Into(sequence_id=sequence_id))  # refused before anything is written
            wanted = Import(
                workspace_id=workspace_id,
                actor=actor,
                sequence_id=sequence_id,
                bad_rows=bad_rows,
                dry_run=order.dry_run,
            )
            with order.file.open("rb") as stream, _progress(order.file, stream.tell) as progress, _stopping() as stop:
                return await import_contacts(stream, wanted, progress, stop)

    account = run(work())
    if order.as_json:
        say_json({**asdict(account), "dry_run": order.dry_run})
    else:
        for line in summary(account, order):
            say(line)
    if account.interrupted:
        return _INTERRUPTED
    return 1 if account.rows and not account.taken else 0


def run_suppression_import(order: Order, settings: Settings) -> int:
    """Import a suppression list and tell what became of it; return the exit code, as of `run_import`.

    Raises:
        CannotGoOn, CsvUnusable: nothing was imported.
    """
    bad_rows = order.bad_rows or order.file.with_suffix(".bad.csv")
    _refuse_files(order.file, bad_rows)

    async def work() -> SuppressionAccount:
        async with opened(settings):
            workspace_id, actor = await _who(order)
            wanted = Import(workspace_id=workspace_id, actor=actor, bad_rows=bad_rows, dry_run=order.dry_run)
            with order.file.open("rb") as stream, _progress(order.file, stream.tell) as progress, _stopping() as stop:
                return await import_suppressions(stream, wanted, progress, stop)

    account = run(work())
    if order.as_json:
        say_json({**asdict(account), "dry_run": order.dry_run})
    else:
        would = "would be " if order.dry_run else ""
        lines = [f"{account.rows} rows read."]
        lines += _counted(account.added, f"{would}added")
        lines += _counted(account.already, "on the list already")
        lines += _counted(account.ended, "open recipients ended")
        lines += _counted(account.bad, "bad")
        for line in lines + _afterwards(account, order):
            say(line)
    if account.interrupted:
        return _INTERRUPTED
    return 1 if account.bad and account.bad == account.rows else 0


def summary(account: Account, order: Order) -> list[str]:
    """Return the account in words, a line each."""
    would = "would be " if order.dry_run else ""
    lines = [f"{account.rows} rows read."]
    lines += _counted(account.created, f"{would}created")
    lines += _counted(account.changed, f"{would}changed")
    lines += _counted(account.unchanged, "unchanged")
    if order.sequence:
        lines += _counted(account.enrolled, f"{would}enrolled")
        lines += _counted(account.already_enrolled, "in the sequence already")
        lines += _counted(account.not_enrolled, "not enrolled")
    lines += _counted(account.refused, "refused")
    lines += _counted(account.bad, "bad")
    return lines + _afterwards(account, order)


def _afterwards(account: Account | SuppressionAccount, order: Order) -> list[str]:
    lines = []
    if account.bad_rows_file:
        lines.append(f"Rows to look at, each with its line and the reason: {account.bad_rows_file}")
    if account.interrupted:
        lines.append(
            f"Stopped after line {account.last_line} of {order.file}; everything up to there is done. "
            "Run the same command again for the rest: what is there already stays as it is."
        )
    elif order.dry_run:
        lines.append("This was a dry run: nothing has changed.")
    return lines


def _counted(number: int, words: str) -> list[str]:
    return [f"{number:>9,}  {words}"] if number else []


def _refuse_files(file: Path, bad_rows: Path) -> None:
    if file.is_dir():
        raise CannotGoOn(f"{file} is a folder. Name a CSV file in it.", exit_code=2)
    if not file.is_file():
        raise CannotGoOn(f"There is no file {file}.", exit_code=2)
    if bad_rows.exists() and bad_rows.samefile(file):
        raise CannotGoOn(
            "The file of bad rows cannot be the file itself. Name another one with --bad-rows.", exit_code=2
        )
    if not os.access(bad_rows if bad_rows.exists() else bad_rows.parent, os.W_OK):
        raise CannotGoOn(f"The file of bad rows {bad_rows} cannot be written. Name another one with --bad-rows.")


def _sequence_id(text: str) -> UUID:
    """Return the key of a sequence: of its id in the API, or as the database has it."""
    with suppress(ValueError):
        return UUID(text)
    try:
        prefix, key = from_public(text)
    except IdMalformed:
        prefix, key = None, None
    if key is None or prefix is not Prefix.SEQUENCE:
        raise CannotGoOn(f"“{text}” is not the id of a sequence. Take it from the API.", exit_code=2)
    return key


async def _who(order: Order) -> tuple[UUID, Actor]:
    """Return the workspace to write to and who writes."""
    if order.key:
        known = await keys.authenticate(order.key)
        if known is None:
            raise CannotGoOn("The API key is unknown, expired or revoked. See `relance keys list`.")
        return known.workspace_id, Actor(ActorKind.API_KEY, known.id)
    return await workspace_named(order.workspace), ENGINE


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a wish that is asked for between batches; a second one interrupts at once."""
    told = False

    def tell(*_: object) -> None:
        nonlocal told
        if told:
            raise KeyboardInterrupt
        told = True
        say_aside("Stopping after this batch.")

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: told
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def _progress(file: Path, position: Callable[[], int]) -> Iterator[Callable[[_Counting], None]]:
    """Show how far it got: a bar on a terminal, else a line every few seconds; both apart from the result."""
    size_bytes = max(file.stat().st_size, 1)
    if not sys.stderr.isatty():
        told_at = monotonic()

        def tell(account: _Counting) -> None:
            nonlocal told_at
            if monotonic() - told_at >= _LINE_EVERY_SECONDS:
                told_at = monotonic()
                say_aside(f"{account.rows} rows, {100 * position() // size_bytes} % of the file")

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing", total=size_bytes)
        yield lambda account: bar.update(task, completed=position(), description=f"{account.rows:,} rows")
