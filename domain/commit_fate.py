"""What became of a transaction whose commit was not answered: looked up by its id, never guessed.

Source: reliability.md M11 and 2.4.
"""

import asyncio

import asyncpg

from domain.connections import ATTEMPTS, fetch_alone, pause_seconds

# After a crash the ids of transactions that never reached the disk are given out again: what the status then says is
# about another transaction. So, when the server has recovered since ours began, only ids below the point that the
# recovery reached are believed.
_FATE = """
SELECT CASE
    WHEN (pg_postmaster_start_time() > $2 OR c.checkpoint_time > $2)
        AND $1::text::numeric >= split_part(c.next_xid, ':', 1)::numeric * 4294967296
            + split_part(c.next_xid, ':', 2)::numeric
    THEN 'aborted' ELSE pg_xact_status($1::text::xid8) END AS status
FROM pg_control_checkpoint() c
"""


async def fate_of(clock: asyncpg.Record) -> str:
    """Return what became of a transaction: committed, aborted, or after seconds of waiting still "in progress"."""
    fate = "in progress"
    for attempt in range(ATTEMPTS):
        try:
            fate = (await fetch_alone(_FATE, clock["xid"], clock["begun_at"]))[0]["status"]
        except asyncpg.InvalidParameterValueError:
            return "aborted"  # "in the future": the server crashed before it wrote anything of it to the disk
        if fate != "in progress":
            break
        await asyncio.sleep(pause_seconds(attempt))
    return fate
