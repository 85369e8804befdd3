"""A crew of worker processes and the long runs' length."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crew import Crew

# How many times longer than in a normal run of the tests; `make faults` sets it.
LENGTH = int(os.environ.get("RELANCE_FAULT_RUNS", "1"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(120 * LENGTH))


@pytest.fixture
def crew(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Crew]:
    hired = Crew(database_url, redis_url, tmp_path)
    try:
        yield hired
    finally:
        hired.end_all()
