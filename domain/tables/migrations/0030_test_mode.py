from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [('models', '0029_workspace_events')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Workspace',
            name='test_mode',
            field=fields.BooleanField(db_default=False, default=False),
        ),
    ]
