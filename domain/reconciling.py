"""After a backup was restored, or a standby took over that lacked the last minutes: what may have been sent meanwhile.

The restored database does not know the messages that went out after it was made, and would send them again. So whoever
was due in the lost time is taken for written to: DELIVERY_UNCONFIRMED, which only proof or a person moves, also where
the sequence assumes elsewhere that unconfirmed messages were sent. That asks about people who were not written to, for
nothing here says who was: windows, limits, absences and mailboxes of the lost time are not known. Repeated for the same
time it finds nothing more to do.

What the lost time changed otherwise is not known either: who was enrolled, resumed, suppressed or opted out in it.

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
from domain.refusals import Invalid
from domain.rules.ids import new_id
from domain.rules.mime import message_token
from domain.rules.outcomes import Unknown

_AT_ONCE: Final = 500
_WHY: Final = Unknown(
    "It was due when a backup was made, and the time until that was restored is not known here.", assumable=False
)
_FIRST: Final = UUID(int=0)

# Whatever their state: in the lost time they may have had another. Test workspaces send nothing out.
_MAILBOXES: Final = """
    SELECT m.workspace_id, m.id, m.channel FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id
    WHERE NOT w.test_mode ORDER BY m.workspace_id, m.id"""


def _due(lane: turns.Lane) -> str:
    """SQL: of the mailbox $2 of the workspace $1, those who were due until $3, after the recipient $4."""
    return f"""
    SELECT r.id, r.sequence_id, r.contact_id, r.current_step_id, r.step_run, m.address
    FROM recipients r
    JOIN mailboxes m ON m.workspace_id = r.workspace_id AND m.id = r.{lane.mailbox_column}
    JOIN workspaces w ON w.id = r.workspace_id
    JOIN sequences s ON s.workspace_id = r.workspace_id AND s.id = r.sequence_id AND s.status <> 'ARCHIVED'
    LEFT JOIN messages x ON x.workspace_id = r.workspace_id AND x.recipient_id = r.id
        AND x.step_id = r.current_step_id AND x.step_run = r.step_run
    WHERE r.workspace_id = $1 AND r.{lane.mailbox_column} = $2 AND r.due_kind = '{lane.due_kind}' AND r.id > $4
        AND r.due_at <= $3::timestamptz + make_interval(secs => w.clock_offset_seconds)
        -- What was being handed over already comes out unconfirmed by itself.
        AND (x.id IS NULL OR x.state IN ('CLAIMED', 'DROPPED', 'DEFERRED'))
    ORDER BY r.id LIMIT {_AT_ONCE}"""


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


_LANE_OF: Final = {lane.channel: lane for lane in turns.LANES}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many messages may have been sent in the lost time, and of how many mailboxes."""

    messages: int
    mailboxes: int


async def reconcile(message_id_key: bytes, until: datetime | None, *, dry_run: bool) -> Reconciled:
    """Take for handed over whatever was due until a moment of machine time (None: now).

    Batches of 500, each one transaction; what is killed in the middle is gone on with by a repetition.

    Raises:
        Invalid: the moment lies in the future, or a worker runs, which would send meanwhile what this is to hold back.
    """
    now: datetime = (await fetch("SELECT now() AS now"))[0]["now"]
    if until is not None and until > now:
        raise Invalid("The last worker cannot have ended in the future.", field=["until"])
    if running := await workers_seen():
        raise Invalid(f"Workers are connected to this database ({running}). Stop them first, then run this again.")
    messages, mailboxes = 0, 0
    for row in await fetch(_MAILBOXES):
        count = await _of_mailbox(row, until or now, message_id_key, dry_run=dry_run)
        messages, mailboxes = messages + count, mailboxes + (count > 0)
    return Reconciled(messages, mailboxes)


async def _of_mailbox(mailbox: asyncpg.Record, until: datetime, message_id_key: bytes, *, dry_run: bool) -> int:
    workspace_id, lane = mailbox["workspace_id"], _LANE_OF[mailbox["channel"]]
    count, after = 0, _FIRST
    while rows := await fetch(_due(lane), workspace_id, mailbox["id"], until, after):
        if not dry_run:
            await _take_for_sent(workspace_id, mailbox["id"], lane, rows, message_id_key)
        count, after = count + len(rows), rows[-1]["id"]
    return count


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
