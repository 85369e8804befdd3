"""The queries, executed against the real database: what they show, what they cost, what they refuse."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.schema import schema
from domain import feed, signals
from domain import recipients as acts
from domain.database import fetch
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.ids import Prefix, new_id, to_public
from domain.rules.lifecycle import Signal, Status
from domain.secrets import Vault
from tests.engine.standing import make_standing
from tests.reading.asking import Reader
from tests.reading.population import populate
from tests.world import World, email, make_world


@pytest.fixture
def reader(workspace_id: UUID, actor: Actor, vault: Vault) -> Reader:
    return Reader(workspace_id, actor, vault)


@asynccontextmanager
async def statements(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """The statements that are sent meanwhile, on whatever connection."""
    sent: list[str] = []
    plain = asyncpg.Connection._execute  # what every way to send a statement goes through

    async def noted(self: Any, query: str, *args: Any, **more: Any) -> Any:
        if not query.startswith("NOTIFY"):  # the ring of an earlier change
            sent.append(query)
        return await plain(self, query, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "_execute", noted)
        yield sent


SCREEN = """
query Screen($first: Int) {
  recipients(first: $first) {
    eventsCursor totalCount pageInfo { hasNextPage endCursor }
    statusCounts { status count }
    nodes {
      id status statusMessage stage needsAttention opens availableActions waitingReason nextAttemptAt version enrolledAt
      enrolledBy { kind name }
      contact { id firstName lastName email company suppressed emailState }
      sequence { id name status settings { timeZone window { weekdays opens } } steps { id } statusCounts { count } }
      mailbox { id address state sentLast24Hours waitingRecipients }
      currentStep { id position subject wait { amount unit } }
      nextStep { id position }
      pendingAction { id kind taskTitle availableActions }
      openErrors { totalCount nodes { id code message suggestedFix { code message targetId } step { id } } }
      messages { nodes { id state at } }
      events(first: 3) { nodes { id type } }
      steps { state editable step { id } message { id } }
    }
  }
}
"""


async def test_a_screen_of_50_costs_as_many_statements_as_one_of_2(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, people=50)
    for recipient_id in world.recipient_ids:  # each with an open error, so that nothing is left out for want of one
        fact = Fact(signal=Signal.DELIVERY_FAILED, recipient_id=recipient_id, actor=ENGINE)
        await signals.apply(workspace_id, fact)
    while await feed.number():
        pass
    costs = []
    for first in (2, 11, 50):
        async with statements(monkeypatch) as sent:
            data = await reader.ask(SCREEN, first=first)
        assert len(data["recipients"]["nodes"]) == first
        costs.append(len(sent))
    assert costs[0] == costs[1] == costs[2] <= 20, costs


GROUPED = """
query ($first: Int) {
  errorGroups(first: $first) {
    nodes {
      id message count retryableCount target { id ... on Step { subject } } retry { retried }
      recipients(first: 3) { totalCount nodes { id openErrors { nodes { availableActions } } } }
    }
  }
}
"""


async def test_many_groups_of_errors_cost_as_many_statements_as_one(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email() for _ in range(8)], people=8)
    for step_id, recipient_id in zip(world.step_ids, world.recipient_ids, strict=True):
        fact = Fact(
            signal=Signal.DELIVERY_FAILED,
            recipient_id=recipient_id,
            actor=ENGINE,
            step_id=step_id,
            code="RECIPIENT_REFUSED_CONTENT",
        )
        await signals.apply(workspace_id, fact)
    costs = []
    for first in (1, 8):
        async with statements(monkeypatch) as sent:
            data = await reader.ask(GROUPED, first=first)
        assert len(data["errorGroups"]["nodes"]) == first
        costs.append(len(sent))
    assert costs[0] == costs[1] <= 6, costs


async def test_the_main_list_is_one_statement(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_standing(workspace_id, actor, vault, 5)
    async with statements(monkeypatch) as sent:
        data = await reader.ask(
            "{ recipients { nodes { id externalId status stage needsAttention opens endReason version enrolledAt "
            "statusChangedAt updatedAt repliedAt availableActions actions { action available unavailableReason } "
            "waitingReason nextAttemptAt contact { id email firstName lastName company } currentStep { id subject } "
            "mailbox { id address } sequence { id name } pendingAction { id } } } }"
        )
    assert len(data["recipients"]["nodes"]) == 50
    assert len(sent) == 1


async def test_every_status_says_what_is_happening(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    _, standing = await make_standing(workspace_id, actor, vault, 1)
    data = await reader.ask(
        "{ recipients { nodes { id status statusMessage needsAttention opens pendingAction { taskTitle } } } }"
    )
    by_id = {node["id"]: node for node in data["recipients"]["nodes"]}
    shown = {status: by_id[to_public(Prefix.RECIPIENT, ids[0])] for status, ids in standing.items()}
    assert {status: node["status"] for status, node in shown.items()} == {status: status for status in Status}
    messages = {status: node["statusMessage"] for status, node in shown.items()}
    assert messages[Status.SCHEDULED].startswith("Waiting until ")
    assert messages[Status.SCHEDULED].endswith(" UTC for step 1.")
    assert messages[Status.IN_PROGRESS].endswith(" UTC for step 2.")
    assert messages[Status.PENDING_ACTION] == "The task of step 3 waits for a person."
    assert messages[Status.PAUSED] == "Paused by a person."
    assert messages[Status.ERROR].startswith("Step 1 failed: This person's mailbox is full")
    assert messages[Status.COMPLETED] == "Every step was carried out or skipped."
    assert {status for status, node in shown.items() if node["needsAttention"]} == {Status.PENDING_ACTION, Status.ERROR}
    assert (shown[Status.PENDING_ACTION]["opens"], shown[Status.ERROR]["opens"]) == ("TASK", "ERRORS")
    assert shown[Status.PENDING_ACTION]["pendingAction"] == {"taskTitle": "Call"}


async def test_the_same_page_comes_as_edges_and_through_fragments(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, people=3)
    data = await reader.ask(
        """
        query { recipients(first: 2, orderBy: {field: CONTACT_NAME, direction: ASC}) { ...Page } }
        fragment Page on RecipientConnection {
          total: totalCount edges { cursor node { ...Person } } pageInfo { endCursor } }
        fragment Person on Recipient { ... on Node { id } who: contact { email } next: nextStep { position } }
        """
    )
    page = data["recipients"]
    assert [edge["node"]["who"]["email"] for edge in page["edges"]] == ["p0@people.example", "p1@people.example"]
    assert [edge["node"]["next"] for edge in page["edges"]] == [{"position": 2}] * 2
    assert (page["total"], page["pageInfo"]["endCursor"]) == (3, page["edges"][-1]["cursor"])
    rest = await reader.ask(
        "query ($after: String) { recipients(after: $after, orderBy: {field: CONTACT_NAME, direction: ASC}) "
        "{ nodes { contact { email } } } }",
        after=page["pageInfo"]["endCursor"],
    )
    assert [node["contact"]["email"] for node in rest["recipients"]["nodes"]] == ["p2@people.example"]


async def test_the_cursor_of_a_page_and_the_events_after_it_miss_nothing(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, people=2)
    await feed.number()
    page = (await reader.ask("{ recipients { eventsCursor nodes { id version } } }"))["recipients"]
    await acts.pause(workspace_id, actor, world.recipient_ids[0])
    await feed.number()
    data = await reader.ask(
        """query ($after: String) { recipientEvents(after: $after) { pageInfo { hasNextPage } nodes {
          id cursor type recipientId sequenceId previousStatus status version actor { kind id name } step { id }
          recipient { id status version contact { email } } } } }""",
        after=page["eventsCursor"],
    )
    (event,) = data["recipientEvents"]["nodes"]
    assert event["recipientId"] == to_public(Prefix.RECIPIENT, world.recipient_ids[0])
    assert (event["previousStatus"], event["status"], event["version"]) == ("SCHEDULED", "PAUSED", 2)
    assert event["actor"]["name"] == "tests"
    assert event["recipient"]["contact"] == {"email": "p0@people.example"}
    await acts.delete(workspace_id, actor, world.recipient_ids[0])
    await feed.number()
    data = await reader.ask(
        "query ($after: String) { recipientEvents(after: $after) { nodes { type status recipient { id } } } }",
        after=event["cursor"],
    )
    assert data["recipientEvents"]["nodes"] == [{"type": "recipient.deleted", "status": None, "recipient": None}]


async def test_the_second_mutation_of_a_document_shows_what_it_made(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault)
    data = await reader.ask(
        """mutation ($id: ID!) {
          a: recipientPause(input: {id: $id}) { recipient { status version contact { suppressed } } }
          b: recipientResume(input: {id: $id}) { recipient { status version contact { suppressed } } } }""",
        id=to_public(Prefix.RECIPIENT, world.recipient_ids[0]),
    )
    assert [data[name]["recipient"]["status"] for name in "ab"] == ["PAUSED", "SCHEDULED"]
    assert [data[name]["recipient"]["version"] for name in "ab"] == [2, 3]


def test_no_argument_says_null_by_default() -> None:
    assert "= null" not in schema.as_str()


async def test_the_viewer_is_the_key(reader: Reader, actor: Actor) -> None:
    data = await reader.ask("{ viewer { workspace { name } apiKey { id name } actor { kind id name } } }")
    key = {"id": to_public(Prefix.API_KEY, actor.id or new_id()), "name": "tests"}
    assert data["viewer"] == {"workspace": {"name": "Acme"}, "apiKey": key, "actor": key | {"kind": "API_KEY"}}


async def test_filters_of_the_schema_reach_the_engine(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    population = await populate(workspace_id, actor, vault, 1)
    paused = to_public(Prefix.SEQUENCE, population.paused_id)
    data = await reader.ask(
        """query ($seq: ID!) {
          paused: recipients(filter: {status: {eq: PAUSED}, sequenceId: $seq}) { totalCount nodes { status pausedBy } }
          others: recipients(filter: {status: {notIn: [PAUSED]}, sequenceId: $seq}) { nodes { status } }
          stages: recipients(filter: {stage: {in: [FINISHED, ERROR]}}) { nodes { stage } }
          due: recipients(filter: {nextAttemptAt: {gt: "2000-01-01T00:00:00Z"}, not: {sequenceId: $seq}}) { totalCount }
          either: recipients(filter: {or: [{status: {eq: ERROR}}, {needsAttention: true}]}) { nodes { status } }
          inside: sequences(filter: {ids: [$seq]}) { nodes { name
            recipients(filter: {status: {in: [PAUSED]}}, first: 1) { totalCount nodes { id contact { email } }
              statusCounts { status count } stageCounts { stage count } } } }
        }""",
        seq=paused,
    )
    assert data["paused"] == {"totalCount": 2, "nodes": [{"status": "PAUSED", "pausedBy": "SEQUENCE"}] * 2}
    assert data["others"]["nodes"] == [{"status": "STOPPED"}]
    assert {node["stage"] for node in data["stages"]["nodes"]} == {"FINISHED", "ERROR"}
    assert data["due"]["totalCount"] > 5
    assert sorted(node["status"] for node in data["either"]["nodes"]) == ["ERROR", "PENDING_ACTION"]
    (inside,) = data["inside"]["nodes"]
    assert (inside["name"], inside["recipients"]["totalCount"]) == ("Paused one", 2)
    counts = {entry["status"]: entry["count"] for entry in inside["recipients"]["statusCounts"]}
    assert counts == {str(status): 0 for status in Status} | {"PAUSED": 2, "STOPPED": 1}


async def test_far_relations_lead_back(reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world: World = (await make_standing(workspace_id, actor, vault, 1))[0]
    data = await reader.ask(
        """{
          stepErrors(filter: {open: true, codes: [MAILBOX_FULL]}) { totalCount nodes { id availableActions
            recipient { id status contact { email stepErrors { nodes { code } } recipients { nodes { id } } } } } }
          pendingActions { nodes { id kind taskTitle availableActions closedBy { name }
            recipient { status } step { position } } }
        }"""
    )
    (error,) = data["stepErrors"]["nodes"]
    assert (error["recipient"]["status"], error["availableActions"]) == ("ERROR", ["RETRY"])
    assert error["recipient"]["contact"]["stepErrors"]["nodes"] == [{"code": "MAILBOX_FULL"}]
    assert error["recipient"]["contact"]["recipients"]["nodes"] == [{"id": error["recipient"]["id"]}]
    (pending,) = data["pendingActions"]["nodes"]
    assert pending["availableActions"] == ["COMPLETE", "SKIP"]
    assert (pending["recipient"]["status"], pending["step"]["position"]) == ("PENDING_ACTION", 3)
    rows = await fetch("SELECT 1 FROM recipients WHERE sequence_id = $1", world.sequence_id)
    assert len(rows) == len(Status)


def test_everything_in_the_schema_is_described() -> None:
    missing = []
    for name, type_ in schema._schema.type_map.items():
        if name.startswith("__"):
            continue
        if not type_.description:
            missing.append(name)
        for field_name, field in getattr(type_, "fields", {}).items():
            if not field.description:
                missing.append(f"{name}.{field_name}")
            missing += [
                f"{name}.{field_name}({arg})" for arg, a in getattr(field, "args", {}).items() if not a.description
            ]
        for value_name, value in (getattr(type_, "values", None) or {}).items():
            if not value.description:
                missing.append(f"{name}.{value_name}")
    assert missing == []


def test_no_plain_field_is_loaded_row_by_row() -> None:
    from api.types.fields import AttributeLoadsMore, attribute

    class Promise:
        def __await__(self) -> Any:
            yield

    class Row:
        contact = Promise()

    with pytest.raises(AttributeLoadsMore, match=r"Row\.contact"):
        attribute(Row(), "contact")
