"""Importing contacts: every row is taken, or reported with its line and the reason, whatever wrote the file."""

import asyncio
import csv
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.console import CannotGoOn
from cli.import_command import Order, run_import
from domain import authoring, erasing, suppressing
from domain.database import database, fetch
from domain.plans import SequenceSettings
from domain.refusals import NotFound
from domain.rules.actor import ENGINE
from domain.rules.contact_csv import CsvUnusable
from domain.rules.plan import StepKind
from domain.rules.timing import Wait, WaitUnit
from domain.secrets import Vault
from domain.settings import Settings
from domain.steps import NewStep
from domain.suppressing import Wanted
from tests.cli.running import Workspace


class Importing:
    """Imports into one workspace, and looks at what is there."""

    def __init__(self, folder: Path, settings: Settings, workspace: Workspace, capsys: pytest.CaptureFixture[str]):
        self.folder, self.settings, self.workspace, self.capsys = folder, settings, workspace, capsys
        self.exit_code: int | None = None

    def __call__(self, content: bytes, **options: Any) -> dict[str, Any]:
        """Import a file of this content and return the account."""
        file = self.folder / "people.csv"
        file.write_bytes(content)
        self.capsys.readouterr()
        order = Order(file=file, key=self.workspace.key, as_json=True, **options)
        self.exit_code = run_import(order, self.settings)
        account: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return account

    def bad_rows(self) -> list[dict[str, str]]:
        with (self.folder / "people.bad.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def contacts(self) -> list[dict[str, Any]]:
        return self._fetch("SELECT * FROM contacts WHERE workspace_id = $1 ORDER BY email")

    def recipients(self) -> list[dict[str, Any]]:
        return self._fetch("SELECT * FROM recipients WHERE workspace_id = $1")

    def sequence(self) -> str:
        """Make a draft with one step and return its id."""
        step = NewStep(kind=StepKind.TASK, wait=Wait(0, WaitUnit.MINUTES), task_title="Call")

        async def make() -> str:
            async with database(self.settings.database_url, pool_size=2):
                return str(await authoring.create(self.workspace.id, "Calls", [step], settings=SequenceSettings()))

        return asyncio.run(make())

    def erase(self, address: str, wanted: Wanted) -> None:
        """Suppress and erase the person with this address."""

        async def carry_out() -> None:
            async with database(self.settings.database_url, pool_size=2, pepper=Vault(self.settings.secret_key).pepper):
                await suppressing.create(self.workspace.id, ENGINE, wanted)
                sql = "SELECT id FROM contacts WHERE workspace_id = $1 AND email_key = $2"
                (row,) = await fetch(sql, self.workspace.id, address)
                await erasing.erase(self.workspace.id, ENGINE, row["id"])

        asyncio.run(carry_out())

    def _fetch(self, sql: str) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with database(self.settings.database_url, pool_size=2):
                return [dict(row) for row in await fetch(sql, self.workspace.id)]

        return asyncio.run(read())


@pytest.fixture
def importing(
    tmp_path: Path, settings: Settings, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> Iterator[Importing]:
    return Importing(tmp_path, settings, workspace, capsys)  # type: ignore[return-value]


def test_a_file_with_a_mark_semicolons_and_line_breaks_in_cells_is_taken(importing: Importing) -> None:
    account = importing(
        b"\xef\xbb\xbf"
        + 'E-Mail;Vorname;Nachname;Firma;Notiz\r\nzoe@a.test;Zoë;Ärmel;"Bär; Söhne";"eins\nzwei"\r\n'.encode()
    )
    assert (account["created"], account["bad"], importing.exit_code) == (1, 0, 0)
    (contact,) = importing.contacts()
    assert (contact["first_name"], contact["company"]) == ("Zoë", "Bär; Söhne")
    assert json.loads(contact["custom_fields"]) == {"Notiz": "eins\nzwei"}


def test_a_latin_1_file_is_taken_with_its_letters(importing: Importing) -> None:
    importing("email,first_name\nrene@a.test,René\n".encode("latin-1"))
    assert [contact["first_name"] for contact in importing.contacts()] == ["René"]


def test_rows_that_cannot_be_taken_go_to_a_file_with_line_reason_and_cells(importing: Importing) -> None:
    account = importing(
        b"email,first_name,time_zone,crm\n"
        b"good@a.test,Good,Europe/Paris,1\n"
        b"no-address,Bad,,2\n"
        b"zone@a.test,Zone,Europe/Pariss,3\n"
        b"GOOD@a.test,Again,,4\n"
        b",Nobody,,5\n"
    )
    assert (account["created"], account["bad"], account["lastLine"]) == (1, 4, 6)
    bad = importing.bad_rows()
    assert [row["relance_line"] for row in bad] == ["3", "4", "5", "6"]
    assert [row["crm"] for row in bad] == ["2", "3", "4", "5"]
    assert "Europe/Paris" in bad[1]["relance_reason"]
    assert "line 2" in bad[2]["relance_reason"]


def test_the_file_of_bad_rows_can_be_corrected_and_imported_as_it_is(importing: Importing) -> None:
    importing(b"email,first_name\nwrong,Ann\n")
    corrected = (importing.folder / "people.bad.csv").read_bytes().replace(b"wrong,", b"right@a.test,")
    assert importing(corrected)["created"] == 1
    assert [contact["custom_fields"] for contact in importing.contacts()] == ["{}"]


def test_importing_again_changes_nothing_and_tells_what_changed(importing: Importing) -> None:
    rows = b"email,first_name\na@a.test,Ann\nb@a.test,Ben\n"
    assert importing(rows)["created"] == 2
    again = importing(rows)
    assert (again["created"], again["changed"], again["unchanged"]) == (0, 0, 2)
    edited = importing(rows.replace(b"Ben", b"Bea"))
    assert (edited["created"], edited["changed"], edited["unchanged"]) == (0, 1, 1)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(importing: Importing) -> None:
    sequence = importing.sequence()
    account = importing(b"email\na@a.test\nb@a.test\n", dry_run=True, sequence=sequence)
    assert (account["created"], account["enrolled"]) == (2, 2)
    assert (importing.contacts(), importing.recipients()) == ([], [])


def test_named_a_sequence_everyone_is_enrolled_once(importing: Importing) -> None:
    sequence = importing.sequence()
    rows = b"email\n" + b"".join(b"p%d@a.test\n" % number for number in range(1_100))
    first, second = importing(rows, sequence=sequence), importing(rows, sequence=sequence)
    assert (first["created"], first["enrolled"]) == (1_100, 1_100)
    assert (second["unchanged"], second["enrolled"], second["alreadyEnrolled"]) == (1_100, 0, 1_100)
    assert len(importing.recipients()) == 1_100


def test_a_row_the_engine_refuses_is_reported_like_a_bad_one(importing: Importing) -> None:
    importing(b"email,external_id\na@a.test,1\nb@a.test,2\n")
    account = importing(b"email,external_id,crm\na@a.test,2,x\n")
    assert (account["refused"], importing.exit_code) == (1, 1)
    (row,) = importing.bad_rows()
    assert (row["email"], row["external_id"], row["crm"], row["relance_line"]) == ("a@a.test", "2", "x", "2")


def test_an_erased_person_on_the_suppression_list_does_not_come_back_by_an_import(importing: Importing) -> None:
    """Source: reliability.md R26."""
    sequence = importing.sequence()
    rows = b"email,phone\nGone@A.test,\nmoved@a.test,+49 170 1234567\nstays@a.test,\n"
    assert importing(rows, sequence=sequence)["enrolled"] == 3
    importing.erase("gone@a.test", Wanted(address="GONE@a.test"))
    importing.erase("moved@a.test", Wanted(phone="+491701234567"))
    again = rows.replace(b"moved@a.test", b"new@b.test")
    for options in ({}, {"sequence": sequence}, {"dry_run": True}):
        account = importing(again, **options)
        assert (account["created"], account["refused"], account["unchanged"]) == (0, 2, 1)
        refused = [(row["relance_line"], row["relance_reason"]) for row in importing.bad_rows()]
        assert [line for line, _ in refused] == ["2", "3"]
        assert all("suppress" in reason for _, reason in refused)
    assert [contact["email"] for contact in importing.contacts()] == ["stays@a.test", None, None]


@pytest.mark.parametrize("content", [b"", b"name,city\nAnn,Rome\n", b"ann@a.test,Ann\n"])
def test_a_file_that_names_no_contacts_is_refused_whole(importing: Importing, content: bytes) -> None:
    with pytest.raises(CsvUnusable):
        importing(content)


def test_an_unknown_sequence_is_refused_before_anything_is_written(importing: Importing) -> None:
    with pytest.raises(NotFound):
        importing(b"email\na@a.test\n", sequence=str(importing.workspace.id))
    assert importing.contacts() == []


def test_a_wrong_key_and_a_missing_file_are_refused_in_words(
    settings: Settings, workspace: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    with pytest.raises(CannotGoOn, match="There is no file"):
        run_import(Order(file=file, key=workspace.key), settings)
    file.write_text("email\na@a.test\n")
    with pytest.raises(CannotGoOn, match="unknown, expired or revoked"):
        run_import(Order(file=file, key="rel_nobody_x"), settings)


def test_an_interrupted_import_says_how_far_it_got_and_goes_on_from_there(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    from cli import import_command

    rows = b"email\n" + b"".join(b"p%d@a.test\n" % number for number in range(700))
    answers = iter([False, True])
    monkeypatch.setattr(import_command, "_stopping", lambda: nullcontext(lambda: next(answers)))
    first = importing(rows)
    assert (first["interrupted"], first["created"], first["lastLine"], importing.exit_code) == (True, 500, 501, 130)
    monkeypatch.undo()
    second = importing(rows)
    assert (second["unchanged"], second["created"], second["interrupted"]) == (500, 200, False)


def test_a_long_file_is_streamed_in_bounded_memory(importing: Importing) -> None:
    rows = b"email,first_name,crm\n" + b"".join(b"p%d@a.test,Ann,%d\n" % (number, number) for number in range(6_000))
    tracemalloc.start()
    try:
        account = importing(rows, dry_run=True)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert account["created"] == 6_000
    assert peak_bytes < 12_000_000
