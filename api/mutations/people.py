"""Contacts, and enrolling them.

Source: product.md section 3 "Enrolment".
"""

from datetime import UTC, datetime
from typing import Any, Final

import strawberry
from strawberry import UNSET

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import ContactPayload, Payload, RecipientPayload
from api.mutations.refusals import BatchTooLarge, told
from api.types.scalars import JSON
from domain import contacts, enrolment, erasing
from domain.contacts import ContactFields
from domain.enrolment import Answer, Candidate, Enrolment
from domain.refusals import Invalid, Refusal
from domain.rules.access import Scope
from domain.rules.ids import Prefix

CONTACTS_AT_MOST: Final = 100
_TEXTS: Final = ("external_id", "email", "phone", "first_name", "last_name", "company", "time_zone")
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

_KEEPS = "Left out: kept. Null: cleared."


@strawberry.input(description="What is known about a person. What is left out is kept; null clears it.")
class ContactFieldsInput:
    external_id: str | None = strawberry.field(default=UNSET, description=f"Your own id of the person. {_KEEPS}")
    email: str | None = strawberry.field(default=UNSET, description=f"The address to write to. {_KEEPS}")
    phone: str | None = strawberry.field(default=UNSET, description=f"The phone number. {_KEEPS}")
    first_name: str | None = strawberry.field(default=UNSET, description=f"The first name. {_KEEPS}")
    last_name: str | None = strawberry.field(default=UNSET, description=f"The last name. {_KEEPS}")
    company: str | None = strawberry.field(default=UNSET, description=f"The company. {_KEEPS}")
    time_zone: str | None = strawberry.field(
        default=UNSET, description=f"Where the person is, as an IANA name such as Europe/Paris. {_KEEPS}"
    )
    fields: JSON | None = strawberry.field(
        default=UNSET,
        description="Fields of your own, an object; merged by key, and a null value removes the key. Left out or null: "
        "kept.",
    )


