"""What bad input gets: a code, a sentence for a person, and no change."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain import keys
from domain.database import fetch
from domain.rules.ids import Prefix, new_id, to_public
from tests.api.conftest import SECRET_KEY, Api, rcp, seq, stp
from tests.world import email, make_world, task

ENROLL = "results { recipient { id } errors { code message field } } succeeded failed"


async def _count(api: Api, table: str) -> int:
    rows = await fetch(f"SELECT count(*) AS n FROM {table} WHERE workspace_id = $1", api.workspace_id)
    count: int = rows[0]["n"]
    return count


async def _enroll(api: Api, sequence: str, contacts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return await api.change("recipientsEnroll", {"sequenceId": sequence, "contacts": contacts, **more}, ENROLL)


@pytest.mark.parametrize(
    ("mutation", "extra"),
    [
        ("recipientPause", {}),
        ("recipientResume", {}),
        ("recipientSkipStep", {"stepId": stp(new_id())}),
        ("recipientEditContent", {"stepId": stp(new_id()), "body": "x"}),
        ("recipientStop", {}),
        ("recipientRetry", {}),
    ],
)
@pytest.mark.parametrize(
    ("id", "code"), [("nonsense", "INVALID"), (rcp(UUID(int=7)), "NOT_FOUND"), (seq(UUID(int=7)), "NOT_FOUND")]
)
async def test_an_unknown_id_is_told_by_every_action(
    api: Api, mutation: str, extra: dict[str, Any], id: str, code: str
) -> None:
    payload = await api.change(mutation, {"id": id} | extra, "recipient { id }")
    (error,) = payload["errors"]
    assert (payload["recipient"], error["code"], error["field"]) == (None, code, ["id"])


async def test_another_workspaces_ids_are_not_found_and_nothing_changes(api: Api) -> None:
    other = await keys.create_workspace("Other")
    world = await make_world(other, api.actor, api.vault, people=2, steps=[email(), task()])
    mine = await api.world()
    before = await fetch("SELECT id, version, status FROM recipients ORDER BY id")
    theirs, sequence, step = rcp(world.recipient_ids[0]), seq(world.sequence_id), stp(world.step_ids[0])
    mailbox = to_public(Prefix.MAILBOX, world.mailbox_id)
    rows = await fetch("SELECT contact_id FROM recipients WHERE id = $1", world.recipient_ids[0])
    contact, person = to_public(Prefix.CONTACT, rows[0]["contact_id"]), [{"contact": {"email": "a@b.example"}}]
    tried: list[tuple[str, dict[str, Any]]] = [
        ("recipientPause", {"id": theirs}),
        ("recipientStop", {"id": theirs}),
        ("recipientDelete", {"id": theirs}),
        ("recipientSkipStep", {"id": theirs, "stepId": step}),
        ("recipientEditContent", {"id": theirs, "stepId": step, "body": "x"}),
        ("recipientEditContent", {"id": rcp(mine.recipient_ids[0]), "stepId": step, "body": "x"}),
        ("sequencePause", {"id": sequence}),
        ("sequenceArchive", {"id": sequence, "stopOpenRecipients": True}),
        ("sequenceUpdate", {"id": sequence, "name": "Mine"}),
        ("sequenceUpdate", {"id": seq(mine.sequence_id), "mailboxIds": [mailbox]}),
        ("sequenceDelete", {"id": sequence}),
        ("stepAdd", {"sequenceId": sequence, "step": {"kind": "TASK", "taskTitle": "x"}}),
        ("mailboxUpdate", {"id": mailbox, "displayName": "x"}),
        ("mailboxConnect", {"id": mailbox}),
        ("mailboxDisconnect", {"id": mailbox}),
        ("recipientsEnroll", {"sequenceId": sequence, "contacts": person}),
        ("recipientsEnroll", {"sequenceId": seq(mine.sequence_id), "mailboxId": mailbox, "contacts": person}),
        ("contactUpsert", {"id": contact, "firstName": "X"}),
    ]
    for mutation, input in tried:
        payload = await api.change(mutation, input, "__typename")
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"], mutation
    assert await fetch("SELECT id, version, status FROM recipients ORDER BY id") == before
    name = (await fetch("SELECT name FROM sequences WHERE id = $1", world.sequence_id))[0]["name"]
    assert name == "Outreach"


async def test_an_empty_batch_is_refused(api: Api) -> None:
    world = await api.world(people=0)
    (error,) = (await _enroll(api, seq(world.sequence_id), []))["errors"]
    assert (error["code"], error["field"]) == ("INVALID", ["contacts"])
    (error,) = (await api.change("recipientsApply", {"ids": [], "action": "PAUSE"}, "succeeded"))["errors"]
    assert (error["code"], error["field"]) == ("INVALID", ["ids"])


async def test_101_contacts_are_refused_and_none_is_written(api: Api) -> None:
    world = await api.world(people=0)
    contacts = [{"contact": {"email": f"x{n}@people.example"}} for n in range(101)]
    (error,) = (await _enroll(api, seq(world.sequence_id), contacts))["errors"]
    assert error["code"] == "BATCH_TOO_LARGE"
    assert "101" in error["message"]
    assert "100" in error["message"]
    assert await _count(api, "contacts") == 0


async def test_a_malformed_contact_hinders_no_other_and_keeps_its_place(api: Api) -> None:
    world = await api.world(people=0)
    contacts = [
        {"contact": {"email": "no address"}},
        {"contact": {"email": "good@people.example", "timeZone": "Europe/Paris"}},
        {"contact": {"email": "zone@people.example", "timeZone": "Europe/Atlantis"}},
        {"contactId": "nonsense"},
        {"contact": {"email": "fields@people.example", "fields": [1]}},
        {"contact": {"email": "GOOD@people.example"}},
        {},
    ]
    payload = await _enroll(api, seq(world.sequence_id), contacts)
    assert (payload["succeeded"], payload["failed"], payload["errors"]) == (1, 6, [])
    told = [(result["errors"] or [{"code": None, "field": None}])[0] for result in payload["results"]]
    assert [error["code"] for error in told] == [
        "INVALID", None, "INVALID", "INVALID", "INVALID", "DUPLICATE_IN_BATCH", "INVALID",
    ]  # fmt: skip
    assert told[0]["field"] == ["email"]
    assert "Europe/Atlantis" in told[2]["message"]
    assert payload["results"][1]["recipient"]["id"].startswith("rcp_")
    assert await _count(api, "contacts") == 1


async def test_a_dry_run_answers_and_changes_nothing(api: Api) -> None:
    world = await api.world(people=0)
    payload = await _enroll(api, seq(world.sequence_id), [{"contact": {"email": "a@people.example"}}], dryRun=True)
    assert (payload["succeeded"], payload["results"][0]["recipient"]) == (1, None)
    assert await _count(api, "contacts") == await _count(api, "recipients") == 0


async def test_a_second_enrolment_names_the_open_recipient(api: Api) -> None:
    world = await api.world()
    payload = await api.change(
        "recipientsEnroll",
        {"sequenceId": seq(world.sequence_id), "contacts": [{"contact": {"email": "p0@people.example"}}]},
        "results { errors { code ... on AlreadyEnrolledError { recipient { id status } } } }",
    )
    assert payload["results"][0]["errors"] == [
        {"code": "ALREADY_ENROLLED", "recipient": {"id": rcp(world.recipient_ids[0]), "status": "SCHEDULED"}}
    ]


async def test_a_sequence_without_steps_takes_nobody_and_cannot_be_activated(api: Api) -> None:
    created = await api.change("sequenceCreate", {"name": "Empty"}, "sequence { id status }")
    id = created["sequence"]["id"]
    (error,) = (await _enroll(api, id, [{"contact": {"email": "a@people.example"}}]))["errors"]
    assert error["code"] == "SEQUENCE_EMPTY"
    payload = await api.change(
        "sequenceActivate",
        {"id": id},
        "sequence { id } errors { ... on SequenceActionNotAvailableError { sequenceStatus } "
        "... on ActionNotAvailableError { currentStatus availableActions } "
        "... on PendingActionNotAvailableError { pendingActions: availableActions } }",
    )
    assert payload["errors"][0]["code"] == "SEQUENCE_ACTION_NOT_AVAILABLE"
    assert payload["errors"][0]["sequenceStatus"] == "DRAFT"


@pytest.mark.parametrize(
    ("input", "field"),
    [
        ({"name": " "}, ["name"]),
        ({"name": "X", "settings": {"timeZone": "Mars/Base"}}, ["settings", "timeZone"]),
        (
            {
                "name": "X",
                "settings": {
                    "window": {"weekdays": ["MONDAY"], "opens": "9", "closes": "17:00", "timeZone": "UTC"},
                },
            },
            ["settings", "window", "opens"],
        ),
        (
            {
                "name": "X",
                "settings": {
                    "window": {"weekdays": ["MONDAY"], "opens": "17:00", "closes": "09:00", "timeZone": "UTC"},
                },
            },
            ["settings", "window", "closes"],
        ),
        (
            {
                "name": "X",
                "settings": {
                    "window": {"weekdays": ["MONDAY"], "opens": "09:00", "closes": "17:00", "timeZone": "Mars/Base"},
                },
            },
            ["settings", "window", "timeZone"],
        ),
        ({"name": "X", "steps": [{"kind": "AUTOMATED_EMAIL"}]}, ["steps.0", "body"]),
        ({"name": "X", "steps": [{"kind": "AUTOMATED_EMAIL", "subject": "{{", "body": "x"}]}, ["steps.0", "subject"]),
        ({"name": "X", "steps": [{"kind": "TASK"}]}, ["steps.0", "taskTitle"]),
        (
            {"name": "X", "steps": [{"kind": "TASK", "taskTitle": "t", "wait": {"amount": 400, "unit": "DAYS"}}]},
            ["steps.0", "wait", "amount"],
        ),
        ({"name": "X", "mailboxIds": ["x"]}, ["mailboxIds"]),
    ],
)
async def test_a_wrong_value_of_a_sequence_is_named(api: Api, input: dict[str, Any], field: list[str]) -> None:
    payload = await api.change("sequenceCreate", input, "sequence { id }")
    (error,) = payload["errors"]
    assert (payload["sequence"], error["code"], error["field"]) == (None, "INVALID", field)
    assert await _count(api, "sequences") == 0


async def test_an_external_id_is_taken_once(api: Api) -> None:
    await api.change("sequenceCreate", {"name": "X", "externalId": "e1"}, "sequence { id }")
    payload = await api.change("sequenceCreate", {"name": "Y", "externalId": "e1"}, "sequence { id }")
    assert [(e["code"], e["field"]) for e in payload["errors"]] == [("INVALID", ["externalId"])]


@pytest.mark.parametrize("start", ["2027-01-01T00:00:00", "0001-01-01T00:00:00Z"])
async def test_a_start_without_offset_or_reason_is_refused(api: Api, start: str) -> None:
    world = await api.world(people=0)
    payload = await _enroll(api, seq(world.sequence_id), [{"contact": {"email": "a@people.example"}}], startAt=start)
    assert [(e["code"], e["field"]) for e in payload["errors"]] == [("INVALID", ["startAt"])]


async def test_an_older_version_is_refused_with_what_is_available(api: Api) -> None:
    world = await api.world()
    payload = await api.change(
        "recipientPause",
        {"id": rcp(world.recipient_ids[0]), "expectedVersion": 7},
        "recipient { id } errors { ... on ActionNotAvailableError { currentStatus availableActions } }",
    )
    (error,) = payload["errors"]
    assert (error["code"], error["currentStatus"]) == ("VERSION_MISMATCH", "SCHEDULED")
    assert error["availableActions"] == ["PAUSE", "SKIP_STEP", "EDIT_CONTENT", "STOP", "DELETE"]


@pytest.mark.parametrize("action", ["PAUSE", "STOP", "SKIP_STEP"])
async def test_equal_actions_at_once_give_one_success_and_one_event(api: Api, action: str) -> None:
    world = await api.world(steps=[email(), email(), email()])
    mutation = {"PAUSE": "recipientPause", "STOP": "recipientStop", "SKIP_STEP": "recipientSkipStep"}[action]
    input = {"id": rcp(world.recipient_ids[0])} | ({"stepId": stp(world.step_ids[0])} if action == "SKIP_STEP" else {})
    payloads = await asyncio.gather(*(api.change(mutation, input, "recipient { status }") for _ in range(8)))
    refused = [payload["errors"][0]["code"] for payload in payloads if payload["errors"]]
    assert refused == ["ACTION_NOT_AVAILABLE"] * 7
    events = await fetch("SELECT version FROM events WHERE recipient_id = $1 ORDER BY version", world.recipient_ids[0])
    assert [event["version"] for event in events] == [1, 2]


async def test_a_foreign_cursor_of_the_feed_is_a_coded_error(api: Api) -> None:
    answer = (await api.post('{ recipientEvents(after: "zzz") { nodes { id } } }')).json()
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert SECRET_KEY.hex() not in str(answer)
