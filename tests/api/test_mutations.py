"""The mutations do what they say, and answer with the object as it is now."""

from typing import Any

import pytest

from domain import feed, pending, settling
from domain.database import fetch
from tests.api.conftest import Api, rcp, seq, stp
from tests.world import email, task

STEPS = [
    {"kind": "AUTOMATED_EMAIL", "subject": "Hello {{ first_name }}", "body": "Dear {{ first_name }}"},
    {"kind": "TASK", "taskKind": "CALL", "taskTitle": "Call", "wait": {"amount": 2, "unit": "BUSINESS_DAYS"}},
]


async def test_the_whole_path_from_mailbox_to_enrolment(api: Api) -> None:
    mailbox = await api.change(
        "mailboxCreate",
        {"address": "jobs@sender.example", "smtpHost": "localhost", "smtpPassword": "right", "smtpUsername": "jobs"},
        "mailbox { id address state dailyLimit minimumGapSeconds }",
    )
    assert mailbox["mailbox"]["state"] == "CONNECTED"
    assert mailbox["mailbox"]["minimumGapSeconds"] == 60
    mailbox_id = mailbox["mailbox"]["id"]
    connected = await api.change("mailboxConnect", {"id": mailbox_id}, "mailbox { state }")
    assert connected == {"mailbox": {"state": "CONNECTED"}, "errors": []}
    created = await api.change(
        "sequenceCreate",
        {"name": "Outreach", "steps": STEPS, "mailboxIds": [mailbox_id], "settings": {"timeZone": "Europe/Paris"}},
        """sequence { id status mailboxes { id } steps { kind taskKind wait { amount unit } }
            settings { timeZone stopOnReply reenrolment } }""",
    )
    sequence = created["sequence"]
    assert sequence["status"] == "DRAFT"
    assert sequence["mailboxes"] == [{"id": mailbox_id}]
    assert sequence["steps"][1] == {"kind": "TASK", "taskKind": "CALL", "wait": {"amount": 2, "unit": "BUSINESS_DAYS"}}
    assert sequence["settings"] == {"timeZone": "Europe/Paris", "stopOnReply": True, "reenrolment": "AFTER_END"}
    activated = await api.change("sequenceActivate", {"id": sequence["id"]}, "sequence { status }")
    assert activated["sequence"] == {"status": "ACTIVE"}
    enrolled = await api.change(
        "recipientsEnroll",
        {
            "sequenceId": sequence["id"],
            "contacts": [{"contact": {"email": f"p{n}@people.example", "firstName": f"P{n}"}} for n in range(100)],
        },
        "results { recipient { id status contact { firstName } sequence { id } mailbox { id } } } succeeded failed",
    )
    assert (enrolled["succeeded"], enrolled["failed"]) == (100, 0)
    assert [r["recipient"]["contact"]["firstName"] for r in enrolled["results"]] == [f"P{n}" for n in range(100)]
    assert enrolled["results"][7]["recipient"]["mailbox"] == {"id": mailbox_id}


async def test_a_mailbox_whose_sign_in_fails_is_disconnected_and_says_why(api: Api) -> None:
    made = await api.change(
        "mailboxCreate",
        {"address": "jobs@sender.example", "smtpHost": "localhost", "smtpPassword": "wrong", "smtpUsername": "jobs"},
        "mailbox { id }",
    )
    id = made["mailbox"]["id"]
    payload = await api.change("mailboxConnect", {"id": id}, "mailbox { state stateCode }")
    assert payload["mailbox"] == {"state": "DISCONNECTED", "stateCode": "MAILBOX_CREDENTIALS_REFUSED"}
    (error,) = payload["errors"]
    assert error["code"] == "MAILBOX_NOT_CONNECTED"
    assert "jobs@sender.example" in error["message"]
    assert error["suggestedFix"]["code"] == "RECONNECT_MAILBOX"
    assert error["suggestedFix"]["targetId"] == id
    fixed = await api.change(
        "mailboxUpdate", {"id": id, "smtpPassword": "right", "dailyLimit": 5}, "mailbox { dailyLimit }"
    )
    assert fixed["mailbox"] == {"dailyLimit": 5}
    assert (await api.change("mailboxConnect", {"id": id}, "mailbox { state }"))["mailbox"] == {"state": "CONNECTED"}
    off = await api.change("mailboxDisconnect", {"id": id}, "mailbox { state }")
    assert off["mailbox"] == {"state": "DISCONNECTED"}


async def test_left_out_keeps_and_null_clears(api: Api) -> None:
    made = await api.change(
        "contactUpsert",
        {"email": "Ann@People.example", "firstName": "Ann", "company": "Acme", "fields": {"role": "CTO", "floor": 3}},
        "contact { id email fields }",
    )
    id = made["contact"]["id"]
    changed = await api.change(
        "contactUpsert",
        {"id": id, "firstName": None, "fields": {"role": None}},
        "contact { id firstName company fields }",
    )
    assert changed["contact"] == {"id": id, "firstName": None, "company": "Acme", "fields": {"floor": 3}}
    mailbox = await api.change(
        "mailboxCreate",
        {"address": "jobs@sender.example", "smtpHost": "localhost", "displayName": "Jo"},
        "mailbox { id displayName }",
    )
    id = mailbox["mailbox"]["id"]
    kept = await api.change("mailboxUpdate", {"id": id, "dailyLimit": 9}, "mailbox { displayName }")
    assert kept["mailbox"] == {"displayName": "Jo"}
    cleared = await api.change("mailboxUpdate", {"id": id, "displayName": None}, "mailbox { displayName dailyLimit }")
    assert cleared["mailbox"] == {"displayName": None, "dailyLimit": 9}


