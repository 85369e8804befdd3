"""How often one person is written to: at most so many automated messages within so many days, over all sequences of the
workspace, whichever mailbox they go out from.

Counted are the messages that were handed over, or are being handed over; what a person sends by hand neither counts
nor is held. What is over the cap waits until the oldest of those that count is old enough (waiting.py). The second mark
counts again, with the contact locked, so that two workers cannot take the last place both (sending.py).

Source: product.md section 3 (`waitingReason` FREQUENCY_CAP).
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain import waiting
from domain.database import Tx, fetch, tx
from domain.refusals import Invalid

MESSAGES_AT_MOST: Final = 1_000
DAYS_AT_MOST: Final = 365
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most `messages` within `days`."""

    messages: int
    days: int


async def of_workspace(workspace_id: UUID) -> FrequencyCap | None:
    """Return the cap; None where there is none."""
    rows = await fetch(
        "SELECT frequency_cap_messages AS messages, frequency_cap_days AS days FROM workspaces WHERE id = $1",
        workspace_id,
    )
    return FrequencyCap(**rows[0]) if rows and rows[0]["messages"] is not None else None


async def change(workspace_id: UUID, cap: FrequencyCap | None) -> None:
    """Set the cap, or (None) take it away. `judge_anew` lets those who wait for the one before follow.

    Raises:
        Invalid
    """
    if cap is not None and not 1 <= cap.messages <= MESSAGES_AT_MOST:
        raise Invalid(f"A cap is 1 to {MESSAGES_AT_MOST:,} messages.", field=["frequencyCap", "messages"])
    if cap is not None and not 1 <= cap.days <= DAYS_AT_MOST:
        raise Invalid(f"A cap counts over 1 to {DAYS_AT_MOST} days.", field=["frequencyCap", "days"])

    async def work(t: Tx) -> None:
        await t.execute(
            "UPDATE workspaces SET frequency_cap_messages = $2, frequency_cap_days = $3 WHERE id = $1",
            t.workspace_id,
            cap.messages if cap else None,
            cap.days if cap else None,
        )

    await tx(workspace_id, work, rings=False)


async def judge_anew(workspace_id: UUID) -> None:
    """Let all who wait for the frequency cap come due by their other timers: those whom the cap as it is now holds are
    put off again when they are met. In batches, each a transaction of its own."""
    while await waiting.forget_caps(workspace_id, _BATCH) == _BATCH:
        pass
