from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

CONSTRAINTS = [
    "ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes_known CHECK (scopes ~ '^(read|recipients:write|contacts:write|sequences:write|mailboxes:write|signals:write|suppressions:write|admin)( (read|recipients:write|contacts:write|sequences:write|mailboxes:write|signals:write|suppressions:write|admin))*$')",
    'ALTER TABLE api_keys ADD CONSTRAINT api_keys_of_workspace UNIQUE (workspace_id, id)',
    'ALTER TABLE api_keys ADD CONSTRAINT api_keys_replaces FOREIGN KEY (workspace_id, replaces_id) REFERENCES api_keys (workspace_id, id)',
]


class Migration(migrations.Migration):
    dependencies = [('models', '0005_followed_pauses')]

    initial = False

    operations = [
        ops.AddField(
            model_name='ApiKey',
            name='replaces_id',
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name='ApiKey',
            name='scopes',
            field=fields.CharField(null=True, max_length=400),
        ),
        # The keys there are could do everything, and still can.
        ops.RunSQL(["UPDATE api_keys SET scopes = 'admin'"]),
        ops.AlterField(
            model_name='ApiKey',
            name='scopes',
            field=fields.CharField(max_length=400),
        ),
        ops.RunSQL(CONSTRAINTS),
    ]