async def test_a_window_is_kept_changed_and_taken_away(api: Api) -> None:
    window = {"weekdays": ["FRIDAY", "MONDAY"], "opens": "09:00", "closes": "24:00", "timeZone": "Europe/Paris"}
    made = await api.change("sequenceCreate", {"name": "X", "settings": {"window": window}}, "sequence { id }")
    id = made["sequence"]["id"]
    selection = "sequence { name settings { stopOnReply window { weekdays closes } } }"
    kept = await api.change("sequenceUpdate", {"id": id, "settings": {"stopOnReply": False}}, selection)
    assert kept["sequence"]["settings"] == {
        "stopOnReply": False,
        "window": {"weekdays": ["MONDAY", "FRIDAY"], "closes": "24:00"},
    }
    gone = await api.change("sequenceUpdate", {"id": id, "name": "Y", "settings": {"window": None}}, selection)
    assert gone["sequence"] == {"name": "Y", "settings": {"stopOnReply": False, "window": None}}


async def test_the_actions_lead_where_the_table_says(api: Api) -> None:
    world = await api.world(steps=[email(), email(), email()])
    id = rcp(world.recipient_ids[0])
    first, second, _ = (stp(step) for step in world.step_ids)
    paused = await api.change("recipientPause", {"id": id}, "inFlight recipient { status pausedBy availableActions }")
    assert paused == {
        "inFlight": 0,
        "recipient": {"status": "PAUSED", "pausedBy": "RECIPIENT", "availableActions": ["RESUME", "STOP", "DELETE"]},
        "errors": [],
    }
    resumed = await api.change("recipientResume", {"id": id}, "recipient { status version }")
    assert resumed["recipient"] == {"status": "SCHEDULED", "version": 3}
    skipped = await api.change(
        "recipientSkipStep", {"id": id, "stepId": first}, "recipient { status currentStep { id } }"
    )
    assert skipped["recipient"] == {"status": "IN_PROGRESS", "currentStep": {"id": second}}
    again = await api.change("recipientSkipStep", {"id": id, "stepId": first}, "recipient { id }")
    assert again["errors"][0]["code"] == "ACTION_NOT_AVAILABLE"
    edited = await api.change(
        "recipientEditContent",
        {"id": id, "stepId": second, "subject": "For you"},
        "recipient { steps { step { id } subject edited } }",
    )
    assert edited["recipient"]["steps"][1] == {"step": {"id": second}, "subject": "For you", "edited": True}
    reset = await api.change(
        "recipientEditContent", {"id": id, "stepId": second, "reset": True}, "recipient { steps { edited } }"
    )
    assert reset["recipient"]["steps"][1] == {"edited": False}
    retried = await api.change("recipientRetry", {"id": id}, "recipient { id }")
    assert retried["errors"][0]["code"] == "RETRY_NOT_AVAILABLE"
    stopped = await api.change("recipientStop", {"id": id}, "inFlight recipient { status endReason }")
    assert stopped["recipient"] == {"status": "STOPPED", "endReason": "STOPPED"}
    deleted = await api.change("recipientDelete", {"id": id}, "deletedId")
    assert deleted == {"deletedId": id, "errors": []}
    assert (await api.change("recipientDelete", {"id": id}, "deletedId"))["errors"][0]["code"] == "NOT_FOUND"


async def test_one_action_for_many_answers_for_each_in_order(api: Api) -> None:
    world = await api.world(people=5)
    ids = [rcp(key) for key in world.recipient_ids]
    await api.change("recipientPause", {"id": ids[1]}, "recipient { id }")
    payload = await api.change(
        "recipientsApply",
        {"ids": [*ids, "nonsense"], "action": "PAUSE"},
        "succeeded failed results { id recipient { id status } errors { code } }",
    )
    assert (payload["succeeded"], payload["failed"]) == (4, 2)
    assert [result["id"] for result in payload["results"]] == [*ids, "nonsense"]
    assert payload["results"][1]["errors"] == [{"code": "ACTION_NOT_AVAILABLE"}]
    assert payload["results"][2]["recipient"] == {"id": ids[2], "status": "PAUSED"}
    assert payload["results"][5]["errors"] == [{"code": "INVALID"}]
    gone = await api.change(
        "recipientsApply", {"ids": ids, "action": "DELETE"}, "succeeded results { recipient { id } }"
    )
    assert (gone["succeeded"], gone["results"][0]["recipient"]) == (5, None)


