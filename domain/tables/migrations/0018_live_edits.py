"""What recipients follow when their sequence is edited: revisions of sequences and steps, the place of recipients."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

# The place of those who are under way: their last done step, or the step before the one they wait for.
PLACES = """
    UPDATE recipients r SET last_step_id = coalesce(
        (SELECT o.step_id FROM recipient_steps o WHERE o.workspace_id = r.workspace_id AND o.recipient_id = r.id
            AND o.outcome IS NOT NULL ORDER BY o.done_at DESC, o.step_id LIMIT 1),
        (SELECT b.id FROM steps c JOIN steps b ON b.workspace_id = c.workspace_id AND b.sequence_id = c.sequence_id
            AND b.position < c.position WHERE c.workspace_id = r.workspace_id AND c.id = r.current_step_id
            ORDER BY b.position DESC LIMIT 1))
    WHERE r.end_reason IS NULL AND r.deleted_at IS NULL
"""

CONSTRAINTS = [
    "ALTER TABLE recipients ADD CONSTRAINT recipients_last_step FOREIGN KEY (workspace_id, last_step_id) REFERENCES steps (workspace_id, id)",
    "ALTER TABLE steps DROP CONSTRAINT steps_one_per_position",
    "ALTER TABLE steps ADD CONSTRAINT steps_one_per_position UNIQUE (sequence_id, position) DEFERRABLE INITIALLY DEFERRED",
    "UPDATE sequences SET settling = true",  # who has to follow is found by the facts, whatever was going on
    "CREATE INDEX sequences_settling ON sequences (id) WHERE settling",
]


class Migration(migrations.Migration):
    dependencies = [("models", "0017_guardrails")]

    operations = [
        ops.AddField(model_name="Recipient", name="last_step_id", field=fields.UUIDField(null=True)),
        ops.AddField(model_name="Recipient", name="plan_revision", field=fields.IntField(db_default=0)),
        ops.AddField(model_name="Sequence", name="revision", field=fields.IntField(db_default=0)),
        ops.AddField(model_name="Step", name="placed_revision", field=fields.IntField(db_default=0)),
        ops.AddField(model_name="Step", name="revision", field=fields.IntField(db_default=0)),
        ops.AddField(model_name="Step", name="wait_revision", field=fields.IntField(db_default=0)),
        # From the words of what is going on to whether anything is. Its CHECK and its index go with it.
        ops.RemoveField(model_name="Sequence", name="settling"),
        ops.AddField(model_name="Sequence", name="settling", field=fields.BooleanField(db_default=False)),
        ops.RunSQL([PLACES, *CONSTRAINTS]),
    ]
