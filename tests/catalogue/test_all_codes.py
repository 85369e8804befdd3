"""Every code of the catalogue has a story here: provoked by its cause, then mended."""

import ast
from pathlib import Path

from domain.rules.step_errors import StepErrorCode

_CODES = frozenset(StepErrorCode)


def _named(node: ast.AST) -> set[str]:
    """Return the codes that stand in this piece of code."""
    values = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
    return {value for value in values if isinstance(value, str) and value in _CODES}


def _told_in(path: Path) -> set[str]:
    """Return the codes that the tests of a file wait for: named there, or in the tables they are run with."""
    module = ast.parse(path.read_text())
    tables = {
        target.id: _named(one)
        for one in module.body
        if isinstance(one, ast.AnnAssign) and isinstance(target := one.target, ast.Name)
    }
    told = set[str]()
    for test in (one for one in module.body if isinstance(one, ast.AsyncFunctionDef)):
        for call in ast.walk(test):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "failed":
                told |= _named(call)
                if isinstance(call.args[0], ast.Name):
                    for mark in test.decorator_list:
                        told |= _named(mark)
                        for name in (one.id for one in ast.walk(mark) if isinstance(one, ast.Name)):
                            told |= tables.get(name, set())
    return told


def test_each_code_is_provoked_by_its_cause_and_mended() -> None:
    told = set[str]().union(*map(_told_in, Path(__file__).parent.glob("test_*.py")))
    assert sorted(_CODES - told) == []
