"""Each mutation is done once for its idempotency key, and leaves exactly one entry in the audit trail."""

import asyncio
from typing import Any

import asyncpg
import pytest
from graphql import GraphQLNonNull

from api.schema import schema
from domain import deeds, keys
from domain.database import fetch, tx
from domain.rules.access import Scope
from domain.rules.ids import Prefix, from_public, to_public
from tests.api.conftest import Api, rcp
from tests.api.every_mutation import EXAMPLES
from tests.api.whole_schema import RootField, root_fields

MUTATIONS = [field for field in root_fields() if field.operation == "mutation"]
NOT_REPEATABLE = {"mailboxConnect": "asks the server anew each time, and creates and sends nothing"}
_WRITTEN = ("contacts", "mailboxes", "sequences", "steps", "recipients", "events", "suppressions", "recipient_steps")


async def _ask(api: Api, field: RootField, input: dict[str, Any]) -> dict[str, Any]:
    answer = (await api.post(field.document("input"), {"input": input})).json()
    assert "errors" not in answer, (str(field), answer)
    return answer


async def _entries(api: Api) -> list[dict[str, Any]]:
    selection = "nodes { id at action objectIds requestId actor { kind id name } }"
    entries: list[dict[str, Any]] = (await api.ask(f"{{ auditTrail(first: 200) {{ {selection} }} }}"))["auditTrail"][
        "nodes"
    ]
    return entries


async def _state(api: Api) -> str:
    """Everything that is written for the workspace, as one text."""
    texts = []
    for table in _WRITTEN:
        rows = await fetch(  # the number of an event is given by whoever polls, some time later
            f"SELECT (to_jsonb(t) - 'seq')::text AS text FROM {table} t WHERE t.workspace_id = $1", api.workspace_id
        )
        texts += sorted(row["text"] for row in rows)
    return "\n".join(texts)


def test_each_mutation_has_an_example() -> None:
    assert {field.name for field in MUTATIONS} == set(EXAMPLES)


def test_each_mutation_takes_an_idempotency_key_unless_a_reason_stands_here() -> None:
    without = {field.name for field in MUTATIONS if "idempotencyKey" not in _input_of(field).fields}
    assert without == set(NOT_REPEATABLE)


def _input_of(field: RootField) -> Any:
    type_ = field.field.args["input"].type
    assert isinstance(type_, GraphQLNonNull)
    return schema._schema.type_map[type_.of_type.name]


@pytest.mark.parametrize("field", MUTATIONS, ids=str)
async def test_each_mutation_leaves_one_entry_and_a_repeat_changes_nothing(api: Api, field: RootField) -> None:
    input = await EXAMPLES[field.name](api)
    before = await _entries(api)
    if field.name not in NOT_REPEATABLE:
        input["idempotencyKey"] = "once"
    first = await _ask(api, field, input)
    payload = first["data"][field.name]
    assert not payload["errors"], payload
    (entry, *rest) = await _entries(api)
    assert rest == before
    assert entry["action"] == field.name
    assert entry["requestId"] == first["extensions"]["requestId"]
    assert entry["actor"] == {"kind": "API_KEY", "id": to_public(Prefix.API_KEY, api.key.id), "name": "tests"}
    assert entry["objectIds"]
    for id in entry["objectIds"]:
        from_public(id)
    if field.name in NOT_REPEATABLE:
        return
    state = await _state(api)
    again = await _ask(api, field, dict(reversed(input.items())))
    assert again["data"] == first["data"]
    assert await _state(api) == state
    assert await _entries(api) == [entry, *before]


async def test_a_hundred_keys_sent_ten_times_at_once_are_a_hundred_effects(api: Api) -> None:
    async def ten(number: int) -> None:
        input = {"name": f"Sequence {number}", "idempotencyKey": f"key-{number}"}
        answers = await asyncio.gather(
            *(api.change("sequenceCreate", input, "sequence { id name }") for _ in range(10))
        )
        waited = [one for one in answers if one["errors"]]
        assert {one["errors"][0]["code"] for one in waited} <= {"IDEMPOTENCY_IN_PROGRESS"}
        done = [one for one in answers if not one["errors"]]
        assert all(one == done[0] for one in done)
        assert await api.change("sequenceCreate", input, "sequence { id name }") == done[0]

    for start in range(0, 100, 2):
        await asyncio.gather(*(ten(number) for number in range(start, start + 2)))
    data = await api.ask("{ sequences { totalCount } auditTrail { totalCount } }")
    assert data == {"sequences": {"totalCount": 100}, "auditTrail": {"totalCount": 100}}


