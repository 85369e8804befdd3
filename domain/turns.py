"""Whose turn it is to send: the turns, limits and gaps of mailboxes, the turns of the domains written to.

A claim walks the mailboxes whose turn has come, takes the turn, the gap and the daily limit there, and then the next
due recipients of each, one after the other of its sequences. A queue is the due recipients of one mailbox and one
sequence: what is blocked as a whole (another mailbox, a sequence that is paused or still follows a resume) costs one
look, whatever waits in it. What holds single recipients (a shut window, an absence, the pacing of a domain) moves
their due time when it is met, see waiting.py: it is met once, not with each claim.

Everything here is counted in the database, in machine time.

Source: product.md section 3; reliability.md 2.8, 2.28.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.database import Tx, tx


@dataclass(frozen=True, slots=True)
class Lane:
    """One way in which messages go out: who of the recipients waits in it, and for which of their mailboxes."""

    channel: str
    due_kind: str
    mailbox_column: str
    message_id: str  # SQL: what a message is called from its claim on


EMAILS: Final = Lane(
    "EMAIL", "AUTOMATED_EMAIL", "mailbox_id", "'<' || ($4::text[])[n] || '@' || split_part(address, '@', 2) || '>'"
)
TEXTS: Final = Lane("SMS", "SMS", "sms_mailbox_id", "($4::text[])[n]")
LANES: Final = (EMAILS, TEXTS)

# How much a mailbox may hand over within 24 hours at the moment: its limit, or what its ramp-up has reached.
LIMIT_NOW: Final = """
    least(m.daily_limit, coalesce(m.ramp_up_start + m.ramp_up_step::bigint
        * floor(extract(epoch FROM now() - m.ramp_up_started_at) / 86400)::bigint, m.daily_limit))"""

# What the mailbox `m` has handed over within 24 hours, messages and test mails: what its limits count.
HANDED_OVER: Final = """
    SELECT d.marked_at FROM messages d
    WHERE d.workspace_id = m.workspace_id AND d.mailbox_id = m.id AND d.marked_at > now() - interval '24 hours'
    UNION ALL
    SELECT e.marked_at FROM test_emails e
    WHERE e.workspace_id = m.workspace_id AND e.mailbox_id = m.id AND e.marked_at > now() - interval '24 hours'"""

# When the ramp-up of a mailbox makes its next step.
_LIMIT_RISES_AT: Final = """
    m.ramp_up_started_at
        + make_interval(days => floor(extract(epoch FROM now() - m.ramp_up_started_at) / 86400)::int + 1)"""


def queues(lane: Lane) -> str:
    """SQL: the sequences that may send, of those with anybody scheduled in the mailbox `m`: one look for each."""
    mine = f"r.{lane.mailbox_column} = m.id AND r.due_kind = '{lane.due_kind}'"
    return f"""
    WITH RECURSIVE q (sequence_id) AS (
        (SELECT r.sequence_id FROM recipients r
            WHERE {mine} ORDER BY r.sequence_id LIMIT 1)
        UNION ALL
        SELECT (SELECT r.sequence_id FROM recipients r
            WHERE {mine} AND r.sequence_id > q.sequence_id
            ORDER BY r.sequence_id LIMIT 1)
        FROM q WHERE q.sequence_id IS NOT NULL
    )
    SELECT s.id, s.settling FROM q JOIN sequences s ON s.id = q.sequence_id
    WHERE s.workspace_id = m.workspace_id AND s.status = 'ACTIVE' AND s.pauses_to_follow IS NULL
        AND s.guardrail_hold IS NULL"""


# That a recipient of such a queue has followed the last edit of its step.
FOLLOWED: Final = (
    "(NOT s.settling OR r.plan_revision >= (SELECT t.revision FROM steps t WHERE t.id = r.current_step_id))"
)


def _claim(lane: Lane) -> str:
    """SQL of a claim: $1 so many, $2 in hand of a mailbox at most, $3 ids, $4 local parts of Message-IDs, $5 the lease,
    $6 workspaces to leave out."""
    return f"""
    WITH turn AS (
        SELECT m.id AS mailbox_id, m.address, m.minimum_gap_seconds, b.left_today, b.free_at, d.*
        FROM (
            -- Whose turn is longest overdue first, and only those with something due: an idle one costs one look, at
            -- its earliest. (As EXISTS it became a join with all that is due anywhere.)
            SELECT m.*, m.xmin AS row_version, now() + make_interval(secs => w.clock_offset_seconds) AS business_now
            FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id
            WHERE m.state = 'CONNECTED' AND m.next_send_at <= now() AND m.workspace_id <> ALL($6::uuid[])
                AND m.channel = '{lane.channel}' AND (
                SELECT r.due_at FROM recipients r
                WHERE r.{lane.mailbox_column} = m.id AND r.due_kind = '{lane.due_kind}'
                ORDER BY r.due_at LIMIT 1) <= now() + make_interval(secs => w.clock_offset_seconds)
            ORDER BY m.next_send_at
            FOR NO KEY UPDATE OF m SKIP LOCKED
        ) m
        CROSS JOIN LATERAL (
            SELECT count(*) AS in_hand, count(*) FILTER (WHERE k.state = 'CLAIMED') AS claimed
            FROM messages k
            WHERE k.mailbox_id = m.id AND k.state IN ('CLAIMED', 'HANDING_OVER') AND k.lease_until > now()
        ) h
        CROSS JOIN LATERAL (
            SELECT {LIMIT_NOW} - h.claimed - count(*) AS left_today,
                least(min(x.marked_at) + interval '24 hours',
                    CASE WHEN {LIMIT_NOW} < m.daily_limit THEN {_LIMIT_RISES_AT} END) AS free_at
            FROM ({HANDED_OVER}) x
        ) b
        CROSS JOIN LATERAL (
            SELECT greatest(0, least($1, b.left_today, CASE WHEN m.minimum_gap_seconds = 0 THEN $2::int ELSE 1 END,
                CASE WHEN m.failures_in_a_row = 0 THEN $2 ELSE 1 END - h.in_hand)) AS places
        ) p
        CROSS JOIN LATERAL (
            -- one of each of its sequences, then a second of each, beginning after the one that had the last turn
            SELECT r.*
            FROM ({queues(lane)}) s
            CROSS JOIN LATERAL (
                SELECT r.id AS recipient_id, r.workspace_id, r.version, r.sequence_id, r.contact_id, r.current_step_id,
                    r.step_run, row_number() OVER (ORDER BY r.due_at, r.id) AS place
                FROM recipients r
                LEFT JOIN messages x
                    ON x.recipient_id = r.id AND x.step_id = r.current_step_id AND x.step_run = r.step_run
                WHERE r.{lane.mailbox_column} = m.id AND r.sequence_id = s.id AND r.due_kind = '{lane.due_kind}'
                    AND r.due_at <= m.business_now AND {FOLLOWED}
                    AND (x.id IS NULL OR x.state IN ('DROPPED', 'DEFERRED')
                        OR (x.state = 'CLAIMED' AND x.lease_until < now()))
                ORDER BY r.due_at, r.id
                LIMIT p.places
            ) r
            ORDER BY r.place, coalesce(r.sequence_id <= m.last_sequence_id, false), r.sequence_id
            LIMIT p.places
        ) d
        -- claimed by another since this statement began: what is counted here is older than the locked row
        WHERE m.row_version = (SELECT s.xmin FROM mailboxes s WHERE s.id = m.id)
        LIMIT $1
    ), numbered AS (
        SELECT *, row_number() OVER () AS n FROM turn
    ), taken AS (
        INSERT INTO messages (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, step_id, step_run,
            direction, channel, state, rfc_message_id, "references", token, tries, lease_until,
            created_at)
        SELECT ($3::uuid[])[n], workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, current_step_id,
            step_run, 'OUTGOING', '{lane.channel}', 'CLAIMED', {lane.message_id}, '[]', 1, 1,
            now() + $5::interval, now()
        FROM numbered
        ON CONFLICT (recipient_id, step_id, step_run) DO UPDATE
        SET state = 'CLAIMED', token = messages.token + 1, mailbox_id = excluded.mailbox_id,
            tries = messages.tries + (messages.state = 'DEFERRED')::int, lease_until = excluded.lease_until
        WHERE messages.state IN ('DROPPED', 'DEFERRED')
            OR (messages.state = 'CLAIMED' AND messages.lease_until < now())
        RETURNING id, mailbox_id
    ), moved AS (
        UPDATE mailboxes m SET
            next_send_at = CASE WHEN t.claimed >= t.left_today
                THEN greatest(now() + make_interval(secs => m.minimum_gap_seconds),
                    coalesce(t.free_at, now() + interval '24 hours'))
                ELSE now() + make_interval(secs => m.minimum_gap_seconds * (1 + 0.25 * random())) END,
            held_back_by = CASE WHEN t.claimed >= t.left_today THEN 'DAILY_LIMIT'
                WHEN m.minimum_gap_seconds > 0 THEN 'MINIMUM_GAP' END,
            last_sequence_id = t.last_sequence_id
        FROM (SELECT n.mailbox_id, min(n.left_today) AS left_today, min(n.free_at) AS free_at,
                (array_agg(n.sequence_id ORDER BY n.n DESC))[1] AS last_sequence_id,
                (SELECT count(*) FROM taken k WHERE k.mailbox_id = n.mailbox_id) AS claimed
            FROM numbered n GROUP BY n.mailbox_id) t
        WHERE m.id = t.mailbox_id AND t.claimed > 0
    )
    SELECT id FROM taken
