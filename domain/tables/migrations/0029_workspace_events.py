from tortoise import fields, migrations
from tortoise.migrations import operations as ops

TABLES = [
    """CREATE TABLE workspace_events (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, workspace_id uuid NOT NULL,
        xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint, type varchar(40) NOT NULL,
        subject_id uuid NOT NULL, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX workspace_events_in_order ON workspace_events (workspace_id, xid, id)",
    "ALTER TABLE workspace_events ADD CONSTRAINT workspace_events_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)",
    """CREATE FUNCTION tell_workspace() RETURNS trigger LANGUAGE plpgsql AS $body$
    DECLARE told record;
    BEGIN
        told := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        INSERT INTO workspace_events (workspace_id, type, subject_id) VALUES (told.workspace_id, TG_ARGV[0], told.id);
        RETURN NULL;
    END $body$""",
]

# table, what happens to it, the condition, the type
TOLD = [
    ("mailboxes", "INSERT", "", "mailbox.connected"),
    ("mailboxes", "UPDATE OF state", "OLD.state <> NEW.state", "mailbox.state_changed"),
    ("mailboxes", "UPDATE OF updated_at", "OLD.updated_at <> NEW.updated_at AND OLD.state = NEW.state", "mailbox.changed"),
    ("sequences", "INSERT", "", "sequence.created"),
    ("sequences", "UPDATE OF status", "OLD.status <> NEW.status", "sequence.status_changed"),
    (
        "sequences",
        "UPDATE OF updated_at, revision, guardrail_hold",
        "OLD.status = NEW.status AND (OLD.updated_at IS DISTINCT FROM NEW.updated_at OR OLD.revision IS DISTINCT FROM NEW.revision OR OLD.guardrail_hold IS DISTINCT FROM NEW.guardrail_hold)",
        "sequence.changed",
    ),
    ("sequences", "DELETE", "", "sequence.deleted"),
    ("contacts", "INSERT", "", "contact.created"),
    ("contacts", "UPDATE OF erased_at", "OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL", "contact.erased"),
    (
        "contacts",
        "UPDATE OF updated_at, out_of_office_until, email_bounced_at",
        "NEW.erased_at IS NULL AND (OLD.updated_at IS DISTINCT FROM NEW.updated_at OR OLD.out_of_office_until IS DISTINCT FROM NEW.out_of_office_until OR OLD.email_bounced_at IS DISTINCT FROM NEW.email_bounced_at)",
        "contact.changed",
    ),
    ("pending_actions", "INSERT", "", "pending.created"),
    ("pending_actions", "UPDATE OF closed_at", "OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL", "pending.closed"),
    (
        "pending_actions",
        "UPDATE OF version",
        "OLD.version <> NEW.version AND OLD.closed_at IS NOT DISTINCT FROM NEW.closed_at",
        "pending.changed",
    ),
    ("bulk_operations", "INSERT", "", "bulk.started"),
    (
        "bulk_operations",
        "UPDATE",
        "NEW.ended_at IS NULL AND (OLD.done <> NEW.done OR OLD.matched <> NEW.matched OR OLD.status <> NEW.status)",
        "bulk.progressed",
    ),
    ("bulk_operations", "UPDATE OF ended_at", "OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL", "bulk.ended"),
]
TRIGGERS = [
    f"CREATE TRIGGER tells_{type.replace('.', '_')}_{number} AFTER {happens} ON {table} FOR EACH ROW "
    + (f"WHEN ({condition}) " if condition else "")
    + f"EXECUTE FUNCTION tell_workspace('{type}')"
    for number, (table, happens, condition, type) in enumerate(TOLD)
]


class Migration(migrations.Migration):
    dependencies = [('models', '0028_bulk_operations')]

    initial = False

    operations = [
        ops.AddField(model_name='Feed', name='pruned_xid', field=fields.BigIntField(db_default=0)),
        ops.AddField(model_name='Feed', name='pruned_id', field=fields.BigIntField(db_default=0)),
        ops.RunSQL(TABLES),
        ops.RunSQL(TRIGGERS),
    ]
