"""The data directory of one running Relance, and the lock that lets only one run on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from cli.embedded.pids import is_running
from cli.embedded.refusals import DataDirectoryInUse, DataDirectoryIsAFile, DataDirectoryNotWritable

LOCK_NAME = "relance.lock"
_STOPPING = b"stopping"
_PID_BYTES = 64


class DirectoryLock:
    """A held lock on a data directory.

    The kernel's lock (flock) rules, and it ends with the last process that holds the file open, kill -9 included:
    a lock left behind is impossible. The pid written into the file only serves the message.
    """

    def __init__(self, directory: Path, descriptor: int) -> None:
        self.directory = directory
        self.descriptor = descriptor

    def release(self) -> None:
        """Give up this process's share; a guard that inherited the descriptor goes on holding the lock."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def prepare(directory: Path) -> Path:
    """Make the data directory if it is missing and return its absolute, resolved path.

    Raises:
        DataDirectoryIsAFile: the path, or a part of it, is a file.
        DataDirectoryNotWritable: the operating system does not let this user make it or write in it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataDirectoryIsAFile(directory=str(directory)) from None
    except OSError as problem:
        raise DataDirectoryNotWritable(directory=str(directory), reason=_words(problem)) from None
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DataDirectoryNotWritable(directory=str(directory), reason="permission denied")
    return directory.resolve()


def lock(directory: Path, *, wait_seconds: float = 15.0) -> DirectoryLock:
    """Prepare the directory, lock it for this process and return the lock.

    Somebody who runs on it is refused at once. Somebody who has ended, and whose servers are still being stopped
    by their guard, is waited for, `wait_seconds` at most.

    Raises:
        DataDirectoryInUse: another process runs on this directory.
        DataDirectoryIsAFile, DataDirectoryNotWritable: as `prepare`.
    """
    directory = prepare(directory)
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as problem:
        raise DataDirectoryNotWritable(directory=str(directory), reason=_words(problem)) from None
    try:
        _wait_for(descriptor, directory, wait_seconds)
    except BaseException:
        os.close(descriptor)
        raise
    _write(descriptor, str(os.getpid()).encode())
    return DirectoryLock(directory, descriptor)


def mark_stopping(descriptor: int) -> None:
    """Write beside the holder's pid that the servers are being stopped, so that a new start waits for the lock."""
    with contextlib.suppress(OSError):
        _write(descriptor, os.pread(descriptor, _PID_BYTES, 0).strip() + b" " + _STOPPING)


def _wait_for(descriptor: int, directory: Path, wait_seconds: float) -> None:
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        waited = time.monotonic() - began
        holder = os.pread(descriptor, _PID_BYTES, 0).split()
        pid = int(holder[0]) if holder else None
        ending = _STOPPING in holder or (pid is not None and not is_running(pid))
        # A moment's patience with anyone: a killed parent may not have ended yet, or a new one not yet written its pid.
        if waited > (wait_seconds if ending else 0.3):
            raise DataDirectoryInUse(directory=str(directory), pid=pid if pid is not None else "unknown")
        time.sleep(0.03)


def _write(descriptor: int, text: bytes) -> None:
    os.pwrite(descriptor, text.ljust(_PID_BYTES - 1) + b"\n", 0)


def _words(problem: OSError) -> str:
    return (problem.strerror or str(problem)).lower()
