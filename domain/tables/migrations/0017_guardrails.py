from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('models', '0016_assignees')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Mailbox',
            name='guardrail_released_at',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Mailbox',
            name='guardrail_since',
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.RunSQL(
            "CREATE INDEX recipients_harmed ON recipients (mailbox_id, ended_at) "
            "WHERE end_reason IN ('BOUNCED', 'COMPLAINED')"
        ),
    ]
