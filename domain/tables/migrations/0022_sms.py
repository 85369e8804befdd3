from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

CONSTRAINTS = [
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_channel_known CHECK (channel IN ('EMAIL', 'SMS'))",
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_of_channel CHECK (CASE channel WHEN 'EMAIL' THEN smtp_host IS NOT NULL AND smtp_port IS NOT NULL AND smtp_security IS NOT NULL AND sms_account IS NULL ELSE smtp_host IS NULL AND imap_host IS NULL AND sms_api_url IS NOT NULL AND sms_account IS NOT NULL AND sms_token IS NOT NULL END)",
    "ALTER TABLE messages ADD CONSTRAINT messages_delivery_known CHECK (delivery IN ('DELIVERED', 'FAILED'))",
    "ALTER TABLE messages ADD CONSTRAINT messages_delivery_with_time CHECK ((delivery IS NULL) = (delivery_at IS NULL))",
    "ALTER TABLE recipients ADD CONSTRAINT recipients_sms_mailbox FOREIGN KEY (workspace_id, sms_mailbox_id) REFERENCES mailboxes (workspace_id, id)",
    "DROP INDEX recipients_due_by_person",
    "CREATE INDEX recipients_due_by_person ON recipients (due_at, id) WHERE due_kind IN ('MANUAL_EMAIL', 'TASK')",
    "CREATE INDEX recipients_due_by_number ON recipients (sms_mailbox_id, due_at, id) WHERE due_kind = 'SMS'",
    "CREATE INDEX recipients_due_by_number_queue ON recipients (sms_mailbox_id, sequence_id, due_at, id) WHERE due_kind = 'SMS'",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0021_guardrail_samples')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Contact',
            name='phone_changed_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Contact',
            name='phone_invalid_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AlterModelOptions(
            name='Mailbox',
            options={'table': 'mailboxes', 'app': 'models', 'pk_attr': 'id', 'table_description': 'A sending account and its limits: SMTP to send and IMAP to watch, or a number to send text messages from.'},
        ),
        ops.AlterField(
            model_name='Mailbox',
            name='smtp_host',
            field=fields.CharField(null=True, max_length=253),
        ),
        ops.AlterField(
            model_name='Mailbox',
            name='smtp_port',
            field=fields.IntField(null=True),
        ),
        ops.AlterField(
            model_name='Mailbox',
            name='smtp_security',
            field=fields.CharField(null=True, max_length=10),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='channel',
            field=fields.CharField(default='EMAIL', db_default='EMAIL', max_length=10),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='sms_account',
            field=fields.CharField(null=True, max_length=100),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='sms_api_url',
            field=fields.CharField(null=True, max_length=500),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='sms_token',
            field=fields.BinaryField(null=True),
        ),
        ops.AddField(
            model_name='Message',
            name='delivery',
            field=fields.CharField(null=True, max_length=10),
        ),
        ops.AddField(
            model_name='Message',
            name='delivery_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Recipient',
            name='sms_mailbox_id',
            field=fields.UUIDField(null=True),
        ),
        ops.RunSQL(CONSTRAINTS),
    ]
