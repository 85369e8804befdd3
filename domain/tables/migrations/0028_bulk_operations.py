from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """CREATE TABLE bulk_operations (
        id uuid PRIMARY KEY, workspace_id uuid NOT NULL, action varchar(20) NOT NULL, step_id uuid,
        dry_run bool NOT NULL, status varchar(12) NOT NULL,
        matched int NOT NULL, done int NOT NULL, changed int NOT NULL, refused int NOT NULL, in_flight int NOT NULL,
        batches_done int NOT NULL, actor_kind varchar(10) NOT NULL, actor_id uuid,
        created_at timestamptz NOT NULL, turned_at timestamptz NOT NULL, ended_at timestamptz)""",
    # Whom it means, chosen once: a row for each five hundred.
    """CREATE TABLE bulk_batches (
        workspace_id uuid NOT NULL, operation_id uuid NOT NULL, position int NOT NULL, recipient_ids uuid[] NOT NULL,
        PRIMARY KEY (workspace_id, operation_id, position))""",
    """CREATE TABLE bulk_refusals (
        workspace_id uuid NOT NULL, operation_id uuid NOT NULL, recipient_id uuid NOT NULL,
        code varchar(40) NOT NULL, message text NOT NULL, status varchar(15), refused_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, operation_id, recipient_id))""",
]

CONSTRAINTS = [
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_action_known CHECK (action IN ('PAUSE', 'RESUME', 'SKIP_STEP', 'STOP', 'DELETE', 'RETRY'))",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_status_known CHECK (status IN ('PENDING', 'RUNNING', 'COMPLETED', 'CANCELLED'))",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_ended_with_status CHECK ((ended_at IS NOT NULL) = (status IN ('COMPLETED', 'CANCELLED')))",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_counts_add_up CHECK (done = changed + refused AND done <= matched)",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_of_workspace UNIQUE (workspace_id, id)",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)",
    "ALTER TABLE bulk_operations ADD CONSTRAINT bulk_operations_step FOREIGN KEY (workspace_id, step_id) REFERENCES steps (workspace_id, id)",
    "ALTER TABLE bulk_batches ADD CONSTRAINT bulk_batches_operation FOREIGN KEY (workspace_id, operation_id) REFERENCES bulk_operations (workspace_id, id)",
    "ALTER TABLE bulk_refusals ADD CONSTRAINT bulk_refusals_operation FOREIGN KEY (workspace_id, operation_id) REFERENCES bulk_operations (workspace_id, id)",
    "ALTER TABLE bulk_refusals ADD CONSTRAINT bulk_refusals_recipient FOREIGN KEY (workspace_id, recipient_id) REFERENCES recipients (workspace_id, id)",
    "CREATE INDEX bulk_operations_going_on ON bulk_operations (workspace_id, turned_at) WHERE ended_at IS NULL",
    "CREATE INDEX bulk_operations_by_age ON bulk_operations (workspace_id, created_at DESC, id DESC)",
    "CREATE INDEX bulk_operations_old ON bulk_operations (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE INDEX bulk_refusals_by_time ON bulk_refusals (operation_id, refused_at, recipient_id)",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0027_provider_limit')]

    initial = False

    operations = [
        ops.RunSQL(TABLES),
        ops.RunSQL(CONSTRAINTS),
    ]
