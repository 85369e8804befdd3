"""How far the folders of each mailbox have been read, and by whom they are watched."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """CREATE TABLE mailbox_watches (
        workspace_id uuid NOT NULL, mailbox_id uuid PRIMARY KEY, token int NOT NULL,
        since timestamptz NOT NULL DEFAULT now(), lease_until timestamptz NOT NULL, next_at timestamptz NOT NULL,
        read_at timestamptz,
        problem_code varchar(40), problem_words text, problem_since timestamptz)""",
    """CREATE TABLE watched_folders (
        workspace_id uuid NOT NULL, mailbox_id uuid NOT NULL, folder text NOT NULL,
        uid_validity bigint NOT NULL, last_uid bigint NOT NULL, reconciled_at timestamptz NOT NULL,
        PRIMARY KEY (mailbox_id, folder))""",
    """CREATE TABLE watched_mails (
        workspace_id uuid NOT NULL, mailbox_id uuid NOT NULL, folder text NOT NULL,
        uid_validity bigint NOT NULL, uid bigint NOT NULL, noted_at timestamptz NOT NULL, problem text,
        PRIMARY KEY (mailbox_id, folder, uid_validity, uid))""",
]

CONSTRAINTS = [
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_imap_security_known CHECK (imap_security IN ('NONE', 'STARTTLS', 'TLS'))",
    "ALTER TABLE mailbox_watches ADD CONSTRAINT mailbox_watches_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)",
    "ALTER TABLE watched_folders ADD CONSTRAINT watched_folders_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)",
    "ALTER TABLE watched_mails ADD CONSTRAINT watched_mails_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)",
    "CREATE INDEX messages_unconfirmed ON messages (mailbox_id, marked_at) WHERE state = 'UNCONFIRMED'",
    "CREATE INDEX watched_mails_by_age ON watched_mails (noted_at)",
]


class Migration(migrations.Migration):
    dependencies = [("models", "0014_erasure")]

    operations = [ops.RunSQL(TABLES), ops.RunSQL(CONSTRAINTS)]
