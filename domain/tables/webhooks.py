"""Endpoints that are told of events, and what became of each telling."""

from typing import Any

from tortoise import fields
from tortoise.models import Model


class WebhookEndpoint(Model):
    """A subscriber of the feed whose cursor is stored."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    url = fields.CharField(max_length=2000)
    description = fields.CharField(max_length=200, null=True)
    event_types: Any = fields.JSONField(null=True)  # null: all
    enabled = fields.BooleanField(default=True)
    disabled_at = fields.DatetimeField(null=True)
    disabled_because = fields.TextField(null=True)
    secret = fields.BinaryField()  # sealed
    previous_secret = fields.BinaryField(null=True)  # sealed; still signs until previous_until
    previous_until = fields.DatetimeField(null=True)
    epoch = fields.CharField(max_length=16)
    last_seq = fields.BigIntField()
    failures_in_a_row = fields.IntField(default=0)
    failing_since = fields.DatetimeField(null=True)
    removed_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "webhook_endpoints"


class WebhookDelivery(Model):
    """One event for one endpoint, with its attempts."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    endpoint_id = fields.UUIDField()
    recipient_id = fields.UUIDField(null=True)  # with the version the event; null for a test
    event_version = fields.IntField(null=True)
    seq = fields.BigIntField(null=True)
    type = fields.CharField(max_length=40)
    state = fields.CharField(max_length=10, default="PENDING")
    attempts = fields.IntField(default=0)
    attempts_before = fields.IntField(default=0)  # those before it was last sent again: patience counts from there
    # Machine time: when it is tried next, and until when a worker has it in hand.
    next_at = fields.DatetimeField(null=True)
    lease_until = fields.DatetimeField(null=True)
    token = fields.IntField(default=0)
    last_status = fields.IntField(null=True)
    last_problem = fields.TextField(null=True)
    delivered_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "webhook_deliveries"
