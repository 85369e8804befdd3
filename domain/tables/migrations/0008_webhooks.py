from tortoise import migrations
from tortoise.migrations import operations as ops
from orjson import loads
from tortoise.fields.data import JSON_DUMPS
from uuid import uuid4
from tortoise import fields

SCOPES = [
    'ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_known',
    "ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes_known CHECK (scopes ~ '^(read|recipients:write|contacts:write|sequences:write|mailboxes:write|signals:write|suppressions:write|webhooks:write|admin)( (read|recipients:write|contacts:write|sequences:write|mailboxes:write|signals:write|suppressions:write|webhooks:write|admin))*$')",
]

CONSTRAINTS = [
    "ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_state_known CHECK (state IN ('PENDING', 'DELIVERED', 'FAILED'))",
    "ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_due_while_pending CHECK ((next_at IS NOT NULL) = (state = 'PENDING'))",
    'ALTER TABLE webhook_endpoints ADD CONSTRAINT webhook_endpoints_of_workspace UNIQUE (workspace_id, id)',
    'ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_of_workspace UNIQUE (workspace_id, id)',
    'ALTER TABLE webhook_endpoints ADD CONSTRAINT webhook_endpoints_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)',
    'ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_endpoint FOREIGN KEY (workspace_id, endpoint_id) REFERENCES webhook_endpoints (workspace_id, id)',
    'ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES recipients (workspace_id, id)',
    'ALTER TABLE webhook_attempts ADD CONSTRAINT webhook_attempts_delivery FOREIGN KEY (workspace_id, delivery_id) REFERENCES webhook_deliveries (workspace_id, id)',
    'ALTER TABLE webhook_attempts ADD CONSTRAINT webhook_attempts_endpoint FOREIGN KEY (workspace_id, endpoint_id) REFERENCES webhook_endpoints (workspace_id, id)',
    'ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_one_per_event UNIQUE (endpoint_id, recipient_id, event_version)',
    'CREATE INDEX webhook_endpoints_by_age ON webhook_endpoints (workspace_id, created_at, id) WHERE removed_at IS NULL',
    "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at) WHERE state = 'PENDING'",
    'CREATE INDEX webhook_deliveries_in_hand ON webhook_deliveries (endpoint_id) WHERE lease_until IS NOT NULL',
    'CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (endpoint_id, created_at DESC, id DESC)',
    "CREATE INDEX webhook_deliveries_old ON webhook_deliveries (created_at) WHERE state <> 'PENDING'",
]

ATTEMPTS = '''CREATE TABLE webhook_attempts (
        workspace_id uuid NOT NULL, delivery_id uuid NOT NULL, number int NOT NULL, endpoint_id uuid NOT NULL,
        url text NOT NULL, request text NOT NULL, status int, problem text, answer text,
        took_seconds float8 NOT NULL, attempted_at timestamptz NOT NULL,
        PRIMARY KEY (delivery_id, number))'''


class Migration(migrations.Migration):
    dependencies = [('models', '0007_causes')]

    initial = False

    operations = [
        ops.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('workspace_id', fields.UUIDField()),
                ('endpoint_id', fields.UUIDField()),
                ('recipient_id', fields.UUIDField(null=True)),
                ('event_version', fields.IntField(null=True)),
                ('seq', fields.BigIntField(null=True)),
                ('type', fields.CharField(max_length=40)),
                ('state', fields.CharField(default='PENDING', max_length=10)),
                ('attempts', fields.IntField(default=0)),
                ('attempts_before', fields.IntField(default=0)),
                ('next_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('lease_until', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('token', fields.IntField(default=0)),
                ('last_status', fields.IntField(null=True)),
                ('last_problem', fields.TextField(null=True, unique=False)),
                ('delivered_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'webhook_deliveries', 'app': 'models', 'pk_attr': 'id', 'table_description': 'One event for one endpoint, with its attempts.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ('workspace_id', fields.UUIDField()),
                ('url', fields.CharField(max_length=2000)),
                ('description', fields.CharField(null=True, max_length=200)),
                ('event_types', fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads)),
                ('enabled', fields.BooleanField(default=True)),
                ('disabled_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('disabled_because', fields.TextField(null=True, unique=False)),
                ('secret', fields.BinaryField()),
                ('previous_secret', fields.BinaryField(null=True)),
                ('previous_until', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('epoch', fields.CharField(max_length=16)),
                ('last_seq', fields.BigIntField()),
                ('failures_in_a_row', fields.IntField(default=0)),
                ('failing_since', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('removed_at', fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('created_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ('updated_at', fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={'table': 'webhook_endpoints', 'app': 'models', 'pk_attr': 'id', 'table_description': 'A subscriber of the feed whose cursor is stored.'},
            bases=['Model'],
        ),
        ops.RunSQL([ATTEMPTS, *CONSTRAINTS, *SCOPES]),
    ]
