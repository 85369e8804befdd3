"""What happens to people: recipients, messages, errors, pending actions."""

from typing import Any

from tortoise import fields
from tortoise.models import Model


class Recipient(Model):
    """One contact's run through one sequence. The facts are explained in domain/rules/recipient.py."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    sequence_id = fields.UUIDField()
    contact_id = fields.UUIDField()
    mailbox_id = fields.UUIDField(null=True)
    sms_mailbox_id = fields.UUIDField(null=True)  # the number its text messages come from
    external_id = fields.CharField(max_length=200, null=True)
    sort_name = fields.CharField(max_length=420, default="")  # the contact's, for sorting within a sequence
    version = fields.IntField(default=1)
    status = fields.CharField(max_length=15)
    end_reason = fields.CharField(max_length=20, null=True)
    ended_at = fields.DatetimeField(null=True)
    paused_at = fields.DatetimeField(null=True)
    sequence_paused_at = fields.DatetimeField(null=True)
    error_id = fields.UUIDField(null=True)
    pending_id = fields.UUIDField(null=True)
    scheduled_for = fields.DatetimeField(null=True)
    begun = fields.BooleanField(default=False)
    current_step_id = fields.UUIDField(null=True)
    last_step_id = fields.UUIDField(null=True)
    left_step_id = fields.UUIDField(null=True)  # at which it was when it ended
    bounced_step_id = fields.UUIDField(null=True)  # whose message bounced
    plan_revision = fields.IntField(db_default=0)  # the edit of its sequence that this row is in step with
    step_run = fields.SmallIntField(default=1)
    start_at = fields.DatetimeField(null=True)
    anchor_at = fields.DatetimeField(null=True)
    wait_ends_at = fields.DatetimeField(null=True)
    wait_left_seconds = fields.FloatField(null=True)
    due_at = fields.DatetimeField(null=True)
    # Which queue it waits in: that of its step's kind, or for an email that a person released that of the automated.
    due_kind = fields.CharField(max_length=20, null=True)
    retry_at = fields.DatetimeField(null=True)
    paced_until = fields.DatetimeField(null=True)
    frequency_capped = fields.BooleanField(db_default=False)  # it is the frequency cap that paces it
    contacted_at = fields.DatetimeField(null=True)
    replied_at = fields.DatetimeField(null=True)
    deleted_at = fields.DatetimeField(null=True)
    enrolled_by_kind = fields.CharField(max_length=10)
    enrolled_by_id = fields.UUIDField(null=True)
    enrolled_at = fields.DatetimeField()
    status_changed_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta(Model.Meta):
        table = "recipients"


class Message(Model):
    """One email or SMS, out or in. A claim is the insert of an outgoing one."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    recipient_id = fields.UUIDField()
    sequence_id = fields.UUIDField()
    contact_id = fields.UUIDField()
    mailbox_id = fields.UUIDField(null=True)
    step_id = fields.UUIDField(null=True)
    step_run = fields.SmallIntField(null=True)
    direction = fields.CharField(max_length=10)
    channel = fields.CharField(max_length=10, default="EMAIL")
    state = fields.CharField(max_length=15)
    classification = fields.CharField(max_length=20, null=True)
    rfc_message_id = fields.CharField(max_length=400, null=True)  # fixed with the claim, never remade
    in_reply_to = fields.CharField(max_length=400, null=True)
    references: Any = fields.JSONField(default=list)
    from_address = fields.CharField(max_length=320, null=True)
    to_address = fields.CharField(max_length=320, null=True)
    subject = fields.TextField(null=True)
    text = fields.TextField(null=True)
    html = fields.TextField(null=True)
    quoted_text = fields.TextField(null=True)  # of an incoming one: what it quotes, and its signature
    reclassified_at = fields.DatetimeField(null=True)  # of an incoming one: a person said what it really was
    absence_key = fields.CharField(max_length=32, null=True)  # of an absence note: which absence it speaks of
    held_until = fields.DatetimeField(null=True)  # of an absence note: the hold it made, unless a person released it
    reply = fields.TextField(null=True)  # the mail server's last words; of a text message first the provider's id
    delivery = fields.CharField(max_length=10, null=True)  # of a text message: what its receipt said, and when
    delivery_at = fields.DatetimeField(null=True)
    # The claim: who may go on with it, and until when (machine time).
    token = fields.IntField(default=1)
    tries = fields.SmallIntField(default=1)
    lease_until = fields.DatetimeField(null=True)
    marked_at = fields.DatetimeField(null=True)  # the second mark
    # Of an outgoing one: when it was first known that its address is dead, that it was reported as spam (machine time).
    bounced_at = fields.DatetimeField(null=True)
    complained_at = fields.DatetimeField(null=True)
    at = fields.DatetimeField(null=True)  # business time: sent or received
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta(Model.Meta):
        table = "messages"


class StepError(Model):
    """Why a step failed. What to do about it is data: domain/rules/step_errors.py."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    recipient_id = fields.UUIDField()
    sequence_id = fields.UUIDField()
    contact_id = fields.UUIDField()
    mailbox_id = fields.UUIDField(null=True)
    step_id = fields.UUIDField(null=True)
    message_id = fields.UUIDField(null=True)
    code = fields.CharField(max_length=40)
    cause_key = fields.UUIDField()  # the same for all that fail for one cause: domain/rules/error_groups.py
    detail = fields.TextField(null=True)  # what goes into the sentence: the variable's name, the server's words
    occurred_at = fields.DatetimeField()
    resolved_at = fields.DatetimeField(null=True)

    class Meta(Model.Meta):
        table = "step_errors"


class PendingAction(Model):
    """A manual email or a task that waits for a person."""

    id = fields.UUIDField(primary_key=True)
    workspace_id = fields.UUIDField()
    recipient_id = fields.UUIDField()
    sequence_id = fields.UUIDField()
    step_id = fields.UUIDField()
    kind = fields.CharField(max_length=20)
    subject = fields.TextField(null=True)
    body = fields.TextField(null=True)
    task_kind = fields.CharField(max_length=10, null=True)
    task_title = fields.TextField(null=True)
    task_notes = fields.TextField(null=True)
    note = fields.TextField(null=True)  # written by whoever completed it
    due_since = fields.DatetimeField()
    assignee_id = fields.UUIDField(null=True)  # the user who is to act
    released_by_kind = fields.CharField(max_length=10, null=True)  # who ordered it to be sent, now or at a chosen time
    released_by_id = fields.UUIDField(null=True)
    closed_at = fields.DatetimeField(null=True)
    closed_by_kind = fields.CharField(max_length=10, null=True)
    closed_by_id = fields.UUIDField(null=True)
    outcome = fields.CharField(max_length=12, null=True)
    version = fields.IntField(default=1)

    class Meta(Model.Meta):
        table = "pending_actions"
