from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """CREATE TABLE import_files (
        id uuid PRIMARY KEY, workspace_id uuid NOT NULL, name varchar(200) NOT NULL, size_bytes int NOT NULL,
        headings jsonb NOT NULL,
        actor_kind varchar(10) NOT NULL, actor_id uuid, uploaded_at timestamptz NOT NULL, emptied_at timestamptz)""",
    # A row for each mebibyte; gone once the file has been imported, after a day at the latest.
    """CREATE TABLE import_chunks (
        workspace_id uuid NOT NULL, file_id uuid NOT NULL, position int NOT NULL, content bytea NOT NULL,
        PRIMARY KEY (workspace_id, file_id, position))""",
    """ALTER TABLE bulk_operations ADD COLUMN unchanged int NOT NULL DEFAULT 0,
        ADD COLUMN sequence_id uuid, ADD COLUMN mailbox_id uuid, ADD COLUMN start_at timestamptz, ADD COLUMN note text,
        ADD COLUMN file_id uuid, ADD COLUMN columns jsonb, ADD COLUMN counts jsonb NOT NULL DEFAULT '{}'""",
    """ALTER TABLE bulk_batches ALTER COLUMN recipient_ids DROP NOT NULL,
        ADD COLUMN contact_ids uuid[], ADD COLUMN file_rows bytea""",
    # Contacts and rows of files are refused too: a refusal has a key of its own, in the order of the refusals.
    "ALTER TABLE bulk_refusals ADD COLUMN id uuid",
    "UPDATE bulk_refusals SET id = recipient_id",
    """ALTER TABLE bulk_refusals DROP CONSTRAINT bulk_refusals_pkey, ALTER COLUMN recipient_id DROP NOT NULL,
        ADD PRIMARY KEY (workspace_id, operation_id, id), ADD COLUMN contact_id uuid, ADD COLUMN line int,
        ADD COLUMN cells jsonb, ADD COLUMN email_hash varchar(64)""",
    "DROP INDEX bulk_refusals_by_time",
]

CONSTRAINTS = [
    "ALTER TABLE bulk_operations DROP CONSTRAINT bulk_operations_action_known",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_action_known CHECK (action IN ('PAUSE', 'RESUME', 'SKIP_STEP', 'STOP', 'DELETE', 'RETRY', 'ENROLL', 'SUPPRESS', 'IMPORT'))",
    "ALTER TABLE bulk_operations DROP CONSTRAINT bulk_operations_counts_add_up",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_counts_add_up CHECK (done = changed + unchanged + refused AND done <= matched)",
    "ALTER TABLE import_files ADD CONSTRAINT import_files_of_workspace UNIQUE (workspace_id, id)",
    "ALTER TABLE import_files ADD CONSTRAINT import_files_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)",
    "ALTER TABLE import_chunks ADD CONSTRAINT import_chunks_file FOREIGN KEY (workspace_id, file_id) REFERENCES import_files (workspace_id, id)",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequences (workspace_id, id)",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_file FOREIGN KEY (workspace_id, file_id) REFERENCES import_files (workspace_id, id)",
    "ALTER TABLE bulk_refusals ADD CONSTRAINT bulk_refusals_contact FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)",
    "CREATE INDEX bulk_refusals_by_time ON bulk_refusals (operation_id, refused_at, id)",
    "CREATE INDEX bulk_refusals_by_address ON bulk_refusals (workspace_id, email_hash) WHERE email_hash IS NOT NULL",
    "CREATE INDEX bulk_refusals_of_contact ON bulk_refusals (workspace_id, contact_id) WHERE contact_id IS NOT NULL",
    "CREATE INDEX import_files_by_age ON import_files (uploaded_at)",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0031_more_workspace_events')]

    initial = False

    operations = [
        ops.RunSQL(TABLES),
        ops.RunSQL(CONSTRAINTS),
    ]
