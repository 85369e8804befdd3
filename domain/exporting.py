"""Contacts and recipients as CSV: read page by page, so that memory holds one page however many there are.

The columns of contacts are those that an import understands, and a column for each custom field, so that what was
exported can be imported again.

Source: api.md "Bulk".
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import fetch
from domain.reading import contacts, recipients
from domain.reading.contacts import ContactFilter
from domain.reading.filters import RecipientFilter
from domain.reading.pages import AT_MOST, Slice
from domain.reading.rows import ContactRow, RecipientRow
from domain.refusals import NotFound
from domain.rules.contact_csv import CODE_COLUMN, LINE_COLUMN, REASON_COLUMN
from domain.rules.csv_cells import written_rows
from domain.rules.ids import Prefix, to_public

CUSTOM_FIELDS_AT_MOST: Final = 400  # an import takes 500 columns
_CONTACT: Final = ("external_id", "email", "phone", "first_name", "last_name", "company", "time_zone")
_RECIPIENT: Final = (
    *("id", "status", "stage", "end_reason", "sequence_id", "sequence", "contact_id", "recipient_external_id"),
    *("email", "first_name", "last_name", "company", "status_message"),
    *("enrolled_at", "status_changed_at", "replied_at", "ended_at"),
)
_REFUSED: Final = ("recipient_id", "contact_id", "code", "reason")
_REFUSALS_AT_ONCE: Final = 1_000
_WANTS: Final = ("contact", "sequence", "status_message")


async def contacts_as_csv(workspace_id: UUID, filter: ContactFilter) -> AsyncIterator[bytes]:
    """Yield the header, then the contacts that the filter keeps, newest first, two hundred at a time.

    Raises:
        Invalid: the filter is out of bounds; before anything is yielded.
    """
    page = await contacts.page(workspace_id, filter=filter, slice=Slice(AT_MOST))
    custom = await _custom_fields(workspace_id)
    yield written_rows([[*_CONTACT, *custom]])
    while page.rows:
        yield written_rows([_contact(row, custom) for row in page.rows])
        if not page.has_next_page:
            break
        page = await contacts.page(workspace_id, filter=filter, slice=Slice(AT_MOST, page.cursor(-1)))


async def recipients_as_csv(workspace_id: UUID, filter: RecipientFilter) -> AsyncIterator[bytes]:
    """Yield the header, then the recipients that the filter keeps, newest first, two hundred at a time.

    Raises:
        Invalid: the filter is out of bounds; before anything is yielded.
    """
    page = await recipients.page(workspace_id, filter=filter, slice=Slice(AT_MOST), wants=_WANTS)
    yield written_rows([_RECIPIENT])
    while page.rows:
        yield written_rows([_recipient(row) for row in page.rows])
        if not page.has_next_page:
            break
        further = Slice(AT_MOST, page.cursor(-1))
        page = await recipients.page(workspace_id, filter=filter, slice=further, wants=_WANTS)


async def refusals_as_csv(workspace_id: UUID, operation_id: UUID) -> AsyncIterator[bytes]:
    """Yield the header, then whom an operation refused, and why, in that order, a thousand at a time: of an import the
    rows as they stood, so that they can be corrected and imported again; else the ids.

    Raises:
        NotFound: there is no such operation; before anything is yielded.
    """
    known = await fetch(
        "SELECT i.headings FROM bulk_operations o LEFT JOIN import_files i ON i.workspace_id = o.workspace_id "
        "AND i.id = o.file_id WHERE o.workspace_id = $1 AND o.id = $2",
        workspace_id,
        operation_id,
    )
    if not known:
        raise NotFound("bulk operation", field=["operation"])
    headings = orjson.loads(known[0]["headings"]) if known[0]["headings"] else None
    if headings is None:
        yield written_rows([_REFUSED])
    else:
        yield written_rows([[*headings, LINE_COLUMN, CODE_COLUMN, REASON_COLUMN]])
    after = UUID(int=0)
    while rows := await fetch(
        "SELECT * FROM bulk_refusals WHERE workspace_id = $1 AND operation_id = $2 AND id > $3 ORDER BY id LIMIT $4",
        workspace_id,
        operation_id,
        after,
        _REFUSALS_AT_ONCE,
    ):
        after = rows[-1]["id"]
        yield written_rows([_refusal(row, headings) for row in rows])


def _refusal(row: asyncpg.Record, headings: Sequence[str] | None) -> list[str | None]:
    if headings is None:
        recipient, contact = row["recipient_id"], row["contact_id"]
        ids = (recipient and to_public(Prefix.RECIPIENT, recipient), contact and to_public(Prefix.CONTACT, contact))
        return [*ids, row["code"], row["message"]]
    cells = orjson.loads(row["cells"]) if row["cells"] else []
    width = len(headings)
    padded = [*cells[:width], *[""] * (width - len(cells))]
    return [*padded, str(row["line"]), row["code"], row["message"], *cells[width:]]


async def _custom_fields(workspace_id: UUID) -> list[str]:
    """Return the names of the custom fields in use, those the import has columns of its own for left out."""
    rows = await fetch(
        "SELECT DISTINCT jsonb_object_keys(custom_fields) AS name FROM contacts "
        "WHERE workspace_id = $1 AND erased_at IS NULL ORDER BY name LIMIT $2",
        workspace_id,
        CUSTOM_FIELDS_AT_MOST,
    )
    return [row["name"] for row in rows if row["name"] not in _CONTACT]


def _contact(row: ContactRow, custom: Sequence[str]) -> list[str | None]:
    fields = row.fields
    return [*(getattr(row, name) for name in _CONTACT), *(_text(fields.get(name)) for name in custom)]


def _text(value: Any) -> str | None:
    """Return what a cell shows of a custom field: a text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _recipient(row: RecipientRow) -> list[str | None]:
    contact, sequence = row.contact, row.sequence
    assert contact is not None
    assert sequence is not None
    return [
        *(row.id, row.status, row.stage, row.end_reason, sequence.id, sequence.name, contact.id, row.external_id),
        *(contact.email, contact.first_name, contact.last_name, contact.company, row.status_message),
        *(_time(at) for at in (row.enrolled_at, row.status_changed_at, row.replied_at, row.ended_at)),
    ]


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
