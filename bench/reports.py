"""A report and the counts of a sequence at 100,000 and 1,000,000 recipients, beside the same counted from the rows.

The numbers of a report are kept with the feed, so its cost does not depend on how many recipients there are; counting
live does. Rows and counters are made by set-based statements, enrolments over a year.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bench.crowd import multiply
from bench.sequence_wide import a_sequence
from bench.surroundings import PEPPER, embedded, median, table
from domain import keys, recounting
from domain.database import database, fetch
from domain.migrating import migrate
from domain.reading import reports, sequences

SIZES = [int(size) for size in os.environ.get("RELANCE_BENCH_SIZES", "100000,1000000").split(",")]
ROUNDS = 5
_LIVE = "SELECT status, count(*) FROM recipients WHERE sequence_id = $1 AND deleted_at IS NULL GROUP BY status"


def main() -> None:
    found = {}
    with embedded() as servers:
        for size in SIZES:
            url = asyncio.run(servers.create_database(f"bench_reports_{size}"))
            found[size] = asyncio.run(_measured(url, size))
    table(
        "What numbers cost, ms",
        ["", *(f"{size:,}" for size in SIZES), "growth"],
        [
            [what, *(f"{found[size][what]:.1f}" for size in SIZES), f"{found[SIZES[-1]][what] / first:.2f} ×"]
            for what, first in found[SIZES[0]].items()
        ],
        [f"Medians of {ROUNDS} rounds in turn. The last row is the baseline: the same counts from the rows."],
    )


async def _measured(url: str, size: int) -> dict[str, float]:
    await migrate(url)
    async with database(url, pepper=PEPPER):
        workspace_id = await keys.create_workspace("Bench")
        sequence_id = await a_sequence(workspace_id, 0, 1)
        days_ago = "now() - interval '1 day' * {} * random()"
        contacted = f"CASE WHEN random() < 0.6 THEN {days_ago.format(200)} END"
        await multiply(sequence_id, size - 1, {"enrolled_at": days_ago.format(360), "contacted_at": contacted})
        await fetch("ANALYZE")
        await recounting.recount()
        scope = reports.Scope(workspace_id, sequence_id)
        last = datetime.now(UTC).date()
        first = last - timedelta(days=365)
        asked: dict[str, Callable[[], Awaitable[object]]] = {
            "status counts of a sequence": lambda: sequences.counts(workspace_id, [sequence_id]),
            "totals of its report": lambda: reports.totals(scope),
            "its funnel": lambda: reports.steps(scope),
            "366 days": lambda: reports.days(scope, first, last, ZoneInfo("Europe/Paris")),
            "live count(*)": lambda: fetch(_LIVE, sequence_id),
        }
        times: dict[str, list[float]] = {what: [] for what in asked}
        for _ in range(ROUNDS):
            for what, ask in asked.items():
                begun_at = time.perf_counter()
                await ask()
                times[what].append((time.perf_counter() - begun_at) * 1000)
        return {what: median(each) for what, each in times.items()}


if __name__ == "__main__":
    main()
