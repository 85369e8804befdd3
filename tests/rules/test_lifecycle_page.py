import re
from pathlib import Path

import pytest

from cli.lifecycle_docs import HOW_TO_MAKE_IT, PAGE, is_current, main
from domain.rules.lifecycle import ENDED, EndReason, Signal, Status
from domain.rules.lifecycle_diagram import arrows, mermaid
from domain.rules.lifecycle_page import lifecycle_page
from domain.rules.step_errors import StepErrorCode


def test_the_page_in_docs_is_what_the_rules_say() -> None:
    assert is_current(), f"docs/lifecycle.md has drifted. {HOW_TO_MAKE_IT}"


def test_the_page_names_every_word_of_the_lifecycle() -> None:
    page = lifecycle_page()
    for word in [*Status, *Signal, *EndReason, *StepErrorCode]:
        assert re.search(rf"^\| \**{word}\b", page, re.MULTILINE), word


def test_every_table_of_the_page_is_even() -> None:
    for table in re.findall(r"(?:^\|.*\n)+", lifecycle_page(), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_page_is_the_same_whenever_it_is_made() -> None:
    assert lifecycle_page() == lifecycle_page()


def test_check_finds_a_page_that_drifted_and_says_how_to_make_it_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "lifecycle.md"
    assert main(["--check"], page) == 1
    assert main([], page) == 0
    assert main(["--check"], page) == 0
    page.write_text(page.read_text(encoding="utf-8") + "More.\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["--check"], page) == 1
    assert "python -m cli.lifecycle_docs" in capsys.readouterr().out
    assert page != PAGE


def changes(source: Status, target: Status) -> list[str]:
    return [label for start, end, label in arrows() if (start, end) == (source, target)]


def test_the_arrows_are_what_the_transitions_do() -> None:
    assert "step carried out" in changes(Status.SCHEDULED, Status.COMPLETED)  # a sequence of a single email
    assert "RESUME" in changes(Status.PAUSED, Status.ERROR)
    assert changes(Status.PAUSED, Status.COMPLETED) == ["sent late"]
    assert changes(Status.COMPLETED, Status.ERROR) == ["delivery failed"]
    assert changes(Status.REPLIED, Status.UNSUBSCRIBED) == ["opt out"]
    assert changes(Status.COMPLETED, Status.BOUNCED) == ["hard bounce"]
    assert not [arrow for arrow in arrows() if arrow[0] in (Status.STOPPED, Status.BOUNCED, Status.UNSUBSCRIBED)]


def test_every_status_is_reached_and_the_diagram_draws_each_change() -> None:
    assert {target for _, target, _ in arrows()} == set(Status)
    drawn = mermaid()
    for source, target, label in arrows():
        froms = [source.value] if source in ENDED else [source.value, "Open"]
        lines = [line for line in drawn.splitlines() if re.search(rf"\b({'|'.join(froms)}) --> {target} :", line)]
        assert any(label in line for line in lines), (source, target, label)
