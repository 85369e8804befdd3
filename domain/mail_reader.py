"""Reading strangers' mail in a process apart: with a deadline, bounded memory, and no way to take this one down.

`read_apart` gives a mail to a child process that knows nothing but `rules/inbound`, and waits in a thread, so that the
event loop goes on. A child that takes too long or dies is replaced; its mail is reported as unreadable.

Source: reliability.md 2.7 ("inbound parsing with limits … in a process pool").
"""

import asyncio
import atexit
import contextlib
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import IO, Final

from domain.rules.inbound.mail import BYTES_AT_MOST
from domain.rules.inbound.reading import Reading, Unreadable, read

DEADLINE_SECONDS: Final = 10.0
_CHILDREN_AT_MOST: Final = 2
_MEMORY_BYTES: Final = 1 << 30
_LENGTH: Final = struct.Struct(">I")


async def read_apart(raw: bytes, *, deadline_seconds: float = DEADLINE_SECONDS) -> Reading | Unreadable:
    """Return the mail read. Never raises for what the mail is; of more than 25 MB only the beginning is looked at."""
    wait = _readers.threads.submit(_readers.read, raw[:BYTES_AT_MOST], deadline_seconds)
    return await asyncio.wrap_future(wait)


class _Child:
    """One child process. Used by one thread at a time."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "domain.mail_reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": paths},
        )

    def ask(self, raw: bytes, deadline_seconds: float) -> Reading | Unreadable | None:
        """Return the answer; None when the child died or was ended at the deadline."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        alarm = threading.Timer(deadline_seconds, self._process.kill)
        alarm.start()
        try:
            _send(self._process.stdin, raw)
            answer = _receive(self._process.stdout)
        except OSError:
            return None
        finally:
            alarm.cancel()
        found: Reading | Unreadable | None = pickle.loads(answer) if answer is not None else None
        return found

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Readers:
    """A few children, made when the first mail comes and kept."""

    def __init__(self) -> None:
        # Threads of its own, one a child: those that everyone shares are also needed to look host names up.
        self.threads = ThreadPoolExecutor(_CHILDREN_AT_MOST, thread_name_prefix="mail-reader")
        self._free: queue.SimpleQueue[_Child] = queue.SimpleQueue()

    def read(self, raw: bytes, deadline_seconds: float) -> Reading | Unreadable:
        try:
            child = self._free.get_nowait()
        except queue.Empty:
            child = _Child()
        answer = child.ask(raw, deadline_seconds)
        if answer is not None:
            self._free.put(child)
            return answer
        child.end()
        return Unreadable(
            f"Reading it took more than {deadline_seconds:g} seconds or too much memory.", sha256(raw).hexdigest()
        )

    def end(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._free.get_nowait().end()


_readers: Final = _Readers()
atexit.register(_readers.end)


def _send(pipe: IO[bytes], octets: bytes) -> None:
    pipe.write(_LENGTH.pack(len(octets)))
    pipe.write(octets)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    """Return the next frame; None at the end of the pipe."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    octets = pipe.read(length)
    return octets if len(octets) == length else None


def _serve() -> None:
    """Be the child: read mails until the parent is gone."""
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    while (raw := _receive(sys.stdin.buffer)) is not None:
        _send(sys.stdout.buffer, pickle.dumps(read(raw)))


if __name__ == "__main__":
    _serve()
