"""Webhook endpoints, what they were sent, and what they answered."""

from datetime import datetime
from enum import StrEnum

import strawberry

from api.context import Info
from api.types.fields import resolved
from api.types.node import Connection, Node


class WebhookDeliveryState(StrEnum):
    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


_MEANING = {
    "PENDING": "It is on its way, or tried again at `nextAttemptAt`.",
    "DELIVERED": "The receiver answered with 2xx.",
    "FAILED": "It was given up after a little over a day, or the receiver answered 410.",
}
strawberry.enum(WebhookDeliveryState, description="What became of an event that was sent to an endpoint.")
for _value in WebhookDeliveryState.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = _MEANING[_value.name]


@strawberry.type(description="A receiver of events, told by signed HTTP requests (Standard Webhooks).")
class WebhookEndpoint(Node):
    url: str = strawberry.field(description="Where it listens.")
    description: str | None = strawberry.field(description="What it is for, in the words of whoever added it.")
    event_types: list[str] | None = strawberry.field(description="Of what it is told; null: of everything.")
    enabled: bool = strawberry.field(description="Whether it is told. One that fails for over a day is switched off.")
    disabled_at: datetime | None = strawberry.field(description="When it was switched off.")
    disabled_because: str | None = strawberry.field(description="Why it was switched off.")
    failing_since: datetime | None = strawberry.field(description="Since when it has taken nothing; null when it does.")
    failures_in_a_row: int = strawberry.field(description="How many attempts failed since the last that worked.")
    old_secret_signs_until: datetime | None = strawberry.field(
        description="Until when each request carries a signature by the secret before, too; null before any rotation."
    )
    created_at: datetime = strawberry.field(description="When it was added.")


@strawberry.type(description="One attempt to tell an endpoint.")
class WebhookAttempt:
    number: int = strawberry.field(description="The first is 1.")
    attempted_at: datetime = strawberry.field(description="When.")
    url: str = strawberry.field(description="Where it was sent.")
    request: str = strawberry.field(description="The body that was sent.")
    status: int | None = strawberry.field(description="The HTTP status of the answer; null when there was none.")
    problem: str | None = strawberry.field(description="What went wrong, in words.")
    answer: str | None = strawberry.field(description="The beginning of the answer.")
    took_milliseconds: int = strawberry.field(description="How long it took, in milliseconds.")


@strawberry.type(description="One event for one endpoint.")
class WebhookDelivery(Node):
    webhook_id: str = strawberry.field(
        description="The `webhook-id` it carries: the event's id, the same each time, so that it is known again."
    )
    type: str = strawberry.field(description="The event's type; `webhook.test` for a test.")
    state: WebhookDeliveryState = strawberry.field(description="What became of it.")
    attempt_count: int = strawberry.field(description="How often it was tried.")
    next_attempt_at: datetime | None = strawberry.field(description="When it is tried next.")
    last_status: int | None = strawberry.field(description="The HTTP status of the last answer.")
    last_problem: str | None = strawberry.field(description="What went wrong last, in words.")
    delivered_at: datetime | None = strawberry.field(description="When it was taken.")
    created_at: datetime = strawberry.field(description="When it was written for this endpoint.")

    @resolved("The endpoint it is for; null once that is removed.")
    async def endpoint(self, info: Info) -> WebhookEndpoint | None:
        found: WebhookEndpoint | None = await info.context.loaders.endpoint_of(self)
        return found

    @resolved("All attempts with request and answer, the first one first.")
    async def attempts(self, info: Info) -> list[WebhookAttempt]:
        found: list[WebhookAttempt] = await info.context.loaders.attempts_of(self)
        return found


@strawberry.type(description="One page of endpoints.")
class WebhookEndpointConnection(Connection[WebhookEndpoint]):
    pass


@strawberry.type(description="One page of deliveries.")
class WebhookDeliveryConnection(Connection[WebhookDelivery]):
    pass


@strawberry.input(description="Which deliveries. What is left out does not filter.")
class WebhookDeliveryFilter:
    endpoint_id: strawberry.ID | None = strawberry.field(default=None, description="Those for this endpoint.")
    states: list[WebhookDeliveryState] | None = strawberry.field(default=None, description="Those in these states.")
