"""Workspaces and the keys that open them."""

from typing import Any

from tortoise import fields
from tortoise.models import Model


class Workspace(Model):
    """A tenant. Everything else belongs to exactly one."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(max_length=200)
    test_mode = fields.BooleanField(db_default=False, default=False)  # nothing of it leaves; decided when it is made
    clock_offset_seconds = fields.BigIntField(default=0)  # the sandbox clock; 0 for everyone who sends real mail
    # What signs mail that providers hand in over HTTP, sealed (domain/secrets.py). The one before is good for a day.
    inbound_secret = fields.BinaryField(null=True)
    inbound_secret_before = fields.BinaryField(null=True)
    inbound_secret_changed_at = fields.DatetimeField(null=True)
    guardrail_limits: Any = fields.JSONField(db_default={})  # those that are not the standard
    # At most so many automated messages to one person within so many days: both or none.
    frequency_cap_messages = fields.IntField(null=True)
    frequency_cap_days = fields.IntField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "workspaces"


class ApiKey(Model):
    """An API key. The secret itself is never stored: only its SHA-256 (it has 190 random bits)."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    name = fields.CharField(max_length=200)
    public_id = fields.CharField(max_length=16, unique=True)  # the readable part, shown in lists
    secret_hash = fields.BinaryField()
    scopes = fields.CharField(max_length=400)  # separated by spaces
    replaces_id = fields.UUIDField(null=True)  # the key that this one was made to replace
    created_at = fields.DatetimeField(auto_now_add=True)
    expires_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta(Model.Meta):
        table = "api_keys"


class User(Model):
    """A person of the workspace, who signs in elsewhere."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    name = fields.CharField(max_length=200)
    email = fields.CharField(max_length=320, null=True)
    external_subject = fields.CharField(max_length=255, null=True)  # what the identity provider calls the person
    role = fields.CharField(max_length=10)
    created_at = fields.DatetimeField(auto_now_add=True)
    deactivated_at = fields.DatetimeField(null=True)

    class Meta(Model.Meta):
        table = "users"


class Feed(Model):
    """The numbered feed of a workspace: which restore of it this is, and the last number given."""

    workspace_id = fields.UUIDField(primary_key=True)
    epoch = fields.CharField(max_length=16)
    last_seq = fields.BigIntField(default=0)
    first_seq = fields.BigIntField(default=1)  # events below were pruned
    pruned_xid = fields.BigIntField(db_default=0)  # and so were events of the workspace, up to this transaction and id
    pruned_id = fields.BigIntField(db_default=0)

    class Meta(Model.Meta):
        table = "feeds"
