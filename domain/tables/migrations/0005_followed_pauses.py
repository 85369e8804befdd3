from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.contrib.postgres.fields import ArrayField

class Migration(migrations.Migration):
    dependencies = [('models', '0004_step_messages')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Sequence',
            name='pauses_to_follow',
            field=ArrayField(null=True, element_type='TIMESTAMPTZ'),
        ),
    ]
