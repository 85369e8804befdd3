from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """CREATE TABLE test_emails (
        id uuid PRIMARY KEY, workspace_id uuid NOT NULL, mailbox_id uuid NOT NULL, to_address varchar(320) NOT NULL,
        mime bytea, state varchar(15) NOT NULL, reply text, created_at timestamptz NOT NULL, marked_at timestamptz)""",
]

CONSTRAINTS = [
    "ALTER TABLE test_emails ADD CONSTRAINT test_emails_state_known CHECK (state IN ('QUEUED', 'HANDING_OVER', 'SENT', 'FAILED', 'UNCONFIRMED'))",
    "ALTER TABLE test_emails ADD CONSTRAINT test_emails_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)",
    "CREATE INDEX test_emails_of_the_day ON test_emails (mailbox_id, marked_at) WHERE marked_at IS NOT NULL",
    "CREATE INDEX test_emails_under_way ON test_emails (mailbox_id, created_at) WHERE state IN ('QUEUED', 'HANDING_OVER')",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0025_reports')]

    initial = False

    operations = [
        ops.RunSQL(TABLES),
        ops.RunSQL(CONSTRAINTS),
    ]
