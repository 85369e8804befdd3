"""The same for many contacts: those of a file, or those whom a filter keeps.

Source: api.md "Bulk"; docs/import.md.
"""

from datetime import datetime
from typing import Final

import strawberry

from api.context import Info
from api.declaring import refuse_lacking
from api.filters import contact_filter, recipient_filter
from api.ids import key_of
from api.mutations.bulk import BulkOperationPayload
from api.mutations.carrying_out import mutation, repeatable
from api.types import enums as enums
from api.types.inputs import ContactFilter, RecipientFilter
from domain import bulk_contacts, bulk_imports
from domain.bulk_contacts import Chosen
from domain.enrolment import Into
from domain.refusals import Invalid
from domain.rules.access import Scope
from domain.rules.contact_csv import COLUMNS_LIMIT, Column, Meaning
from domain.rules.ids import Prefix

_TRIED: Final = "True changes nothing: it says who would be taken and refused, and why."
_CONTACTS: Final = "Whom: the contacts it keeps at this moment; an empty one keeps all. This or `recipients`."
_RECIPIENTS: Final = "Whom: the contacts of the recipients it keeps at this moment, each once. This or `filter`."


@strawberry.input(description="Where people are enrolled.")
class BulkEnrollInto:
    sequence_id: strawberry.ID = strawberry.field(description="In which sequence.")
    mailbox_id: strawberry.ID | None = strawberry.field(
        default=None, description="What is sent from; left out, the mailboxes of the sequence in turn."
    )
    start_step_id: strawberry.ID | None = strawberry.field(
        default=None, description="The step to begin with; left out, the first."
    )
    start_at: datetime | None = strawberry.field(
        default=None, description="No wait begins before this time; left out, at once."
    )


@strawberry.input(description="Says what a column of a file is.")
class ImportColumnInput:
    name: str = strawberry.field(
        description="The column, as the file heads it; the second of the same name is “name (2)”."
    )
    meaning: Meaning = strawberry.field(description="What it says.")
    field_name: str | None = strawberry.field(
        default=None, description="With CUSTOM_FIELD: the name of the field; left out, the column's."
    )


@strawberry.input(description="Imports an uploaded file.")
class ContactsImportInput:
    file_id: strawberry.ID = strawberry.field(description="The file, as `POST /imports` returned its id.")
    columns: list[ImportColumnInput] | None = strawberry.field(
        default=None,
        description="What these columns are. The others are known by their names, or become custom fields.",
    )
    enroll: BulkEnrollInto | None = strawberry.field(
        default=None,
        description=f"Where each of them is enrolled; left out, nobody is. Needs the scope `{Scope.RECIPIENTS_WRITE}` "
        "too.",
    )
    dry_run: bool | None = strawberry.field(default=None, description=_TRIED)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Enrols all contacts whom a filter keeps.")
class BulkEnrollmentCreateInput:
    filter: ContactFilter | None = strawberry.field(default=None, description=_CONTACTS)
    recipients: RecipientFilter | None = strawberry.field(default=None, description=_RECIPIENTS)
    enroll: BulkEnrollInto = strawberry.field(description="Where.")
    dry_run: bool | None = strawberry.field(default=None, description=_TRIED)
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Suppresses all contacts whom a filter keeps.")
class BulkSuppressionCreateInput:
    filter: ContactFilter | None = strawberry.field(default=None, description=_CONTACTS)
    recipients: RecipientFilter | None = strawberry.field(default=None, description=_RECIPIENTS)
    note: str | None = strawberry.field(default=None, description="Why; kept in the ledger, up to 1,000 characters.")
    dry_run: bool | None = strawberry.field(default=None, description=_TRIED)
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of ordering an import.")
class ContactsImportPayload(BulkOperationPayload):
    pass


@strawberry.type(description="What came of ordering an enrolment of many.")
class BulkEnrollmentCreatePayload(BulkOperationPayload):
    pass


@strawberry.type(description="What came of ordering a suppression of many.")
class BulkSuppressionCreatePayload(BulkOperationPayload):
    pass


