"""Another workspace's ids answer exactly as ids that never existed: each field of the schema that takes one is asked
with both. Made by introspection, so that what is added is covered by itself.

Source: reliability.md 2.25, R23.
"""

import copy
import io
import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
)

from domain import authoring, bulk, contacts, enrolment, import_files, keys, pending, sequences, users
from domain.contacts import ContactFields
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.reading.filters import EVERYTHING
from domain.rules.actor import ENGINE
from domain.rules.bulk import BulkAction
from domain.rules.ids import Prefix, new_id, to_public
from domain.tables.constraints import TENANT_KEYS, TENANTS
from tests.api.conftest import Api, rcp, seq
from tests.api.every_mutation import EXAMPLES
from tests.api.whole_schema import RootField, least, root_fields
from tests.world import email, make_world, manual_email, task

FIELDS = list(root_fields())
_TABLES: Final = {
    Prefix.API_KEY: "api_keys",
    Prefix.CONTACT: "contacts",
    Prefix.MAILBOX: "mailboxes",
    Prefix.SEQUENCE: "sequences",
    Prefix.STEP: "steps",
    Prefix.RECIPIENT: "recipients",
    Prefix.MESSAGE: "messages",
    Prefix.STEP_ERROR: "step_errors",
    Prefix.PENDING_ACTION: "pending_actions",
    Prefix.USER: "users",
    Prefix.WEBHOOK_ENDPOINT: "webhook_endpoints",
    Prefix.WEBHOOK_DELIVERY: "webhook_deliveries",
    Prefix.SUPPRESSION: "suppressions",
    Prefix.TEST_EMAIL: "test_emails",
    Prefix.BULK_OPERATION: "bulk_operations",
    Prefix.IMPORT_FILE: "import_files",
    Prefix.AUDIT_ENTRY: "audit_entries",
}
Path = tuple[str, ...]


_their_keys: dict[str, tuple[UUID, keys.NewKey]] = {}  # by database: one world serves all, for nothing may change it


async def their_world(api: Api) -> Api:
    """Another workspace on the same server, with at least one of everything."""
    database = api.process.settings.database_url
    if database not in _their_keys:
        theirs = await _made(api)
        _their_keys[database] = theirs.workspace_id, theirs.key
    return Api(api.url, api.process, *_their_keys[database], api.http)


async def _made(api: Api) -> Api:
    workspace_id = await keys.create_workspace("Theirs")
    theirs = Api(api.url, api.process, workspace_id, await keys.create(workspace_id, "theirs"), api.http)
    for name in ("recipientRetry", "webhookDeliveryRedeliver", "suppressionDelete"):
        await EXAMPLES[name](theirs)
    await _their_task(theirs)
    file = io.BytesIO(b"email\nx@y.example\n")
    await import_files.keep(workspace_id, theirs.actor, "theirs.csv", file, import_files.columns_in(file))
    await bulk.create(workspace_id, ENGINE, BulkAction.PAUSE, EVERYTHING)
    await users.create(workspace_id, "Their Ada", external_subject="idp|ada")
    await contacts.upsert(workspace_id, ContactFields(values={"email": "x@y.example", "external_id": "partner-7"}))
    await fetch(
        "WITH i AS (INSERT INTO test_emails (id, workspace_id, mailbox_id, to_address, state, created_at) "
        "SELECT gen_random_uuid(), workspace_id, id, 'me@desk.example', 'SENT', now() FROM mailboxes "
        "WHERE workspace_id = $1 LIMIT 1 RETURNING 1) SELECT 1",
        workspace_id,
    )
    await fetch(
        "WITH i AS (INSERT INTO messages (id, workspace_id, recipient_id, sequence_id, contact_id, direction, channel, "
        'state, "references", token, tries, created_at) SELECT gen_random_uuid(), workspace_id, id, sequence_id, '
        "contact_id, 'INCOMING', 'EMAIL', 'RECEIVED', '[]', 1, 1, now() FROM recipients WHERE workspace_id = $1 "
        "LIMIT 1 RETURNING 1) SELECT 1",
        workspace_id,
    )
    return theirs


async def _their_task(theirs: Api) -> None:
    """A task that waits for a person."""
    workspace_id = theirs.workspace_id
    sequence_id = await authoring.create(workspace_id, "Tasks", [task()], settings=SequenceSettings())
    await sequences.activate(workspace_id, sequence_id)
    candidates = [enrolment.Candidate(ContactFields(values={"email": "task@people.example"}))]
    batch = enrolment.Enrolment(sequence_id=sequence_id, candidates=candidates)
    await enrolment.enroll(workspace_id, theirs.actor, batch)
    await pending.put_due_before_people()


async def their_ids(theirs: Api) -> dict[str, str]:
    """An id of each kind in their workspace, and one of the same kind that never existed."""
    found = {to_public(Prefix.WORKSPACE, theirs.workspace_id): to_public(Prefix.WORKSPACE, new_id())}
    for prefix, table in _TABLES.items():
        rows = await fetch(f"SELECT id FROM {table} WHERE workspace_id = $1 ORDER BY id LIMIT 1", theirs.workspace_id)
        assert rows, f"there is nothing of theirs in {table}"
        found[to_public(prefix, rows[0]["id"])] = to_public(prefix, new_id())
    (group, *_) = (await theirs.ask("{ errorGroups { nodes { id } } }"))["errorGroups"]["nodes"]
    found[group["id"]] = to_public(Prefix.ERROR_GROUP, new_id())
    assert {id.partition("_")[0] for id in found} | {Prefix.EVENT} == set(Prefix), "a kind of id is not tried"
    return found


