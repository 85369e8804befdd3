from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """
    CREATE TABLE idempotency_keys (
        workspace_id uuid NOT NULL,
        key varchar(200) NOT NULL,
        mutation varchar(100) NOT NULL,
        input_digest bytea NOT NULL,
        answer bytea NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, key)
    )
    """,
    """
    CREATE TABLE audit_entries (
        workspace_id uuid NOT NULL,
        id uuid NOT NULL,
        at timestamptz NOT NULL,
        actor_kind varchar(10) NOT NULL,
        actor_id uuid,
        action varchar(100) NOT NULL,
        object_ids jsonb NOT NULL,
        request_id varchar(40) NOT NULL,
        PRIMARY KEY (workspace_id, id)
    )
    """,
    "ALTER TABLE idempotency_keys ADD CONSTRAINT idempotency_keys_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)",
    "ALTER TABLE audit_entries ADD CONSTRAINT audit_entries_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)",
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)",
    "CREATE INDEX audit_entries_by_age ON audit_entries (workspace_id, at DESC, id DESC)",
    "CREATE INDEX audit_entries_by_object ON audit_entries USING gin (object_ids jsonb_path_ops)",
    "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$",
    "CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
]


class Migration(migrations.Migration):
    dependencies = [("models", "0012_error_groups")]

    initial = False

    operations = [ops.RunSQL(TABLES)]