async def test_the_same_key_with_another_input_or_mutation_is_refused(api: Api) -> None:
    await api.change("sequenceCreate", {"name": "One", "idempotencyKey": "k"}, "sequence { id }")
    for mutation, input, selection in (
        ("sequenceCreate", {"name": "Two"}, "sequence { id }"),
        ("contactUpsert", {"email": "a@b.example"}, "contact { id }"),
    ):
        payload = await api.change(mutation, {**input, "idempotencyKey": "k"}, selection)
        assert [error["code"] for error in payload["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
        assert payload["errors"][0]["field"] == ["idempotencyKey"]
    data = await api.ask("{ sequences { totalCount } contacts { totalCount } }")
    assert data == {"sequences": {"totalCount": 1}, "contacts": {"totalCount": 0}}


async def test_a_key_means_nothing_in_another_workspace(api: Api) -> None:
    input = {"name": "One", "idempotencyKey": "k"}
    mine = await api.change("sequenceCreate", input, "sequence { id }")
    other = await keys.create(await keys.create_workspace("Other"), "theirs")
    response = await api.post(
        "mutation ($i: SequenceCreateInput!) { sequenceCreate(input: $i) { sequence { id } errors { code } } }",
        {"i": input},
        authorization=f"Bearer {other.secret}",
    )
    theirs = response.json()["data"]["sequenceCreate"]
    assert theirs["errors"] == []
    assert theirs["sequence"] != mine["sequence"]


async def test_a_refusal_is_not_kept_but_decided_anew(api: Api) -> None:
    world = await api.world()
    input = {"id": rcp(world.recipient_ids[0]), "idempotencyKey": "again"}
    refused = await api.change("recipientResume", input, "recipient { status }")
    assert refused["errors"][0]["code"] == "ACTION_NOT_AVAILABLE"
    await api.change("recipientPause", {"id": input["id"]}, "inFlight")
    assert (await api.change("recipientResume", input, "recipient { status }"))["errors"] == []
    # Looked up before any guard: it cannot be resumed now, and the repeat is answered as the first was.
    repeated = await api.change("recipientResume", input, "recipient { id }")
    assert repeated == {"recipient": {"id": input["id"]}, "errors": []}
    assert [entry["action"] for entry in await _entries(api)] == ["recipientResume", "recipientPause"]


async def test_a_repeat_selects_the_objects_as_they_are_now(api: Api) -> None:
    input = {"name": "Before", "idempotencyKey": "k"}
    made = (await api.change("sequenceCreate", input, "sequence { id }"))["sequence"]
    await api.change("sequenceUpdate", {"id": made["id"], "name": "After"}, "sequence { id }")
    repeated = await api.change("sequenceCreate", input, "sequence { id name status }")
    assert repeated["sequence"] == {"id": made["id"], "name": "After", "status": "DRAFT"}


async def test_a_twin_is_waited_for_two_seconds_and_then_told_to_come_again(api: Api) -> None:
    input = {"name": "Slow", "idempotencyKey": "k"}
    async with asyncio.timeout(15):
        released, held = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async def work(t: Any) -> None:
                lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
                await t.execute(lock, f"{api.workspace_id} {t.hashed('k')}")
                held.set()
                await released.wait()

            await tx(api.workspace_id, work, rings=False)

        holding = asyncio.create_task(hold())
        await held.wait()
        payload = await api.change("sequenceCreate", input, "sequence { id }")
        assert [error["code"] for error in payload["errors"]] == ["IDEMPOTENCY_IN_PROGRESS"]
        released.set()
        await holding
    assert (await api.change("sequenceCreate", input, "sequence { id }"))["errors"] == []


async def test_a_dry_run_keeps_nothing(api: Api) -> None:
    input = {**await EXAMPLES["recipientsEnroll"](api), "idempotencyKey": "k"}
    state, entries = await _state(api), await _entries(api)
    for _ in range(2):
        payload = await api.change("recipientsEnroll", {**input, "dryRun": True}, "succeeded failed")
        assert (payload["succeeded"], payload["failed"]) == (1, 1)
    assert (await _state(api), await _entries(api)) == (state, entries)
    assert (await api.change("recipientsEnroll", input, "succeeded"))["succeeded"] == 1


async def test_a_key_of_yesterday_is_free_again_and_pruned(api: Api) -> None:
    input = {"name": "Daily", "idempotencyKey": "daily"}
    first = await api.change("sequenceCreate", input, "sequence { id }")
    await _age(api, "24 hours")
    second = await api.change("sequenceCreate", input, "sequence { id }")
    assert first["sequence"] != second["sequence"]
    assert await _kept(api) == 1
    await deeds.forget_old_keys()
    assert await _kept(api) == 1
    await _age(api, "24 hours")
    await deeds.forget_old_keys()
    assert await _kept(api) == 0


async def _age(api: Api, span: str) -> None:
    await fetch(
        f"WITH u AS (UPDATE idempotency_keys SET created_at = created_at - interval '{span}' "
        "WHERE workspace_id = $1 RETURNING 1) SELECT 1",
        api.workspace_id,
    )


async def _kept(api: Api) -> int:
    rows = await fetch("SELECT count(*) AS n FROM idempotency_keys WHERE workspace_id = $1", api.workspace_id)
    count: int = rows[0]["n"]
    return count


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    payload = await api.change("sequenceCreate", {"name": "x", "idempotencyKey": key}, "sequence { id }")
    assert (payload["errors"][0]["code"], payload["errors"][0]["field"]) == ("INVALID", ["idempotencyKey"])


async def test_what_is_kept_of_an_input_is_a_keyed_digest_and_the_trail_holds_no_words(api: Api) -> None:
    input = {**await EXAMPLES["mailboxCreate"](api), "smtpPassword": "hunter2-secret", "idempotencyKey": "k"}
    assert not (await api.change("mailboxCreate", input, "mailbox { id }"))["errors"]
    for table in ("idempotency_keys", "audit_entries"):
        rows = await fetch(f"SELECT t::text AS text FROM {table} t WHERE t.workspace_id = $1", api.workspace_id)
        assert rows
        for word in ("hunter2", "sender.example"):
            assert not any(word in row["text"] for row in rows)


@pytest.mark.parametrize("change", ["UPDATE audit_entries SET action = 'x'", "DELETE FROM audit_entries"])
async def test_the_trail_is_never_changed(api: Api, change: str) -> None:
    await api.change("sequenceCreate", {"name": "x"}, "sequence { id }")
    before = await _entries(api)

    async def work(t: Any) -> None:
        await t.execute(f"{change} WHERE workspace_id = $1", t.workspace_id)

    with pytest.raises(asyncpg.RestrictViolationError):
        await tx(api.workspace_id, work)
    assert await _entries(api) == before


async def test_the_trail_of_one_object_and_its_pages(api: Api) -> None:
    ids = []
    for name in ("One", "Two", "Three"):
        made = await api.change("sequenceCreate", {"name": name}, "sequence { id }")
        ids.append(made["sequence"]["id"])
    await api.change("sequenceUpdate", {"id": ids[0], "name": "First"}, "sequence { id }")
    query = """query ($first: Int, $after: String, $id: ID) {
        auditTrail(first: $first, after: $after, objectId: $id) {
            nodes { action objectIds } totalCount pageInfo { endCursor hasNextPage } } }"""
    one = (await api.ask(query, {"id": ids[0]}))["auditTrail"]
    assert [node["action"] for node in one["nodes"]] == ["sequenceUpdate", "sequenceCreate"]
    assert one["totalCount"] == 2
    page = (await api.ask(query, {"first": 3}))["auditTrail"]
    rest = (await api.ask(query, {"first": 3, "after": page["pageInfo"]["endCursor"]}))["auditTrail"]
    assert [node["objectIds"] for node in page["nodes"] + rest["nodes"]] == [[ids[0]], [ids[2]], [ids[1]], [ids[0]]]
    other = await keys.create(await keys.create_workspace("Other"), "theirs", scopes=[Scope.ADMIN])
    theirs = await api.post(query, {"id": ids[0]}, authorization=f"Bearer {other.secret}")
    assert theirs.json()["data"]["auditTrail"]["nodes"] == []
