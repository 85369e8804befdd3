from tortoise import migrations
from tortoise.migrations import operations as ops

TRIGGERS = [
    """CREATE FUNCTION tell_reading_of_mailbox() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        INSERT INTO workspace_events (workspace_id, type, subject_id)
        VALUES (NEW.workspace_id, 'mailbox.changed', NEW.mailbox_id);
        RETURN NULL;
    END $body$""",
    "CREATE TRIGGER tells_mailbox_reading AFTER UPDATE OF problem_code ON mailbox_watches FOR EACH ROW "
    "WHEN (OLD.problem_code IS DISTINCT FROM NEW.problem_code) EXECUTE FUNCTION tell_reading_of_mailbox()",
    "CREATE TRIGGER tells_suppression_created AFTER INSERT ON suppressions FOR EACH ROW "
    "EXECUTE FUNCTION tell_workspace('suppression.created')",
    "CREATE TRIGGER tells_suppression_lifted AFTER UPDATE OF lifted_at ON suppressions FOR EACH ROW "
    "WHEN (OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL) EXECUTE FUNCTION tell_workspace('suppression.lifted')",
    "CREATE TRIGGER tells_suppression_erased AFTER UPDATE OF kind ON suppressions FOR EACH ROW "
    "WHEN (OLD.kind <> NEW.kind) EXECUTE FUNCTION tell_workspace('suppression.erased')",
    "CREATE TRIGGER tells_suppression_gone AFTER DELETE ON suppressions FOR EACH ROW "
    "EXECUTE FUNCTION tell_workspace('suppression.erased')",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0030_test_mode')]

    initial = False

    operations = [ops.RunSQL(TRIGGERS)]
