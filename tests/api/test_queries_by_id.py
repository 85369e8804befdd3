"""Objects by their ids, and what another workspace sees of them: nothing."""

from uuid import UUID

import pytest

from domain import keys
from domain.rules.actor import Actor
from domain.rules.ids import Prefix, new_id, to_public
from domain.secrets import Vault
from tests.reading.asking import Reader
from tests.reading.population import populate


@pytest.fixture
def reader(workspace_id: UUID, actor: Actor, vault: Vault) -> Reader:
    return Reader(workspace_id, actor, vault)


async def test_any_object_is_found_by_its_id(reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    await populate(workspace_id, actor, vault, 1)
    ids = await ids_of_everything(reader)
    assert {text[:3] for text in ids} == {"con", "mbx", "seq", "stp", "rcp", "msg", "err", "pnd", "evt"}
    for text in ids:
        data = await reader.ask("query ($id: ID!) { node(id: $id) { __typename id } }", id=text)
        assert data["node"]["id"] == text
    data = await reader.ask(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Recipient { contact { id } steps { state } } "
        "... on StepError { recipient { status } } } }",
        ids=[*ids, ids[0], to_public(Prefix.RECIPIENT, new_id())],
    )
    assert [node and node["id"] for node in data["nodes"]] == [*ids, ids[0], None]


async def ids_of_everything(reader: Reader) -> list[str]:
    """One id of each kind of object."""
    data = await reader.ask(
        """{
          recipients(first: 1) { nodes { id } } contacts(first: 1) { nodes { id } } mailboxes(first: 1) { nodes { id } }
          sequences(first: 1) { nodes { id steps { id } } } stepErrors(first: 1) { nodes { id } }
          pendingActions(first: 1) { nodes { id } } recipientEvents(first: 1) { nodes { id } }
          messages: recipients(filter: {waitingReason: [BEING_SENT]}) { nodes { messages { nodes { id } } } }
        }"""
    )
    found = [page["nodes"][0]["id"] for name, page in data.items() if name != "messages"]
    found.append(data["sequences"]["nodes"][0]["steps"][0]["id"])
    found.append(data["messages"]["nodes"][0]["messages"]["nodes"][0]["id"])
    return found


async def test_another_workspace_gets_for_each_id_what_an_unknown_one_gets(
    reader: Reader, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await populate(workspace_id, actor, vault, 1)
    ids = await ids_of_everything(reader)
    other = await keys.create_workspace("Stranger")
    key = await keys.create(other, "theirs")
    stranger = Reader(other, Actor(actor.kind, key.id), vault)
    for text in ids:
        data = await stranger.ask("query ($id: ID!) { node(id: $id) { id } }", id=text)
        assert data == {"node": None}
    named = {text[:3]: text for text in ids}
    nothing = await stranger.ask(
        """query ($seq: ID!, $con: ID!, $mbx: ID!, $stp: ID!, $rcp: ID!) {
          a: recipients(filter: {sequenceId: $seq}) { totalCount nodes { id } }
          b: recipients(filter: {contactId: $con}) { totalCount nodes { id } }
          c: recipients(filter: {mailboxId: $mbx}) { totalCount nodes { id } }
          d: recipients(filter: {stepId: $stp}) { totalCount nodes { id } }
          e: recipients(filter: {ids: [$rcp]}) { totalCount nodes { id } }
          f: stepErrors { totalCount nodes { id } } g: pendingActions { totalCount nodes { id } }
          h: contacts { totalCount nodes { id } } i: mailboxes { totalCount nodes { id } }
          j: sequences { totalCount nodes { id } } k: recipientEvents(sequenceId: $seq) { totalCount nodes { id } }
        }""",
        **{prefix: named[prefix] for prefix in ("seq", "con", "mbx", "stp", "rcp")},
    )
    assert list(nothing.values()) == [{"totalCount": 0, "nodes": []}] * 11
    by_name = await stranger.ask('{ recipientByExternalId(externalId: "ats-behind-0") { id } }')
    assert by_name == {"recipientByExternalId": None}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{ node(id: "nonsense") { id } }', "INVALID"),
        ('{ node(id: "evt_00000000000000000000000000") { id } }', "INVALID"),
        ("{ recipients(first: 201) { nodes { id } } }", "INVALID"),
        ("{ recipients(first: -1) { nodes { id } } }", "INVALID"),
        ("{ recipients(first: 3, last: 3) { nodes { id } } }", "INVALID"),
        ('{ recipients(after: "nonsense") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ sequences(after: "nonsense") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ recipientEvents(after: "nonsense") { nodes { id } } }', "CURSOR_INVALID"),
        ('{ recipientEvents(after: "eHh4LjE") { nodes { id } } }', "RESYNC_REQUIRED"),
        ('{ recipients(filter: {sequenceId: "nonsense"}) { nodes { id } } }', "INVALID"),
        ('{ recipients(filter: {enrolledAt: {gt: "2026-01-01T00:00:00"}}) { nodes { id } } }', "INVALID"),
        ('{ recipients(filter: {enrolledAt: {gt: "0001-01-01T00:00:00+14:00"}}) { nodes { id } } }', "INVALID"),
        ("{ recipients(filter: {not: {not: {not: {not: {not: {}}}}}}) { nodes { id } } }", "INVALID"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_a_code(reader: Reader, query: str, code: str) -> None:
    assert await reader.refused(query) == code


async def test_more_than_100_nodes_are_refused(reader: Reader) -> None:
    ids = [to_public(Prefix.CONTACT, new_id()) for _ in range(101)]
    assert await reader.refused("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids) == "INVALID"
