"""Contacts: pages, some by id, and what is known about writing to them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.database import fetch
from domain.reading.columns import columns_of, to_contact
from domain.reading.filters import SEARCH_LENGTH, named
from domain.reading.lists import Listing
from domain.reading.pages import AT_MOST, FIRST_PAGE, Order, Page, Parameters, Slice
from domain.reading.rows import AddressStanding, ContactRow
from domain.refusals import Invalid
from domain.rules.addresses import address_key
from domain.suppression import IN_FORCE

NEWEST_FIRST: Final = Order(mark="con.created_at_desc", column="c.created_at", id_column="c.id")
CONTACTS: Final = Listing(
    columns=columns_of("c", ContactRow.COLUMNS),
    source="FROM contacts c",
    living=("c.workspace_id = $1", "c.erased_at IS NULL"),
    make=to_contact,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFilter:
    """Which contacts. None does not filter."""

    ids: Collection[UUID] | None = None
    external_ids: Collection[str] | None = None
    email: str | None = None
    search: str | None = None

    def check(self) -> None:
        """Raises:
        Invalid: it is out of bounds.
        """
        for name, given in (("ids", self.ids), ("externalIds", self.external_ids)):
            if given is not None and len(given) > AT_MOST:
                raise Invalid(f"`{name}` takes at most {AT_MOST} ids.", field=["filter", name])
        if self.search is not None and len(self.search) > SEARCH_LENGTH:
            raise Invalid(f"`search` takes at most {SEARCH_LENGTH} characters.", field=["filter", "search"])

    def conditions(self, p: Parameters) -> list[str]:
        found = []
        if self.ids is not None:
            found.append(f"c.id = ANY({p.add(list(self.ids), 'uuid[]')})")
        if self.external_ids is not None:
            found.append(f"c.external_id = ANY({p.add(list(self.external_ids), 'text[]')})")
        if self.email is not None:
            found.append(f"c.email_key = {p.add(address_key(self.email.strip()), 'text')}")
        if self.search is not None and self.search.strip():
            found.append(named(self.search, p))
        return found


async def page(
    workspace_id: UUID, *, filter: ContactFilter = ContactFilter(), slice: Slice = FIRST_PAGE, counted: bool = False
) -> Page[ContactRow]:
    """Return one page, newest first.

    Raises:
        Invalid, CursorInvalid
    """
    filter.check()
    return await CONTACTS.page(workspace_id, NEWEST_FIRST, slice, filter.conditions, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, ContactRow]:
    """Return those of the contacts that are there, by key."""
    return await CONTACTS.by_ids(workspace_id, ids)


async def by_external_id(workspace_id: UUID, external_id: str) -> ContactRow | None:
    """Return the contact that a partner calls so; None when there is none."""
    found = await page(workspace_id, filter=ContactFilter(external_ids=[external_id]))
    return found.rows[0] if found.rows else None


async def standing(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, AddressStanding]:
    """Return what is known about writing to these contacts."""
    rows = await fetch(
        f"""
        SELECT c.id, {IN_FORCE} AS suppressed, CASE WHEN c.email IS NULL THEN 'MISSING'
            WHEN c.email_bounced_at IS NOT NULL THEN 'BOUNCED'
            WHEN EXISTS (SELECT FROM messages x WHERE x.workspace_id = $1 AND x.contact_id = c.id AND x.state = 'SENT'
                AND lower(x.to_address) = c.email_key) THEN 'DELIVERABLE'
            ELSE 'UNKNOWN' END AS email_state
        FROM contacts c WHERE c.workspace_id = $1 AND c.id = ANY($2::uuid[])
        """,
        workspace_id,
        list(ids),
    )
    return {row["id"]: AddressStanding(row["email_state"], row["suppressed"]) for row in rows}
