"""A server of our own in this process, and npm's clients beside it: programs of `js/`, each told what to do as JSON."""

import asyncio
import json
from typing import Any

from tests.api.conftest import PATIENCE_SECONDS, api, database_url, settings
from tests.witness.programs import JS, node

__all__ = ["api", "database_url", "run", "settings"]


async def run(program: str, **told: Any) -> Any:
    """Return what a program of `js/` prints as JSON.

    Raises:
        AssertionError: it failed.
    """
    child = await asyncio.create_subprocess_exec(
        node(),
        str(JS / program),
        json.dumps(told),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), 4 * PATIENCE_SECONDS)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, err.decode()[-4000:]
    return json.loads(out)
