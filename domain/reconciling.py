"""After a backup was restored, or a standby took over that lacked the last minutes: what may have been sent meanwhile.

The restored database does not know the messages that went out after it was made, and would send them again. Of each
mailbox, as many of those who were due as its gap and its daily limit allowed in that time are taken for handed over,
in the order in which a claim takes them: DELIVERY_UNCONFIRMED, which only proof or a person moves. Repeated for the
same time it finds nothing more to do. The rest is sent as ever.

What the lost time changed otherwise is not known: who was enrolled, resumed, suppressed or opted out in it.

Source: reliability.md 2.1, 2.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from domain import turns
from domain.database import Tx, fetch, tx
from domain.delivery import Result, record
from domain.figures import workers_seen
from domain.refusals import Invalid, Refusal
from domain.rules.ids import new_id
from domain.rules.mime import message_token
from domain.rules.outcomes import Unknown

_AT_ONCE: Final = 500
_WHY: Final = Unknown("It was due when a backup was made, and the time until that was restored is not known here.")

# $1 and $2: the lost time, in machine time. Test workspaces send nothing out.
_MAILBOXES: Final = """
    SELECT m.workspace_id, m.id, m.channel, least(
        m.daily_limit::bigint * (1 + floor(extract(epoch FROM $2::timestamptz - $1::timestamptz) / 86400)::bigint),
        CASE WHEN m.minimum_gap_seconds > 0
            THEN 1 + floor(extract(epoch FROM $2::timestamptz - $1::timestamptz) / m.minimum_gap_seconds)::bigint END
    ) - (SELECT count(*) FROM messages d
        WHERE d.workspace_id = m.workspace_id AND d.mailbox_id = m.id AND d.marked_at >= $1) AS at_most
    FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id
    WHERE m.state = 'CONNECTED' AND NOT w.test_mode
    ORDER BY m.workspace_id, m.id"""


def _due(lane: turns.Lane) -> str:
    """SQL: of the mailbox $2 of the workspace $1, the first $4 of each sequence that were due until $3.

    $5: after which recipient of all these, so that none is looked at twice.
    """
    return f"""
    SELECT d.* FROM mailboxes m
    JOIN sequences s ON s.workspace_id = m.workspace_id AND s.status = 'ACTIVE' AND s.guardrail_hold IS NULL
    JOIN workspaces w ON w.id = m.workspace_id
    CROSS JOIN LATERAL (
        SELECT r.id, r.sequence_id, r.contact_id, r.current_step_id, r.step_run, m.address
        FROM recipients r
        LEFT JOIN messages x ON x.workspace_id = r.workspace_id AND x.recipient_id = r.id
            AND x.step_id = r.current_step_id AND x.step_run = r.step_run
        -- What was being handed over already comes out unconfirmed by itself.
        WHERE x.state IS DISTINCT FROM 'HANDING_OVER' AND r.workspace_id = $1
            AND r.{lane.mailbox_column} = m.id AND r.sequence_id = s.id AND r.due_kind = '{lane.due_kind}'
            AND r.due_at <= $3::timestamptz + make_interval(secs => w.clock_offset_seconds)
        ORDER BY r.due_at, r.id LIMIT $4
    ) d
    WHERE m.workspace_id = $1 AND m.id = $2 AND ($5::uuid IS NULL OR d.id > $5)
    ORDER BY d.id LIMIT {_AT_ONCE}"""


def _take(lane: turns.Lane) -> str:
    """SQL: take these recipients' messages for handed over. $1 workspace, $2 mailbox, $3 ids, $4 local parts."""
    return f"""
    INSERT INTO messages AS x (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, step_id, step_run,
        direction, channel, state, rfc_message_id, "references", token, tries, lease_until, marked_at, created_at)
    SELECT ($3::uuid[])[n], $1, u.recipient_id, u.sequence_id, u.contact_id, $2, u.step_id, u.step_run,
        'OUTGOING', '{lane.channel}', 'HANDING_OVER', {lane.message_id}, '[]', 1, 1, now(), now(), now()
    FROM unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[], $9::int[], $10::text[])
        WITH ORDINALITY AS u (recipient_id, sequence_id, contact_id, step_id, step_run, address, n)
    ON CONFLICT (recipient_id, step_id, step_run) DO UPDATE
    SET state = 'HANDING_OVER', token = x.token + 1, lease_until = now(), marked_at = now()
    WHERE x.workspace_id = $1 AND x.state IN ('CLAIMED', 'DROPPED', 'DEFERRED')
    RETURNING x.id, x.token"""


