"""Data directories for the tests of the embedded servers, and a program beside us that runs on them."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.embedded import start_servers
from cli.embedded.pids import wait_until_ended

DIARY = Path(__file__).with_name("diary.py")
ROOT = Path(__file__).parents[2]


class Diary:
    """The diary program, running."""

    def __init__(self, directory: Path, program: list[str] | None = None, **options: Any) -> None:
        self.program = subprocess.Popen(
            [*(program or [sys.executable]), str(DIARY), str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # asyncpg looks for certificates at home, and another user may not enter ours.
            env={
                **os.environ,
                "HOME": "/nonexistent",
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            },
            start_new_session=True,
            **options,
        )
        self._rest = b""
        self.words: dict[str, Any] = {}

    def begin(self) -> "Diary":
        """Wait for the first line, with addresses and pids."""
        line = self.next_line()
        if not line:
            assert self.program.stderr is not None
            pytest.fail(self.program.stderr.read().decode())
        self.words = json.loads(line)
        return self

    def next_line(self, timeout_seconds: float = 30.0) -> bytes:
        """Return the next line it says; empty when it has ended."""
        assert self.program.stdout is not None
        while b"\n" not in self._rest:
            assert select.select([self.program.stdout], [], [], timeout_seconds)[0], "the diary fell silent"
            part = os.read(self.program.stdout.fileno(), 65536)
            if not part:
                return b""
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def last_row(self) -> int:
        """Read to the end of its words, after its death, and return the last row it was told is committed."""
        last = 0
        while line := self.next_line():
            last = int(line)
        return last

    def close(self) -> None:
        """End it and everything it started."""
        self.program.kill()
        self.program.communicate()
        for name in ("guard", "postgres", "valkey"):
            assert wait_until_ended(self.words.get(name, 2**22 + 1), 15), f"{name} was left behind"


@pytest.fixture
def start_diary() -> Iterator[Callable[..., Diary]]:
    """Give a function that starts a diary on a directory; all are ended after the test."""
    diaries: list[Diary] = []

    def begin(*arguments: Any, **options: Any) -> Diary:
        diaries.append(Diary(*arguments, **options))
        return diaries[-1]

    yield begin
    for diary in diaries:
        diary.close()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which the servers have run once; made once, since making it is what takes long."""
    directory = tmp_path_factory.mktemp("made-once")
    start_servers(directory).stop()
    (directory / "ports.json").unlink()
    return directory


def copy_of(made_once: Path, place: Path) -> Path:
    # cp is twice as fast as shutil on a thousand small files.
    subprocess.run(["cp", "-R", made_once, place], check=True, timeout=30)
    return place


@pytest.fixture
def data_directory(made_once: Path, tmp_path: Path) -> Path:
    """A copy of `made_once` of this test's own; below a directory that only we may enter."""
    return copy_of(made_once, tmp_path / "data")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """An empty directory that every user of the machine may enter."""
    directory = Path(tempfile.mkdtemp(prefix="relance-test-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)
