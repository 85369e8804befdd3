"""The inbox through the API: what waits, by every filter; what may be done, true in every state; each change live."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import authoring, enrolment, feed, pending, sequences, users
from domain.contacts import ContactFields
from domain.plans import SequenceSettings
from domain.rules.actor import Actor, ActorKind
from domain.rules.ids import Prefix, to_public
from domain.secrets import Vault
from tests.api.conftest import Api, rcp, seq
from tests.api.test_queries import statements
from tests.reading.asking import Reader
from tests.world import World, email, make_world, manual_email, task

IN_AN_HOUR = timedelta(hours=1)
INBOX = """query ($filter: PendingActionFilter, $first: Int, $after: String) {
    pendingActions(filter: $filter, first: $first, after: $after) {
        totalCount eventsCursor pageInfo { endCursor hasNextPage }
        nodes { id kind subject body scheduledFor availableActions version assignee { name } step { id }
            recipient { id opens contact { firstName } } closedBy { name } outcome } } }"""
SHOWN = "recipient { status waitingReason } pendingAction { scheduledFor availableActions outcome version }"


async def inbox(api: Api, **filter: Any) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await api.ask(INBOX, {"filter": filter}))["pendingActions"]["nodes"]
    return nodes


async def first_waiting(api: Api, **options: Any) -> tuple[World, str]:
    world = await api.world(**({"steps": [manual_email(), task()]} | options))
    await pending.put_due_before_people()
    (waiting,) = await inbox(api)
    return world, waiting["id"]


async def available(api: Api, id: str) -> list[str]:
    query = "query ($id: ID!) { node(id: $id) { ... on PendingAction { availableActions } } }"
    found: list[str] = (await api.ask(query, {"id": id}))["node"]["availableActions"]
    return found


def later(span: timedelta) -> str:
    return (datetime.now(UTC) + span).isoformat()


async def test_a_prepared_email_is_scheduled_taken_back_and_sent_and_says_so_each_time(api: Api) -> None:
    _, id = await first_waiting(api)
    scheduled = await api.change("pendingEmailSchedule", {"id": id, "at": later(IN_AN_HOUR)}, SHOWN)
    assert scheduled["recipient"] == {"status": "IN_PROGRESS", "waitingReason": "SEND_SCHEDULED"}
    assert scheduled["pendingAction"]["availableActions"] == ["SEND_NOW", "SCHEDULE", "CANCEL_SCHEDULE", "SKIP"]
    assert scheduled["pendingAction"]["scheduledFor"] is not None
    back = await api.change("pendingEmailUnschedule", {"id": id}, SHOWN)
    assert back["recipient"] == {"status": "PENDING_ACTION", "waitingReason": None}
    assert back["pendingAction"] == {
        "scheduledFor": None,
        "availableActions": ["SEND_NOW", "SCHEDULE", "SKIP"],
        "outcome": None,
        "version": 3,
    }
    sent = await api.change("pendingEmailSend", {"id": id, "subject": "Mine", "expectedVersion": 3}, SHOWN)
    assert sent["errors"] == []
    assert sent["recipient"]["status"] == "IN_PROGRESS"
    assert sent["pendingAction"]["availableActions"] == ["CANCEL_SCHEDULE", "SKIP"]
    again = await api.change(
        "pendingEmailSend",
        {"id": id},
        """recipient { id } errors { ... on PendingActionNotAvailableError {
            outcome availableActions closedBy { name } } }""",
    )
    (refusal,) = again["errors"]
    assert refusal["message"] == "tests released it already; it goes out at its mailbox's next turn."
    assert (refusal["outcome"], refusal["closedBy"]) == (None, {"name": "tests"})
    assert refusal["availableActions"] == ["CANCEL_SCHEDULE", "SKIP"]


async def test_refused_words_and_times_name_their_field(api: Api) -> None:
    _, id = await first_waiting(api)
    for input, field in (
        ({"id": id, "subject": " "}, "subject"),
        ({"id": id, "body": "{{ first_name }}"}, "body"),
        ({"id": id, "at": later(-IN_AN_HOUR)}, "at"),
    ):
        mutation = "pendingEmailSchedule" if "at" in input else "pendingEmailSend"
        payload = await api.change(mutation, input, "pendingAction { id } recipient { id }")
        assert (payload["errors"][0]["code"], payload["errors"][0]["field"]) == ("INVALID", [field])
        assert (payload["pendingAction"], payload["recipient"]) == (None, None)


async def test_the_inbox_is_filtered_by_sequence_kind_age_assignee_and_schedule(api: Api) -> None:
    ada = await users.create(api.workspace_id, "Ada")
    by_ada = Actor(ActorKind.USER, ada.id)
    first = await api.world(steps=[manual_email()], people=2)
    await pending.put_due_before_people()
    waiting = await inbox(api)
    emails = [node["id"] for node in waiting]

    calls = await authoring.create(api.workspace_id, "Calls", [task()], settings=SequenceSettings())
    await sequences.activate(api.workspace_id, calls)
    candidate = enrolment.Candidate(ContactFields(values={"email": "call@people.example"}))
    await enrolment.enroll(api.workspace_id, by_ada, enrolment.Enrolment(sequence_id=calls, candidates=[candidate]))
    between = datetime.now(UTC)
    await pending.put_due_before_people()
    (call,) = [node["id"] for node in await inbox(api) if node["id"] not in emails]
    await api.change("pendingEmailSchedule", {"id": emails[0], "at": later(IN_AN_HOUR)}, "recipient { id }")
    user = to_public(Prefix.USER, ada.id)
    assigned = await api.change(
        "pendingActionAssign", {"id": emails[1], "assigneeId": user}, "pendingAction { assignee { id name } }"
    )
    assert assigned["pendingAction"] == {"assignee": {"id": user, "name": "Ada"}}
    for filter, expected in (
        ({"sequenceId": seq(first.sequence_id)}, emails),
        ({"kinds": ["TASK"]}, [call]),
        ({"kinds": ["MANUAL_EMAIL"]}, emails),
        ({"dueSince": {"lt": between.isoformat()}}, emails),
        ({"dueSince": {"gte": between.isoformat()}}, [call]),
        ({"assigneeId": user}, [emails[1], call]),
        ({"assigned": False}, [emails[0]]),
        ({"assigned": True}, [emails[1], call]),
        ({"scheduled": True}, [emails[0]]),
        ({"scheduled": False, "kinds": ["MANUAL_EMAIL"]}, [emails[1]]),
        ({"recipientId": waiting[1]["recipient"]["id"], "open": True}, [emails[1]]),
        ({"open": False}, []),
    ):
        page = (await api.ask(INBOX, {"filter": filter}))["pendingActions"]
        assert [node["id"] for node in page["nodes"]] == expected, filter
        assert page["totalCount"] == len(expected), filter


async def test_the_pages_of_the_inbox_are_whole_and_cost_as_many_statements_however_long(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(workspace_id, actor, vault)
    await make_world(workspace_id, actor, vault, steps=[manual_email(), task()], people=30)
    await pending.put_due_before_people()
    counts = []
    for first in (2, 30):
        async with statements(monkeypatch) as sent:
            page = (await reader.ask(INBOX, first=first))["pendingActions"]
        assert (len(page["nodes"]), page["totalCount"]) == (first, 30)
        counts.append(len(sent))
    assert counts[0] == counts[1] <= 8
    seen: list[str] = []
    after = None
    while True:
        page = (await reader.ask(INBOX, first=7, after=after))["pendingActions"]
        seen += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert len(seen) == len(set(seen)) == 30


async def test_each_change_of_the_inbox_arrives_live_after_its_cursor(api: Api) -> None:
    _, id = await first_waiting(api)
    await feed.number()
    cursor = (await api.ask(INBOX))["pendingActions"]["eventsCursor"]
    watching = """subscription ($after: String) { recipientEvents(after: $after) {
        type status recipient { pendingAction { id subject availableActions scheduledFor } } } }"""
    steps: list[tuple[str, dict[str, Any], str, str, list[str] | None]] = [
        ("pendingEmailSchedule", {"at": later(IN_AN_HOUR)}, "action_scheduled", "IN_PROGRESS",
         ["SEND_NOW", "SCHEDULE", "CANCEL_SCHEDULE", "SKIP"]),
        ("pendingEmailUnschedule", {}, "action_unscheduled", "PENDING_ACTION", ["SEND_NOW", "SCHEDULE", "SKIP"]),
        ("pendingEmailSend", {"subject": "Live"}, "action_scheduled", "IN_PROGRESS", ["CANCEL_SCHEDULE", "SKIP"]),
        ("pendingActionSkip", {}, "step_skipped", "IN_PROGRESS", None),
    ]  # fmt: skip
    async with api.socket() as socket:
        await socket.start(watching, {"after": cursor})
        for mutation, input, type, status, actions in steps:
            payload = await api.change(mutation, {"id": id} | input, "recipient { id }")
            assert payload["errors"] == [], mutation
            (event,) = await socket.events(1)
            assert (event["type"], event["status"]) == (f"recipient.{type}", status)
            shown = event["recipient"]["pendingAction"]
            assert (shown and shown["availableActions"]) == actions
    assert await available(api, id) == []


async def test_a_click_on_a_pending_email_leads_to_the_email(api: Api) -> None:
    world, _ = await first_waiting(api, steps=[manual_email(), email()])
    query = "query ($id: ID!) { node(id: $id) { ... on Recipient { opens statusMessage needsAttention } } }"
    found = (await api.ask(query, {"id": rcp(world.recipient_ids[0])}))["node"]
    assert found == {
        "opens": "EMAIL",
        "statusMessage": "The email of step 1 waits for a person.",
        "needsAttention": True,
    }