async def test_a_sequence_says_how_many_still_follow_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await api.world(people=5)
    monkeypatch.setattr(settling, "AT_ONCE", 2)
    selection = "sequence { status settling { remaining } }"
    paused = await api.change("sequencePause", {"id": seq(world.sequence_id)}, selection)
    assert paused["sequence"] == {"status": "PAUSED", "settling": {"remaining": 3}}
    while await settling.settle_batch(api.workspace_id, world.sequence_id):
        pass
    settled = await api.ask(
        "query ($id: ID!) { node(id: $id) { ... on Sequence { settling { remaining } } } }",
        {"id": seq(world.sequence_id)},
    )
    assert settled == {"node": {"settling": None}}


async def test_a_sequence_goes_through_its_statuses(api: Api) -> None:
    world = await api.world(people=3)
    id = seq(world.sequence_id)
    paused = await api.change("sequencePause", {"id": id}, "inFlight sequence { status }")
    assert paused == {"inFlight": 0, "sequence": {"status": "PAUSED"}, "errors": []}
    refused = await api.change("recipientResume", {"id": rcp(world.recipient_ids[0])}, "recipient { id }")
    assert refused["errors"][0]["code"] == "ACTION_NOT_AVAILABLE"
    resumed = await api.change("sequenceResume", {"id": id}, "sequence { status }")
    assert resumed["sequence"] == {"status": "ACTIVE"}
    selection = "sequence { status } errors { ... on SequenceActionNotAvailableError { openRecipients } }"
    kept = await api.change("sequenceArchive", {"id": id}, selection)
    assert kept["errors"][0]["openRecipients"] == 3
    archived = await api.change("sequenceArchive", {"id": id, "stopOpenRecipients": True}, selection)
    assert archived["sequence"] == {"status": "ARCHIVED"}
    assert await settling.settle_batch(api.workspace_id, world.sequence_id) == 0  # as a worker does in a second
    back = await api.change("sequenceUnarchive", {"id": id}, "sequence { status }")
    assert back["sequence"] == {"status": "PAUSED"}
    assert (await api.change("sequenceDelete", {"id": id}, "deletedId"))["errors"] != []
    draft = await api.change("sequenceCreate", {"name": "Draft"}, "sequence { id }")
    added = await api.change(
        "stepAdd",
        {"sequenceId": draft["sequence"]["id"], "step": {"kind": "TASK", "taskTitle": "Call"}},
        "stepId sequence { steps { id taskKind } }",
    )
    assert added["sequence"]["steps"] == [{"id": added["stepId"], "taskKind": "OTHER"}]
    deleted = await api.change("sequenceDelete", {"id": draft["sequence"]["id"]}, "deletedId")
    assert deleted["deletedId"] == draft["sequence"]["id"]


async def test_a_task_is_completed_once_and_the_second_person_is_told_by_whom(api: Api) -> None:
    world = await api.world(steps=[task(), task("Again")])
    assert await pending.put_due_before_people() == 1
    found: Any = await api.ask("{ pendingActions { nodes { id } } }")
    (waiting,) = found["pendingActions"]["nodes"]
    done = await api.change("taskComplete", {"id": waiting["id"], "note": "Spoke"}, "recipient { id status }")
    assert done["recipient"] == {"id": rcp(world.recipient_ids[0]), "status": "IN_PROGRESS"}
    again = await api.change(
        "pendingActionSkip",
        {"id": waiting["id"]},
        """recipient { id } errors { ... on PendingActionNotAvailableError {
            outcome availableActions closedBy { kind name } } }""",
    )
    (error,) = again["errors"]
    assert error["code"] == "PENDING_ACTION_NOT_AVAILABLE"
    assert (error["outcome"], error["availableActions"]) == ("COMPLETED", [])
    assert error["closedBy"] == {"kind": "API_KEY", "name": "tests"}


async def test_the_answer_comes_before_the_number_and_the_event_follows(api: Api) -> None:
    world = await api.world()
    before = await feed.state(api.workspace_id)
    await api.change("recipientPause", {"id": rcp(world.recipient_ids[0])}, "recipient { status }")
    await feed.number()
    events = await feed.after(api.workspace_id, before.cursor)
    assert [event.status for event in events][-1] == "PAUSED"
    assert (await fetch("SELECT count(*) AS n FROM events WHERE seq IS NULL"))[0]["n"] == 0


async def test_a_mistake_of_ours_is_masked_with_an_id_and_the_other_mutations_stand(api: Api) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret words")

    api.process.try_mailbox = broken
    made = await api.change(
        "mailboxCreate", {"address": "jobs@sender.example", "smtpHost": "localhost"}, "mailbox { id }"
    )
    response = await api.post(
        """mutation ($id: ID!) { good: sequenceCreate(input: {name: "X"}) { sequence { name } }
            bad: mailboxConnect(input: {id: $id}) { mailbox { id } } }""",
        {"id": made["mailbox"]["id"]},
    )
    answer = response.json()
    assert answer["data"] == {"good": {"sequence": {"name": "X"}}, "bad": None}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["bad"], "INTERNAL_SERVER_ERROR")
    assert error["extensions"]["errorId"] in error["message"]
    assert "secret" not in response.text
    assert "ZeroDivision" not in response.text