def id_paths(field: RootField) -> Iterator[Path]:
    """Where in the arguments ids stand, two levels deep."""
    for name, argument in field.field.args.items():
        yield from _paths((name,), argument.type, 2)


def _paths(path: Path, type_: Any, depth: int) -> Iterator[Path]:
    named = get_named_type(type_)
    if named.name == "ID":
        yield path
    elif isinstance(named, GraphQLInputObjectType) and depth:
        for name, one in named.fields.items():
            if name not in ("and", "or", "not"):
                yield from _paths((*path, name), one.type, depth - 1)


def with_id(field: RootField, given: dict[str, Any], path: Path, id: str) -> dict[str, Any]:
    """The variables with an id at a place; lists get it as their only or in their first element."""
    changed = copy.deepcopy(given)
    here: Any = changed
    type_: Any = field.field.args[path[0]].type
    for depth, name in enumerate(path):
        if depth:
            type_ = get_named_type(type_).fields[name].type
        is_list = isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLList)
        if depth == len(path) - 1:
            here[name] = [id] if is_list else id
        else:
            if here.get(name) is None:
                here[name] = least(type_) if is_list else {}
            here = here[name][0] if is_list else here[name]
    return changed


async def _answer(api: Api, field: RootField, path: Path, variables: dict[str, Any], id: str) -> str:
    response = await api.post(field.document(path[0]), variables)
    answer = response.json()
    answer.pop("extensions")
    for error in answer.get("errors", ()):
        error["extensions"].pop("errorId", None)
        assert error["extensions"]["code"] != "INTERNAL_SERVER_ERROR", (str(field), variables)
    text = json.dumps([response.status_code, answer], sort_keys=True)
    return text.replace(id, "ID")


async def _everything(workspace: Api) -> str:
    texts = []
    for table in sorted({table for table, _, _ in TENANT_KEYS} | set(TENANTS)):
        rows = await fetch(
            f"SELECT (to_jsonb(t) - 'seq' - 'last_seq' - 'last_used_at')::text AS text FROM {table} t "
            "WHERE t.workspace_id = $1",
            workspace.workspace_id,
        )
        texts += sorted(row["text"] for row in rows if not table.endswith("tallies"))
    return "\n".join(texts)


_ASKED = [field for field in FIELDS if field.operation != "subscription" and any(id_paths(field))]


@pytest.mark.parametrize("field", _ASKED, ids=str)
async def test_another_workspaces_id_answers_as_one_that_never_existed(api: Api, field: RootField) -> None:
    theirs = await their_world(api)
    ids, before = await their_ids(theirs), await _everything(theirs)
    given = {"input": await EXAMPLES[field.name](api)} if field.name in EXAMPLES else field.variables()
    tried = 0
    for path in id_paths(field):
        for id, unknown in ids.items():
            foreign = await _answer(api, field, path, with_id(field, given, path, id), id)
            never = await _answer(api, field, path, with_id(field, given, path, unknown), unknown)
            assert foreign == never, (str(field), path, id)
            leaked = [other for other in ids if other in foreign]
            assert not leaked, (str(field), path, leaked)
            tried += 1
    assert tried >= len(ids)
    assert await _everything(theirs) == before


async def test_another_workspaces_external_ids_and_cursors_lead_nowhere(api: Api) -> None:
    theirs = await their_world(api)
    ids = await their_ids(theirs)
    for query in ("contactByExternalId", "recipientByExternalId"):
        answers = [
            await api.ask(f"query ($id: String!) {{ {query}(externalId: $id) {{ id }} }}", {"id": id})
            for id in ("partner-7", "partner-8")
        ]
        assert answers == [{query: None}] * 2
    page = await theirs.ask("{ recipients(first: 1) { pageInfo { endCursor } eventsCursor } }")
    after = page["recipients"]["pageInfo"]["endCursor"]
    mine = (await api.post("query ($a: String) { recipients(after: $a) { nodes { id } } }", {"a": after})).json()
    assert mine["data"] == {"recipients": None}
    assert [error["extensions"]["reason"] for error in mine["errors"]] == ["CURSOR_INVALID"]
    answer = (
        await api.post(
            "query ($a: String) { recipientEvents(after: $a) { nodes { id } } }",
            {"a": page["recipients"]["eventsCursor"]},
        )
    ).text
    assert not any(id in answer for id in ids)


async def test_a_subscription_of_another_workspaces_ids_is_told_nothing(api: Api) -> None:
    workspace_id = await keys.create_workspace("Theirs")
    theirs = Api(api.url, api.process, workspace_id, await keys.create(workspace_id, "theirs"), api.http)
    world = await make_world(workspace_id, theirs.actor, api.vault, steps=[manual_email(), email()])
    query = "subscription ($s: ID, $r: [ID!]) { recipientEvents(sequenceId: $s, recipientIds: $r) { id } }"
    told = []
    for id in (seq(world.sequence_id), to_public(Prefix.SEQUENCE, new_id())):
        async with api.socket() as socket:
            await socket.start(query, {"s": id})
            message = await socket.message()
            message["payload"][0]["extensions"].pop("requestId")
            told.append(json.dumps(message).replace(id, "ID"))
    assert told[0] == told[1]
    async with api.socket() as socket, theirs.socket() as their_socket:
        recipient = rcp(world.recipient_ids[0])
        await socket.start(query, {"r": [recipient]})
        await socket.start(query)
        await their_socket.start(query, {"r": [recipient]})
        await theirs.change("recipientPause", {"id": recipient}, "inFlight")
        assert (await their_socket.message())["type"] == "next"
        await socket.start("{ viewer { workspace { name } } }")
        message = await socket.message()
        assert message["payload"]["data"] == {"viewer": {"workspace": {"name": "Acme"}}}
