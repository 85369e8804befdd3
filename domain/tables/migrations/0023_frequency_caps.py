from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

CONSTRAINTS = [
    "ALTER TABLE workspaces ADD CONSTRAINT workspaces_cap_whole CHECK ((frequency_cap_messages IS NULL) = (frequency_cap_days IS NULL) AND frequency_cap_messages >= 1 AND frequency_cap_days >= 1)",
    "CREATE INDEX recipients_capped ON recipients (workspace_id, id) WHERE frequency_capped",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0022_sms')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Recipient',
            name='frequency_capped',
            field=fields.BooleanField(db_default=False),
        ),
        ops.AddField(
            model_name='Workspace',
            name='frequency_cap_days',
            field=fields.IntField(null=True),
        ),
        ops.AddField(
            model_name='Workspace',
            name='frequency_cap_messages',
            field=fields.IntField(null=True),
        ),
        ops.RunSQL(CONSTRAINTS),
    ]
