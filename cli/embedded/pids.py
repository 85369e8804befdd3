"""What the operating system says of a process id, on Linux (/proc) and macOS (ps)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def is_running(pid: int) -> bool:
    """Return whether `pid` is a process that still runs; a zombie has ended, whoever forgot to reap it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _state_of(pid).startswith("Z")


def command_of(pid: int) -> str:
    """Return the command line of `pid`, words parted by spaces; empty when the process is gone."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    else:
        return _ask_ps(pid, "command=")


def wait_until_ended(pid: int, timeout_seconds: float) -> bool:
    """Wait for a process that need not be our child; return whether it ended in time."""
    deadline = time.monotonic() + timeout_seconds
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _state_of(pid: int) -> str:
    if sys.platform == "linux":
        try:
            # The state follows the program's name, which stands in brackets and may hold anything.
            return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].strip()
        except OSError:
            return ""
    else:
        return _ask_ps(pid, "stat=")


def _ask_ps(pid: int, column: str) -> str:
    answer = subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()
