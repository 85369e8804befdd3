"""Webhook endpoints: adding, changing, rotating their secrets, testing, and sending again."""

from typing import Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import Payload
from api.types.fields import resolved
from api.types.webhooks import WebhookDelivery, WebhookEndpoint
from domain import webhook_repeats, webhooks
from domain.reading import webhooks as reading
from domain.rules.access import Scope
from domain.rules.ids import Prefix

_KEEPS = "Left out or null: kept."
_ONCE = "Signs every request. Shown only now; keep it safe."


@strawberry.input(description="Adds an endpoint.")
class WebhookEndpointCreateInput:
    url: str = strawberry.field(description="Where it listens: https, at a public address.")
    description: str | None = strawberry.field(default=None, description="What it is for; at most 200 characters.")
    event_types: list[str] | None = strawberry.field(
        default=None, description="Of what it is to be told, see RecipientEvent.type. Left out or null: of everything."
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Changes an endpoint. What is left out is kept.")
class WebhookEndpointUpdateInput:
    id: strawberry.ID = strawberry.field(description="Which endpoint.")
    url: str | None = strawberry.field(default=None, description=_KEEPS)
    description: str | None = strawberry.field(default=UNSET, description="Left out: kept. Null: none.")
    event_types: list[str] | None = strawberry.field(default=UNSET, description="Left out: kept. Null: everything.")
    enabled: bool | None = strawberry.field(
        default=None,
        description=f"{_KEEPS} Switched on again, it is sent what happened meanwhile, as far as that is kept.",
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Removes an endpoint.")
class WebhookEndpointDeleteInput:
    id: strawberry.ID = strawberry.field(description="Which endpoint.")
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Gives an endpoint a new secret.")
class WebhookSecretRotateInput:
    id: strawberry.ID = strawberry.field(description="Which endpoint.")
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Sends an endpoint a test.")
class WebhookEndpointTestInput:
    id: strawberry.ID = strawberry.field(description="Which endpoint.")
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Sends one event again.")
class WebhookDeliveryRedeliverInput:
    id: strawberry.ID = strawberry.field(description="Which delivery.")
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Sends a span of the feed again.")
class WebhookEndpointReplayInput:
    id: strawberry.ID = strawberry.field(description="Which endpoint.")
    after: str = strawberry.field(description="The cursor of the last event that is not sent again.")
    until: str | None = strawberry.field(
        default=None, description="The cursor of the last one that is. Left out or null: as far as it was told."
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of a change of an endpoint.")
class EndpointPayload(Payload):
    webhook_endpoint_key: strawberry.Private[UUID | None] = None

    @resolved("The endpoint as it is now; null when the change was refused.")
    async def endpoint(self, info: Info) -> WebhookEndpoint | None:
        if self.webhook_endpoint_key is None:
            return None
        found: Any = await reading.endpoints_by_ids(info.context.caller.workspace_id, [self.webhook_endpoint_key])
        shown: WebhookEndpoint | None = found.get(self.webhook_endpoint_key)
        return shown


@strawberry.type(description="What came of adding an endpoint.")
class WebhookEndpointCreatePayload(EndpointPayload):
    secret: str | None = strawberry.field(default=None, description=_ONCE)


@strawberry.type(description="What came of changing an endpoint.")
class WebhookEndpointUpdatePayload(EndpointPayload):
    pass


@strawberry.type(description="What came of removing an endpoint.")
class WebhookEndpointDeletePayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The endpoint that is gone.")


@strawberry.type(description="What came of giving an endpoint a new secret.")
class WebhookSecretRotatePayload(EndpointPayload):
    secret: str | None = strawberry.field(default=None, description=_ONCE)


@strawberry.type(description="What came of sending an event.")
class DeliveryPayload(Payload):
    webhook_delivery_key: strawberry.Private[UUID | None] = None

    @resolved("The delivery as it is now; null when it was refused. Ask for it again to see what was answered.")
    async def delivery(self, info: Info) -> WebhookDelivery | None:
        if self.webhook_delivery_key is None:
            return None
        found: Any = await reading.deliveries_by_ids(info.context.caller.workspace_id, [self.webhook_delivery_key])
        shown: WebhookDelivery | None = found.get(self.webhook_delivery_key)
        return shown


@strawberry.type(description="What came of sending a test.")
class WebhookEndpointTestPayload(DeliveryPayload):
    pass


@strawberry.type(description="What came of sending one event again.")
class WebhookDeliveryRedeliverPayload(DeliveryPayload):
    pass


@strawberry.type(description="What came of sending a span again.")
class WebhookEndpointReplayPayload(EndpointPayload):
    count: int = strawberry.field(default=0, description="How many events are sent again.")


def _key(id: str) -> UUID:
    return key_of(Prefix.WEBHOOK_ENDPOINT, id, ["id"])


@strawberry.type
class WebhookMutations:
    @mutation(
        "Adds an endpoint, which is told of what happens from now on, and returns its secret, once.",
        scope=Scope.WEBHOOKS_WRITE,
    )
    async def webhook_endpoint_create(
        self, info: Info, input: WebhookEndpointCreateInput
    ) -> WebhookEndpointCreatePayload | None:
        context = info.context
        made = await webhooks.create(
            context.caller.workspace_id,
            context.vault,
            context.settings.reach,
            input.url,
            description=input.description,
            event_types=input.event_types,
        )
        return WebhookEndpointCreatePayload(webhook_endpoint_key=made.endpoint_id, secret=made.secret)

    @mutation("Changes an endpoint, or switches it off and on.", scope=Scope.WEBHOOKS_WRITE)
    async def webhook_endpoint_update(
        self, info: Info, input: WebhookEndpointUpdateInput
    ) -> WebhookEndpointUpdatePayload | None:
        changes: dict[str, Any] = {
            name: value for name in ("url", "enabled") if (value := getattr(input, name)) is not None
        }
        changes |= {
            name: value for name in ("description", "event_types") if (value := getattr(input, name)) is not UNSET
        }
        key = await webhooks.update(
            info.context.caller.workspace_id, info.context.settings.reach, _key(input.id), changes
        )
        return WebhookEndpointUpdatePayload(webhook_endpoint_key=key)

    @mutation("Removes an endpoint and its log.", scope=Scope.WEBHOOKS_WRITE)
    async def webhook_endpoint_delete(
        self, info: Info, input: WebhookEndpointDeleteInput
    ) -> WebhookEndpointDeletePayload | None:
        await webhooks.delete(info.context.caller.workspace_id, _key(input.id))
        return WebhookEndpointDeletePayload(deleted_id=input.id)

    @mutation(
        "Gives an endpoint a new secret. For a day each request is signed with both, so that none is lost.",
        scope=Scope.WEBHOOKS_WRITE,
    )
    async def webhook_secret_rotate(
        self, info: Info, input: WebhookSecretRotateInput
    ) -> WebhookSecretRotatePayload | None:
        made = await webhooks.rotate_secret(info.context.caller.workspace_id, info.context.vault, _key(input.id))
        return WebhookSecretRotatePayload(webhook_endpoint_key=made.endpoint_id, secret=made.secret)

    @mutation("Sends an event of type `webhook.test` to an endpoint.", scope=Scope.WEBHOOKS_WRITE)
    async def webhook_endpoint_test(
        self, info: Info, input: WebhookEndpointTestInput
    ) -> WebhookEndpointTestPayload | None:
        key = await webhook_repeats.send_test(info.context.caller.workspace_id, _key(input.id))
        return WebhookEndpointTestPayload(webhook_delivery_key=key)

    @mutation(
        "Sends one event again now, whatever became of it, under the same `webhook-id`.", scope=Scope.WEBHOOKS_WRITE
    )
    async def webhook_delivery_redeliver(
        self, info: Info, input: WebhookDeliveryRedeliverInput
    ) -> WebhookDeliveryRedeliverPayload | None:
        delivery = key_of(Prefix.WEBHOOK_DELIVERY, input.id, ["id"])
        key = await webhook_repeats.redeliver(info.context.caller.workspace_id, delivery)
        return WebhookDeliveryRedeliverPayload(webhook_delivery_key=key)

    @mutation(
        f"Sends a span of the feed to an endpoint again, at most {webhook_repeats.REPLAYED_AT_MOST:,} events, each "
        "under its old `webhook-id`.",
        scope=Scope.WEBHOOKS_WRITE,
    )
    async def webhook_endpoint_replay(
        self, info: Info, input: WebhookEndpointReplayInput
    ) -> WebhookEndpointReplayPayload | None:
        key = _key(input.id)
        count = await webhook_repeats.replay(info.context.caller.workspace_id, key, input.after, input.until)
        return WebhookEndpointReplayPayload(webhook_endpoint_key=key, count=count)