_LAST_KNOWN: Final = """
    SELECT greatest((SELECT max(e.recorded_at) FROM events e WHERE e.seq IS NULL), max(n.recorded_at)) AS at
    FROM feeds f LEFT JOIN events n ON n.workspace_id = f.workspace_id AND n.seq = f.last_seq"""

_LANE_OF: Final = {lane.channel: lane for lane in turns.LANES}


class WorkersAreRunning(Refusal):
    """A worker that runs is sending already what this is to hold back."""

    code = "WORKERS_ARE_RUNNING"

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} workers are connected to this database. Stop them first, then run this again.")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many messages may have been sent in the lost time, and of how many mailboxes."""

    messages: int
    mailboxes: int


async def last_known() -> datetime | None:
    """Return when the last change was noted that this database knows: its backup is no older. None: there is none."""
    rows = await fetch(_LAST_KNOWN)
    at: datetime | None = rows[0]["at"]
    return at


async def reconcile(message_id_key: bytes, since: datetime, until: datetime | None, *, dry_run: bool) -> Reconciled:
    """Take for handed over what may have been sent between two moments of machine time (None: now).

    Batches of 500, each one transaction; what is killed in the middle is gone on with by a repetition.

    Raises:
        Invalid: the time ends before it begins, or begins in the future.
        WorkersAreRunning
    """
    now: datetime = (await fetch("SELECT now() AS now"))[0]["now"]
    ends_at = until or now
    if not since <= ends_at <= now:
        raise Invalid("The lost time has to end after it began, and not in the future.", field=["since"])
    if running := await workers_seen():
        raise WorkersAreRunning(running)
    messages, mailboxes = 0, 0
    for row in await fetch(_MAILBOXES, since, ends_at):
        if row["at_most"] > 0:
            count = await _of_mailbox(row, ends_at, message_id_key, dry_run=dry_run)
            messages, mailboxes = messages + count, mailboxes + (count > 0)
    return Reconciled(messages, mailboxes)


async def _of_mailbox(mailbox: asyncpg.Record, ends_at: datetime, message_id_key: bytes, *, dry_run: bool) -> int:
    workspace_id, lane = mailbox["workspace_id"], _LANE_OF[mailbox["channel"]]
    found: list[asyncpg.Record] = []
    after: UUID | None = None
    while True:  # read whole before anything is written: whoever is taken leaves the queue to those behind
        rows = await fetch(_due(lane), workspace_id, mailbox["id"], ends_at, mailbox["at_most"], after)
        found += rows
        if len(rows) < _AT_ONCE:
            break
        after = rows[-1]["id"]
    if not dry_run:
        for start in range(0, len(found), _AT_ONCE):
            await _take_for_sent(workspace_id, mailbox["id"], lane, found[start : start + _AT_ONCE], message_id_key)
    return len(found)


async def _take_for_sent(
    workspace_id: UUID, mailbox_id: UUID, lane: turns.Lane, rows: Sequence[asyncpg.Record], message_id_key: bytes
) -> None:
    ids = [new_id() for _ in rows]

    async def work(t: Tx) -> None:
        taken = await t.fetch(
            _take(lane),
            t.workspace_id,
            mailbox_id,
            ids,
            [message_token(message_id_key, message_id) for message_id in ids],
            [row["id"] for row in rows],
            [row["sequence_id"] for row in rows],
            [row["contact_id"] for row in rows],
            [row["current_step_id"] for row in rows],
            [row["step_run"] for row in rows],
            [row["address"] for row in rows],
        )
        await record(workspace_id, [Result(row["id"], row["token"], _WHY) for row in taken])

    await tx(workspace_id, work)
