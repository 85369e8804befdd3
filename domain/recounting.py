"""The counters that screens and reports read: what events add to them, and the scan of all rows that they must equal.

`tallies` hold how many recipients have each status and stage, `report_tallies` what rules/tally.py counts. Both are
folded when events get their numbers (feed.py), so that they equal the feed at its last number, and no request counts
rows. What a change adds stands in its event: nothing is counted twice or lost, whatever dies.

`differences` compares them with the rows in one snapshot, `recount` makes them anew.

Source: product.md section 7; architecture.md "The flow of one change"; quality.md "counts shown on screens".
"""

from dataclasses import dataclass
from typing import Final

from domain.database import Tx, tx

NUMBERING_LOCK: Final = 7_205_119
_NOBODY: Final = "'00000000-0000-0000-0000-000000000000'::uuid"

# What the events of a relation add. A mailbox that is none, and a step that is none, are NOBODY: keys have no nulls.
STATUS_DELTAS: Final = f"""
        SELECT workspace_id, sequence_id, mailbox_id, status, stage, sum(one) AS count FROM (
            SELECT workspace_id, sequence_id, coalesce(mailbox_id, {_NOBODY}) AS mailbox_id, status, stage, 1 AS one
            FROM {{0}} e WHERE status IS NOT NULL
            UNION ALL
            SELECT workspace_id, sequence_id, coalesce(previous_mailbox_id, mailbox_id, {_NOBODY}), previous_status,
                previous_stage, -1
            FROM {{0}} e WHERE previous_status IS NOT NULL
        ) s GROUP BY workspace_id, sequence_id, mailbox_id, status, stage HAVING sum(one) <> 0
"""
# What has a time counts twice: in its quarter of an hour, and in the total, which is the quarter "-infinity".
REPORT_DELTAS: Final = f"""
        SELECT workspace_id, sequence_id, mailbox_id, step_id, measure, x.quarter, sum(one) AS count FROM (
            SELECT e.workspace_id, e.sequence_id, coalesce((d ->> 4)::uuid, e.mailbox_id, {_NOBODY}) AS mailbox_id,
                coalesce((d ->> 2)::uuid, {_NOBODY}) AS step_id, d ->> 0 AS measure, (d ->> 1)::int AS one,
                to_timestamp((d ->> 3)::bigint * 900) AS quarter
            FROM {{0}} e CROSS JOIN LATERAL jsonb_array_elements(e.counted) d WHERE e.counted IS NOT NULL
        ) s CROSS JOIN LATERAL (
            SELECT '-infinity'::timestamptz AS quarter UNION ALL SELECT s.quarter WHERE s.quarter IS NOT NULL
        ) x GROUP BY workspace_id, sequence_id, mailbox_id, step_id, measure, x.quarter HAVING sum(one) <> 0
"""

_STATUSES: Final = f"""
    SELECT workspace_id, sequence_id, coalesce(mailbox_id, {_NOBODY}) AS mailbox_id, status,
        CASE WHEN status IN ('ERROR', 'BOUNCED') THEN 'ERROR' WHEN end_reason IS NOT NULL THEN 'FINISHED'
            WHEN contacted_at IS NULL THEN 'SCHEDULED' ELSE 'IN_PROGRESS' END AS stage, count(*) AS count
    FROM recipients WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5
"""
# The step that a reply answers: of recipient `r`, the last that was carried out before it.
REPLIED_TO: Final = """(SELECT o.step_id FROM recipient_steps o
            WHERE o.workspace_id = r.workspace_id AND o.recipient_id = r.id AND o.outcome = 'CARRIED_OUT'
                AND o.done_at <= r.replied_at ORDER BY o.done_at DESC, o.step_id DESC LIMIT 1)"""
