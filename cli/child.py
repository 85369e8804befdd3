"""A child of `relance up`: the API or the worker, which never outlives its parent.

Its standard input is a pipe that only the parent holds. The first line brings the settings, so that no secret stands
in an environment or on a command line; the end of the pipe, which kill -9 of the parent brings too, means: stop.
It imports before it reads, so that this costs no time while the servers start.
"""

import json
import os
import signal
import sys
import threading
import time
from typing import Final

from cli.console import tell
from cli.programs import adopt, load_api, load_worker

_GRACE_SECONDS: Final = 8.0


def main(program: str) -> int:
    """Be `api` or `worker` until told to stop; return the exit code."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the parent alone decides what ends when
    serve = load_api() if program == "api" else load_worker()
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    adopt(json.loads(line))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        serve()
    except Exception as problem:
        return tell(problem)
    return 0


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)  # whatever hangs: its servers are gone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
