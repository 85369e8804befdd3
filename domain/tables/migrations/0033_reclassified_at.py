from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [('models', '0032_imports')]

    initial = False

    operations = [
        ops.AddField(model_name='Message', name='reclassified_at', field=fields.DatetimeField(null=True)),
        ops.RunSQL(
            "CREATE INDEX messages_reclassified ON messages (workspace_id, reclassified_at) "
            "WHERE reclassified_at IS NOT NULL"
        ),
    ]
