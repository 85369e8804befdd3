"""Live edits through the API: the counts of a dry run, the edit itself, and what is refused."""

from typing import Any

from domain import recipients
from tests.api.conftest import Api, rcp, seq, stp
from tests.world import IN_AN_HOUR, email

_STEPS = "sequence { steps { id subject wait { amount unit } } } effects { effect count }"


async def test_a_dry_run_counts_and_changes_nothing_and_the_edit_does_what_it_said(api: Api) -> None:
    world = await api.world(steps=[email(subject="One", wait=IN_AN_HOUR), email(subject="Two")], people=3)
    one, two = (stp(step_id) for step_id in world.step_ids)
    await recipients.skip_step(api.workspace_id, api.actor, world.recipient_ids[0], world.step_ids[0])
    step: dict[str, Any] = {"kind": "AUTOMATED_EMAIL", "subject": "Between", "body": "Hello"}
    place = {"sequenceId": seq(world.sequence_id), "step": step, "beforeStepId": two}
    dry = await api.change("stepAdd", place | {"dryRun": True}, f"stepId {_STEPS}")
    assert dry["stepId"] is None
    assert dry["effects"] == [
        {"effect": "NEXT_STEP_CHANGED", "count": 1},
        {"effect": "REACHES_LATER", "count": 2},
    ]
    assert [found["subject"] for found in dry["sequence"]["steps"]] == ["One", "Two"]
    added = await api.change("stepAdd", place, f"stepId {_STEPS}")
    assert [found["subject"] for found in added["sequence"]["steps"]] == ["One", "Between", "Two"]
    assert added["effects"] == []
    here = await api.ask(
        "query ($id: ID!) { node(id: $id) { ... on Recipient { currentStep { id } nextStep { id } } } }",
        {"id": rcp(world.recipient_ids[0])},
    )
    assert here["node"] == {"currentStep": {"id": added["stepId"]}, "nextStep": {"id": two}}
    dry = await api.change("stepMove", {"id": one, "dryRun": True}, _STEPS)
    assert dry["effects"] == [  # whoever has done it goes on from its new place, and nothing lies behind that
        {"effect": "NEXT_STEP_CHANGED", "count": 2},
        {"effect": "COMPLETED", "count": 1},
    ]
    moved = await api.change("stepMove", {"id": one}, _STEPS)
    assert [found["subject"] for found in moved["sequence"]["steps"]] == ["Between", "Two", "One"]
    wait = {"amount": 3, "unit": "DAYS"}
    changed = await api.change("stepUpdate", {"id": two, "subject": "Second", "wait": wait}, _STEPS)
    assert changed["sequence"]["steps"][1] == {"id": two, "subject": "Second", "wait": wait}
    removed = await api.change("stepRemove", {"id": two, "dryRun": True}, _STEPS)
    assert removed["effects"] == [{"effect": "NOT_TOUCHED", "count": 2}]
    removed = await api.change("stepRemove", {"id": two}, _STEPS)
    assert [found["subject"] for found in removed["sequence"]["steps"]] == ["Between", "One"]
    again = await api.change("stepRemove", {"id": two}, _STEPS)
    assert [error["code"] for error in again["errors"]] == ["NOT_FOUND"]
    broken = await api.change("stepUpdate", {"id": one, "body": "{{ broken"}, _STEPS)
    assert [(error["code"], error["field"]) for error in broken["errors"]] == [("INVALID", ["body"])]


async def test_a_duplicate_has_the_same_steps_and_nobody_in_it(api: Api) -> None:
    world = await api.world(people=2)
    made = await api.change(
        "sequenceDuplicate",
        {"id": seq(world.sequence_id), "name": "Once more"},
        "sequence { name status steps { subject } mailboxes { id } recipients { totalCount } }",
    )
    assert made["sequence"] | {"mailboxes": len(made["sequence"]["mailboxes"])} == {
        "name": "Once more",
        "status": "DRAFT",
        "steps": [{"subject": "Hello {{ first_name }}"}] * 2,
        "mailboxes": 1,
        "recipients": {"totalCount": 0},
    }
