"""The tables: Tortoise models without behaviour.

Columns that point to another table are plain UUIDs here: the foreign keys are composite, bound to the workspace,
and made by hand in the migrations, which Tortoise cannot express. Tables with a natural key of two columns
(events, tallies, recipient_steps, sequence_mailboxes) have no model either: they are only ever written by
set-based SQL, and stand in migration 0002; likewise error_group_retries in 0012,
idempotency_keys and audit_entries in 0013, the tables of bulk operations in 0028 and of imported files in 0032, and
workspace_events, which triggers write, in 0029.
"""

from domain.tables.outreach import Contact, Mailbox, Sequence, Step, Suppression
from domain.tables.runs import Message, PendingAction, Recipient, StepError
from domain.tables.tenancy import ApiKey, Feed, User, Workspace
from domain.tables.webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "ApiKey",
    "Contact",
    "Feed",
    "Mailbox",
    "Message",
    "PendingAction",
    "Recipient",
    "Sequence",
    "Step",
    "StepError",
    "Suppression",
    "User",
    "WebhookDelivery",
    "WebhookEndpoint",
    "Workspace",
]
