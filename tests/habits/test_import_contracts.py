"""Each import contract is broken on purpose, to see it fail: a contract that cannot fail holds nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# contract, file to break, the line that breaks it
BREAKS = [
    ("api and workers never import each other", "api/__init__.py", "import workers.rounds"),
    ("api and workers never import each other", "workers/__init__.py", "import api.errors"),
    ("one direction: cli, then api and workers, then domain", "domain/__init__.py", "import workers.rounds"),
    ("one direction: cli, then api and workers, then domain", "api/__init__.py", "import cli.console"),
    ("the engine knows no transport", "domain/feed.py", "import redis"),
    ("the engine knows no transport", "domain/keys.py", "import starlette.requests"),
    ("the rules are pure", "domain/rules/ids.py", "import asyncpg"),
    ("the rules are pure", "domain/rules/timing.py", "import domain.tables"),
    ("nothing outside the engine speaks to Tortoise", "workers/__init__.py", "import tortoise"),
    ("nothing outside the engine speaks to Tortoise", "api/__init__.py", "import domain.tables"),
]


def _lint(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages and of the contracts."""
    for package in ("api", "domain", "workers", "cli"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("contract", "file", "line"), BREAKS)
def test_a_forbidden_import_breaks_its_contract(tree: Path, contract: str, file: str, line: str) -> None:
    with (tree / file).open("a") as source:
        source.write(f"\n{line}\n")
    found = _lint(tree)
    assert found.returncode == 1, found.stdout + found.stderr
    assert f"{contract} BROKEN" in found.stdout


def test_the_contracts_hold(tree: Path) -> None:
    found = _lint(tree)
    assert found.returncode == 0, found.stdout + found.stderr
