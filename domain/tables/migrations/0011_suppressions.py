from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

CONSTRAINTS = [
    "ALTER TABLE suppressions DROP CONSTRAINT suppressions_kind_known",
    "UPDATE suppressions SET contact_id = value::uuid WHERE kind = 'CONTACT'",
    """UPDATE contacts SET phone_key = digits FROM (
        SELECT id AS of, regexp_replace(regexp_replace(replace(phone, '(0)', ''), '[^0-9]', '', 'g'), '^00', '') AS digits
        FROM contacts WHERE phone IS NOT NULL) d
    WHERE id = d.of AND length(digits) BETWEEN 5 AND 15""",
    "ALTER TABLE suppressions ADD CONSTRAINT suppressions_kind_known CHECK (kind IN ('ADDRESS', 'DOMAIN', 'PHONE', 'CONTACT', 'ERASED'))",
    "ALTER TABLE suppressions ADD CONSTRAINT suppressions_reason_known CHECK (reason IN ('UNSUBSCRIBED', 'COMPLAINED', 'LISTED'))",
    "ALTER TABLE suppressions ADD CONSTRAINT suppressions_source_known CHECK (source IN ('LINK', 'REPLY', 'COMPLAINT', 'API', 'IMPORT', 'ENGINE'))",
    "ALTER TABLE suppressions ADD CONSTRAINT suppressions_contact_with_kind CHECK ((kind = 'CONTACT') = (contact_id IS NOT NULL))",
    "ALTER TABLE suppressions ADD CONSTRAINT suppressions_lifted_with_reason CHECK ((lifted_at IS NULL) = (lifted_because IS NULL))",
    "ALTER TABLE suppressions ADD CONSTRAINT suppressions_contact FOREIGN KEY (workspace_id, contact_id) REFERENCES contacts (workspace_id, id)",
    "CREATE INDEX suppressions_by_age ON suppressions (workspace_id, created_at DESC, id DESC)",
    "CREATE INDEX suppressions_settling ON suppressions (id) WHERE settling",
    "CREATE INDEX suppressions_of_recipient ON suppressions (recipient_id) WHERE recipient_id IS NOT NULL",
    "CREATE INDEX contacts_phone_key ON contacts (workspace_id, phone_key) WHERE phone_key IS NOT NULL",
    "CREATE INDEX contacts_email_hash ON contacts (workspace_id, email_hash) WHERE email_hash IS NOT NULL",
    "CREATE INDEX contacts_by_domain_backwards ON contacts (workspace_id, reverse(split_part(email_key, '@', 2)) text_pattern_ops) WHERE email_key IS NOT NULL",
]


class Migration(migrations.Migration):
    dependencies = [('models', '0010_released_by')]

    initial = False

    operations = [
        ops.AddField(
            model_name='Contact',
            name='email_hash',
            field=fields.CharField(null=True, max_length=32),
        ),
        ops.AddField(
            model_name='Contact',
            name='phone_hash',
            field=fields.CharField(null=True, max_length=32),
        ),
        ops.AddField(
            model_name='Contact',
            name='phone_key',
            field=fields.CharField(null=True, max_length=15),
        ),
        ops.AlterModelOptions(
            name='Suppression',
            options={'table': 'suppressions', 'app': 'models', 'pk_attr': 'id', 'table_description': 'An address, a domain, a number or a contact that nobody in the workspace may write to.'},
        ),
        ops.AddField(
            model_name='Suppression',
            name='contact_id',
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name='Suppression',
            name='created_by_id',
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name='Suppression',
            name='created_by_kind',
            field=fields.CharField(default='ENGINE', max_length=10),
        ),
        ops.AddField(
            model_name='Suppression',
            name='lifted_by_id',
            field=fields.UUIDField(null=True),
        ),
        ops.AddField(
            model_name='Suppression',
            name='lifted_by_kind',
            field=fields.CharField(null=True, max_length=10),
        ),
        ops.AddField(
            model_name='Suppression',
            name='note',
            field=fields.TextField(null=True, unique=False),
        ),
        ops.AddField(
            model_name='Suppression',
            name='settling',
            field=fields.BooleanField(default=False),
        ),
        ops.AddField(
            model_name='Suppression',
            name='source',
            field=fields.CharField(default='ENGINE', max_length=10),
        ),
        ops.RunSQL(CONSTRAINTS),
    ]
