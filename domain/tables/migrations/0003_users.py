from tortoise import migrations
from tortoise.migrations import operations as ops
from uuid import uuid4
from tortoise import fields

CONSTRAINTS = [
    "ALTER TABLE users ADD CONSTRAINT users_role_known CHECK (role IN ('VIEWER', 'MEMBER', 'ADMIN'))",
    'ALTER TABLE users ADD CONSTRAINT users_of_workspace UNIQUE (workspace_id, id)',
    'ALTER TABLE users ADD CONSTRAINT users_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)',
    'CREATE UNIQUE INDEX users_external_subject ON users (workspace_id, external_subject) WHERE external_subject IS NOT NULL',
    'CREATE INDEX users_by_name ON users (workspace_id, lower(name), id)',
]


class Migration(migrations.Migration):
    dependencies = [('models', '0002_constraints')]

    initial = False

    operations = [
        ops.CreateModel(
            name='User',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('workspace_id', fields.UUIDField()),
                ('name', fields.CharField(max_length=200)),
                ('email', fields.CharField(null=True, max_length=320)),
                ('external_subject', fields.CharField(null=True, max_length=255)),
                ('role', fields.CharField(max_length=10)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('deactivated_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'users', 'app': 'models', 'pk_attr': 'id', 'table_description': 'A person of the workspace, who signs in elsewhere.'},
            bases=['Model'],
        ),
        ops.RunSQL(CONSTRAINTS),
    ]
