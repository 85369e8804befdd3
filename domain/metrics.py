"""What this process counts about itself, for Prometheus: each metric with its meaning, in one place.

Labels are codes and names of ours, never a workspace, an address or a text, so that their number is bounded.
docs/operations.md lists them; what stands in the database is read by `domain/figures.py` when it is asked for.

Source: docs/operations.md.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.connections import opened

_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)

CLAIMS: Final = Counter("relance_claims", "Messages that this worker has taken up.", ["kind"])
SENDS: Final = Counter(
    "relance_sends", "Messages that this worker is done with, by what came of it.", ["kind", "outcome"]
)
SEND_SECONDS: Final = Histogram(
    "relance_send_seconds", "From the claim of a message until what came of it is recorded.", ["kind"], buckets=_LONG
)
MESSAGES_IN_HAND: Final = Gauge("relance_messages_in_hand", "Messages that this worker has in its hands now.")
ROUND_SECONDS: Final = Histogram(
    "relance_round_seconds", "How long one round of an endless loop took.", ["round"], buckets=_SHORT
)
ROUND_FAILURES: Final = Counter("relance_round_failures", "Rounds of endless loops that failed.", ["round"])
EVENTS_NUMBERED: Final = Counter("relance_events_numbered", "Events of recipients that this process has numbered.")
NUMBERING_DELAY_SECONDS: Final = Histogram(
    "relance_numbering_delay_seconds",
    "How long the oldest event of each batch waited for its number.",
    buckets=_SHORT,
)
WEBHOOK_ATTEMPTS: Final = Counter(
    "relance_webhook_attempts", "Deliveries that this worker attempted, by what came of it.", ["outcome"]
)
WEBHOOK_SECONDS: Final = Histogram("relance_webhook_seconds", "How long an attempt of a delivery took.", buckets=_LONG)
OPERATION_SECONDS: Final = Histogram(
    "relance_operation_seconds",
    "How long a query or mutation took, by what came of it: ok, errors, stopped or refused.",
    ["kind", "outcome"],
    buckets=_SHORT,
)
OPERATIONS_OPEN: Final = Gauge("relance_operations_open", "Operations being carried out or told now.", ["kind"])
SOCKETS_OPEN: Final = Gauge("relance_sockets_open", "WebSockets that are open now.")
API_ERRORS: Final = Counter(
    "relance_api_errors",
    "Errors at the top of answers, by their code, and the limit of LIMIT_EXCEEDED.",
    ["code", "limit"],
)


class _PoolUse(Collector):
    """The connections of this process to PostgreSQL, at the moment of asking."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        use = GaugeMetricFamily(
            "relance_database_connections", "Connections of this process to PostgreSQL.", labels=["state"]
        )
        pool = getattr(opened[-1].client, "_pool", None) if opened else None
        if pool is not None:
            use.add_metric(["busy"], pool.get_size() - pool.get_idle_size())
            use.add_metric(["idle"], pool.get_idle_size())
            use.add_metric(["allowed"], pool.get_max_size())
        yield use


REGISTRY.register(_PoolUse())
