"""Groups of errors through the API: listed, found by id, walked, retried; and at what price."""

from typing import Any

from domain import mailboxes, unsendable
from tests.api.conftest import Api, rcp, seq
from tests.world import World, email, make_mailbox

GROUPS = """
    query ($first: Int, $after: String, $filter: StepErrorFilter) {
      errorGroups(first: $first, after: $after, filter: $filter) {
        totalCount
        pageInfo { hasNextPage endCursor }
        nodes {
          id code message count retryableCount suggestedFix { code message targetId }
          target { __typename id }
          retry { matched retried refused endedAt }
          recipients(first: 2) { totalCount nodes { id status openErrors { nodes { causeGoneAt availableActions } } } }
        }
      }
    }
"""
RETRIED = "matched retried refused ended errorGroup { id count }"


async def lost(api: Api, people: int = 3) -> World:
    world = await api.world(steps=[email()], people=people)
    await mailboxes.disconnect(api.workspace_id, world.mailbox_id)
    await unsendable.fail_due_without_mailbox()
    return world


async def groups(api: Api, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask(GROUPS, variables))["errorGroups"]
    return found


async def test_a_group_tells_its_cause_leads_to_it_and_to_its_recipients(api: Api) -> None:
    world = await lost(api)
    page = await groups(api)
    (group,) = page["nodes"]
    assert page["totalCount"] == 1
    assert group["message"].startswith("3 recipients: the mailbox jobs@sender.example is disconnected")
    assert group["target"] == {"__typename": "Mailbox", "id": group["suggestedFix"]["targetId"]}
    assert group["suggestedFix"]["code"] == "RECONNECT_MAILBOX"
    assert (group["count"], group["retryableCount"], group["retry"]) == (3, 0, None)
    assert group["recipients"]["totalCount"] == 3
    assert {node["id"] for node in group["recipients"]["nodes"]} <= {rcp(key) for key in world.recipient_ids}
    error = {"causeGoneAt": None, "availableActions": []}
    assert group["recipients"]["nodes"][0]["openErrors"]["nodes"] == [error]
    asked = "query ($id: ID!) { node(id: $id) { __typename id ... on ErrorGroup { code count } } }"
    assert (await api.ask(asked, {"id": group["id"]}))["node"] == {
        "__typename": "ErrorGroup",
        "id": group["id"],
        "code": "MAILBOX_DISCONNECTED",
        "count": 3,
    }


async def test_a_group_is_retried_once_its_cause_is_gone_and_refused_before(api: Api) -> None:
    world = await lost(api)
    (group,) = (await groups(api))["nodes"]
    refused = await api.change("errorGroupRetry", {"id": group["id"]}, RETRIED)
    assert refused["errors"][0]["code"] == "RETRY_NOT_AVAILABLE"
    assert "Reconnect the mailbox jobs@sender.example" in refused["errors"][0]["message"]
    await mailboxes.connected(api.workspace_id, world.mailbox_id)
    (ready,) = (await groups(api))["nodes"]
    (first, _) = ready["recipients"]["nodes"]
    assert ready["retryableCount"] == 3
    assert first["openErrors"]["nodes"][0]["availableActions"] == ["RETRY"]
    assert first["openErrors"]["nodes"][0]["causeGoneAt"] is not None
    done = await api.change("errorGroupRetry", {"id": group["id"]}, RETRIED)
    assert done == {"matched": 3, "retried": 3, "refused": 0, "ended": True, "errorGroup": None, "errors": []}
    gone = await api.change("errorGroupRetry", {"id": group["id"]}, RETRIED)
    assert gone["errors"][0]["code"] == "NOT_FOUND"


async def test_pages_of_groups_go_on_where_the_last_ended_and_a_filter_chooses_groups(api: Api) -> None:
    first = await lost(api, people=1)
    await make_mailbox(api.workspace_id, api.vault, address="other@sender.example")
    found = (await groups(api, filter={"sequenceId": seq(first.sequence_id)}))["nodes"]
    assert len(found) == 1
    assert (await groups(api, filter={"codes": ["EMAIL_MISSING"]}))["nodes"] == []
    page = await groups(api, first=1)
    assert page["pageInfo"]["hasNextPage"] is False
    assert (await groups(api, first=1, after=page["pageInfo"]["endCursor"]))["nodes"] == []
    closed = (await api.post(GROUPS, {"filter": {"open": False}})).json()
    assert closed["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
