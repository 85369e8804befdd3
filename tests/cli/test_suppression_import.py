"""Importing a suppression list: every row is taken, or reported with its line and the reason."""

import asyncio
import csv
import json
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cli import import_command
from cli.import_command import Order, run_suppression_import
from domain.database import database, fetch
from domain.rules.csv_records import CsvUnusable
from domain.secrets import Vault
from domain.settings import Settings
from tests.cli.running import Workspace, relance
from tests.conftest import SECRET_KEY
from tests.world import IN_AN_HOUR, email, make_world


class Importing:
    """Imports into one workspace, and looks at what is there."""

    def __init__(self, folder: Path, settings: Settings, workspace: Workspace, capsys: pytest.CaptureFixture[str]):
        self.folder, self.settings, self.workspace, self.capsys = folder, settings, workspace, capsys
        self.exit_code: int | None = None

    def __call__(self, content: bytes, **options: Any) -> dict[str, Any]:
        """Import a file of this content and return the account."""
        file = self.folder / "list.csv"
        file.write_bytes(content)
        self.capsys.readouterr()
        order = Order(file=file, key=self.workspace.key, as_json=True, **options)
        self.exit_code = run_suppression_import(order, self.settings)
        account: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return account

    def bad_rows(self) -> list[dict[str, str]]:
        with (self.folder / "list.bad.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def within(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def carry_out() -> Any:
            async with database(self.settings.database_url, pool_size=2, pepper=Vault(SECRET_KEY).pepper):
                return await work()

        return asyncio.run(carry_out())

    def listed(self) -> list[tuple[Any, ...]]:
        sql = (
            "SELECT kind, value, note, source, created_by_kind FROM suppressions WHERE workspace_id = $1 "
            "ORDER BY kind, value"
        )
        return [tuple(row) for row in self.within(lambda: fetch(sql, self.workspace.id))]


@pytest.fixture
def importing(
    tmp_path: Path, settings: Settings, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> Importing:
    return Importing(tmp_path, settings, workspace, capsys)


def test_addresses_domains_and_phones_are_listed_as_they_are_compared_with_their_notes(importing: Importing) -> None:
    account = importing(
        b"\xef\xbb\xbf"
        + "E-Mail;Domain;Phone;Reason;CRM\r\nZoe@A.test;;;möchte nicht;7\r\n;@Big.Example;;;8\r\n"
        ";;+49 (0) 170 1234567;;9\r\n".encode()
    )
    assert (account["added"], account["already"], account["bad"], importing.exit_code) == (3, 0, 0, 0)
    assert importing.listed() == [
        ("ADDRESS", "zoe@a.test", "möchte nicht", "IMPORT", "API_KEY"),
        ("DOMAIN", "big.example", None, "IMPORT", "API_KEY"),
        ("PHONE", "491701234567", None, "IMPORT", "API_KEY"),
    ]


def test_a_latin_1_file_keeps_its_letters(importing: Importing) -> None:
    importing("email,note\na@a.test,René\n".encode("latin-1"))
    assert [row[2] for row in importing.listed()] == ["René"]


def test_rows_that_cannot_be_taken_go_to_a_file_with_line_reason_and_cells(importing: Importing) -> None:
    account = importing(
        b"email,domain,phone,crm\nno-address,,,1\ngood@a.test,,,2\n,nodots,,3\n,,12,4\n,,,5\n\n"
        b"b@a.test,a.test,,6\nc@a.test,,,7,,8\n"
    )
    assert (account["added"], account["bad"], account["emptyRows"], account["lastLine"]) == (1, 6, 1, 9)
    bad = importing.bad_rows()
    found = [(row["relance_line"], row["crm"]) for row in bad]
    assert found == [("2", "1"), ("4", "3"), ("5", "4"), ("6", "5"), ("8", "6"), ("9", "7")]
    assert "domain" in bad[1]["relance_reason"]
    assert "own" in bad[4]["relance_reason"]
    assert len(importing.listed()) == 1


def test_the_file_of_bad_rows_can_be_corrected_and_imported_as_it_is(importing: Importing) -> None:
    importing(b"email,note\nwrong,x\n")
    assert importing.exit_code == 1
    corrected = (importing.folder / "list.bad.csv").read_bytes().replace(b"wrong,", b"right@a.test,")
    assert importing(corrected)["added"] == 1


def test_importing_again_and_naming_one_twice_add_nothing(importing: Importing) -> None:
    rows = b"email,domain\na@a.test,\n,b.test\nA@A.TEST,\n"
    first, second = importing(rows), importing(rows)
    assert (first["added"], first["already"]) == (2, 1)
    assert (second["added"], second["already"]) == (0, 3)
    assert len(importing.listed()) == 2


def test_a_dry_run_says_what_would_happen_and_changes_nothing(importing: Importing) -> None:
    importing(b"email\na@a.test\n")
    account = importing(b"email\na@a.test\nb@a.test\n", dry_run=True)
    assert (account["added"], account["already"], account["dryRun"]) == (1, 1, True)
    assert len(importing.listed()) == 1


def test_open_recipients_concerned_end_suppressed_and_the_others_go_on(importing: Importing) -> None:
    async def enrol() -> Any:
        actor = import_command.ENGINE
        steps = [email(wait=IN_AN_HOUR)]
        return await make_world(importing.workspace.id, actor, Vault(SECRET_KEY), steps=steps, people=3)

    world = importing.within(enrol)
    account = importing(b"email\nP0@people.example\np2@people.example\nelse@people.example\n")
    assert (account["added"], account["ended"]) == (3, 2)
    rows = importing.within(
        lambda: fetch("SELECT id, end_reason FROM recipients WHERE workspace_id = $1", importing.workspace.id)
    )
    reasons = {row["id"]: row["end_reason"] for row in rows}
    assert [reasons[id] for id in world.recipient_ids] == ["SUPPRESSED", None, "SUPPRESSED"]


@pytest.mark.parametrize("content", [b"", b"name,city\nAnn,Rome\n", b"ann@a.test\n"])
def test_a_file_that_names_nothing_to_suppress_is_refused_whole(importing: Importing, content: bytes) -> None:
    with pytest.raises(CsvUnusable):
        importing(content)


def test_an_interrupted_import_says_how_far_it_got_and_goes_on_from_there(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"email\n" + b"".join(b"p%d@a.test\n" % number for number in range(520))
    answers = iter([False, True])
    monkeypatch.setattr(import_command, "_stopping", lambda: nullcontext(lambda: next(answers)))
    first = importing(rows)
    assert (first["interrupted"], first["added"], first["lastLine"], importing.exit_code) == (True, 500, 501, 130)
    monkeypatch.undo()
    second = importing(rows)
    assert (second["already"], second["added"], second["interrupted"]) == (500, 20, False)


def test_the_command_names_its_columns() -> None:
    assert "email, domain, phone" in relance("import", "suppressions", "--help").stdout
