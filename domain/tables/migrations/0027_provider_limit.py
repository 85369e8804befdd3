from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [('models', '0026_test_emails')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Mailbox',
            name='throttled_since',
            field=fields.DatetimeField(null=True),
        ),
    ]
