"""Contacts: matching and writing them, many at a time.

Matched by id, then externalId, then address; where these name different people the contact is ambiguous and nothing
is written. An absent field keeps what is there, null clears it, custom fields merge by key.

Source: product.md section 3 "Enrolment".
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson

from domain import contact_rows, waiting
from domain.contact_rows import KEYS, TEXT_FIELDS, Known
from domain.database import Tx, tx
from domain.refusals import ContactAmbiguous, DuplicateInBatch, Invalid, NotFound, PersonErased, Refusal, api_name
from domain.rules.addresses import (
    EmailInvalid,
    TimeZoneUnknown,
    address_key,
    check_time_zone,
    normalise_email,
    phone_key,
)
from domain.rules.ids import new_id
from domain.rules.phones import PhoneInvalid, normalise_phone

_NOT_ONE_LINE: Final = re.compile("[\x00-\x1f\ud800-\udfff]")
_ACCENTS: Final = re.compile("[\u0300-\u034e\u0350-\u036f]")
_ROUNDS: Final = 3  # matched again when someone else wrote the same contact at the same moment
_LENGTHS: Final = {
    "external_id": 200,
    "email": 320,
    "phone": 40,
    "first_name": 200,
    "last_name": 200,
    "company": 200,
    "time_zone": 64,
}
_CUSTOM_FIELDS_AT_MOST: Final = 100
_CUSTOM_NAME_LENGTH: Final = 100
_CUSTOM_BYTES: Final = 20_000


@dataclass(frozen=True, slots=True)
class ContactFields:
    """What a caller says about one contact. A name missing from `values` keeps; None clears."""

    contact_id: UUID | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)  # keys of TEXT_FIELDS
    custom: Mapping[str, Any] | None = None  # merged by key; a None value removes the key


@dataclass(frozen=True, slots=True)
class Matched:
    """A contact after writing: its row, whether it is new, and whether one that was there has changed."""

    row: Mapping[str, Any]
    created: bool = False
    changed: bool = False


def cleaned(given: ContactFields) -> ContactFields:
    """Return the fields checked and normalised.

    Raises:
        Invalid: with the field, what is wrong with it and what would be right.
    """
    values: dict[str, str | None] = {}
    for name, value in given.values.items():
        text = value.strip() if value else None
        if text is not None and _NOT_ONE_LINE.search(text):
            raise Invalid(f"{_words(name)} must be one line of text.", field=[api_name(name)])
        if text is not None and len(text) > _LENGTHS[name]:
            raise Invalid(f"{_words(name)} is longer than {_LENGTHS[name]} characters.", field=[api_name(name)])
        values[name] = text or None
    try:
        if email := values.get("email"):
            values["email"] = normalise_email(email)
        if phone := values.get("phone"):
            values["phone"] = normalise_phone(phone)
        if zone := values.get("time_zone"):
            values["time_zone"] = check_time_zone(zone).key
    except EmailInvalid as problem:
        raise Invalid(str(problem), field=["email"]) from None
    except PhoneInvalid as problem:
        raise Invalid(str(problem), field=["phone"]) from None
    except TimeZoneUnknown as problem:
        raise Invalid(str(problem), field=["timeZone"]) from None
    if given.custom:
        _check_custom(given.custom)
    return ContactFields(given.contact_id, values, given.custom)


def _check_custom(custom: Mapping[str, Any]) -> None:
    for name in custom:
        if not 1 <= len(name) <= _CUSTOM_NAME_LENGTH:
            raise Invalid(
                f"The name of a custom field has 1 to {_CUSTOM_NAME_LENGTH} characters.", field=["customFields"]
            )
    try:
        written = orjson.dumps(dict(custom))
    except TypeError:
        raise Invalid("A custom field holds a value that JSON cannot keep.", field=["customFields"]) from None
    if b"\\u0000" in written.replace(b"\\\\", b""):
        raise Invalid("A custom field holds a NUL character. Remove it.", field=["customFields"])
    _check_custom_size(custom, written)


def _check_custom_size(custom: Mapping[str, Any], written: bytes) -> None:
    if len(custom) > _CUSTOM_FIELDS_AT_MOST:
        raise Invalid(f"A contact has at most {_CUSTOM_FIELDS_AT_MOST} custom fields.", field=["customFields"])
    if len(written) > _CUSTOM_BYTES:
        raise Invalid(
            f"The custom fields of a contact are larger than {_CUSTOM_BYTES // 1000} kB together. Shorten them.",
            field=["customFields"],
        )


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


async def upsert(workspace_id: UUID, given: ContactFields) -> UUID:
    """Create or change one contact and return its id.

    Raises:
        Invalid, NotFound, ContactAmbiguous
    """

    async def work(t: Tx) -> UUID:
        (found,) = await write_contacts(t, [given])
        if isinstance(found, NotFound):
            raise NotFound("contact", field=["id"])  # in an enrolment the same id is called `contactId`
        if isinstance(found, Refusal):
            raise found
        contact_id: UUID = found.row["id"]
        return contact_id

    return await tx(workspace_id, work)


async def write_contacts(t: Tx, given: Sequence[ContactFields]) -> list[Matched | Refusal]:
    """Match, create or change contacts; one answer for each, in the order given. A refused one is not written.

    Four statements for any number of contacts. Two of the same person in one call: the second is refused.
    """
    answers: dict[int, Matched | Refusal] = {}
    wanted: dict[int, ContactFields] = {}
    for index, fields in enumerate(given):
        try:
            wanted[index] = cleaned(fields)
        except Refusal as refusal:
            answers[index] = refusal
    seen: dict[UUID | str, int] = {}
    for _ in range(_ROUNDS):
        taken = await _write_round(t, wanted, answers, seen)
        wanted = {index: fields for index, fields in wanted.items() if index in taken}
        if not wanted:
            break
    return [answers[index] for index in range(len(given))]


async def existing(t: Tx, ids: Sequence[UUID]) -> list[Matched | Refusal]:
    """Return the contacts as they are; those who are not there, or were erased, as a refusal. In the order given."""
    rows = await t.fetch(
        "SELECT * FROM contacts WHERE workspace_id = $1 AND id = ANY($2::uuid[]) AND erased_at IS NULL",
        t.workspace_id,
        list(ids),
    )
    found = {row["id"]: dict(row) for row in rows}
    return [Matched(found[key]) if key in found else NotFound("contact", field=["contactId"]) for key in ids]


async def _write_round(
    t: Tx, wanted: Mapping[int, ContactFields], answers: dict[int, Matched | Refusal], seen: dict[UUID | str, int]
) -> set[int]:
    """Answer the wanted ones; return those that lost against a contact written at the same moment."""
    given = list(wanted.values())
    known = Known.of(
        await contact_rows.find(
            t,
            [fields.contact_id for fields in given if fields.contact_id],
            [external_id for fields in given if (external_id := fields.values.get("external_id"))],
            [address_key(email) for fields in given if (email := fields.values.get("email"))],
        )
    )
    hashes = _hashes(t, given)
    erased = await contact_rows.erased(t, hashes)
    rows: dict[int, dict[str, Any]] = {}
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for index, fields in wanted.items():
        try:
            row, is_new, is_changed = _match(t, fields, known, hashes)
            _refuse_erased(row, known, erased)
            _refuse_twin(index, row, is_new, seen)
        except Refusal as refusal:
            answers[index] = refusal
            continue
        rows[index] = row
        if is_new:
            new.append(row)
        elif is_changed:
            changed.append(row)
        answers[index] = Matched(row, is_new, is_changed and not is_new)
    lost = await contact_rows.insert(t, new) | await contact_rows.update(t, changed)
    taken = {index for index, row in rows.items() if row["id"] in lost}
    for index in taken:
        answers[index] = ContactAmbiguous("Someone else is changing this contact at this moment. Try again.")
    return taken


def _hashes(t: Tx, wanted: Sequence[ContactFields]) -> dict[str, str | None]:
    """Return the keyed hash of each address and number given, by its key."""
    keys = [address_key(email) for fields in wanted if (email := fields.values.get("email"))]
    keys += [key for fields in wanted if (phone := fields.values.get("phone")) and (key := phone_key(phone))]
    return {key: t.hashed(key) for key in keys}


def _refuse_erased(row: Mapping[str, Any], known: Known, erased: set[str]) -> None:
    """Refuse an address or number of somebody erased, unless the contact has it already.

    Raises:
        PersonErased
    """
    before = known.by_id.get(row["id"])
    for name in ("email_hash", "phone_hash"):
        if row[name] in erased and (before is None or before[name] != row[name]):
            raise PersonErased


def _match(
    t: Tx, fields: ContactFields, known: Known, hashes: Mapping[str, str | None]
) -> tuple[dict[str, Any], bool, bool]:
    """Return the row as it will be, whether it is new, and whether anything changes."""
    email = fields.values.get("email")
    external_id = fields.values.get("external_id")
    by_id = known.by_id.get(fields.contact_id) if fields.contact_id else None
    if fields.contact_id and by_id is None:
        raise NotFound("contact", field=["contactId"])
    by_external = known.by_external_id.get(external_id) if external_id else None
    by_email = known.by_email_key.get(address_key(email)) if email else None
    named = {row["id"]: row for row in (by_id, by_external, by_email) if row is not None}
    if len(named) > 1:
        raise ContactAmbiguous(
            "The id, the external id and the address belong to different contacts. Correct one of them."
        )
    found = next(iter(named.values()), None)
    if found is not None and by_external is None and external_id and found["external_id"] not in (None, external_id):
        raise ContactAmbiguous("The contact with this address has another external id. Correct one of the two.")
    if found is None and not email and not external_id:
        raise Invalid("Give an email address, an external id or the id of a contact.", field=["email"])
    before: dict[str, Any] = dict(found) if found else dict.fromkeys(TEXT_FIELDS) | {"custom_fields": "{}"}
    row = before | dict(fields.values)
    merged = orjson.loads(before["custom_fields"]) | dict(fields.custom or {})
    custom = {key: value for key, value in merged.items() if value is not None}
    written = orjson.dumps(custom, option=orjson.OPT_SORT_KEYS)
    if fields.custom:
        _check_custom_size(custom, written)
    row["custom_fields"] = written.decode()
    row["email_key"] = address_key(row["email"]) if row["email"] else None
    row["phone_key"] = phone_key(row["phone"]) if row["phone"] else None
    for name in ("email", "phone"):
        key = row[f"{name}_key"]
        row[f"{name}_hash"] = hashes[key] if key in hashes else t.hashed(key)
    row["sort_name"] = _sortable(row["last_name"], row["first_name"], row["email"] or row["external_id"])
    if found is None:
        row |= {"id": new_id(), "email_bounced_at": None, "phone_invalid_at": None, "out_of_office_until": None}
        return row, True, True
    if row["email_key"] != found["email_key"]:
        row["email_bounced_at"] = None  # a new address starts clean
    if row["phone_key"] != found["phone_key"]:
        row["phone_invalid_at"] = None
    compared = (*TEXT_FIELDS, *KEYS, "sort_name")
    same = all(row[name] == found[name] for name in compared) and orjson.loads(row["custom_fields"]) == orjson.loads(
        found["custom_fields"]
    )
    return row, False, not same


def _sortable(*parts: str | None) -> str:
    """Return a name as lists sort it: lower case and without accents, so that Émile stands with Emil."""
    text = " ".join(part for part in parts if part)
    if text.isascii():
        return text.lower()[:420]
    text = unicodedata.normalize("NFKD", text)
    if max(text) <= "\u036f":  # the accents of the languages of Europe, and nothing beyond
        return _ACCENTS.sub("", text).casefold()[:420]
    return "".join(letter for letter in text if not unicodedata.combining(letter)).casefold()[:420]


def _refuse_twin(index: int, row: Mapping[str, Any], is_new: bool, seen: dict[UUID | str, int]) -> None:
    names = [row["id"]] if not is_new else [f"{kind}:{row[kind]}" for kind in ("email_key", "external_id") if row[kind]]
    names += [f"{kind}:{row[kind]}" for kind in ("email_key", "external_id") if row[kind] and not is_new]
    for name in names:
        if seen.get(name, index) != index:
            raise DuplicateInBatch(seen[name])
    seen.update(dict.fromkeys(names, index))


async def release_hold(workspace_id: UUID, contact_id: UUID) -> None:
    """End the hold that an absence put on a contact. The same absence does not hold it again (domain/inbound.py).

    Raises:
        NotFound: there is no such contact.
    """

    async def work(t: Tx) -> None:
        found = await t.fetchval(
            "UPDATE contacts SET out_of_office_until = NULL WHERE workspace_id = $1 AND id = $2 RETURNING id",
            t.workspace_id,
            contact_id,
        )
        if found is None:
            raise NotFound("contact", field=["id"])
        await t.execute(
            "UPDATE messages SET held_until = NULL WHERE workspace_id = $1 AND contact_id = $2 "
            "AND held_until IS NOT NULL",
            t.workspace_id,
            contact_id,
        )
        await waiting.let_go_on(t, contact_id)

    await tx(workspace_id, work)
