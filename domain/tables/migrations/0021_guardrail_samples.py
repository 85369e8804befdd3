from tortoise import migrations
from tortoise.migrations import operations as ops
from orjson import loads
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields

# What harm messages of the last weeks did was noted on their recipients, and of a hold only the sentence.
NOTES = [
    """UPDATE messages x SET bounced_at = CASE WHEN r.end_reason = 'BOUNCED' THEN now() END,
        complained_at = CASE WHEN r.end_reason = 'COMPLAINED' THEN now() END
    FROM recipients r
    WHERE r.end_reason IN ('BOUNCED', 'COMPLAINED') AND r.ended_at > now() - interval '30 days' AND x.id = (
        SELECT y.id FROM messages y WHERE y.recipient_id = r.id AND y.direction = 'OUTGOING'
        ORDER BY y.marked_at DESC NULLS LAST LIMIT 1)""",
    """UPDATE mailboxes m SET guardrail_hold = jsonb_build_object('since', to_json(m.guardrail_since),
        'cause', CASE WHEN m.state_message LIKE '%spam%' THEN 'COMPLAINTS' ELSE 'BOUNCES' END,
        'count', coalesce(substring(m.state_message from '^[0-9]+')::int, 1),
        'sent', greatest(50, (SELECT count(*) FROM messages x WHERE x.mailbox_id = m.id
            AND x.marked_at BETWEEN m.guardrail_since - interval '7 days' AND m.guardrail_since)),
        'limitPercent', CASE WHEN m.state_message LIKE '%spam%' THEN 0.1 ELSE 5 END)
    WHERE m.guardrail_since IS NOT NULL""",
    "UPDATE mailboxes SET state_message = NULL WHERE state = 'HELD'",
]
CONSTRAINTS = [
    "ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_held_for_a_reason CHECK (state <> 'HELD' OR guardrail_hold IS NOT NULL)",
    "CREATE INDEX messages_of_the_week ON messages (sequence_id, marked_at) WHERE marked_at IS NOT NULL AND channel = 'EMAIL'",
    "CREATE INDEX messages_harmed_of_mailbox ON messages (mailbox_id, coalesce(marked_at, bounced_at)) WHERE bounced_at IS NOT NULL OR complained_at IS NOT NULL",
    "CREATE INDEX messages_harmed_of_sequence ON messages (sequence_id, coalesce(marked_at, bounced_at)) WHERE bounced_at IS NOT NULL OR complained_at IS NOT NULL",
    "DROP INDEX recipients_harmed",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0020_signing_keys')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Mailbox',
            name='guardrail_hold',
            field=fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='guardrail_limits',
            field=fields.JSONField(db_default={}, encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Message',
            name='bounced_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Message',
            name='complained_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Sequence',
            name='guardrail_hold',
            field=fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Sequence',
            name='guardrail_limits',
            field=fields.JSONField(db_default={}, encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.AddField(
            model_name='Sequence',
            name='guardrail_released_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Workspace',
            name='guardrail_limits',
            field=fields.JSONField(db_default={}, encoder=JSON_DUMPS, decoder=loads),
        ),
        ops.RunSQL(NOTES),
        ops.RemoveField(model_name='Mailbox', name='guardrail_since'),
        ops.RunSQL(CONSTRAINTS),
    ]
