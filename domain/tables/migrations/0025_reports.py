from tortoise import fields, migrations
from tortoise.migrations import operations as ops

# What `domain/recounting.py` said when this migration was written. Events from before it have nothing to add to the
# reports: the scan of the rows counts all that they did.
NOBODY = "00000000-0000-0000-0000-000000000000"

TABLES = [
    """CREATE TABLE report_tallies (
        workspace_id uuid NOT NULL, sequence_id uuid NOT NULL, mailbox_id uuid NOT NULL, step_id uuid NOT NULL,
        measure varchar(15) NOT NULL, quarter timestamptz NOT NULL, count bigint NOT NULL,
        PRIMARY KEY (sequence_id, mailbox_id, step_id, measure, quarter))""",
    f"ALTER TABLE tallies ADD COLUMN mailbox_id uuid NOT NULL DEFAULT '{NOBODY}'",
    "ALTER TABLE tallies ALTER COLUMN mailbox_id DROP DEFAULT",
    "ALTER TABLE tallies DROP CONSTRAINT tallies_pkey",
    "ALTER TABLE tallies ADD PRIMARY KEY (sequence_id, mailbox_id, status, stage)",
    "ALTER TABLE events ADD COLUMN previous_mailbox_id uuid, ADD COLUMN counted jsonb",
    # Where those who have ended were, as far as it is known: the step after their last done one, the message refused.
    """UPDATE recipients r SET left_step_id = (
            SELECT t.id FROM steps t JOIN steps l ON l.id = r.last_step_id
            WHERE t.sequence_id = r.sequence_id AND t.position > l.position AND t.removed_at IS NULL
                AND NOT EXISTS (SELECT FROM recipient_steps o WHERE o.recipient_id = r.id AND o.step_id = t.id
                    AND o.outcome IS NOT NULL) ORDER BY t.position LIMIT 1)
        WHERE r.end_reason IS NOT NULL AND r.end_reason <> 'COMPLETED' AND r.last_step_id IS NOT NULL""",
    """UPDATE recipients r SET bounced_step_id = coalesce((
            SELECT x.step_id FROM messages x WHERE x.recipient_id = r.id AND x.direction = 'OUTGOING'
                AND x.state IN ('SENT', 'REFUSED') ORDER BY x.marked_at DESC NULLS LAST, x.id DESC LIMIT 1),
            r.left_step_id, r.last_step_id)
        WHERE r.end_reason = 'BOUNCED'""",
]

