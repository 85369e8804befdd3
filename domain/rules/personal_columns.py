"""Every column that can hold words: which of them are a person's, and what erasing leaves in their place.

A column that stands in neither list makes a test fail: whoever adds one decides here whether erasing clears it.

Source: product.md section 5 ("Erasing a person"); reliability.md 2.31.
"""

from collections.abc import Mapping
from typing import Final

_NOTHING: Final = "NULL"
_OF_RECIPIENTS: Final = "recipient_id IN (SELECT id FROM recipients WHERE workspace_id = $1 AND contact_id = $2)"

OWNED_BY: Final[Mapping[str, str]] = {
    # table: which of its rows are about the contact $2 of the workspace $1
    "contacts": "id = $2",
    "recipients": "contact_id = $2",
    "messages": "contact_id = $2",
    "step_errors": "contact_id = $2",
    "pending_actions": _OF_RECIPIENTS,
    "recipient_steps": _OF_RECIPIENTS,
    "suppressions": f"(contact_id = $2 OR {_OF_RECIPIENTS})",
    "inbound_mails": "message_id IN (SELECT id FROM messages WHERE workspace_id = $1 AND contact_id = $2)",
    "bulk_refusals": (
        "line IS NOT NULL AND (contact_id = $2 "
        "OR email_hash = (SELECT email_hash FROM contacts WHERE workspace_id = $1 AND id = $2))"
    ),
    "webhook_attempts": (
        f"delivery_id IN (SELECT id FROM webhook_deliveries WHERE workspace_id = $1 AND {_OF_RECIPIENTS})"
    ),
}

PERSONAL: Final[Mapping[str, Mapping[str, str]]] = {
    # table: column: the SQL of what is left
    "contacts": {
        **dict.fromkeys(("external_id", "email", "email_key", "phone", "phone_key"), _NOTHING),
        **dict.fromkeys(("first_name", "last_name", "company", "time_zone"), _NOTHING),
        **dict.fromkeys(("email_bounced_at", "phone_invalid_at", "out_of_office_until"), _NOTHING),
        "custom_fields": "'{}'::jsonb",
        "sort_name": "''",
    },
    "recipients": {"external_id": _NOTHING, "sort_name": "''"},
    "messages": {
        **dict.fromkeys(("in_reply_to", "from_address", "to_address", "subject", "text", "html", "reply"), _NOTHING),
        **dict.fromkeys(("quoted_text", "absence_key"), _NOTHING),
        "references": "'[]'::jsonb",
        # Ours stay: a report that comes late is still known by them.
        "rfc_message_id": "CASE WHEN direction = 'OUTGOING' THEN rfc_message_id END",
    },
    "step_errors": {"detail": _NOTHING},
    "pending_actions": dict.fromkeys(("subject", "body", "task_title", "task_notes", "note"), _NOTHING),
    "recipient_steps": dict.fromkeys(("subject", "body", "task_title", "task_notes"), _NOTHING),
    "suppressions": {"note": _NOTHING, "lifted_because": "CASE WHEN lifted_at IS NOT NULL THEN 'erased' END"},
    "inbound_mails": {"raw": _NOTHING, "reason": _NOTHING},
    "bulk_refusals": {"cells": _NOTHING, "message": "'This person was erased.'"},  # of a row in a file
    "webhook_attempts": {"request": "''", "answer": _NOTHING, "problem": _NOTHING},
}

NOT_PERSONAL: Final[Mapping[str, tuple[str, ...]]] = {
    # Codes, and what the workspace has written for everyone or about itself.
    "api_keys": ("name", "public_id", "scopes", "secret_hash"),
    "audit_entries": ("actor_kind", "action", "object_ids", "request_id"),
    # `file_rows`: of a file that is being imported, and gone with the batch
    "bulk_batches": ("recipient_ids", "contact_ids", "file_rows"),
    "bulk_operations": ("action", "status", "actor_kind", "note", "columns", "counts"),
    "bulk_refusals": ("code", "status", "email_hash"),
    "contacts": ("email_hash", "phone_hash"),  # keyed: all that is kept of an address or a number
    "error_group_retries": ("actor_kind",),
    "events": (
        *("type", "previous_status", "status", "previous_stage", "stage", "end_reason", "actor_kind", "counted"),
    ),
    "feeds": ("epoch",),
    "idempotency_keys": ("key", "mutation", "input_digest", "answer"),  # ids alone, for a day
    "import_chunks": ("content",),  # gone once it was imported, after a day at the latest
    "import_files": ("name", "headings", "actor_kind"),
    "inbound_mails": ("fingerprint", "source", "outcome"),
    "mailboxes": (
        *("address", "address_key", "display_name", "state", "state_code", "state_message", "held_back_by"),
        *("smtp_host", "smtp_security", "smtp_username", "smtp_password"),
        *("imap_host", "imap_security", "imap_username", "imap_password"),
        *("dkim_domain", "dkim_selector", "dkim_key", "dkim_public_key", "guardrail_hold", "guardrail_limits"),
        *("channel", "sms_api_url", "sms_account", "sms_token"),
    ),
    "mailbox_watches": ("problem_code", "problem_words"),
    "messages": ("direction", "channel", "state", "classification", "delivery"),
    "pending_actions": ("kind", "task_kind", "closed_by_kind", "outcome", "released_by_kind"),
    "recipient_steps": ("outcome",),
    "recipients": ("status", "end_reason", "due_kind", "enrolled_by_kind"),
    "sequences": (
        *("external_id", "name", "status", "settings", "pauses_to_follow", "guardrail_hold", "guardrail_limits"),
    ),
    "step_errors": ("code",),
    "steps": (*("kind", "wait_unit", "subject", "body", "task_kind", "task_title", "task_notes"),),
    # `value`: of a person it is replaced by a keyed hash, in domain/erasing.py
    "suppressions": ("kind", "value", "reason", "source", "created_by_kind", "lifted_by_kind"),
    "tallies": ("status", "stage"),
    "report_tallies": ("measure",),
    # to an address of the caller's choosing; what it says goes with the hand-over, an hour later at most
    "test_emails": ("to_address", "mime", "state", "reply"),
    "tortoise_migrations": ("app", "name"),
    "users": ("name", "email", "external_subject", "role"),
    "watched_folders": ("folder",),
    "watched_mails": ("folder", "problem"),  # the problem is the kind of our mistake, without the mail's words
    "workspace_events": ("type",),
    "webhook_attempts": ("url",),
    "domain_turns": ("domain",),  # of many people, and forgotten when the turn is over
    "webhook_deliveries": ("type", "state", "last_problem"),
    "webhook_endpoints": (
        *("url", "description", "event_types", "disabled_because", "secret", "previous_secret", "epoch"),
    ),
    "workspaces": ("name", "inbound_secret", "inbound_secret_before", "guardrail_limits"),
}
