"""Who is written to, from where, and what: contacts, mailboxes, sequences and their steps."""

from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model


class Contact(Model):
    """A person of the workspace."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    external_id = fields.CharField(max_length=200, null=True)
    email = fields.CharField(max_length=320, null=True)
    email_key = fields.CharField(max_length=320, null=True)  # the address as it is compared: lower case
    email_hash = fields.CharField(max_length=32, null=True)  # keyed: what is kept of the address of an erased person
    phone = fields.CharField(max_length=40, null=True)
    phone_key = fields.CharField(max_length=15, null=True)  # the number as it is compared: its digits
    phone_hash = fields.CharField(max_length=32, null=True)
    phone_invalid_at = fields.DatetimeField(null=True)  # a provider said that no text message can reach it
    phone_changed_at = fields.DatetimeField(null=True)  # to another number, or to none
    first_name = fields.CharField(max_length=200, null=True)
    last_name = fields.CharField(max_length=200, null=True)
    company = fields.CharField(max_length=200, null=True)
    time_zone = fields.CharField(max_length=64, null=True)
    custom_fields: Any = fields.JSONField(default=dict)
    sort_name = fields.CharField(max_length=420, default="")  # "last first email", lower case
    email_bounced_at = fields.DatetimeField(null=True)
    email_changed_at = fields.DatetimeField(null=True)  # to another address, or to none
    out_of_office_until = fields.DatetimeField(null=True)
    erased_at = fields.DatetimeField(null=True)  # nothing that says who it was is left: domain/erasing.py
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "contacts"


class Suppression(Model):
    """An address, a domain, a number or a contact that nobody in the workspace may write to."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    kind = fields.CharField(max_length=10)
    value = fields.CharField(max_length=320)  # as it is compared; of an erased person a keyed hash
    contact_id = fields.UUIDField(null=True)
    reason = fields.CharField(max_length=40)
    source = fields.CharField(max_length=10, default="ENGINE")
    note = fields.TextField(null=True)
    created_by_kind = fields.CharField(max_length=10, default="ENGINE")
    created_by_id = fields.UUIDField(null=True)
    recipient_id = fields.UUIDField(null=True)
    message_id = fields.UUIDField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)
    lifted_at = fields.DatetimeField(null=True)
    lifted_because = fields.TextField(null=True)
    lifted_by_kind = fields.CharField(max_length=10, null=True)
    lifted_by_id = fields.UUIDField(null=True)
    settling = fields.BooleanField(default=False)  # open recipients it is about have still to be ended

    class Meta(Model.Meta):
        table = "suppressions"


class Mailbox(Model):
    """A sending account and its limits: SMTP to send and IMAP to watch, or a number to send text messages from."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    channel = fields.CharField(max_length=10, default="EMAIL", db_default="EMAIL")
    address = fields.CharField(max_length=320)  # of one for text messages its number, E.164
    address_key = fields.CharField(max_length=320)
    display_name = fields.CharField(max_length=200, null=True)
    state = fields.CharField(max_length=20, default="CONNECTED")
    state_code = fields.CharField(max_length=40, null=True)  # the step error code that says why it is not connected
    state_message = fields.TextField(null=True)
    smtp_host = fields.CharField(max_length=253, null=True)
    smtp_port = fields.IntField(null=True)
    smtp_security = fields.CharField(max_length=10, null=True)
    smtp_username = fields.CharField(max_length=320, null=True)
    smtp_password = fields.BinaryField(null=True)  # sealed, see domain/secrets.py
    imap_host = fields.CharField(max_length=253, null=True)
    imap_port = fields.IntField(null=True)
    imap_security = fields.CharField(max_length=10, null=True)
    imap_username = fields.CharField(max_length=320, null=True)
    imap_password = fields.BinaryField(null=True)
    sms_api_url = fields.CharField(max_length=500, null=True)
    sms_account = fields.CharField(max_length=100, null=True)
    sms_token = fields.BinaryField(null=True)
    daily_limit = fields.IntField(default=200)
    minimum_gap_seconds = fields.IntField(default=60)
    # Ramp-up: so many within 24 hours at first, and so many more with each day, up to the daily limit. NULL: none.
    ramp_up_start = fields.IntField(null=True)
    ramp_up_step = fields.IntField(null=True)
    ramp_up_started_at = fields.DatetimeField(null=True)  # machine time
    domain_gap_seconds = fields.IntField(default=0)  # between two messages to one domain; 0: not paced
    # Machine time: when its next turn comes. Moved by the gap, the daily limit and backoff.
    next_send_at = fields.DatetimeField(auto_now_add=True)
    held_back_by = fields.CharField(max_length=20, null=True)  # which of them moved it: a waiting reason
    last_sequence_id = fields.UUIDField(null=True)  # whose message had the last turn: the next sequence goes on
    failures_in_a_row = fields.IntField(default=0)
    throttled_since = fields.DatetimeField(null=True)  # machine time: the provider takes nothing more
    guardrail_limits: Any = fields.JSONField(db_default={})  # its own, where they are not the workspace's
    guardrail_hold: Any = fields.JSONField(null=True)  # held because of its rates, until a person releases it
    guardrail_released_at = fields.DatetimeField(null=True)  # machine time: what was before counts no more
    # The key that signs its mail: all four or none. The private half is sealed, see domain/signing_keys.py.
    dkim_domain = fields.CharField(max_length=253, null=True)
    dkim_selector = fields.CharField(max_length=63, null=True)
    dkim_key = fields.BinaryField(null=True)
    dkim_public_key = fields.CharField(max_length=1_000, null=True)
    connected_at = fields.DatetimeField(null=True)  # a sign-in last worked
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "mailboxes"


class Sequence(Model):
    """An ordered list of steps with settings."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    external_id = fields.CharField(max_length=200, null=True)
    name = fields.CharField(max_length=200)
    status = fields.CharField(max_length=10, default="DRAFT")
    settings: Any = fields.JSONField(default=dict)  # SequenceSettings in domain/plans.py
    paused_at = fields.DatetimeField(null=True)  # the gate on every hand-over; rows follow in batches
    settling = fields.BooleanField(db_default=False)  # rows of recipients still have to follow a change of it
    # Pauses that are over, and that rows still have to follow: from, to, from, to …
    pauses_to_follow = ArrayField(element_type="timestamptz", null=True)
    settings_changed_at = fields.DatetimeField(null=True)  # its settings or mailboxes
    revision = fields.IntField(db_default=0)  # rises with every edit: what was claimed before one is claimed anew
    guardrail_limits: Any = fields.JSONField(db_default={})
    guardrail_hold: Any = fields.JSONField(null=True)
    guardrail_released_at = fields.DatetimeField(null=True)
    activated_at = fields.DatetimeField(null=True)
    archived_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "sequences"


class Step(Model):
    """One step of a sequence and the wait before it."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    sequence_id = fields.UUIDField()
    position = fields.IntField()
    kind = fields.CharField(max_length=20)
    wait_amount = fields.IntField(default=0)
    wait_unit = fields.CharField(max_length=15, default="DAYS")
    subject = fields.TextField(null=True)
    body = fields.TextField(null=True)
    task_kind = fields.CharField(max_length=10, null=True)
    task_title = fields.TextField(null=True)
    task_notes = fields.TextField(null=True)
    send_as_reply = fields.BooleanField(default=False)
    removed_at = fields.DatetimeField(null=True)
    # The edits of the sequence that last concerned those who wait for it, its wait, and its place: see rules/plan.py.
    revision = fields.IntField(db_default=0)
    wait_revision = fields.IntField(db_default=0)
    placed_revision = fields.IntField(db_default=0)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "steps"
