"""Named places where a test lets a process die, stop or dawdle. Off in production: one dictionary look-up each.

`RELANCE_FAULTS` arms them, for example `after_mark=kill@3,before_record=stop`: at the third passing of `after_mark`
the process kills itself; at the first of `before_record` it stops (SIGSTOP) until someone lets it go on.
Actions: `kill`, `stop`, `sleep:SECONDS`. An armed place acts once.

Source: architecture.md "The flow of one step"; reliability.md section 5, 6.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import Final

PLACES: Final = frozenset(
    {
        "after_claim",  # the claim is committed, nothing else has happened
        "before_mark",  # the mail server has accepted the recipient; the second mark is not set
        "after_mark",  # the second mark is committed, DATA has not been sent
        "after_dot",  # the mail server has answered, nothing of it is recorded
        "before_record",  # just before the outcome is written
        "after_record",
        "before_bulk_commit",  # a batch of a bulk operation is written and not committed
        "before_settle_commit",  # a batch that follows its sequence is written and not committed
        "after_number",  # events have their numbers, nobody has been told
    }
)


@dataclass(slots=True)
class _Armed:
    action: str
    passings_left: int


class FaultUnknown(ValueError):
    def __init__(self, text: str) -> None:
        super().__init__(f"RELANCE_FAULTS: “{text}” is not PLACE=ACTION[@N]; places: {', '.join(sorted(PLACES))}.")


_armed: dict[str, _Armed] = {}


def arm(text: str) -> None:
    """Arm the places that the text names; an empty text disarms all.

    Raises:
        FaultUnknown
    """
    _armed.clear()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        place, _, rest = part.partition("=")
        action, _, count = rest.partition("@")
        if place not in PLACES or action.partition(":")[0] not in ("kill", "stop", "sleep"):
            raise FaultUnknown(part)
        _armed[place] = _Armed(action, int(count or 1))


async def point(place: str) -> None:
    """Pass a named place. Does nothing unless the place is armed."""
    if _armed and (armed := _armed.get(place)) is not None:
        armed.passings_left -= 1
        if armed.passings_left <= 0:
            del _armed[place]
            await _act(armed.action)


async def _act(action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        await asyncio.sleep(float(action.partition(":")[2]))
