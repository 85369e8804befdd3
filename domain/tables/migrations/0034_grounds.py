from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [('models', '0033_reclassified_at')]

    initial = False

    operations = [
        ops.AddField(model_name='Message', name='held_until', field=fields.DatetimeField(null=True)),
        ops.RunSQL("DROP INDEX suppressions_in_force"),
        ops.RunSQL(
            "CREATE UNIQUE INDEX suppressions_in_force ON suppressions "
            "(workspace_id, kind, value, reason, source, message_id, recipient_id) NULLS NOT DISTINCT "
            "WHERE lifted_at IS NULL"
        ),
    ]
