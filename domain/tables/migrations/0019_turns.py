from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

TABLES = [
    """CREATE TABLE domain_turns (
        workspace_id uuid NOT NULL, mailbox_id uuid NOT NULL, domain text NOT NULL, next_at timestamptz NOT NULL,
        PRIMARY KEY (mailbox_id, domain))""",
]

CONSTRAINTS = [
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_pace_sensible CHECK (domain_gap_seconds >= 0 AND ramp_up_start >= 1 AND ramp_up_step >= 1)",
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_ramp_up_whole CHECK ((ramp_up_start IS NULL) = (ramp_up_step IS NULL) AND (ramp_up_start IS NULL) = (ramp_up_started_at IS NULL))",
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_last_sequence FOREIGN KEY (workspace_id, last_sequence_id) REFERENCES sequences (workspace_id, id)",
    "ALTER TABLE domain_turns ADD CONSTRAINT domain_turns_mailbox FOREIGN KEY (workspace_id, mailbox_id) REFERENCES mailboxes (workspace_id, id)",
    "CREATE INDEX recipients_due_by_queue ON recipients (mailbox_id, sequence_id, due_at, id) WHERE due_kind = 'AUTOMATED_EMAIL'",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0018_live_edits')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Mailbox',
            name='domain_gap_seconds',
            field=fields.IntField(default=0),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='last_sequence_id',
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='ramp_up_start',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='ramp_up_started_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='ramp_up_step',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='Recipient',
            name='paced_until',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.RunSQL(TABLES),
        ops.RunSQL(CONSTRAINTS),
    ]
