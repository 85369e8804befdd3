"""Pages: forward and backward they are the whole list, whatever the order; foreign cursors are refused."""

import random
from itertools import product
from uuid import UUID

import pytest

from domain import keys
from domain import recipients as acts
from domain.database import fetch
from domain.reading import contacts, mailboxes, messages, pending_actions, recipients, sequences, step_errors
from domain.reading.filters import EVERYTHING, RecipientFilter
from domain.reading.pages import AT_MOST, CursorInvalid, Order, Slice
from domain.reading.recipients import NEWEST_FIRST, ORDERS
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.rules.lifecycle import Status
from domain.secrets import Vault
from tests.reading.population import Population, populate
from tests.world import make_world

WHOLE = Slice(first=AT_MOST)


@pytest.fixture
async def population(workspace_id: UUID, actor: Actor, vault: Vault) -> Population:
    return await populate(workspace_id, actor, vault)


async def forward(workspace_id: UUID, order: Order, kept: RecipientFilter, size: int) -> list[UUID]:
    found: list[UUID] = []
    cursor = None
    for _ in range(300):
        page = await recipients.page(workspace_id, filter=kept, order=order, slice=Slice(first=size, after=cursor))
        assert page.has_previous_page == (cursor is not None)
        found += [row.key for row in page.rows]
        if not page.has_next_page:
            return found
        cursor = page.cursors[-1]
    raise AssertionError("the list does not end")


async def backward(workspace_id: UUID, order: Order, kept: RecipientFilter, size: int) -> list[UUID]:
    found: list[UUID] = []
    cursor = None
    for _ in range(300):
        page = await recipients.page(
            workspace_id, filter=kept, order=order, slice=Slice(first=None, last=size, before=cursor)
        )
        found = [row.key for row in page.rows] + found
        if not page.has_previous_page:
            return found
        cursor = page.cursors[0]
    raise AssertionError("the list does not begin")


async def test_pages_forward_and_backward_are_the_whole_list(workspace_id: UUID, population: Population) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    filters = [EVERYTHING, RecipientFilter(statuses=[Status.SCHEDULED]), RecipientFilter(needs_attention=False)]
    for order, kept in product(ORDERS.values(), filters):
        page = await recipients.page(workspace_id, filter=kept, order=order, slice=WHOLE)
        whole = [row.key for row in page.rows]
        for size in (chance.randint(1, 9), chance.randint(10, 60)):
            assert await forward(workspace_id, order, kept, size) == whole, (order.mark, size)
            assert await backward(workspace_id, order, kept, size) == whole, (order.mark, size)


_ATTRIBUTES = {
    "ENROLLED_AT": "enrolled_at",
    "STATUS_CHANGED_AT": "status_changed_at",
    "UPDATED_AT": "updated_at",
    "NEXT_ATTEMPT_AT": "due_at",
    "CONTACT_NAME": "sort_name",
}


async def test_a_list_is_sorted_with_what_is_not_set_last_and_ties_by_id(
    workspace_id: UUID, population: Population
) -> None:
    for name, order in ORDERS.items():
        page = await recipients.page(workspace_id, order=order, slice=WHOLE)
        field = name.rpartition("_")[0]
        values = [(getattr(row, _ATTRIBUTES[field]), row.key) for row in page.rows]
        known = [value for value in values if value[0] is not None]
        assert [value[0] for value in values[len(known) :]] == [None] * (len(values) - len(known))
        if field != "CONTACT_NAME":  # text is sorted as the database sorts text
            assert known == sorted(known, reverse=name.endswith("DESC"))


async def test_between_two_cursors_lies_what_lies_between(workspace_id: UUID, population: Population) -> None:
    order = ORDERS["NEXT_ATTEMPT_AT_DESC"]
    page = await recipients.page(workspace_id, order=order, slice=WHOLE)
    for start, end in ((2, 9), (10, len(page.rows) - 2), (len(page.rows) - 6, len(page.rows) - 1)):
        between = Slice(first=AT_MOST, after=page.cursors[start], before=page.cursors[end])
        found = await recipients.page(workspace_id, order=order, slice=between)
        assert [row.key for row in found.rows] == [row.key for row in page.rows[start + 1 : end]]


