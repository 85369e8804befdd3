from tortoise import migrations
from tortoise.migrations import operations as ops

CONSTRAINTS = [
    'ALTER TABLE recipient_steps ADD CONSTRAINT recipient_steps_message FOREIGN KEY (workspace_id, message_id) REFERENCES messages (workspace_id, id)',
]


class Migration(migrations.Migration):
    dependencies = [('models', '0003_users')]

    initial = False

    operations = [ops.RunSQL(CONSTRAINTS)]
