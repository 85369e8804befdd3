from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

TABLE = """CREATE TABLE inbound_mails (
    workspace_id uuid NOT NULL, fingerprint varchar(64) NOT NULL, mailbox_id uuid, source varchar(10) NOT NULL,
    outcome varchar(12) NOT NULL, reason text, message_id uuid, raw bytea, received_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, fingerprint))"""

CONSTRAINTS = [
    "ALTER TABLE messages ADD CONSTRAINT messages_classification_known CHECK (classification IN ('HUMAN_REPLY', 'AUTOMATIC_ANSWER', 'OPT_OUT', 'HARD_BOUNCE', 'DELIVERY_DELAYED', 'DELIVERY_FAILED', 'COMPLAINT', 'NOTICE'))",
    "ALTER TABLE inbound_mails ADD CONSTRAINT inbound_mails_outcome_known CHECK (outcome IN ('RECORDED', 'NOT_OURS', 'OWN', 'UNREADABLE'))",
    "ALTER TABLE inbound_mails ADD CONSTRAINT inbound_mails_source_known CHECK (source IN ('MAILBOX', 'API', 'PROVIDER'))",
    'ALTER TABLE inbound_mails ADD CONSTRAINT inbound_mails_kept_with_message CHECK (message_id IS NOT NULL OR raw IS NULL)',
    'ALTER TABLE inbound_mails ADD CONSTRAINT inbound_mails_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)',
    'ALTER TABLE inbound_mails ADD CONSTRAINT inbound_mails_message FOREIGN KEY (workspace_id, message_id) REFERENCES messages (workspace_id, id)',
    'ALTER TABLE inbound_mails ADD CONSTRAINT inbound_mails_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)',
    "CREATE INDEX messages_provider_id ON messages (workspace_id, substring(reply from '[A-Za-z0-9][A-Za-z0-9._=+-]{15,}')) WHERE state = 'SENT'",
    "CREATE INDEX contacts_by_domain ON contacts (workspace_id, split_part(email_key, '@', 2)) WHERE email_key IS NOT NULL",
    'CREATE INDEX inbound_mails_by_message ON inbound_mails (message_id) WHERE message_id IS NOT NULL',
]


class Migration(migrations.Migration):
    dependencies = [('models', '0008_webhooks')]

    initial = False

    operations = [
        ops.AddField(model_name='Message', name='absence_key', field=fields.CharField(null=True, max_length=32)),
        ops.AddField(model_name='Message', name='quoted_text', field=fields.TextField(null=True, unique=False)),
        ops.AddField(model_name='Workspace', name='inbound_secret', field=fields.BinaryField(null=True)),
        ops.AddField(model_name='Workspace', name='inbound_secret_before', field=fields.BinaryField(null=True)),
        ops.AddField(
            model_name='Workspace',
            name='inbound_secret_changed_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.RunSQL([TABLE]),
        ops.RunSQL(CONSTRAINTS),
    ]
