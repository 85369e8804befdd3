"""The suppression list through the API: added to, searched, paged, lifted, and closed to others."""

from domain import keys
from domain.rules.ids import Prefix, new_id, to_public
from tests.api.conftest import Api, rcp
from tests.world import IN_AN_HOUR, task

ALL = "id kind value reason source note createdAt createdBy { kind id } liftedAt liftedBecause contact { email }"
CREATED = f"endedRecipients inFlight suppression {{ {ALL} }}"


async def test_an_address_is_suppressed_and_its_run_ends_with_the_reason(api: Api) -> None:
    world = await api.world(steps=[task(wait=IN_AN_HOUR)])
    done = await api.change("suppressionCreate", {"address": "P0@people.example", "note": "asked by phone"}, CREATED)
    assert done["errors"] == []
    assert (done["endedRecipients"], done["inFlight"]) == (1, 0)
    made = done["suppression"]
    assert (made["kind"], made["value"], made["reason"], made["source"]) == (
        "ADDRESS",
        "p0@people.example",
        "LISTED",
        "API",
    )
    assert made["createdBy"] == {"kind": "API_KEY", "id": to_public(Prefix.API_KEY, api.key.id)}
    node = await api.ask(
        "query ($id: ID!) { node(id: $id) { ... on Recipient { status endReason contact { suppressed } } } }",
        {"id": rcp(world.recipient_ids[0])},
    )
    assert node["node"] == {"status": "UNSUBSCRIBED", "endReason": "SUPPRESSED", "contact": {"suppressed": True}}
    found = await api.ask(
        f"query ($id: ID!) {{ node(id: $id) {{ ... on Suppression {{ {ALL} }} }} }}", {"id": made["id"]}
    )
    assert found["node"] == made


async def test_a_person_is_suppressed_by_id_and_found_by_name(api: Api) -> None:
    await api.world(steps=[task(wait=IN_AN_HOUR)])
    contact = (await api.ask("{ contacts { nodes { id } } }"))["contacts"]["nodes"][0]["id"]
    done = await api.change("suppressionCreate", {"contactId": contact}, CREATED)
    assert done["suppression"]["value"] is None
    assert done["suppression"]["contact"] == {"email": "p0@people.example"}
    found = await api.ask('{ suppressions(search: "person 0") { nodes { id } totalCount } }')
    assert found["suppressions"] == {"nodes": [{"id": done["suppression"]["id"]}], "totalCount": 1}


async def test_the_list_is_paged_and_searched_and_shows_lifted_ones_only_when_asked(api: Api) -> None:
    ids = []
    for number in range(7):
        done = await api.change("suppressionCreate", {"domain": f"d{number}.example"}, "suppression { id }")
        ids.append(done["suppression"]["id"])
    query = (
        "query ($after: String, $search: String, $lifted: Boolean) { suppressions(first: 3, after: $after, "
        "search: $search, includeLifted: $lifted) { nodes { id liftedBecause } pageInfo { hasNextPage endCursor } } }"
    )
    seen: list[str] = []
    after = None
    for _ in range(3):
        page = (await api.ask(query, {"after": after}))["suppressions"]
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert seen == ids[::-1]
    lifted = await api.change("suppressionDelete", {"id": ids[4], "reason": "a mistake"}, f"suppression {{ {ALL} }}")
    assert lifted["suppression"]["liftedBecause"] == "a mistake"
    assert (await api.ask(query, {"search": "D4."}))["suppressions"]["nodes"] == []
    shown = (await api.ask(query, {"search": "D4.", "lifted": True}))["suppressions"]["nodes"]
    assert shown == [{"id": ids[4], "liftedBecause": "a mistake"}]


async def test_what_is_refused_says_why_and_where(api: Api) -> None:
    for given, field in (
        ({}, ["address"]),
        ({"address": "nobody"}, ["address"]),
        ({"domain": "com"}, ["domain"]),
        ({"phone": "12"}, ["phone"]),
    ):
        (error,) = (await api.change("suppressionCreate", given, "suppression { id }"))["errors"]
        assert (error["code"], error["field"]) == ("INVALID", field)
    unknown = to_public(Prefix.CONTACT, new_id())
    (error,) = (await api.change("suppressionCreate", {"contactId": unknown}, "suppression { id }"))["errors"]
    assert (error["code"], error["field"]) == ("NOT_FOUND", ["contactId"])


async def test_another_workspace_sees_and_lifts_nothing_of_it(api: Api) -> None:
    mine = (await api.change("suppressionCreate", {"domain": "d.example"}, "suppression { id }"))["suppression"]["id"]
    api.workspace_id = await keys.create_workspace("Other")
    api.key = await keys.create(api.workspace_id, "theirs")
    assert (await api.ask("query ($id: ID!) { node(id: $id) { id } }", {"id": mine}))["node"] is None
    assert (await api.ask("{ suppressions(includeLifted: true) { nodes { id } } }"))["suppressions"]["nodes"] == []
    (error,) = (await api.change("suppressionDelete", {"id": mine, "reason": "x"}, "suppression { id }"))["errors"]
    assert error["code"] == "NOT_FOUND"