COUNTS = [
    "DELETE FROM tallies",
    """INSERT INTO tallies (workspace_id, sequence_id, mailbox_id, status, stage, count)
    SELECT workspace_id, sequence_id, mailbox_id, status, stage, sum(count) FROM (
        SELECT * FROM (SELECT workspace_id, sequence_id, coalesce(mailbox_id, '00000000-0000-0000-0000-000000000000'::uuid) AS mailbox_id, status,
        CASE WHEN status IN ('ERROR', 'BOUNCED') THEN 'ERROR' WHEN end_reason IS NOT NULL THEN 'FINISHED'
            WHEN contacted_at IS NULL THEN 'SCHEDULED' ELSE 'IN_PROGRESS' END AS stage, count(*) AS count
    FROM recipients WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5) scanned
        UNION ALL SELECT workspace_id, sequence_id, mailbox_id, status, stage, -count FROM (SELECT workspace_id, sequence_id, mailbox_id, status, stage, sum(one) AS count FROM (
            SELECT workspace_id, sequence_id, coalesce(mailbox_id, '00000000-0000-0000-0000-000000000000'::uuid) AS mailbox_id, status, stage, 1 AS one
            FROM (SELECT * FROM events WHERE seq IS NULL) e WHERE status IS NOT NULL
            UNION ALL
            SELECT workspace_id, sequence_id, coalesce(previous_mailbox_id, mailbox_id, '00000000-0000-0000-0000-000000000000'::uuid), previous_status,
                previous_stage, -1
            FROM (SELECT * FROM events WHERE seq IS NULL) e WHERE previous_status IS NOT NULL
        ) s GROUP BY workspace_id, sequence_id, mailbox_id, status, stage HAVING sum(one) <> 0) ahead
    ) m GROUP BY 1, 2, 3, 4, 5 HAVING sum(count) <> 0""",
    """INSERT INTO report_tallies (workspace_id, sequence_id, mailbox_id, step_id, measure, quarter, count)
    WITH r AS MATERIALIZED (SELECT * FROM recipients WHERE deleted_at IS NULL),
    o AS MATERIALIZED (SELECT recipient_id, step_id, outcome, done_at FROM recipient_steps WHERE outcome IS NOT NULL),
    s AS (
        SELECT id, NULL::uuid AS step_id, 'ENROLLED' AS measure, enrolled_at AS at FROM r
        UNION ALL SELECT id, NULL, 'CONTACTED', contacted_at FROM r WHERE contacted_at IS NOT NULL
        UNION ALL SELECT id, NULL, 'REPLIED', replied_at FROM r WHERE replied_at IS NOT NULL
        UNION ALL SELECT id, NULL, status, ended_at FROM r
            WHERE status IN ('COMPLETED', 'BOUNCED', 'STOPPED', 'UNSUBSCRIBED')
        UNION ALL SELECT recipient_id, step_id, outcome, CASE WHEN outcome = 'CARRIED_OUT' THEN done_at END FROM o
        UNION ALL SELECT id, current_step_id, CASE WHEN error_id IS NULL THEN 'WAITING' ELSE 'FAILED' END, NULL FROM r
            WHERE current_step_id IS NOT NULL
        UNION ALL SELECT id, bounced_step_id, 'BOUNCED', NULL FROM r WHERE bounced_step_id IS NOT NULL
        UNION ALL SELECT id, f.step_id, 'REPLIED', NULL FROM (
            SELECT r.id, (SELECT o.step_id FROM recipient_steps o
            WHERE o.workspace_id = r.workspace_id AND o.recipient_id = r.id AND o.outcome = 'CARRIED_OUT'
                AND o.done_at <= r.replied_at ORDER BY o.done_at DESC, o.step_id DESC LIMIT 1) AS step_id FROM r WHERE r.replied_at IS NOT NULL) f
            WHERE f.step_id IS NOT NULL
        UNION ALL SELECT id, step_id, 'REACHED', NULL FROM (
            SELECT recipient_id AS id, step_id FROM o
            UNION SELECT id, current_step_id FROM r
            UNION SELECT id, left_step_id FROM r
            UNION SELECT id, bounced_step_id FROM r) f WHERE step_id IS NOT NULL
    )
    SELECT r.workspace_id, r.sequence_id, coalesce(r.mailbox_id, '00000000-0000-0000-0000-000000000000'::uuid) AS mailbox_id,
        coalesce(s.step_id, '00000000-0000-0000-0000-000000000000'::uuid) AS step_id, s.measure, x.quarter, count(*) AS count
    FROM s JOIN r ON r.id = s.id CROSS JOIN LATERAL (
        SELECT '-infinity'::timestamptz AS quarter
        UNION ALL SELECT date_bin('15 minutes', s.at, '2000-01-01Z') WHERE s.at IS NOT NULL
    ) x GROUP BY 1, 2, 3, 4, 5, 6""",
]

CONSTRAINTS = [
    "ALTER TABLE recipients ADD CONSTRAINT recipients_left_step FOREIGN KEY (workspace_id, left_step_id) REFERENCES steps (workspace_id, id)",
    "ALTER TABLE recipients ADD CONSTRAINT recipients_bounced_step FOREIGN KEY (workspace_id, bounced_step_id) REFERENCES steps (workspace_id, id)",
    "ALTER TABLE report_tallies ADD CONSTRAINT report_tallies_sequence FOREIGN KEY (workspace_id, sequence_id) REFERENCES sequences (workspace_id, id)",
    "ALTER TABLE report_tallies ADD CONSTRAINT report_tallies_measure_known CHECK (measure IN ('REACHED', 'WAITING', 'FAILED', 'CARRIED_OUT', 'SKIPPED', 'REPLIED', 'BOUNCED', 'ENROLLED', 'CONTACTED', 'COMPLETED', 'STOPPED', 'UNSUBSCRIBED'))",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0024_phone_hashes')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Recipient',
            name='left_step_id',
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name='Recipient',
            name='bounced_step_id',
            field=fields.UUIDField(null=True),
        ),
        ops.RunSQL(TABLES),
        ops.RunSQL(CONSTRAINTS),
        ops.RunSQL(COUNTS),
    ]
