from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

# `error_groups.cause_key` as it was when this migration was written.
KEYS = """
    UPDATE step_errors SET cause_key = md5(workspace_id::text || ':' || code || ':'
        || coalesce(CASE
            WHEN code IN ('MAILBOX_DISCONNECTED', 'MAILBOX_CREDENTIALS_REFUSED', 'MAILBOX_SUSPENDED',
                'MAILBOX_SERVER_UNREACHABLE', 'MAILBOX_CERTIFICATE_INVALID', 'SENDER_NOT_ALLOWED',
                'PROVIDER_LIMIT_REACHED', 'DOMAIN_NOT_AUTHENTICATED', 'DELIVERY_UNCONFIRMED') THEN mailbox_id
            WHEN code IN ('RECIPIENT_REFUSED_CONTENT', 'VARIABLE_MISSING', 'TEMPLATE_INVALID', 'CONTENT_EMPTY',
                'MESSAGE_TOO_LARGE', 'THREAD_PARENT_MISSING') THEN step_id
            WHEN code IN ('WINDOW_NEVER_OPENS', 'NO_MAILBOX') THEN sequence_id
        END::text, '') || ':' || CASE WHEN code = 'VARIABLE_MISSING' THEN coalesce(detail, '') ELSE '' END)::uuid
"""

TABLES = [
    """CREATE TABLE error_group_retries (
        workspace_id uuid NOT NULL, cause_key uuid NOT NULL, actor_kind varchar(10) NOT NULL, actor_id uuid,
        asked_at timestamptz NOT NULL, reached uuid,
        matched int NOT NULL, retried int NOT NULL, refused int NOT NULL, ended_at timestamptz,
        PRIMARY KEY (workspace_id, cause_key))""",
]

CONSTRAINTS = [
    "ALTER TABLE error_group_retries ADD CONSTRAINT error_group_retries_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)",
    "DROP INDEX step_errors_open",
    "CREATE INDEX step_errors_open ON step_errors (workspace_id, cause_key, id) WHERE resolved_at IS NULL",
    "CREATE INDEX error_group_retries_going_on ON error_group_retries (asked_at) WHERE ended_at IS NULL",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0011_suppressions')]

    initial = False

    operations = [
        ops.AddField(
            model_name='StepError',
            name='cause_key',
            field=fields.UUIDField(null=True),
        ),
        ops.RunSQL([KEYS]),
        ops.AlterField(
            model_name='StepError',
            name='cause_key',
            field=fields.UUIDField(),
        ),
        ops.RunSQL(TABLES),
        ops.RunSQL(CONSTRAINTS),
    ]
