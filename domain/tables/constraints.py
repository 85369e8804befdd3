"""What the database itself refuses. The lists come from the rules; migration 0002 holds them as frozen SQL, and a
test compares the two with what pg_constraint says (Tortoise drops constraints from its models without a word).
"""

from collections.abc import Iterable
from enum import StrEnum

from domain.rules.access import Role, Scope
from domain.rules.bulk import BulkKind, BulkStatus
from domain.rules.inbound.intake import InboundOutcome, InboundSource
from domain.rules.inbound.reading import Classification
from domain.rules.lifecycle import ENDS, EndReason, Stage, Status
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.step_errors import StepErrorCode
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.rules.tally import Measure, StepOutcome
from domain.rules.timing import WaitUnit


def _one_of(column: str, values: Iterable[StrEnum | str]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


def _status_expression() -> str:
    """Return the status as SQL over the facts of a row: `lifecycle.status_of`, word for word."""
    ends = " ".join(f"WHEN '{reason}' THEN '{status}'" for reason, status in ENDS.items())
    return (
        f"CASE WHEN end_reason IS NOT NULL THEN CASE end_reason {ends} END "
        f"WHEN paused_at IS NOT NULL OR sequence_paused_at IS NOT NULL THEN '{Status.PAUSED}' "
        f"WHEN error_id IS NOT NULL THEN '{Status.ERROR}' "
        f"WHEN pending_id IS NOT NULL AND scheduled_for IS NULL THEN '{Status.PENDING_ACTION}' "
        f"WHEN begun THEN '{Status.IN_PROGRESS}' ELSE '{Status.SCHEDULED}' END"
    )


_SCOPE = "|".join(Scope)

CHECKS: dict[str, tuple[str, str]] = {
    # name: (table, condition)
    "recipients_status_known": ("recipients", _one_of("status", Status)),
    "recipients_end_reason_known": ("recipients", _one_of("end_reason", EndReason)),
    "recipients_status_follows_facts": ("recipients", f"status = {_status_expression()}"),
    "recipients_ended_at_with_reason": ("recipients", "(end_reason IS NULL) = (ended_at IS NULL)"),
    "recipients_ended_has_no_timer": (
        "recipients",
        "(end_reason IS NULL AND deleted_at IS NULL) OR (due_at IS NULL AND wait_left_seconds IS NULL)",
    ),
    "recipients_held_has_no_timer": (
        "recipients",
        "(paused_at IS NULL AND sequence_paused_at IS NULL) OR due_at IS NULL",
    ),
    "recipients_due_kind_with_due_at": ("recipients", "(due_at IS NULL) = (due_kind IS NULL)"),
    "test_emails_state_known": (
        "test_emails",
        _one_of("state", ["QUEUED", "HANDING_OVER", "SENT", "FAILED", "UNCONFIRMED"]),
    ),
    "workspaces_cap_whole": (
        "workspaces",
        "(frequency_cap_messages IS NULL) = (frequency_cap_days IS NULL) AND frequency_cap_messages >= 1 "
        "AND frequency_cap_days >= 1",
    ),
    "recipients_version_positive": ("recipients", "version >= 1"),
    "sequences_status_known": ("sequences", _one_of("status", SequenceStatus)),
    "sequences_paused_at_with_status": ("sequences", "(paused_at IS NOT NULL) = (status = 'PAUSED')"),
    "steps_kind_known": ("steps", _one_of("kind", StepKind)),
    "steps_wait_unit_known": ("steps", _one_of("wait_unit", WaitUnit)),
    "steps_wait_not_negative": ("steps", "wait_amount >= 0"),
    "mailboxes_state_known": ("mailboxes", _one_of("state", ["CONNECTED", "DISCONNECTED", "HELD"])),
    "mailboxes_channel_known": ("mailboxes", _one_of("channel", ["EMAIL", "SMS"])),
    "mailboxes_of_channel": (
        "mailboxes",
        "CASE channel WHEN 'EMAIL' THEN smtp_host IS NOT NULL AND smtp_port IS NOT NULL AND smtp_security IS NOT NULL "
        "AND sms_account IS NULL ELSE smtp_host IS NULL AND imap_host IS NULL AND sms_api_url IS NOT NULL "
        "AND sms_account IS NOT NULL AND sms_token IS NOT NULL END",
    ),
    "mailboxes_security_known": ("mailboxes", _one_of("smtp_security", ["NONE", "STARTTLS", "TLS"])),
    "mailboxes_imap_security_known": ("mailboxes", _one_of("imap_security", ["NONE", "STARTTLS", "TLS"])),
    "mailboxes_limits_sensible": ("mailboxes", "daily_limit >= 1 AND minimum_gap_seconds >= 0"),
    "mailboxes_pace_sensible": ("mailboxes", "domain_gap_seconds >= 0 AND ramp_up_start >= 1 AND ramp_up_step >= 1"),
    "mailboxes_ramp_up_whole": (
        "mailboxes",
        "(ramp_up_start IS NULL) = (ramp_up_step IS NULL) AND (ramp_up_start IS NULL) = (ramp_up_started_at IS NULL)",
    ),
    "mailboxes_dkim_whole": (
        "mailboxes",
        "(dkim_key IS NULL) = (dkim_domain IS NULL) AND (dkim_key IS NULL) = (dkim_selector IS NULL) "
        "AND (dkim_key IS NULL) = (dkim_public_key IS NULL)",
    ),
    "mailboxes_held_for_a_reason": ("mailboxes", "state <> 'HELD' OR guardrail_hold IS NOT NULL"),
    "messages_direction_known": ("messages", _one_of("direction", ["OUTGOING", "INCOMING"])),
    "messages_state_known": (
        "messages",
        _one_of(
            "state", ["CLAIMED", "HANDING_OVER", "SENT", "REFUSED", "DEFERRED", "UNCONFIRMED", "DROPPED", "RECEIVED"]
        ),
    ),
    "messages_classification_known": ("messages", _one_of("classification", Classification)),
    "inbound_mails_outcome_known": ("inbound_mails", _one_of("outcome", InboundOutcome)),
    "inbound_mails_source_known": ("inbound_mails", _one_of("source", InboundSource)),
    "inbound_mails_kept_with_message": ("inbound_mails", "message_id IS NOT NULL OR raw IS NULL"),
    "messages_lease_while_claimed": (
        "messages",
        "(lease_until IS NOT NULL) = (state IN ('CLAIMED', 'HANDING_OVER'))",
    ),
    "messages_marked_before_sent": (
        "messages",
        "state NOT IN ('HANDING_OVER', 'SENT', 'UNCONFIRMED') OR marked_at IS NOT NULL",
    ),
    "messages_delivery_known": ("messages", _one_of("delivery", ["DELIVERED", "FAILED"])),
    "messages_delivery_with_time": ("messages", "(delivery IS NULL) = (delivery_at IS NULL)"),
    "messages_outgoing_has_step": ("messages", "direction <> 'OUTGOING' OR step_id IS NOT NULL"),
    "step_errors_code_known": ("step_errors", _one_of("code", StepErrorCode)),
    "pending_actions_closed_with_outcome": ("pending_actions", "(closed_at IS NULL) = (outcome IS NULL)"),
    "suppressions_kind_known": ("suppressions", _one_of("kind", SuppressionKind)),
    "suppressions_reason_known": ("suppressions", _one_of("reason", SuppressionReason)),
    "suppressions_source_known": ("suppressions", _one_of("source", SuppressionSource)),
    "suppressions_contact_with_kind": ("suppressions", "(kind = 'CONTACT') = (contact_id IS NOT NULL)"),
    "suppressions_lifted_with_reason": ("suppressions", "(lifted_at IS NULL) = (lifted_because IS NULL)"),
    "recipient_steps_outcome_known": ("recipient_steps", _one_of("outcome", ["CARRIED_OUT", "SKIPPED"])),
    "recipient_steps_done_at_with_outcome": ("recipient_steps", "(outcome IS NULL) = (done_at IS NULL)"),
    "events_status_known": ("events", f"{_one_of('status', Status)} AND {_one_of('previous_status', Status)}"),
    "events_stage_known": ("events", f"{_one_of('stage', Stage)} AND {_one_of('previous_stage', Stage)}"),
    "webhook_deliveries_state_known": ("webhook_deliveries", _one_of("state", ["PENDING", "DELIVERED", "FAILED"])),
    "webhook_deliveries_due_while_pending": ("webhook_deliveries", "(next_at IS NOT NULL) = (state = 'PENDING')"),
    "tallies_status_known": ("tallies", _one_of("status", Status)),
    "report_tallies_measure_known": ("report_tallies", _one_of("measure", dict.fromkeys([*StepOutcome, *Measure]))),
    "bulk_operations_action_known": ("bulk_operations", _one_of("action", BulkKind)),
    "bulk_operations_status_known": ("bulk_operations", _one_of("status", BulkStatus)),
    "bulk_operations_ended_with_status": (
        "bulk_operations",
        "(ended_at IS NOT NULL) = (status IN ('COMPLETED', 'CANCELLED'))",
    ),
    "bulk_operations_counts_add_up": ("bulk_operations", "done = changed + unchanged + refused AND done <= matched"),
    "api_keys_scopes_known": ("api_keys", f"scopes ~ '^({_SCOPE})( ({_SCOPE}))*$'"),
    "users_role_known": ("users", _one_of("role", Role)),
}

# Parents that others point to with their workspace: each has UNIQUE (workspace_id, id).
PARENTS = (
    "contacts",
    "mailboxes",
    "sequences",
    "steps",
    "recipients",
    "messages",
    "users",
    "api_keys",
    "webhook_endpoints",
    "webhook_deliveries",
    "bulk_operations",
    "import_files",
)

# (table, column, parent): FOREIGN KEY (workspace_id, column) REFERENCES parent (workspace_id, id)
TENANT_KEYS = (
    ("api_keys", "replaces_id", "api_keys"),
    ("sequence_mailboxes", "sequence_id", "sequences"),
    ("sequence_mailboxes", "mailbox_id", "mailboxes"),
    ("mailboxes", "last_sequence_id", "sequences"),
    ("domain_turns", "mailbox_id", "mailboxes"),
    ("test_emails", "mailbox_id", "mailboxes"),
    ("steps", "sequence_id", "sequences"),
    ("recipients", "sequence_id", "sequences"),
    ("recipients", "contact_id", "contacts"),
    ("recipients", "mailbox_id", "mailboxes"),
    ("recipients", "sms_mailbox_id", "mailboxes"),
    ("recipients", "current_step_id", "steps"),
    ("recipients", "last_step_id", "steps"),
    ("recipients", "left_step_id", "steps"),
    ("recipients", "bounced_step_id", "steps"),
    ("recipient_steps", "recipient_id", "recipients"),
    ("recipient_steps", "step_id", "steps"),
    ("recipient_steps", "message_id", "messages"),
    ("messages", "recipient_id", "recipients"),
    ("messages", "sequence_id", "sequences"),
    ("messages", "contact_id", "contacts"),
    ("messages", "mailbox_id", "mailboxes"),
    ("messages", "step_id", "steps"),
    ("step_errors", "recipient_id", "recipients"),
    ("step_errors", "sequence_id", "sequences"),
    ("step_errors", "contact_id", "contacts"),
    ("step_errors", "mailbox_id", "mailboxes"),
    ("step_errors", "step_id", "steps"),
    ("step_errors", "message_id", "messages"),
    ("pending_actions", "recipient_id", "recipients"),
    ("pending_actions", "sequence_id", "sequences"),
    ("pending_actions", "step_id", "steps"),
    ("pending_actions", "assignee_id", "users"),
    ("suppressions", "contact_id", "contacts"),
    ("suppressions", "recipient_id", "recipients"),
    ("suppressions", "message_id", "messages"),
    ("events", "recipient_id", "recipients"),
    ("tallies", "sequence_id", "sequences"),
    ("report_tallies", "sequence_id", "sequences"),
    ("webhook_deliveries", "endpoint_id", "webhook_endpoints"),
    ("webhook_deliveries", "recipient_id", "recipients"),
    ("webhook_attempts", "delivery_id", "webhook_deliveries"),
    ("webhook_attempts", "endpoint_id", "webhook_endpoints"),
    ("inbound_mails", "message_id", "messages"),
    ("inbound_mails", "mailbox_id", "mailboxes"),
    ("mailbox_watches", "mailbox_id", "mailboxes"),
    ("watched_folders", "mailbox_id", "mailboxes"),
    ("watched_mails", "mailbox_id", "mailboxes"),
    ("bulk_operations", "step_id", "steps"),
    ("bulk_batches", "operation_id", "bulk_operations"),
    ("bulk_refusals", "operation_id", "bulk_operations"),
    ("bulk_refusals", "recipient_id", "recipients"),
    ("bulk_refusals", "contact_id", "contacts"),
    ("bulk_operations", "sequence_id", "sequences"),
    ("bulk_operations", "mailbox_id", "mailboxes"),
    ("bulk_operations", "file_id", "import_files"),
    ("import_chunks", "file_id", "import_files"),
)

# Ids that no key holds to the workspace, and why. Whoever reads one joins by workspace and id.
_HISTORY = "a line of the diary: the one writer copies it from the row it holds; a key would be looked up at each event"
_ACTOR = "a person or a key, or later a partner's name for one: of several tables, and only ever named"
NOTED = {
    (
        "recipients",
        "error_id",
    ): "the error points back at its recipient by a key; two keys in a circle defer each other",
    ("recipients", "pending_id"): "likewise of the pending action",
    ("recipients", "enrolled_by_id"): _ACTOR,
    ("pending_actions", "closed_by_id"): _ACTOR,
    ("pending_actions", "released_by_id"): _ACTOR,
    ("suppressions", "created_by_id"): _ACTOR,
    ("suppressions", "lifted_by_id"): _ACTOR,
    ("events", "actor_id"): _ACTOR,
    ("workspace_events", "subject_id"): "what it is about may be gone; it is looked up in its workspace",
    ("error_group_retries", "actor_id"): _ACTOR,
    ("bulk_operations", "actor_id"): _ACTOR,
    ("import_files", "actor_id"): _ACTOR,
    ("events", "sequence_id"): _HISTORY,
    ("events", "step_id"): _HISTORY,
    ("events", "message_id"): _HISTORY,
    ("events", "step_error_id"): _HISTORY,
    ("events", "mailbox_id"): _HISTORY,
    ("events", "previous_mailbox_id"): _HISTORY,
    ("tallies", "mailbox_id"): "part of a key, where no mailbox is a value",
    ("report_tallies", "mailbox_id"): "part of a key, where no mailbox is a value",
    ("report_tallies", "step_id"): "part of a key, where no step is a value",
    ("audit_entries", "actor_id"): _ACTOR,
}

# Directly below a workspace.
TENANTS = (
    *("api_keys", "users", "contacts", "suppressions", "mailboxes", "sequences", "feeds", "webhook_endpoints"),
    "inbound_mails",
    "error_group_retries",
    "bulk_operations",
    "import_files",
    "idempotency_keys",
    "audit_entries",
    "workspace_events",
)

UNIQUE: dict[str, tuple[str, str]] = {
    "messages_one_per_run": ("messages", "(recipient_id, step_id, step_run)"),
    "steps_one_per_position": ("steps", "(sequence_id, position) DEFERRABLE INITIALLY DEFERRED"),
    "webhook_deliveries_one_per_event": ("webhook_deliveries", "(endpoint_id, recipient_id, event_version)"),
}

INDEXES: dict[str, str] = {
    # one open recipient per contact and sequence
    "recipients_one_open": (
        "UNIQUE ON recipients (sequence_id, contact_id) WHERE end_reason IS NULL AND deleted_at IS NULL"
    ),
    "recipients_external_id": (
        "UNIQUE ON recipients (workspace_id, external_id) WHERE external_id IS NOT NULL AND deleted_at IS NULL"
    ),
    "contacts_external_id": "UNIQUE ON contacts (workspace_id, external_id) WHERE external_id IS NOT NULL",
    "contacts_email_key": "UNIQUE ON contacts (workspace_id, email_key) WHERE email_key IS NOT NULL",
    "contacts_by_age": "ON contacts (workspace_id, created_at DESC, id DESC)",
    "mailboxes_address": "UNIQUE ON mailboxes (workspace_id, address_key)",
    "sequences_external_id": "UNIQUE ON sequences (workspace_id, external_id) WHERE external_id IS NOT NULL",
    "sequences_by_age": "ON sequences (workspace_id, created_at DESC, id DESC)",
    "sequences_settling": "ON sequences (id) WHERE settling",
    "suppressions_by_age": "ON suppressions (workspace_id, created_at DESC, id DESC)",
    "suppressions_settling": "ON suppressions (id) WHERE settling",
    "suppressions_of_recipient": "ON suppressions (recipient_id) WHERE recipient_id IS NOT NULL",
    "contacts_phone_key": "ON contacts (workspace_id, phone_key) WHERE phone_key IS NOT NULL",
    "contacts_phone_hash": "ON contacts (workspace_id, phone_hash) WHERE phone_hash IS NOT NULL",
    "contacts_email_hash": "ON contacts (workspace_id, email_hash) WHERE email_hash IS NOT NULL",
    "contacts_by_domain_backwards": (
        "ON contacts (workspace_id, reverse(split_part(email_key, '@', 2)) text_pattern_ops) "
        "WHERE email_key IS NOT NULL"
    ),
    # each ground of its own once: lifting one leaves the others
    "suppressions_in_force": (
        "UNIQUE ON suppressions (workspace_id, kind, value, reason, source, message_id, recipient_id) "
        "NULLS NOT DISTINCT WHERE lifted_at IS NULL"
    ),
    # the queue: the next due recipient of a mailbox; due steps that a person carries out
    "recipients_due_by_mailbox": "ON recipients (mailbox_id, due_at, id) WHERE due_kind = 'AUTOMATED_EMAIL'",
    "recipients_due_by_queue": (
        "ON recipients (mailbox_id, sequence_id, due_at, id) WHERE due_kind = 'AUTOMATED_EMAIL'"
    ),
    "recipients_due_by_number": "ON recipients (sms_mailbox_id, due_at, id) WHERE due_kind = 'SMS'",
    "recipients_due_by_number_queue": "ON recipients (sms_mailbox_id, sequence_id, due_at, id) WHERE due_kind = 'SMS'",
    "recipients_due_by_person": "ON recipients (due_at, id) WHERE due_kind IN ('MANUAL_EMAIL', 'TASK')",
    "test_emails_of_the_day": "ON test_emails (mailbox_id, marked_at) WHERE marked_at IS NOT NULL",
    "test_emails_under_way": ("ON test_emails (mailbox_id, created_at) WHERE state IN ('QUEUED', 'HANDING_OVER')"),
    "recipients_capped": "ON recipients (workspace_id, id) WHERE frequency_capped",
    # the lists
    "recipients_by_sequence": "ON recipients (sequence_id, enrolled_at DESC, id DESC) WHERE deleted_at IS NULL",
    "recipients_by_status": "ON recipients (sequence_id, status, enrolled_at DESC, id DESC) WHERE deleted_at IS NULL",
    "recipients_by_workspace": "ON recipients (workspace_id, enrolled_at DESC, id DESC) WHERE deleted_at IS NULL",
    "recipients_by_status_change": (
        "ON recipients (sequence_id, status_changed_at DESC, id DESC) WHERE deleted_at IS NULL"
    ),
    "recipients_by_update": "ON recipients (sequence_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "recipients_by_due": "ON recipients (sequence_id, due_at, id) WHERE deleted_at IS NULL",
    "recipients_by_due_latest": (
        "ON recipients (sequence_id, due_at DESC NULLS LAST, id DESC) WHERE deleted_at IS NULL"
    ),
    "recipients_by_name": "ON recipients (sequence_id, sort_name, id) WHERE deleted_at IS NULL",
    "recipients_by_contact": "ON recipients (contact_id, enrolled_at DESC, id DESC)",
    "messages_by_recipient": "ON messages (recipient_id, created_at, id)",
    "messages_by_contact": "ON messages (contact_id, created_at DESC, id DESC)",
    "messages_reclassified": "ON messages (workspace_id, reclassified_at) WHERE reclassified_at IS NOT NULL",
    "messages_leases": "ON messages (lease_until) WHERE state IN ('CLAIMED', 'HANDING_OVER')",
    "messages_of_the_day": "ON messages (mailbox_id, marked_at) WHERE marked_at IS NOT NULL",
    # the samples of the guardrails
    "messages_of_the_week": "ON messages (sequence_id, marked_at) WHERE marked_at IS NOT NULL AND channel = 'EMAIL'",
    "messages_harmed_of_mailbox": (
        "ON messages (mailbox_id, coalesce(marked_at, bounced_at)) "
        "WHERE bounced_at IS NOT NULL OR complained_at IS NOT NULL"
    ),
    "messages_harmed_of_sequence": (
        "ON messages (sequence_id, coalesce(marked_at, bounced_at)) "
        "WHERE bounced_at IS NOT NULL OR complained_at IS NOT NULL"
    ),
    # what the mail server called the message when it took it: some put this in the place of our own id
    "messages_provider_id": (
        "ON messages (workspace_id, substring(reply from '[A-Za-z0-9][A-Za-z0-9._=+-]{15,}')) WHERE state = 'SENT'"
    ),
    "contacts_by_domain": "ON contacts (workspace_id, split_part(email_key, '@', 2)) WHERE email_key IS NOT NULL",
    "inbound_mails_by_message": "ON inbound_mails (message_id) WHERE message_id IS NOT NULL",
    "messages_rfc_id": "ON messages (workspace_id, rfc_message_id) WHERE rfc_message_id IS NOT NULL",
    "step_errors_by_recipient": "ON step_errors (recipient_id, occurred_at DESC, id DESC)",
    "step_errors_by_age": "ON step_errors (workspace_id, occurred_at DESC, id DESC)",
    "step_errors_open": "ON step_errors (workspace_id, cause_key, id) WHERE resolved_at IS NULL",
    "error_group_retries_going_on": "ON error_group_retries (asked_at) WHERE ended_at IS NULL",
    "bulk_operations_going_on": "ON bulk_operations (workspace_id, turned_at) WHERE ended_at IS NULL",
    "bulk_operations_by_age": "ON bulk_operations (workspace_id, created_at DESC, id DESC)",
    "bulk_operations_old": "ON bulk_operations (ended_at) WHERE ended_at IS NOT NULL",
    "bulk_refusals_by_time": "ON bulk_refusals (operation_id, refused_at, id)",
    "bulk_refusals_by_address": "ON bulk_refusals (workspace_id, email_hash) WHERE email_hash IS NOT NULL",
    "bulk_refusals_of_contact": "ON bulk_refusals (workspace_id, contact_id) WHERE contact_id IS NOT NULL",
    "import_files_by_age": "ON import_files (uploaded_at)",
    "pending_actions_open": "ON pending_actions (workspace_id, due_since, id) WHERE closed_at IS NULL",
    "pending_actions_of_assignee": (
        "ON pending_actions (workspace_id, assignee_id, due_since, id) WHERE closed_at IS NULL"
    ),
    "pending_actions_by_recipient": "ON pending_actions (recipient_id)",
    "users_external_subject": "UNIQUE ON users (workspace_id, external_subject) WHERE external_subject IS NOT NULL",
    "users_by_name": "ON users (workspace_id, lower(name), id)",
    "webhook_endpoints_by_age": "ON webhook_endpoints (workspace_id, created_at, id) WHERE removed_at IS NULL",
    "webhook_deliveries_due": "ON webhook_deliveries (endpoint_id, next_at) WHERE state = 'PENDING'",
    "webhook_deliveries_in_hand": "ON webhook_deliveries (endpoint_id) WHERE lease_until IS NOT NULL",
    "webhook_deliveries_by_age": "ON webhook_deliveries (endpoint_id, created_at DESC, id DESC)",
    "webhook_deliveries_old": "ON webhook_deliveries (created_at) WHERE state <> 'PENDING'",
    "idempotency_keys_by_age": "ON idempotency_keys (created_at)",
    "audit_entries_by_age": "ON audit_entries (workspace_id, at DESC, id DESC)",
    "audit_entries_by_object": "ON audit_entries USING gin (object_ids jsonb_path_ops)",
    "messages_unconfirmed": "ON messages (mailbox_id, marked_at) WHERE state = 'UNCONFIRMED'",
    "watched_mails_by_age": "ON watched_mails (noted_at)",
    "workspace_events_in_order": "ON workspace_events (workspace_id, xid, id)",
    "events_numbered": "UNIQUE ON events (workspace_id, seq) WHERE seq IS NOT NULL",
    "events_unnumbered": "ON events (recorded_at) WHERE seq IS NULL",
    "events_by_sequence": "ON events (sequence_id, seq) WHERE seq IS NOT NULL",
}


# What is written there is never changed or removed: a trigger before UPDATE, DELETE and TRUNCATE refuses it.
APPEND_ONLY = ("audit_entries",)


def statements() -> list[str]:
    """Return the DDL of all of the above, in an order that can be run."""
    ddl = [
        f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})" for name, (table, condition) in CHECKS.items()
    ]
    ddl += [f"ALTER TABLE {table} ADD CONSTRAINT {table}_of_workspace UNIQUE (workspace_id, id)" for table in PARENTS]
    ddl += [
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)"
        for table in TENANTS
    ]
    ddl += [
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column.removesuffix('_id')} "
        f"FOREIGN KEY (workspace_id, {column}) REFERENCES {parent} (workspace_id, id)"
        for table, column, parent in TENANT_KEYS
    ]
    ddl += [f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE {columns}" for name, (table, columns) in UNIQUE.items()]
    for name, definition in INDEXES.items():
        unique, definition = ("UNIQUE ", definition[7:]) if definition.startswith("UNIQUE ") else ("", definition)
        ddl.append(f"CREATE {unique}INDEX {name} {definition}")
    return ddl