# The same as rules/tally.entries, over all rows at once.
_REPORTS: Final = f"""
    WITH r AS MATERIALIZED (SELECT * FROM recipients WHERE deleted_at IS NULL),
    o AS MATERIALIZED (SELECT recipient_id, step_id, outcome, done_at FROM recipient_steps WHERE outcome IS NOT NULL),
    s AS (
        SELECT id, NULL::uuid AS step_id, 'ENROLLED' AS measure, enrolled_at AS at FROM r
        UNION ALL SELECT id, NULL, 'CONTACTED', contacted_at FROM r WHERE contacted_at IS NOT NULL
        UNION ALL SELECT id, NULL, 'REPLIED', replied_at FROM r WHERE replied_at IS NOT NULL
        UNION ALL SELECT id, NULL, status, ended_at FROM r
            WHERE status IN ('COMPLETED', 'BOUNCED', 'STOPPED', 'UNSUBSCRIBED')
        UNION ALL SELECT recipient_id, step_id, outcome, CASE WHEN outcome = 'CARRIED_OUT' THEN done_at END FROM o
        UNION ALL SELECT id, current_step_id, CASE WHEN error_id IS NULL THEN 'WAITING' ELSE 'FAILED' END, NULL FROM r
            WHERE current_step_id IS NOT NULL
        UNION ALL SELECT id, bounced_step_id, 'BOUNCED', NULL FROM r WHERE bounced_step_id IS NOT NULL
        UNION ALL SELECT id, f.step_id, 'REPLIED', NULL FROM (
            SELECT r.id, {REPLIED_TO} AS step_id FROM r WHERE r.replied_at IS NOT NULL) f
            WHERE f.step_id IS NOT NULL
        UNION ALL SELECT id, step_id, 'REACHED', NULL FROM (
            SELECT recipient_id AS id, step_id FROM o
            UNION SELECT id, current_step_id FROM r
            UNION SELECT id, left_step_id FROM r
            UNION SELECT id, bounced_step_id FROM r) f WHERE step_id IS NOT NULL
    )
    SELECT r.workspace_id, r.sequence_id, coalesce(r.mailbox_id, {_NOBODY}) AS mailbox_id,
        coalesce(s.step_id, {_NOBODY}) AS step_id, s.measure, x.quarter, count(*) AS count
    FROM s JOIN r ON r.id = s.id CROSS JOIN LATERAL (
        SELECT '-infinity'::timestamptz AS quarter
        UNION ALL SELECT date_bin('15 minutes', s.at, '2000-01-01Z') WHERE s.at IS NOT NULL
    ) x GROUP BY 1, 2, 3, 4, 5, 6
"""
_UNNUMBERED: Final = "(SELECT * FROM events WHERE seq IS NULL)"


@dataclass(frozen=True, slots=True)
class _Counters:
    table: str
    key: str
    scan: str
    deltas: str

    @property
    def meant(self) -> str:
        """The statement of what they have to be: the rows, without what their events will still add."""
        return f"""
            SELECT {self.key}, sum(count) AS count FROM (
                SELECT {self.key}, count FROM ({self.scan}) scanned
                UNION ALL SELECT {self.key}, -count FROM ({self.deltas.format(_UNNUMBERED)}) ahead
            ) m GROUP BY {self.key} HAVING sum(count) <> 0
        """


_KEY: Final = "workspace_id, sequence_id, mailbox_id"
_COUNTERS: Final = (
    _Counters("tallies", f"{_KEY}, status, stage", _STATUSES, STATUS_DELTAS),
    _Counters("report_tallies", f"{_KEY}, step_id, measure, quarter", _REPORTS, REPORT_DELTAS),
)


def differing() -> list[str]:
    """Return the statements that each find, as `n`, how many counters of a kind are not what the rows say."""
    return [
        f"SELECT count(*) AS n FROM (SELECT {c.key}, count FROM {c.table} WHERE count <> 0) kept "
        f"FULL JOIN ({c.meant}) meant USING ({c.key}) WHERE kept.count IS DISTINCT FROM meant.count"
        for c in _COUNTERS
    ]


async def differences() -> int:
    """Return how many counters are not what the rows say, in every workspace. Reads all rows: not for a request."""

    async def work(t: Tx) -> int:
        await t.execute("SET LOCAL statement_timeout = 0")
        return sum([await t.fetchval(statement) for statement in differing()])

    return await tx(None, work, rings=False)


async def recount() -> None:
    """Make all counters anew from the rows, while nothing is numbered."""

    async def work(t: Tx) -> None:
        await t.execute("SET LOCAL statement_timeout = 0")
        await t.execute("SELECT pg_advisory_xact_lock($1)", NUMBERING_LOCK)
        for c in _COUNTERS:
            await t.execute(f"DELETE FROM {c.table}")
            await t.execute(f"INSERT INTO {c.table} ({c.key}, count) SELECT {c.key}, count FROM ({c.meant}) m")

    await tx(None, work, rings=False)
