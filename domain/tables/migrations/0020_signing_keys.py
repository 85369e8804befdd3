from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

CONSTRAINTS = [
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_dkim_whole CHECK ((dkim_key IS NULL) = (dkim_domain IS NULL) AND (dkim_key IS NULL) = (dkim_selector IS NULL) AND (dkim_key IS NULL) = (dkim_public_key IS NULL))",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0019_turns')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Mailbox',
            name='dkim_domain',
            field=fields.CharField(null=True, max_length=253),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='dkim_key',
            field=fields.BinaryField(null=True),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='dkim_public_key',
            field=fields.CharField(null=True, max_length=1000),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='dkim_selector',
            field=fields.CharField(null=True, max_length=63),
        ),
        ops.RunSQL(CONSTRAINTS),
    ]