@strawberry.input(description="Creates or changes a contact. Matched by id, then externalId, then email.")
class ContactUpsertInput(ContactFieldsInput):
    id: strawberry.ID | None = strawberry.field(
        default=None, description="An existing contact. Left out or null: matched by externalId or email, or created."
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of writing a contact.")
class ContactUpsertPayload(ContactPayload):
    pass


@strawberry.input(description="Erases a person.")
class ContactEraseInput:
    id: strawberry.ID = strawberry.field(description="Which contact.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of erasing a person.")
class ContactErasePayload(Payload):
    erased_id: strawberry.ID | None = strawberry.field(
        default=None, description="The contact that is there no longer; null when it was refused."
    )
    stopped_recipients: int = strawberry.field(default=0, description="How many open recipients were stopped.")
    in_flight: int = strawberry.field(
        default=0, description="Messages whose hand-over had begun before this answer; they cannot be called back."
    )


@strawberry.input(description="One person to enrol: an existing contact, fields that make or find one, or both.")
class EnrollContactInput:
    contact_id: strawberry.ID | None = strawberry.field(default=None, description="An existing contact.")
    contact: ContactFieldsInput | None = strawberry.field(
        default=None, description="What is known about the person; the contact is created or changed with it."
    )
    recipient_external_id: str | None = strawberry.field(
        default=None, description="Your own id of the new recipient, unique in the workspace."
    )


@strawberry.input(description="Enrols people in a sequence.")
class RecipientsEnrollInput:
    sequence_id: strawberry.ID = strawberry.field(description="In which sequence.")
    mailbox_id: strawberry.ID | None = strawberry.field(
        default=None, description="From which mailbox they are written to. Left out: the sequence's mailboxes in turn."
    )
    start_step_id: strawberry.ID | None = strawberry.field(
        default=None, description="With which step they start. Left out: the first."
    )
    start_at: datetime | None = strawberry.field(
        default=None, description="No wait begins before this time, which names its offset. Left out: now."
    )
    contacts: list[EnrollContactInput] = strawberry.field(description=f"Who: 1 to {CONTACTS_AT_MOST} people.")
    dry_run: bool | None = strawberry.field(
        default=None, description="True: nothing is changed; the answers say what would happen."
    )
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What became of one person. In a dry run `recipient` is null and `errors` is the answer.")
class EnrollResult(RecipientPayload):
    pass


@strawberry.type(description="What came of enrolling people.")
class RecipientsEnrollPayload(Payload):
    results: list[EnrollResult] = strawberry.field(
        default_factory=list, description="One for each person, in the order given."
    )
    succeeded: int = strawberry.field(default=0, description="How many were enrolled (in a dry run: would be).")
    failed: int = strawberry.field(default=0, description="How many were refused (in a dry run: would be).")


@strawberry.type
class PeopleMutations:
    @mutation(
        "Creates a contact or changes it. Changing an address never restarts anything by itself.",
        scope=Scope.CONTACTS_WRITE,
    )
    async def contact_upsert(self, info: Info, input: ContactUpsertInput) -> ContactUpsertPayload | None:
        key = await contacts.upsert(info.context.caller.workspace_id, _fields(input, input.id, ["id"], []))
        return ContactUpsertPayload(contact_key=key)

    @mutation(
        "Erases a person for good: stops their open recipients and removes everything that says who they are, from "
        "messages, tasks and errors, too. Counts stay. Of an opt-out a keyed hash of the address is kept, so that the "
        "person cannot come back by an import.",
        scope=Scope.CONTACTS_WRITE,
    )
    async def contact_erase(self, info: Info, input: ContactEraseInput) -> ContactErasePayload | None:
        me = info.context.caller
        done = await erasing.erase(me.workspace_id, me.actor, key_of(Prefix.CONTACT, input.id, ["id"]))
        return ContactErasePayload(erased_id=input.id, stopped_recipients=done.stopped, in_flight=done.in_flight)

    @mutation(
        f"Enrols up to {CONTACTS_AT_MOST} people in a sequence, with a result for each: one who is refused does not "
        "hinder the others. One open recipient per contact and sequence.",
        scope=Scope.RECIPIENTS_WRITE,
    )
    async def recipients_enroll(self, info: Info, input: RecipientsEnrollInput) -> RecipientsEnrollPayload | None:
        me = info.context.caller
        if len(input.contacts) > CONTACTS_AT_MOST:
            raise BatchTooLarge("contacts", len(input.contacts), CONTACTS_AT_MOST, "contacts")
        read = [_candidate(given) for given in input.contacts]
        batch = Enrolment(
            sequence_id=key_of(Prefix.SEQUENCE, input.sequence_id, ["sequenceId"]),
            candidates=[one for one in read if isinstance(one, Candidate)],
            mailbox_id=key_of(Prefix.MAILBOX, input.mailbox_id, ["mailboxId"]) if input.mailbox_id else None,
            start_step_id=key_of(Prefix.STEP, input.start_step_id, ["startStepId"]) if input.start_step_id else None,
            start_at=_instant(input.start_at, "startAt"),
        )
        dry_run = bool(input.dry_run)
        answered: list[Answer] = []
        if batch.candidates or not read:
            answered = await enrolment.enroll(me.workspace_id, me.actor, batch, dry_run=dry_run)
        answers = iter(answered)
        results = [
            _result(next(answers) if isinstance(one, Candidate) else Answer(refusal=one), dry_run) for one in read
        ]
        failed = sum(bool(result.errors) for result in results)
        return RecipientsEnrollPayload(results=results, succeeded=len(results) - failed, failed=failed)


def _fields(given: ContactFieldsInput | None, id: str | None, id_path: list[str], path: list[str]) -> ContactFields:
    values: dict[str, str | None] = {}
    custom: Any = None
    if given is not None:
        values = {name: value for name in _TEXTS if (value := getattr(given, name)) is not UNSET}
        custom = None if given.fields is UNSET else given.fields
        if custom is not None and not isinstance(custom, dict):
            raise Invalid("The fields must be a JSON object, such as {“role”: “CTO”}.", field=[*path, "fields"])
    return ContactFields(key_of(Prefix.CONTACT, id, id_path) if id else None, values, custom)


def _candidate(given: EnrollContactInput) -> Candidate | Refusal:
    """Return what is to be enrolled, or why it cannot be read; so that one unreadable person hinders no other."""
    try:
        external_id = given.recipient_external_id
        if external_id is not None and not 1 <= len(external_id) <= 200:
            raise Invalid("An external id has 1 to 200 characters.", field=["recipientExternalId"])
        return Candidate(_fields(given.contact, given.contact_id, ["contactId"], ["contact"]), external_id)
    except Refusal as refusal:
        return refusal


def _result(answer: Answer, dry_run: bool) -> EnrollResult:
    if answer.refusal is not None:
        return EnrollResult(errors=[told(answer.refusal)])
    return EnrollResult(recipient_key=None if dry_run else answer.recipient_id)


def _instant(at: datetime | None, field: str) -> datetime | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise Invalid("A time needs its offset, such as 2027-01-04T09:00:00+01:00 or …Z.", field=[field])
    if not _EARLIEST <= at < _LATEST:
        raise Invalid("A start is between the years 2000 and 2100.", field=[field])
    return at
