from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [('models', '0023_frequency_caps')]

    initial = False

    operations = [
        ops.RunSQL(
            "CREATE INDEX contacts_phone_hash ON contacts (workspace_id, phone_hash) WHERE phone_hash IS NOT NULL"
        ),
    ]
