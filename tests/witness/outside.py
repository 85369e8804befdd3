"""Processes from outside, started for a test and ended with it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

IS_ROOT = os.geteuid() == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_until(holds: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Wait until it holds.

    Raises:
        AssertionError: it did not within the time.
    """
    end_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end_at, f"{what}: not within {seconds:g} seconds"
        time.sleep(0.05)


@contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """An empty directory that every account of the machine may enter and write to."""
    folder = Path(tempfile.mkdtemp(prefix=f"relance-{name}-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end(child: "subprocess.Popen[Any]", *, seconds: float = 30.0) -> None:
    """Ask a process to end, and make it when it does not."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextmanager
def serving(command: list[str], port: int, folder: Path, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server from the moment it listens until the block ends; its words go to `folder/server.log`."""
    with (folder / "server.log").open("ab") as log:
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
    try:
        wait_until(lambda: listens(port) or child.poll() is not None, f"{command[0]} listens")
        assert child.poll() is None, (folder / "server.log").read_text(errors="replace")
        yield child
    finally:
        end(child)
