"""Whether the cause of an error is gone, as one function of facts: nothing is marked, nothing has to follow.

The mailbox is connected, the contact has another address, the step another text: each is a fact of the row that was
changed. So one change clears the errors of 100,000 recipients in the transaction that makes it, and a cause that comes
back (the mailbox is lost again) is back for all of them. It changes no recipient, so that no event tells it.

Source: product.md section 2 "Retry belongs to the error", section 4; architecture.md "Facts, not memories"; ADR 0011.
"""

from typing import Final

from domain.rules.step_errors import CATALOGUE, ClearedBy

# What GONE_AT reads, of an error `e` and its recipient `r`; joined by keys that the composite foreign keys hold to
# one workspace.
JOINS: Final = """
    JOIN sequences q ON q.workspace_id = e.workspace_id AND q.id = e.sequence_id
    JOIN contacts c ON c.workspace_id = e.workspace_id AND c.id = e.contact_id
    LEFT JOIN mailboxes m ON m.workspace_id = e.workspace_id AND m.id = e.mailbox_id
    LEFT JOIN steps t ON t.workspace_id = e.workspace_id AND t.id = e.step_id
    LEFT JOIN recipient_steps own
        ON own.workspace_id = e.workspace_id AND own.recipient_id = e.recipient_id AND own.step_id = e.step_id
"""

# Whoever has a text of its own is not reached by the sequence's.
_NEW_TEXT: Final = "CASE WHEN own.edited_at IS NULL AND t.updated_at > e.occurred_at THEN t.updated_at END"

# The value that a text named and did not find: see `content.contact_variables`.
_VALUE: Final = """
    CASE WHEN e.detail = 'full_name' THEN concat(c.first_name, c.last_name)
        WHEN e.detail = 'sender.name' THEN m.display_name
        WHEN e.detail LIKE 'fields.%' THEN c.custom_fields ->> substr(e.detail, 8)
        WHEN e.detail LIKE 'fields[''%' THEN c.custom_fields ->> substr(e.detail, 9, length(e.detail) - 10)
        WHEN e.detail IN ('first_name', 'last_name', 'email', 'phone', 'company', 'time_zone')
        THEN to_jsonb(c) ->> e.detail END
"""

_EMAIL_CHANGED: Final = """
        CASE WHEN c.email IS NOT NULL AND c.email_bounced_at IS NULL
                AND (e.code IN ('EMAIL_MISSING', 'EMAIL_BOUNCED_BEFORE') OR c.email_changed_at > e.occurred_at)
            THEN greatest(c.email_changed_at, e.occurred_at) END
    """
_PHONE_CHANGED: Final = """
        CASE WHEN c.phone IS NOT NULL AND c.phone_invalid_at IS NULL
                AND (e.code = 'PHONE_MISSING' OR c.phone_changed_at > e.occurred_at)
            THEN greatest(c.phone_changed_at, e.occurred_at) END
    """

_GONE: Final = {
    # A server that refuses the sender says so of a mailbox that stays connected.
    ClearedBy.MAILBOX_CONNECTED: """
        CASE WHEN m.state = 'CONNECTED' AND (e.code <> 'SENDER_NOT_ALLOWED' OR m.connected_at > e.occurred_at)
            THEN greatest(m.connected_at, e.occurred_at) END
    """,
    ClearedBy.EMAIL_CHANGED: _EMAIL_CHANGED,
    ClearedBy.PHONE_CHANGED: _PHONE_CHANGED,
    ClearedBy.WAY_CHANGED: f"CASE WHEN m.channel = 'SMS' THEN ({_PHONE_CHANGED}) ELSE ({_EMAIL_CHANGED}) END",
    ClearedBy.CONTENT_CHANGED: _NEW_TEXT,
    ClearedBy.CONTACT_OR_CONTENT_CHANGED: f"""
        coalesce({_NEW_TEXT}, CASE WHEN e.code = 'VARIABLE_MISSING'
            THEN CASE WHEN coalesce({_VALUE}, '') ~ '\\S' THEN greatest(c.updated_at, e.occurred_at) END
            ELSE CASE WHEN c.updated_at > e.occurred_at THEN c.updated_at END END)
    """,
    ClearedBy.SEQUENCE_CHANGED: """
        CASE WHEN e.code <> 'NO_MAILBOX' THEN CASE WHEN q.settings_changed_at > e.occurred_at
                THEN q.settings_changed_at END
            WHEN EXISTS (SELECT FROM sequence_mailboxes l WHERE l.workspace_id = e.workspace_id
                AND l.sequence_id = e.sequence_id) THEN greatest(q.settings_changed_at, e.occurred_at) END
    """,
}


def _gone_at() -> str:
    parts = []
    for cleared_by, expression in _GONE.items():
        codes = ", ".join(f"'{code}'" for code, definition in CATALOGUE.items() if definition.cleared_by is cleared_by)
        parts.append(f"WHEN e.code IN ({codes}) THEN ({expression})")
    return f"CASE {' '.join(parts)} END"


GONE_AT: Final = _gone_at()
"""SQL: since when the cause of the error `e` is seen to be gone, at the latest; null while it lasts or is not seen."""

HELD: Final = "(r.paused_at IS NOT NULL OR r.sequence_paused_at IS NOT NULL OR q.status = 'PAUSED')"
"""SQL: whether the recipient `r` is held, so that nothing is tried for it."""
