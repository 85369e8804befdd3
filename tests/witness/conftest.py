"""Witness tests: outside programs judge us. Each is skipped without its program, and fails without it when CI=true."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.witness.outside import open_folder

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.witness)
            if item.get_closest_marker("timeout") is None:  # long forms have their own
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty directory that the servers' own account may enter."""
    with open_folder("witness") as found:
        yield found
