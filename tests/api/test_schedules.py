"""The future of a recipient and of a sequence, asked of the API, and what the engine then does."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain import authoring, pending
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.rules.ids import Prefix, to_public
from domain.rules.outcomes import Sent
from domain.rules.timing import Wait, WaitUnit
from tests.api.conftest import Api, rcp, seq, stp
from tests.api.incoming_world import due
from tests.engine.sending_world import advance, carry, set_row
from tests.world import IN_AN_HOUR, World, email, task

_SCHEDULE = """{ timeZone assumptions
    steps { step { id kind } waitEndsAt expectedAt movedBy daysOff { date reason name } } }"""
_OF_RECIPIENT = f"query ($id: ID!) {{ node(id: $id) {{ ... on Recipient {{ nextAttemptAt schedule {_SCHEDULE} }} }} }}"
_OF_SEQUENCE = f"""query ($id: ID!, $zone: String, $at: DateTime, $step: ID) {{
    sequenceSchedulePreview(sequenceId: $id, timeZone: $zone, startAt: $at, startStepId: $step) {_SCHEDULE} }}"""
TWO_DAYS = Wait(2, WaitUnit.BUSINESS_DAYS)
STEPS = (email(wait=IN_AN_HOUR), task(wait=IN_AN_HOUR), email(wait=TWO_DAYS))


def _window(weekdays: set[int]) -> dict[str, Any]:
    window = {"weekdays": sorted(weekdays), "opens": "09:00", "closes": "17:00", "time_zone": "Asia/Tokyo"}
    return window | {"use_recipient_time_zone": False, "blackout_dates": []}


async def _schedule(api: Api, world: World) -> tuple[list[datetime], dict[str, Any]]:
    node = (await api.ask(_OF_RECIPIENT, {"id": rcp(world.recipient_ids[0])}))["node"]
    found: dict[str, Any] = node["schedule"]
    return [datetime.fromisoformat(step["expectedAt"]) for step in found["steps"]], node


async def _now(api: Api) -> datetime:
    rows = await fetch(
        "SELECT now() + make_interval(secs => clock_offset_seconds) AS now FROM workspaces WHERE id = $1",
        api.workspace_id,
    )
    found: datetime = rows[0]["now"]
    return found


async def _pending(world: World) -> UUID | None:
    await pending.put_due_before_people()
    rows = await fetch("SELECT pending_id FROM recipients WHERE id = $1", world.recipient_ids[0])
    found: UUID | None = rows[0]["pending_id"]
    return found


async def test_what_the_schedule_shows_is_what_the_engine_then_does(api: Api) -> None:
    friday = datetime(2028, 5, 19, 7, 30, tzinfo=UTC)  # 16:30 in Tokyo
    await advance(api.workspace_id, friday - await _now(api))
    settings = SequenceSettings.from_json({"window": _window({0, 1, 2, 3, 4})})
    world = await api.world(steps=STEPS, settings=settings)
    expected, node = await _schedule(api, world)
    shown = node["schedule"]
    assert [step["step"]["id"] for step in shown["steps"]] == [stp(step_id) for step_id in world.step_ids]
    assert [at.isoformat()[:10] for at in expected] == ["2028-05-22", "2028-05-22", "2028-05-24"]
    assert (shown["timeZone"], shown["assumptions"]) == ("Asia/Tokyo", ["PERSON_ACTS_AT_ONCE"])
    assert datetime.fromisoformat(node["nextAttemptAt"]) == expected[0]
    for number, foreseen in enumerate(expected):
        at = (await _schedule(api, world))[0][0]
        assert abs(at - foreseen) < timedelta(minutes=5), "it is what it was, but for how long this test takes"
        await advance(api.workspace_id, at - await _now(api) - timedelta(minutes=1))
        assert (await due(api), await _pending(world)) == ([], None), "nothing before the time that was shown"
        await advance(api.workspace_id, at - await _now(api) + timedelta(seconds=2))
        if shown["steps"][number]["step"]["kind"] == "TASK":
            waiting = await _pending(world)
            assert waiting is not None, "and then at once"
            done = await api.change("taskComplete", {"id": to_public(Prefix.PENDING_ACTION, waiting)}, "__typename")
            assert done["errors"] == []
        else:
            claims = await due(api)
            assert len(claims) == 1, "and then at once"
            await carry(claims, Sent("250 taken"))
    assert (await _schedule(api, world))[1]["schedule"]["steps"] == []


async def test_the_next_message_waits_for_the_mailboxs_turn(api: Api) -> None:
    world = await api.world(steps=(email(), email(wait=IN_AN_HOUR)))
    turn_at = datetime.now(UTC) + timedelta(hours=5)
    await set_row("mailboxes", world.mailbox_id, next_send_at=turn_at, held_back_by="DAILY_LIMIT")
    expected, node = await _schedule(api, world)
    assert [step["movedBy"] for step in node["schedule"]["steps"]] == [["DAILY_LIMIT"], []]
    assert abs(expected[0] - turn_at) < timedelta(seconds=2)
    assert datetime.fromisoformat(node["nextAttemptAt"]) == turn_at
    assert expected[1] == expected[0] + timedelta(hours=1)
    await set_row("mailboxes", world.mailbox_id, state="DISCONNECTED")
    assert (await _schedule(api, world))[1]["schedule"]["assumptions"] == ["MAILBOX_SENDS"]


async def test_a_draft_shows_how_it_would_run(api: Api) -> None:
    window = SequenceSettings.from_json({"window": _window({0}) | {"use_recipient_time_zone": True}})
    sequence_id = await authoring.create(api.workspace_id, "Draft", STEPS, settings=window)
    sunday = datetime(2028, 5, 14, 22, tzinfo=UTC)
    asked = {"id": seq(sequence_id), "zone": "America/New_York", "at": sunday.isoformat()}
    found = (await api.ask(_OF_SEQUENCE, asked))["sequenceSchedulePreview"]
    assert (found["timeZone"], found["assumptions"]) == ("America/New_York", ["ACTIVATED_NOW", "PERSON_ACTS_AT_ONCE"])
    assert [step["expectedAt"][:16] for step in found["steps"]] == [
        "2028-05-15T13:00",  # Monday 09:00 in New York
        "2028-05-15T14:00",
        "2028-05-22T13:00",
    ]
    third = found["steps"][2]
    assert (third["waitEndsAt"][:16], third["movedBy"]) == ("2028-05-17T14:00", ["OUTSIDE_WINDOW"])
    assert [day["date"] for day in third["daysOff"]] == [f"2028-05-{day}" for day in range(17, 22)]
    assert {(day["reason"], day["name"]) for day in third["daysOff"]} == {("WEEKDAY", None)}
    rows = await fetch("SELECT id FROM steps WHERE sequence_id = $1 ORDER BY position", sequence_id)
    later = (await api.ask(_OF_SEQUENCE, asked | {"step": stp(rows[2]["id"])}))["sequenceSchedulePreview"]
    assert [step["expectedAt"][:16] for step in later["steps"]] == ["2028-05-22T13:00"]
    for wrong, field in (({"zone": "Mars/Olympus"}, "timeZone"), ({"step": stp(sequence_id)}, "startStepId")):
        answer = (await api.post(_OF_SEQUENCE, asked | wrong)).json()
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", field
    nothing = await api.ask(_OF_SEQUENCE, {"id": seq(rows[0]["id"])})
    assert nothing["sequenceSchedulePreview"] is None