async def test_a_page_stays_right_while_rows_come_and_go(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make_world(workspace_id, actor, vault, people=12)
    first = await recipients.page(workspace_id, slice=Slice(first=5))
    last_seen = first.rows[-1]
    await acts.delete(workspace_id, actor, last_seen.key)
    await acts.delete(workspace_id, actor, first.rows[0].key)
    rest = await recipients.page(workspace_id, slice=Slice(first=50, after=first.cursors[-1]))
    seen = {row.key for row in first.rows}
    assert {row.key for row in rest.rows} == set(world.recipient_ids) - seen


async def test_pages_of_many_owners_are_the_pages_of_each(workspace_id: UUID, population: Population) -> None:
    owners = [population.active.sequence_id, population.paused_id, population.draft_id]
    pages = await recipients.pages_by_owner(
        workspace_id, "sequence", owners, slice=Slice(first=3), wants={"total_count", "contact"}
    )
    for owner, page in zip(owners, pages, strict=True):
        kept = RecipientFilter(sequence_id=owner)
        alone = await recipients.page(workspace_id, filter=kept, slice=Slice(first=3), wants={"total_count", "contact"})
        assert page == alone


async def test_a_cursor_of_another_list_order_or_workspace_is_refused(
    workspace_id: UUID, population: Population, actor: Actor, vault: Vault
) -> None:
    other = (await recipients.page(workspace_id, order=ORDERS["CONTACT_NAME_ASC"])).cursors[0]
    of_contacts = (await contacts.page(workspace_id)).cursors[0]
    elsewhere = await keys.create_workspace("Other")
    await make_world(elsewhere, actor, vault)
    of_others = (await recipients.page(elsewhere)).cursors[0]
    for cursor in (other, of_contacts, of_others, "", "x", "ééé", "W10", "bnVsbA", "e30", other[:-3], "A" * 10_000):
        for given in (Slice(after=cursor), Slice(first=None, last=3, before=cursor)):
            with pytest.raises(CursorInvalid) as refused:
                await recipients.page(workspace_id, order=NEWEST_FIRST, slice=given)
            assert refused.value.code == "CURSOR_INVALID"


@pytest.mark.parametrize(
    "given", [Slice(first=201), Slice(first=-1), Slice(first=None, last=201), Slice(first=3, last=3)]
)
async def test_a_page_of_an_impossible_size_is_refused(workspace_id: UUID, given: Slice) -> None:
    with pytest.raises(Invalid):
        await recipients.page(workspace_id, slice=given)


async def test_a_page_of_nothing_knows_whether_there_is_more(workspace_id: UUID, population: Population) -> None:
    page = await recipients.page(workspace_id, slice=Slice(first=0))
    assert (list(page.rows), page.has_next_page) == ([], True)


async def test_the_other_lists_page_as_well(workspace_id: UUID, population: Population) -> None:
    for verb in (contacts.page, sequences.page, mailboxes.page, step_errors.page, pending_actions.page):
        whole = await verb(workspace_id, slice=WHOLE, counted=True)
        assert whole.total_count == len(whole.rows) > 0
        found = []
        cursor = None
        while True:
            page = await verb(workspace_id, slice=Slice(first=2, after=cursor))
            found += [row.key for row in page.rows]
            if not page.has_next_page:
                break
            cursor = page.cursors[-1]
        assert found == [row.key for row in whole.rows]
    rows = await fetch("SELECT recipient_id FROM messages WHERE workspace_id = $1", workspace_id)
    ids = [row["recipient_id"] for row in rows]
    pages = await messages.pages_of_recipients(workspace_id, ids, counted=True)
    assert [page.total_count for page in pages] == [1] * len(ids)
