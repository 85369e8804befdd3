"""Who released a pending email to be sent."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0009_inbound")]

    operations = [
        ops.AddField(
            model_name="PendingAction",
            name="released_by_kind",
            field=fields.CharField(max_length=10, null=True),
        ),
        ops.AddField(model_name="PendingAction", name="released_by_id", field=fields.UUIDField(null=True)),
    ]
