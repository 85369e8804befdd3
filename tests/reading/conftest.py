"""Reading changes nothing and runs no worker: one database does for all, with a workspace for each test."""

import pytest


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    return shared_database_url
