"""Operations on everyone whom a filter keeps, through the API."""

from domain import bulk
from tests.api.conftest import Api, rcp, seq
from tests.world import IN_AN_HOUR, email

OPERATION = """
    id action dryRun status matched done changed refused inFlight summary endedAt step { id } createdBy { kind }
    refusals(first: 1) { totalCount pageInfo { hasNextPage } nodes { recipientId code message recipient { status } } }
"""


async def test_an_operation_is_ordered_tried_dry_followed_and_listed(api: Api) -> None:
    world = await api.world(steps=[email(wait=IN_AN_HOUR)], people=4)
    ended = [rcp(key) for key in world.recipient_ids[:2]]
    for id in ended:
        await api.change("recipientStop", {"id": id}, "inFlight")
    order = {"action": "PAUSE", "filter": {"sequenceId": seq(world.sequence_id)}}
    tried = await api.change("bulkOperationCreate", {**order, "dryRun": True}, f"bulkOperation {{ {OPERATION} }}")
    assert (tried["bulkOperation"]["status"], tried["bulkOperation"]["matched"]) == ("PENDING", 4)
    while await bulk.go_on():
        pass
    asked = f"query ($id: ID!) {{ node(id: $id) {{ ... on BulkOperation {{ {OPERATION} }} }} }}"
    shown = (await api.ask(asked, {"id": tried["bulkOperation"]["id"]}))["node"]
    assert shown["summary"] == "Would change 2, refuse 2: 2 have ended."
    assert (shown["status"], shown["changed"], shown["refused"], shown["dryRun"]) == ("COMPLETED", 2, 2, True)
    assert shown["refusals"]["totalCount"] == 2
    assert shown["refusals"]["pageInfo"]["hasNextPage"] is True
    (refused,) = shown["refusals"]["nodes"]
    assert (refused["recipientId"] in ended, refused["code"]) == (True, "ACTION_NOT_AVAILABLE")
    assert refused["recipient"] == {"status": "STOPPED"}
    counts = await api.ask("{ recipients(filter: { status: { eq: PAUSED } }) { totalCount } }")
    assert counts["recipients"]["totalCount"] == 0

    real = await api.change("bulkOperationCreate", {**order, "idempotencyKey": "once"}, "bulkOperation { id }")
    again = await api.change("bulkOperationCreate", {**order, "idempotencyKey": "once"}, "bulkOperation { id }")
    assert real == again
    while await bulk.go_on():
        pass
    counts = await api.ask("{ recipients(filter: { status: { eq: PAUSED } }) { totalCount } }")
    assert counts["recipients"]["totalCount"] == 2
    listed = (await api.ask("{ bulkOperations { totalCount nodes { id dryRun status summary } } }"))["bulkOperations"]
    assert [(one["dryRun"], one["summary"]) for one in listed["nodes"]] == [
        (False, "Changed 2, refused 2: 2 have ended."),
        (True, "Would change 2, refuse 2: 2 have ended."),
    ]
    late = await api.change("bulkOperationCancel", {"id": real["bulkOperation"]["id"]}, "bulkOperation { id }")
    assert late["errors"][0]["code"] == "BULK_OPERATION_ENDED"
    lacking = await api.change("bulkOperationCreate", {**order, "action": "SKIP_STEP"}, "bulkOperation { id }")
    assert (lacking["errors"][0]["code"], lacking["errors"][0]["field"]) == ("INVALID", ["stepId"])
