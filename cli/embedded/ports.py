"""Free loopback ports, kept the same from one start to the next where they stay free."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

MEMORY_NAME = "ports.json"
# Below the range from which Linux and macOS take the ports of outgoing connections, so nobody stumbles into ours.
_LOWEST, _HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    """Return whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(directory: Path, server: str) -> int:
    """Return the port `server` had in this data directory if it is free, else another free one, and remember it."""
    known = _remembered(directory)
    port = known.get(server, 0)
    if not (port and is_free(port)):
        candidates = (random.randint(_LOWEST, _HIGHEST) for _ in range(1000))
        port = next(candidate for candidate in candidates if candidate not in known.values() and is_free(candidate))
        (directory / MEMORY_NAME).write_text(json.dumps({**known, server: port}) + "\n")
    return port


def _remembered(directory: Path) -> dict[str, int]:
    try:
        known = json.loads((directory / MEMORY_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return {name: port for name, port in known.items() if isinstance(port, int)} if isinstance(known, dict) else {}