@strawberry.type
class BulkContactMutations:
    @mutation(
        "Imports the contacts of an uploaded file: new ones are created, those known by external id or address are "
        "updated as contactUpsert does, an empty cell keeps what is there. A worker takes row by row; the answer comes "
        "at once. Each row that is refused stands in the operation's `refusals` with its line, and in "
        "`GET /exports/refusals.csv?operation=…` with its cells.",
        scope=Scope.CONTACTS_WRITE,
    )
    async def contacts_import(self, info: Info, input: ContactsImportInput) -> ContactsImportPayload | None:
        me = info.context.caller
        if input.enroll is not None:
            refuse_lacking(me, Scope.RECIPIENTS_WRITE)
        if input.columns is not None and len(input.columns) > COLUMNS_LIMIT:
            raise Invalid(f"A file has at most {COLUMNS_LIMIT} columns.", field=["columns"])
        key = await bulk_imports.order(
            me.workspace_id,
            me.actor,
            key_of(Prefix.IMPORT_FILE, input.file_id, ["fileId"]),
            columns=[_column(one, index) for index, one in enumerate(input.columns or [])],
            into=_into(input.enroll) if input.enroll is not None else None,
            dry_run=bool(input.dry_run),
        )
        return ContactsImportPayload(bulk_operation_key=key)

    @mutation(
        "Enrols all contacts whom the filter keeps at this moment, up to a million, as recipientsEnroll does; a worker "
        "carries it out. The answer comes at once, with the number matched.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def bulk_enrollment_create(
        self, info: Info, input: BulkEnrollmentCreateInput
    ) -> BulkEnrollmentCreatePayload | None:
        me = info.context.caller
        key = await bulk_contacts.order_enrolment(
            me.workspace_id, me.actor, _chosen(input), _into(input.enroll), dry_run=bool(input.dry_run)
        )
        return BulkEnrollmentCreatePayload(bulk_operation_key=key)

    @mutation(
        "Puts all contacts whom the filter keeps at this moment, up to a million, on the suppression list, as "
        "suppressionCreate does with a `contactId`; a worker carries it out and ends their open recipients.",
        scope=Scope.SUPPRESSIONS_WRITE,
    )
    async def bulk_suppression_create(
        self, info: Info, input: BulkSuppressionCreateInput
    ) -> BulkSuppressionCreatePayload | None:
        me = info.context.caller
        key = await bulk_contacts.order_suppression(
            me.workspace_id, me.actor, _chosen(input), note=input.note, dry_run=bool(input.dry_run)
        )
        return BulkSuppressionCreatePayload(bulk_operation_key=key)


def _chosen(input: BulkEnrollmentCreateInput | BulkSuppressionCreateInput) -> Chosen:
    if input.filter is not None and input.recipients is None:
        return contact_filter(input.filter)
    if input.recipients is not None and input.filter is None:
        return recipient_filter(input.recipients)
    raise Invalid("Say whom: give exactly one of `filter` and `recipients`.", field=["filter"])


def _into(given: BulkEnrollInto) -> Into:
    step, mailbox = given.start_step_id, given.mailbox_id
    return Into(
        sequence_id=key_of(Prefix.SEQUENCE, given.sequence_id, ["enroll", "sequenceId"]),
        mailbox_id=key_of(Prefix.MAILBOX, mailbox, ["enroll", "mailboxId"]) if mailbox is not None else None,
        start_step_id=key_of(Prefix.STEP, step, ["enroll", "startStepId"]) if step is not None else None,
        start_at=given.start_at,
    )


def _column(given: ImportColumnInput, index: int) -> Column:
    if given.meaning is Meaning.CUSTOM_FIELD:
        return Column(given.name, given.meaning, given.name if given.field_name is None else given.field_name.strip())
    if given.field_name is not None:
        raise Invalid("Only a CUSTOM_FIELD has a name.", field=["columns", str(index), "fieldName"])
    return Column(given.name, given.meaning)