"""


CLAIMS: Final = {lane: _claim(lane) for lane in LANES}

# Claims were not used: the turn that they took comes back, and with it the last place of the day. `freed` names them
# and their mailboxes, and says which `touched` the server: after those the gap stays, whatever came of it.
TURN_BACK: Final = f"""
    UPDATE mailboxes m SET held_back_by = CASE WHEN m.minimum_gap_seconds > 0 THEN 'MINIMUM_GAP' END,
        next_send_at = greatest(now(), make_interval(secs => m.minimum_gap_seconds)
            + CASE WHEN f.touched THEN now() ELSE d.last_at END)
    FROM (SELECT mailbox_id, bool_or(touched) AS touched FROM freed GROUP BY mailbox_id) f
    CROSS JOIN LATERAL (
        SELECT count(*) AS sent, max(x.marked_at) AS last_at FROM (
            SELECT y.marked_at FROM messages y
            WHERE y.mailbox_id = f.mailbox_id AND y.marked_at > now() - interval '24 hours'
            UNION ALL
            SELECT e.marked_at FROM test_emails e
            WHERE e.mailbox_id = f.mailbox_id AND e.marked_at > now() - interval '24 hours') x
    ) d
    WHERE m.id = f.mailbox_id AND {LIMIT_NOW} > d.sent
        AND (m.held_back_by = 'DAILY_LIMIT' OR (m.held_back_by = 'MINIMUM_GAP' AND NOT f.touched))
        AND (m.minimum_gap_seconds = 0 OR NOT EXISTS (  -- what is still in hand has the turn
            SELECT FROM messages k WHERE k.mailbox_id = m.id AND k.state = 'CLAIMED' AND k.lease_until > now()
                AND k.id NOT IN (SELECT id FROM freed)))
