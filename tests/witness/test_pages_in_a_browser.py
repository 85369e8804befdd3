"""What a browser shows of our pages when it reaches this machine and nothing else."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Up
from tests.witness import programs


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("pages") / "data")
    try:
        yield up.begin()
    finally:
        up.stop()


def shown(url: str, profile: Path) -> str:
    """Return the page as it stands after its scripts have run."""
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    return subprocess.run(
        [
            *(programs.chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *quiet, offline),
            *(f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_graphiql_without_the_internet_says_so_with_the_way_out(running: Up, tmp_path: Path) -> None:
    page = shown(running.connection["graphql"], tmp_path)
    assert "GraphiQL could not be loaded:" in page
    assert "The API works without it: give any GraphQL client this address" in page


def test_the_front_page_and_the_caught_mails_need_nothing_from_outside(running: Up, tmp_path: Path) -> None:
    front = shown(running.connection["graphql"].removesuffix("/graphql"), tmp_path)
    assert "This server speaks GraphQL" in front
    running.wait_until(lambda: any((running.data / "mails").iterdir()), "a mail arrived")
    mails = shown(running.connection["mail"], tmp_path)
    assert mails.count("@talent.example.com") + mails.count("@creators.example.com") >= 1
