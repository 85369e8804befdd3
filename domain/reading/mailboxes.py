"""Mailboxes and their use."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from domain.database import fetch
from domain.reading.columns import columns_of, to_mailbox
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Slice
from domain.reading.rows import MailboxRow, MailboxUse
from domain.turns import HANDED_OVER, LIMIT_NOW

BY_ADDRESS: Final = Order(
    mark="mbx.address_asc", column="m.address_key", id_column="m.id", type="text", descending=False
)
MAILBOXES: Final = Listing(
    columns=columns_of("m", MailboxRow.COLUMNS),
    source="FROM mailboxes m",
    living=("m.workspace_id = $1",),
    make=to_mailbox,
)


async def page(workspace_id: UUID, *, slice: Slice = FIRST_PAGE, counted: bool = False) -> Page[MailboxRow]:
    """Return one page, by address.

    Raises:
        Invalid, CursorInvalid
    """
    return await MAILBOXES.page(workspace_id, BY_ADDRESS, slice, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, MailboxRow]:
    """Return those of the mailboxes that are there, by key."""
    return await MAILBOXES.by_ids(workspace_id, ids)


async def use(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, MailboxUse]:
    """Return how these mailboxes are used: handed over within 24 hours, due but waiting for the turn, and how the
    reading of their mail goes."""
    rows = await fetch(
        f"""
        SELECT m.id, {LIMIT_NOW} AS limit_now,
            (SELECT count(*) FROM ({HANDED_OVER}) x) AS sent,
            (SELECT count(*) FROM recipients r JOIN sequences s ON s.workspace_id = $1 AND s.id = r.sequence_id
                WHERE r.workspace_id = $1 AND r.mailbox_id = m.id AND r.due_kind = 'AUTOMATED_EMAIL'
                AND s.status = 'ACTIVE'
                AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds))
            + (SELECT count(*) FROM recipients r JOIN sequences s ON s.workspace_id = $1 AND s.id = r.sequence_id
                WHERE r.workspace_id = $1 AND r.sms_mailbox_id = m.id AND r.due_kind = 'SMS'
                AND s.status = 'ACTIVE'
                AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds)) AS waiting,
            m.imap_host, k.read_at, k.problem_code, k.problem_words
        FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id
        LEFT JOIN mailbox_watches k ON k.workspace_id = m.workspace_id AND k.mailbox_id = m.id
        WHERE m.workspace_id = $1 AND m.id = ANY($2::uuid[])
        """,
        workspace_id,
        list(ids),
    )
    return {
        row["id"]: MailboxUse(
            row["limit_now"],
            row["sent"],
            row["waiting"],
            read=row["imap_host"] is not None,
            read_at=row["read_at"],
            reading_problem_code=row["problem_code"],
            reading_problem_words=row["problem_words"],
        )
        for row in rows
    }
