"""Each list of recipients in each order is a walk along one index: no row is sorted, and only the page is read."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain import turns
from domain.database import fetch, tx
from domain.reading import recipients
from domain.reading.filters import EVERYTHING, RecipientFilter
from domain.reading.pages import Slice
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.world import World, make_world

Planned = list[str]


@pytest.fixture
async def world(workspace_id: UUID, actor: Actor, vault: Vault) -> World:
    return await make_world(workspace_id, actor, vault, people=30)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, workspace_id: UUID) -> Planned:
    """The plans of the statements that reading sends, with sorting and reading whole tables made dear."""
    plans: Planned = []

    async def noted(sql: str, *args: Any) -> list[asyncpg.Record]:
        async def work(t: Any) -> str:
            for way in ("seqscan", "sort", "incremental_sort", "bitmapscan"):
                await t.execute(f"SET LOCAL enable_{way} = off")
            return "\n".join(row[0] for row in await t.fetch(f"EXPLAIN {sql}", *args))

        plans.append(await tx(workspace_id, work, rings=False))
        return await fetch(sql, *args)

    monkeypatch.setattr(recipients, "fetch", noted)
    return plans


OF_SEQUENCE = [
    # with one sequence in the workspace, both ways cost the same
    ("ENROLLED_AT_DESC", "recipients_by_(sequence|workspace)"),
    ("ENROLLED_AT_ASC", "recipients_by_(sequence|workspace)"),
    ("STATUS_CHANGED_AT_DESC", "recipients_by_status_change"),
    ("STATUS_CHANGED_AT_ASC", "recipients_by_status_change"),
    ("UPDATED_AT_DESC", "recipients_by_update"),
    ("UPDATED_AT_ASC", "recipients_by_update"),
    ("NEXT_ATTEMPT_AT_ASC", "recipients_by_due"),
    ("NEXT_ATTEMPT_AT_DESC", "recipients_by_due_latest"),
    ("CONTACT_NAME_ASC", "recipients_by_name"),
    ("CONTACT_NAME_DESC", "recipients_by_name"),
]


def test_every_order_is_looked_at() -> None:
    assert {order for order, _ in OF_SEQUENCE} == set(recipients.ORDERS)


@pytest.mark.parametrize(("order", "index"), OF_SEQUENCE)
@pytest.mark.parametrize("deeper", [False, True])
async def test_a_page_of_a_sequence_walks_along_the_index_of_its_order(
    workspace_id: UUID, world: World, planned: Planned, order: str, index: str, deeper: bool
) -> None:
    asked = RecipientFilter(sequence_id=world.sequence_id)
    first = await recipients.page(workspace_id, filter=asked, order=recipients.ORDERS[order], slice=Slice(first=5))
    if deeper:
        rest = Slice(first=5, after=first.cursor(4))
        await recipients.page(workspace_id, filter=asked, order=recipients.ORDERS[order], slice=rest)
    assert re.search(f"using {index} on recipients", planned[-1]), planned[-1]
    assert "Sort" not in planned[-1], planned[-1]


async def test_the_newest_of_a_workspace_walk_along_their_index(
    workspace_id: UUID, world: World, planned: Planned
) -> None:
    await recipients.page(workspace_id, filter=EVERYTHING, slice=Slice(first=5))
    assert "using recipients_by_workspace on recipients" in planned[-1]
    assert "Sort" not in planned[-1]


async def test_what_is_due_is_found_mailbox_by_mailbox_along_the_queue(world: World) -> None:
    plans: Planned = []

    async def work(t: Any) -> None:
        await t.execute("SET LOCAL enable_seqscan = off")
        found = await t.fetch(f"EXPLAIN {turns.CLAIMS[turns.EMAILS]}", 10, 5, [], [], timedelta(seconds=60), [])
        plans.append("\n".join(row[0] for row in found))

    await tx(None, work, rings=False)
    # One look whether anything is due, then its sequences one by one, and the next of each. Which of the two indexes
    # the last look takes is a tie where so few are there; both begin with the mailbox.
    looks = re.findall(r"using (\w+) on recipients", plans[0])
    assert set(looks) == {"recipients_due_by_mailbox", "recipients_due_by_queue"}, plans[0]
    assert len(looks) == plans[0].count(" on recipients r") >= 3, plans[0]
