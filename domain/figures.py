"""What stands in the database, for Prometheus: how late sending is, what waits, and in which state things are.

Read when somebody asks, at most every 15 seconds for each process, with bounds and by indexes alone, however much
there is: counts of what waits stop at a bound. API and workers both tell it, so that it is known when either is down.
Test workspaces, whose clocks are moved, are left out of what is late.

Source: docs/operations.md.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from domain import turns
from domain.database import fetch
from domain.ringing import LISTENER

log = logging.getLogger("relance.figures")

KEPT_SECONDS: Final = 15.0
_PATIENCE_SECONDS: Final = 3.0
_MAILBOXES_AT_MOST: Final = 2_000
_OF_EACH_MAILBOX_AT_MOST: Final = 50
_COUNTED_AT_MOST: Final = 10_000

_READY = "(x.id IS NULL OR x.state IN ('DROPPED', 'DEFERRED') OR (x.state = 'CLAIMED' AND x.lease_until < now()))"


def _lane(lane: turns.Lane) -> str:
    """SQL: what could go out now and has not yet: how much, and for how many seconds at most it could have.

    It goes the way of the claim (`turns.CLAIMS`): what a window, a limit, a gap or a hold keeps waiting is not late.
    """
    return f"""
    SELECT coalesce(sum(least(d.waiting, {_OF_EACH_MAILBOX_AT_MOST})), 0)::int AS due,
        coalesce(extract(epoch FROM max(d.late)), 0)::float AS late_seconds
    FROM (
        SELECT m.*, now() + make_interval(secs => w.clock_offset_seconds) AS business_now
        FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id
        WHERE m.state = 'CONNECTED' AND m.next_send_at <= now() AND m.channel = '{lane.channel}' AND NOT w.test_mode
            AND (SELECT r.due_at FROM recipients r
                WHERE r.{lane.mailbox_column} = m.id AND r.due_kind = '{lane.due_kind}'
                ORDER BY r.due_at LIMIT 1) <= now() + make_interval(secs => w.clock_offset_seconds)
        ORDER BY m.next_send_at LIMIT {_MAILBOXES_AT_MOST}
    ) m
    CROSS JOIN LATERAL (
        SELECT count(*) AS waiting, least(m.business_now - min(r.due_at), now() - m.next_send_at) AS late
        FROM ({turns.queues(lane)}) s
        CROSS JOIN LATERAL (
            SELECT r.due_at FROM recipients r
            LEFT JOIN messages x
                ON x.recipient_id = r.id AND x.step_id = r.current_step_id AND x.step_run = r.step_run
            WHERE r.{lane.mailbox_column} = m.id AND r.sequence_id = s.id AND r.due_kind = '{lane.due_kind}'
                AND r.due_at <= m.business_now AND {turns.FOLLOWED} AND {_READY}
            ORDER BY r.due_at LIMIT {_OF_EACH_MAILBOX_AT_MOST}
        ) r
    ) d"""


_PEOPLES: Final = f"""
    SELECT count(*)::int AS due FROM (
        SELECT FROM recipients WHERE due_kind IN ('MANUAL_EMAIL', 'TASK') AND due_at <= now()
        ORDER BY due_at LIMIT {_COUNTED_AT_MOST}) r"""

_CLAIMED: Final = f"""
    SELECT c.state, count(*)::int AS n, count(*) FILTER (WHERE c.lease_until < now())::int AS lost
    FROM (SELECT state, lease_until FROM messages WHERE state IN ('CLAIMED', 'HANDING_OVER')
        ORDER BY lease_until LIMIT {_COUNTED_AT_MOST}) c
    GROUP BY c.state"""

_UNNUMBERED: Final = f"""
    SELECT count(*)::int AS n,
        greatest(coalesce(extract(epoch FROM clock_timestamp() - min(e.recorded_at)), 0), 0)::float AS oldest_seconds
    FROM (SELECT recorded_at FROM events WHERE seq IS NULL ORDER BY recorded_at LIMIT {_COUNTED_AT_MOST}) e"""

_MAILBOXES: Final = "SELECT channel, state, count(*)::int AS n FROM mailboxes GROUP BY channel, state"

_WEBHOOKS: Final = f"""
    SELECT (SELECT count(*) FROM webhook_endpoints WHERE removed_at IS NULL AND enabled)::int AS enabled,
        (SELECT count(*) FROM webhook_endpoints WHERE removed_at IS NULL AND NOT enabled)::int AS disabled,
        (SELECT count(*) FROM webhook_endpoints WHERE removed_at IS NULL AND failing_since IS NOT NULL)::int AS failing,
        (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE state = 'PENDING'
            LIMIT {_COUNTED_AT_MOST}) d)::int AS pending"""

_LANES: Final = {"email": _lane(turns.EMAILS), "sms": _lane(turns.TEXTS)}


async def workers_seen() -> int:
    """Return how many workers are connected to the database."""
    rows = await fetch(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()",
        LISTENER,
    )
    count: int = rows[0]["n"]
    return count


@dataclass(slots=True)
class _Kept:
    """The figures as they were read last."""

    read_at: float = float("-inf")  # of the monotonic clock
    gauges: list[GaugeMetricFamily] = field(default_factory=list)


_kept: Final = _Kept()


class _Figures(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from _kept.gauges


REGISTRY.register(_Figures())


async def refresh() -> None:
    """Read the figures anew where they are older than 15 seconds. What cannot be read within 3 seconds is not told."""
    if time.monotonic() - _kept.read_at < KEPT_SECONDS:
        return
    _kept.read_at = time.monotonic()  # whoever asks meanwhile is told what was read last
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            _kept.gauges = await _read()
    except Exception as problem:  # an outage must not take the other metrics with it
        _kept.gauges = []
        log.warning("the figures could not be read", exc_info=problem)


def forget() -> None:
    """Let the next `refresh` read in any case."""
    _kept.read_at = float("-inf")


async def _read() -> list[GaugeMetricFamily]:
    due = _gauge("relance_due_steps", "Steps that could be carried out now, counted up to a bound.", "kind")
    late = _gauge("relance_queue_lag_seconds", "How late the oldest step is that could go out now.", "kind")
    for kind, statement in _LANES.items():
        (row,) = await fetch(statement)
        due.add_metric([kind], row["due"])
        late.add_metric([kind], max(0.0, row["late_seconds"]))
    (row,) = await fetch(_PEOPLES)
    due.add_metric(["person"], row["due"])
    claimed = _gauge("relance_claimed_messages", "Messages in the hands of all workers.", "state")
    rows = {row["state"]: row for row in await fetch(_CLAIMED)}
    for state in ("CLAIMED", "HANDING_OVER"):
        claimed.add_metric([state], rows[state]["n"] if state in rows else 0)
    lost = GaugeMetricFamily("relance_lost_claims", "Messages whose worker has not been heard of in time.")
    lost.add_metric([], sum(row["lost"] for row in rows.values()))
    (row,) = await fetch(_UNNUMBERED)
    unnumbered = GaugeMetricFamily("relance_unnumbered_events", "Events that have no number yet, up to a bound.")
    unnumbered.add_metric([], row["n"])
    oldest = GaugeMetricFamily("relance_unnumbered_oldest_seconds", "How long the oldest of them has waited.")
    oldest.add_metric([], row["oldest_seconds"])
    mailboxes = _gauge("relance_mailboxes", "Mailboxes by what they send and their state.", "channel", "state")
    for row in await fetch(_MAILBOXES):
        mailboxes.add_metric([row["channel"], row["state"]], row["n"])
    (row,) = await fetch(_WEBHOOKS)
    endpoints = _gauge("relance_webhook_endpoints", "Webhook endpoints by their state.", "state")
    for state in ("enabled", "disabled", "failing"):
        endpoints.add_metric([state], row[state])
    pending = GaugeMetricFamily("relance_webhook_deliveries_pending", "Deliveries that wait, up to a bound.")
    pending.add_metric([], row["pending"])
    workers = GaugeMetricFamily("relance_workers_seen", "Workers that are connected to the database.")
    workers.add_metric([], await workers_seen())
    return [due, late, claimed, lost, unnumbered, oldest, mailboxes, endpoints, pending, workers]


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    made: Any = GaugeMetricFamily(name, meaning, labels=list(labels))
    assert isinstance(made, GaugeMetricFamily)
    return made