"""

_TAKE_DOMAIN_TURNS: Final = """
    WITH wanted AS (
        SELECT DISTINCT ON (x.mailbox_id, domain) x.id, x.workspace_id, x.mailbox_id, domain, m.domain_gap_seconds
        FROM messages x
        JOIN mailboxes m ON m.id = x.mailbox_id
        JOIN contacts c ON c.id = x.contact_id
        CROSS JOIN LATERAL (SELECT split_part(coalesce(c.email_key, ''), '@', 2) AS domain) e
        WHERE x.id = ANY($1::uuid[])
        ORDER BY x.mailbox_id, domain, x.created_at, x.id
    ), taken AS (
        INSERT INTO domain_turns (workspace_id, mailbox_id, domain, next_at)
        SELECT workspace_id, mailbox_id, domain, now() + make_interval(secs => domain_gap_seconds) FROM wanted
        ON CONFLICT (mailbox_id, domain) DO UPDATE SET next_at = excluded.next_at WHERE domain_turns.next_at <= now()
        RETURNING mailbox_id, domain
    )
    SELECT w.id FROM wanted w JOIN taken USING (mailbox_id, domain)
"""


async def take_domain_turns(message_ids: Sequence[UUID]) -> set[UUID]:
    """Take the turn of the domain that each claimed message goes to; return those that got it.

    At most one of a mailbox for each domain, whoever asks at the same time. A turn that is not used passes.
    """

    async def work(t: Tx) -> set[UUID]:
        return {row["id"] for row in await t.fetch(_TAKE_DOMAIN_TURNS, list(message_ids))}

    return await tx(None, work, rings=False)


async def forget_past_domain_turns() -> int:
    """Remove up to 1,000 domain turns that hold nothing back any more; return how many."""

    async def work(t: Tx) -> int:
        rows = await t.fetch(
            """
            DELETE FROM domain_turns WHERE (mailbox_id, domain) IN (
                SELECT mailbox_id, domain FROM domain_turns WHERE next_at < now() - interval '1 minute'
                ORDER BY mailbox_id, domain LIMIT 1000 FOR UPDATE SKIP LOCKED)
            RETURNING 1
            """
        )
        return len(rows)

    return await tx(None, work, rings=False)
