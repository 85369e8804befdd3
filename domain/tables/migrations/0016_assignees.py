"""Who is to act on a pending action."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

CONSTRAINTS = [
    "ALTER TABLE pending_actions ADD CONSTRAINT pending_actions_assignee FOREIGN KEY (workspace_id, assignee_id) REFERENCES users (workspace_id, id)",
    "CREATE INDEX pending_actions_of_assignee ON pending_actions (workspace_id, assignee_id, due_since, id) WHERE closed_at IS NULL",
]


class Migration(migrations.Migration):
    dependencies = [("models", "0015_watching")]

    operations = [
        ops.AddField(model_name="PendingAction", name="assignee_id", field=fields.UUIDField(null=True)),
        ops.RunSQL(CONSTRAINTS),
    ]
