"""What happens to the other things of a workspace is told: complete, in order, after a cursor too."""

import asyncio
import random
from datetime import timedelta
from typing import Any

from domain import contacts, feed, keys, retention, workspace_feed
from domain.contacts import ContactFields
from domain.database import Tx, fetch, tx
from domain.rules.event_types import WorkspaceEventType, chosen_types
from domain.rules.ids import Prefix, new_id, to_public
from tests.api.conftest import Api, Socket, mbx, seq

EVENTS = """subscription ($types: [String!], $after: String) { workspaceEvents(types: $types, after: $after) {
    cursor type subjectId subject { __typename id } } }"""


async def _started(socket: Socket, **variables: Any) -> str:
    """Subscribe, and return the cursor from which on everything comes."""
    await socket.start(EVENTS, variables)
    told = await socket.any_message()
    assert told["type"] == "ping", told
    cursor: str = told["payload"]["cursor"]
    return cursor


async def _events(socket: Socket, count: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(count):
        message = await socket.message()
        assert message["type"] == "next", message
        found.append(message["payload"]["data"]["workspaceEvents"])
    return found


async def test_mailboxes_sequences_contacts_and_tasks_are_told_and_gone_on_with_after_a_cursor(api: Api) -> None:
    async with api.socket() as socket:
        start = await _started(socket)
        world = await api.world(people=1)
        await api.change("sequencePause", {"id": seq(world.sequence_id)}, "sequence { id }")
        live = []
        while not live or live[-1]["type"] != "sequence.status_changed" or len(live) < 4:
            live += await _events(socket, 1)
    kinds = [event["type"] for event in live]
    assert {"mailbox.connected", "sequence.created", "contact.created", "sequence.status_changed"} <= set(kinds)
    by_type = {event["type"]: event for event in live}
    assert by_type["mailbox.connected"]["subject"] == {"__typename": "Mailbox", "id": mbx(world.mailbox_id)}
    assert by_type["sequence.created"]["subjectId"] == seq(world.sequence_id)
    assert by_type["contact.created"]["subject"]["__typename"] == "Contact"

    async with api.socket() as again:  # all of it after the first cursor, the rest after one in the middle
        await again.start(EVENTS, {"after": start})
        assert [event["cursor"] for event in await _events(again, len(live))] == [event["cursor"] for event in live]
        await again.start(EVENTS, {"after": live[1]["cursor"], "types": ["sequence.*"]})
        rest = [event for event in live[2:] if event["type"].startswith("sequence.")]
        assert await _events(again, len(rest)) == rest


async def test_readers_between_many_writers_get_every_event_once_in_one_order(api: Api) -> None:
    chance = random.Random(7)

    async def write(number: int) -> None:
        async def work(t: Tx) -> None:
            await t.execute(
                "INSERT INTO workspace_events (workspace_id, type, subject_id) VALUES ($1, 'contact.created', $2)",
                t.workspace_id,
                new_id(),
            )
            if chance.random() < 0.3:
                await asyncio.sleep(0.01)  # later ones commit before it
            if number % 10 == 0:
                raise ZeroDivisionError

        try:
            await tx(api.workspace_id, work, rings=False)
        except ZeroDivisionError:
            return

    begin = (await workspace_feed.after(api.workspace_id, None)).cursor
    writing = asyncio.gather(*(write(number) for number in range(200)))
    seen: list[int] = []
    cursor = begin
    while not writing.done() or len(seen) < 180:
        found = await workspace_feed.after(api.workspace_id, cursor, limit=7)
        cursor = found.cursor
        seen += [event.seq for event in found.events]
        await asyncio.sleep(0)
    rows = await fetch("SELECT id FROM workspace_events WHERE workspace_id = $1 ORDER BY xid, id", api.workspace_id)
    assert seen == [row["id"] for row in rows]
    assert len(seen) == 180


async def test_old_ones_are_removed_and_a_cursor_before_them_or_of_another_epoch_is_told(api: Api) -> None:
    start = (await workspace_feed.after(api.workspace_id, None)).cursor
    await api.world(people=3)
    await fetch(
        "WITH u AS (UPDATE workspace_events SET recorded_at = now() - interval '60 days' WHERE workspace_id = $1 "
        "RETURNING 1) SELECT count(*) FROM u",
        api.workspace_id,
    )
    while await retention.prune(timedelta(days=30)):
        pass
    assert not await fetch("SELECT 1 FROM workspace_events WHERE workspace_id = $1", api.workspace_id)
    for cursor, code in ((start, "RESYNC_REQUIRED"), ((await feed.state(api.workspace_id)).cursor, "BAD_USER_INPUT")):
        async with api.socket() as socket:
            await socket.start(EVENTS, {"after": cursor})
            message = await socket.message()
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == code
    now = (await workspace_feed.after(api.workspace_id, None)).cursor
    assert (await workspace_feed.after(api.workspace_id, now)).events == []


async def test_another_workspace_hears_nothing_and_an_unknown_type_is_refused(api: Api) -> None:
    other = await keys.create_workspace("Other")
    named = ContactFields(values={"email": "somebody@people.example"})
    async with api.socket() as socket:
        await _started(socket, types=["contact.*"])
        await contacts.upsert(other, named)
        mine = await contacts.upsert(api.workspace_id, named)
        (event,) = await _events(socket, 1)
        assert event["subjectId"] == to_public(Prefix.CONTACT, mine)
        await socket.start(EVENTS, {"types": ["contact.vanished"]})
        message = await socket.message()
    assert message["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "contact.vanished" in message["payload"][0]["message"]


def test_kinds_and_names_of_types_are_understood() -> None:
    found, unknown = chosen_types(["bulk.*", "mailbox.changed", "bulk.ended", "x.*"])
    assert found == ["bulk.started", "bulk.progressed", "bulk.ended", "mailbox.changed"]
    assert unknown == ["x.*"]
    assert len(WorkspaceEventType) == 19
