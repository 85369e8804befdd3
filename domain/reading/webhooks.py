"""Webhook endpoints and their logs, as a screen reads them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson

from domain.database import fetch
from domain.reading.columns import columns_of
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Parameters, Slice
from domain.rules.ids import Prefix, to_public


@dataclass(frozen=True, slots=True)
class WebhookEndpointRow:
    type_name: ClassVar[str] = "WebhookEndpoint"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "url", "description", "event_types", "enabled", "disabled_at", "disabled_because"),
        *("failing_since", "failures_in_a_row", "previous_until", "created_at"),
    )

    key: UUID
    url: str
    description: str | None
    event_types: list[str] | None
    enabled: bool
    disabled_at: datetime | None
    disabled_because: str | None
    failing_since: datetime | None
    failures_in_a_row: int
    old_secret_signs_until: datetime | None
    created_at: datetime

    @property
    def id(self) -> str:
        return to_public(Prefix.WEBHOOK_ENDPOINT, self.key)


@dataclass(frozen=True, slots=True)
class WebhookDeliveryRow:
    type_name: ClassVar[str] = "WebhookDelivery"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "endpoint_id", "recipient_id", "event_version", "type", "state", "attempts", "next_at"),
        *("last_status", "last_problem", "delivered_at", "created_at"),
    )

    key: UUID
    endpoint_key: UUID
    recipient_key: UUID | None
    event_version: int | None
    type: str
    state: str
    attempt_count: int
    next_attempt_at: datetime | None
    last_status: int | None
    last_problem: str | None
    delivered_at: datetime | None
    created_at: datetime

    @property
    def id(self) -> str:
        return to_public(Prefix.WEBHOOK_DELIVERY, self.key)

    @property
    def webhook_id(self) -> str:
        if self.recipient_key is None:
            return self.id
        return f"{to_public(Prefix.EVENT, self.recipient_key)}-{self.event_version}"


@dataclass(frozen=True, slots=True)
class WebhookAttemptRow:
    number: int
    attempted_at: datetime
    url: str
    request: str
    status: int | None
    problem: str | None
    answer: str | None
    took_milliseconds: int


def _to_endpoint(values: Sequence[Any]) -> WebhookEndpointRow:
    key, url, description, types, *rest = values
    return WebhookEndpointRow(key, url, description, orjson.loads(types) if types else None, *rest)


ENDPOINTS: Final = Listing(
    columns=columns_of("w", WebhookEndpointRow.COLUMNS),
    source="FROM webhook_endpoints w",
    living=("w.workspace_id = $1", "w.removed_at IS NULL"),
    make=_to_endpoint,
)
DELIVERIES: Final = Listing(
    columns=columns_of("d", WebhookDeliveryRow.COLUMNS),
    source="""
        FROM webhook_deliveries d JOIN webhook_endpoints w ON w.workspace_id = d.workspace_id AND w.id = d.endpoint_id
    """,
    living=("d.workspace_id = $1", "w.removed_at IS NULL"),
    make=lambda values: WebhookDeliveryRow(*values),
)
OLDEST_FIRST: Final = Order(mark="whe.created_at_asc", column="w.created_at", id_column="w.id", descending=False)
NEWEST_FIRST: Final = Order(mark="whd.created_at_desc", column="d.created_at", id_column="d.id", descending=True)


async def endpoints(
    workspace_id: UUID, *, slice: Slice = FIRST_PAGE, counted: bool = False
) -> Page[WebhookEndpointRow]:
    """Return one page of endpoints, the oldest first.

    Raises:
        Invalid, CursorInvalid
    """
    return await ENDPOINTS.page(workspace_id, OLDEST_FIRST, slice, counted=counted)


async def endpoints_by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, WebhookEndpointRow]:
    """Return those of the endpoints that are there, by key."""
    return await ENDPOINTS.by_ids(workspace_id, ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDeliveryFilter:
    """Which deliveries; None does not filter."""

    endpoint_id: UUID | None = None
    states: Collection[str] | None = None

    def conditions(self, p: Parameters) -> list[str]:
        found = []
        if self.endpoint_id is not None:
            found.append(f"d.endpoint_id = {p.add(self.endpoint_id, 'uuid')}")
        if self.states is not None:
            found.append(f"d.state = ANY({p.add(list(self.states), 'text[]')})")
        return found


async def deliveries(
    workspace_id: UUID,
    *,
    filter: WebhookDeliveryFilter = WebhookDeliveryFilter(),
    slice: Slice = FIRST_PAGE,
    counted: bool = False,
) -> Page[WebhookDeliveryRow]:
    """Return one page of deliveries, the newest first.

    Raises:
        Invalid, CursorInvalid
    """
    return await DELIVERIES.page(workspace_id, NEWEST_FIRST, slice, filter.conditions, counted=counted)


async def deliveries_by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, WebhookDeliveryRow]:
    """Return those of the deliveries that are there, by key."""
    return await DELIVERIES.by_ids(workspace_id, ids)


async def attempts(workspace_id: UUID, ids: Collection[UUID]) -> Mapping[UUID, list[WebhookAttemptRow]]:
    """Return the attempts of these deliveries, the first one first."""
    rows = await fetch(
        "SELECT delivery_id, number, attempted_at, url, request, status, problem, answer, took_seconds "
        "FROM webhook_attempts WHERE workspace_id = $1 AND delivery_id = ANY($2::uuid[]) ORDER BY delivery_id, number",
        workspace_id,
        list(ids),
    )
    found: dict[UUID, list[WebhookAttemptRow]] = {id: [] for id in ids}
    for row in rows:
        found[row["delivery_id"]].append(
            WebhookAttemptRow(
                row["number"],
                row["attempted_at"],
                row["url"],
                row["request"],
                row["status"],
                row["problem"],
                row["answer"],
                round(row["took_seconds"] * 1000),
            )
        )
    return found
