"""Changes arrive while they happen: complete, once, in order, over a real graphql-transport-ws exchange."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from domain import feed, keys, recipients
from domain.database import fetch
from domain.rules.ids import new_id
from tests.api.conftest import Api, rcp, seq, serving
from tests.world import make_world

EVENTS = """subscription ($after: String, $sequence: ID, $recipients: [ID!]) {
    recipientEvents(after: $after, sequenceId: $sequence, recipientIds: $recipients) {
        id cursor type recipientId status version actor { kind name } recipient { id status contact { email } } } }"""


async def _cursor(api: Api) -> str:
    await feed.number()
    return (await feed.state(api.workspace_id)).cursor


async def _error(api: Api, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """The one error that ends the operation."""
    async with api.socket() as socket:
        await socket.start(query, variables)
        message = await socket.message()
        assert message["type"] == "error", message
        (error,) = message["payload"]
        return dict(error)


async def test_a_change_through_the_api_arrives_without_any_worker(api: Api) -> None:
    world = await api.world()
    after = await _cursor(api)
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": after})
        await api.change("recipientPause", {"id": rcp(world.recipient_ids[0])}, "recipient { id }")
        (event,) = await socket.events(1)
    assert event["type"] == "recipient.status_changed"
    assert (event["status"], event["version"]) == ("PAUSED", 2)
    assert event["actor"] == {"kind": "API_KEY", "name": "tests"}
    assert event["recipient"] == {
        "id": event["recipientId"],
        "status": "PAUSED",
        "contact": {"email": "p0@people.example"},
    }


async def test_a_cursor_replays_what_was_missed_and_goes_on_live(api: Api) -> None:
    start = await _cursor(api)
    world = await api.world(people=3)
    await feed.number()
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": start})
        missed = await socket.events(3)
        for key in world.recipient_ids:
            await recipients.pause(api.workspace_id, api.actor, key)
        live = await socket.events(3)
    assert [event["type"] for event in missed] == ["recipient.enrolled"] * 3
    assert [event["status"] for event in live] == ["PAUSED"] * 3
    stored = await feed.after(api.workspace_id, start)
    assert [event["cursor"] for event in missed + live] == [event.cursor for event in stored]


async def test_a_reader_reconnecting_at_every_event_misses_and_doubles_none(api: Api) -> None:
    cursor = await _cursor(api)
    await api.world(people=5)
    seen = []
    for _ in range(5):
        async with api.socket() as socket:
            await socket.start(EVENTS, {"after": cursor})
            (event,) = await socket.events(1)
            seen.append(event["recipientId"])
            cursor = event["cursor"]
    assert len(set(seen)) == 5


async def test_a_subscriber_is_told_when_it_has_everything_and_where_it_stands_while_nothing_is_for_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.ring.QUIET_SECONDS", 0.2)
    start = await _cursor(api)
    world = await api.world(people=2)
    watched, other = world.recipient_ids
    here = await _cursor(api)
    async with api.socket() as socket:
        id = await socket.start(EVENTS, {"after": start, "recipients": [rcp(watched)]})
        assert (await socket.any_message())["type"] == "next"
        told = await socket.any_message()
        assert told == {"type": "ping", "payload": {"id": id, "cursor": here, "live": True}}
        await recipients.pause(api.workspace_id, api.actor, other)
        here = await _cursor(api)
        for _ in range(20):
            if (told := await socket.any_message())["payload"]["cursor"] == here:
                break
        assert told == {"type": "ping", "payload": {"id": id, "cursor": here, "live": True}}
    async with api.socket() as socket:  # nothing is missed by who goes on from there
        await socket.start(EVENTS, {"after": here})
        await recipients.pause(api.workspace_id, api.actor, watched)
        (event,) = await socket.events(1)
    assert event["recipientId"] == rcp(watched)


async def test_the_arguments_choose_who_receives(api: Api) -> None:
    start = await _cursor(api)
    world = await api.world(people=3)
    first, second, _ = world.recipient_ids
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": start, "recipients": [rcp(second)]})
        (enrolled,) = await socket.events(1)
        await recipients.pause(api.workspace_id, api.actor, first)
        await recipients.stop(api.workspace_id, api.actor, second)
        (stopped,) = await socket.events(1)
    assert {enrolled["recipientId"], stopped["recipientId"]} == {rcp(second)}
    assert stopped["status"] == "STOPPED"


async def test_a_deleted_recipient_is_told_and_is_null(api: Api) -> None:
    world = await api.world()
    after = await _cursor(api)
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": after, "sequence": seq(world.sequence_id)})
        await recipients.delete(api.workspace_id, api.actor, world.recipient_ids[0])
        (event,) = await socket.events(1)
    assert (event["type"], event["status"], event["recipient"]) == ("recipient.deleted", None, None)


async def test_another_workspace_hears_nothing(api: Api) -> None:
    after = await _cursor(api)
    other = await keys.create_workspace("Other")
    await make_world(other, api.actor, api.vault)
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": after})
        world = await api.world()
        (event,) = await socket.events(1)
    assert event["recipientId"] == rcp(world.recipient_ids[0])


async def test_equal_subscribers_share_one_execution(api: Api) -> None:
    world = await api.world()
    after = await _cursor(api)
    async with api.socket() as one, api.socket() as two:
        await one.start(EVENTS, {"after": after})
        await two.start(EVENTS, {"after": after, "sequence": seq(world.sequence_id)})
        await recipients.pause(api.workspace_id, api.actor, world.recipient_ids[0])
        first, second = await one.message(), await two.message()
    assert first["payload"]["data"] == second["payload"]["data"]
    assert first["payload"]["extensions"] == second["payload"]["extensions"]  # the id of the one execution


async def test_different_selections_and_variables_are_answered_apart(api: Api) -> None:
    world = await api.world()
    after = await _cursor(api)
    asking = "subscription ($after: String, $with: Boolean!) { recipientEvents(after: $after) { version ...F } } "
    asking += "fragment F on RecipientEvent { status @include(if: $with) }"
    async with api.socket() as socket:
        with_status = await socket.start(asking, {"after": after, "with": True})
        without = await socket.start(asking, {"after": after, "with": False})
        await recipients.pause(api.workspace_id, api.actor, world.recipient_ids[0])
        found = {}
        for _ in range(2):
            message = await socket.message()
            found[message["id"]] = message["payload"]["data"]["recipientEvents"]
    assert found == {with_status: {"version": 2, "status": "PAUSED"}, without: {"version": 2}}


async def test_a_lost_and_a_repeated_message_of_redis_make_no_difference(api: Api) -> None:
    world = await api.world(people=1)
    (key,) = world.recipient_ids
    after = await _cursor(api)
    redis = Redis.from_url(api.process.settings.redis_url)
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": after})
        await recipients.pause(api.workspace_id, api.actor, key)
        lost = await feed.number()
        await recipients.resume(api.workspace_id, api.actor, key)
        late = await feed.number()
        for message in (late, lost, late):
            if message:
                await redis.publish(feed.WIRE_CHANNEL, feed.to_wire(message))
        await recipients.stop(api.workspace_id, api.actor, key)
        events = await socket.events(3)
    await redis.aclose()
    assert [event["version"] for event in events] == [2, 3, 4]


async def test_numbered_changes_come_through_redis_at_once(api: Api) -> None:
    world = await api.world()
    after = await _cursor(api)
    redis = Redis.from_url(api.process.settings.redis_url)
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": after})
        await recipients.pause(api.workspace_id, api.actor, world.recipient_ids[0])
        numbered = await feed.number()
        if numbered:
            await redis.publish(feed.WIRE_CHANNEL, feed.to_wire(numbered))
        await asyncio.wait_for(socket.events(1), 5)
    await redis.aclose()


async def test_without_redis_the_poll_brings_everything(settings: Any, api: Api) -> None:
    async with serving(replace(settings, redis_url="redis://127.0.0.1:1")) as deaf:
        after = await _cursor(api)
        api.url = f"http://127.0.0.1:{deaf.config.port}"
        async with api.socket() as socket:
            await socket.start(EVENTS, {"after": after})
            await api.world()
            await socket.events(1)


async def test_a_cursor_of_another_epoch_ends_with_one_resync(api: Api) -> None:
    after = await _cursor(api)
    await feed.start_new_epoch()
    error = await _error(api, EVENTS, {"after": after})
    assert error["extensions"]["code"] == "RESYNC_REQUIRED"
    assert error["extensions"]["cursor"] == await _cursor(api)


async def test_a_restore_ends_those_who_are_listening(api: Api) -> None:
    after = await _cursor(api)
    async with api.socket() as socket:
        await socket.start(EVENTS, {"after": after})
        await asyncio.sleep(0.2)
        await feed.start_new_epoch()
        message = await socket.message()
    assert message["payload"][0]["extensions"]["code"] == "RESYNC_REQUIRED"
    assert message["type"] == "error"


async def test_a_reader_too_far_behind_is_told_to_read_afresh(api: Api) -> None:
    start = await _cursor(api)
    await fetch("WITH u AS (UPDATE feeds SET last_seq = last_seq + 6000 RETURNING 1) SELECT count(*) FROM u")
    error = await _error(api, EVENTS, {"after": start})
    assert error["extensions"]["code"] == "RESYNC_REQUIRED"


@pytest.mark.parametrize(
    ("variables", "code", "reason"),
    [
        ({"after": "nonsense"}, "BAD_USER_INPUT", "CURSOR_INVALID"),
        ({"sequence": "nonsense"}, "BAD_USER_INPUT", "INVALID"),
        ({"sequence": seq(new_id())}, "NOT_FOUND", None),
        ({"recipients": [rcp(new_id())] * 201}, "BAD_USER_INPUT", "INVALID"),
        ({"after": 5}, "BAD_USER_INPUT", None),
    ],
)
async def test_wrong_arguments_end_the_operation_with_a_code(
    api: Api, variables: dict[str, Any], code: str, reason: str | None
) -> None:
    error = await _error(api, EVENTS, variables)
    assert (error["extensions"]["code"], error["extensions"].get("reason")) == (code, reason)
    assert error["extensions"]["requestId"].startswith("req_")
