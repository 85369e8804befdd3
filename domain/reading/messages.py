"""Messages of recipients and contacts, and one by id."""

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

from domain.reading.columns import columns_of
from domain.reading.history_rows import MessageRow
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Slice

OLDEST_FIRST: Final = Order(mark="msg.created_at_asc", column="x.created_at", id_column="x.id", descending=False)
NEWEST_FIRST: Final = Order(mark="msg.created_at_desc", column="x.created_at", id_column="x.id")


def _to_message(values: Sequence[Any]) -> MessageRow:
    return MessageRow(*values)


# Those of deleted recipients are not shown, like the recipients themselves.
MESSAGES: Final = Listing(
    columns=columns_of("x", MessageRow.COLUMNS),
    source="FROM messages x JOIN recipients r ON r.workspace_id = x.workspace_id AND r.id = x.recipient_id",
    living=("x.workspace_id = $1", "r.deleted_at IS NULL"),
    make=_to_message,
)


async def pages_of_recipients(
    workspace_id: UUID, ids: Sequence[UUID], *, slice: Slice = FIRST_PAGE, counted: bool = False
) -> list[Page[MessageRow]]:
    """Return one page for each recipient, oldest first.

    Raises:
        Invalid, CursorInvalid
    """
    return await MESSAGES.pages_by_owner(workspace_id, "x.recipient_id", ids, OLDEST_FIRST, slice, counted=counted)


async def pages_of_contacts(
    workspace_id: UUID, ids: Sequence[UUID], *, slice: Slice = FIRST_PAGE, counted: bool = False
) -> list[Page[MessageRow]]:
    """Return one page for each contact, newest first.

    Raises:
        Invalid, CursorInvalid
    """
    return await MESSAGES.pages_by_owner(workspace_id, "x.contact_id", ids, NEWEST_FIRST, slice, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, MessageRow]:
    """Return those of the messages that are there, by key."""
    return await MESSAGES.by_ids(workspace_id, ids)
