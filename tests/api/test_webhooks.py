"""Webhook endpoints through the API."""

from typing import Any

import pytest

from domain import webhook_attempts, webhook_delivery
from tests.api.conftest import Api

SELECTION = "secret endpoint { id url enabled eventTypes disabledBecause failingSince }"


async def make(api: Api, **more: Any) -> dict[str, Any]:
    given = {"url": "https://hooks.example/relance", **more}
    made: dict[str, Any] = await api.change("webhookEndpointCreate", given, SELECTION)
    return made


async def test_an_endpoint_is_added_listed_changed_and_removed_and_its_secret_shown_once(api: Api) -> None:
    made = await make(api, description="ATS", eventTypes=["recipient.status_changed"])
    assert made["errors"] == []
    assert made["secret"].startswith("whsec_")
    id = made["endpoint"]["id"]
    listed = await api.ask("{ webhookEndpoints { totalCount nodes { id url description eventTypes enabled } } }")
    node = next(node for node in listed["webhookEndpoints"]["nodes"] if node["id"] == id)
    assert node["description"] == "ATS"
    assert made["secret"] not in str(listed)
    changed = await api.change(
        "webhookEndpointUpdate",
        {"id": id, "eventTypes": None, "enabled": False},
        "endpoint { eventTypes enabled disabledBecause }",
    )
    assert changed["endpoint"] == {"eventTypes": None, "enabled": False, "disabledBecause": "Switched off by a person."}
    refused = await api.change("webhookEndpointTest", {"id": id}, "delivery { id }")
    assert [error["code"] for error in refused["errors"]] == ["WEBHOOK_DISABLED"]
    rotated = await api.change("webhookSecretRotate", {"id": id}, "secret endpoint { oldSecretSignsUntil }")
    assert rotated["secret"] != made["secret"]
    assert rotated["endpoint"]["oldSecretSignsUntil"] is not None
    gone = await api.change("webhookEndpointDelete", {"id": id}, "deletedId")
    assert gone["deletedId"] == id
    assert (await api.ask("query ($id: ID!) { node(id: $id) { id } }", {"id": id}))["node"] is None
    again = await api.change("webhookEndpointDelete", {"id": id}, "deletedId")
    assert [error["code"] for error in again["errors"]] == ["NOT_FOUND"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "http://hooks.example/"}, "url"),
        ({"url": "https://hooks.example:22/"}, "url"),
        ({"url": "https://me:word@hooks.example/"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"eventTypes": []}, "eventTypes"),
        ({"eventTypes": ["recipient.vanished"]}, "eventTypes"),
        ({"description": "x" * 201}, "description"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused_with_the_field(
    api: Api, given: dict[str, Any], field: str
) -> None:
    refused = await make(api, **given)
    assert [(error["code"], error["field"]) for error in refused["errors"]] == [("INVALID", [field])]
    assert (refused["endpoint"], refused["secret"]) == (None, None)


async def _claimed(api: Api) -> webhook_delivery.Delivery:
    """The workspace's one due delivery; other tests' workspaces share the database."""
    while claimed := await webhook_delivery.claim(50):
        for delivery in claimed:
            if delivery.workspace_id == api.workspace_id:
                return delivery
    raise AssertionError("nothing was due")


async def test_the_log_shows_each_attempt_with_request_and_answer(api: Api) -> None:
    made = await make(api)
    id = made["endpoint"]["id"]
    sent = await api.change("webhookEndpointTest", {"id": id}, "delivery { id state type webhookId }")
    assert sent["delivery"]["state"] == "PENDING"
    delivery = await _claimed(api)
    await webhook_attempts.record(webhook_attempts.Attempt(delivery=delivery, status=503, answer="busy"))
    asked = """query ($id: ID!) { webhookDeliveries(filter: {endpointId: $id, states: [PENDING]}) { totalCount nodes {
        id webhookId state attemptCount lastStatus nextAttemptAt endpoint { id }
        attempts { number status answer request problem tookMilliseconds } } } }"""
    (node,) = (await api.ask(asked, {"id": id}))["webhookDeliveries"]["nodes"]
    assert (node["attemptCount"], node["lastStatus"], node["endpoint"]["id"]) == (1, 503, id)
    (attempt,) = node["attempts"]
    assert (attempt["number"], attempt["status"], attempt["answer"]) == (1, 503, "busy")
    assert '"webhook.test"' in attempt["request"]
    assert made["secret"] not in str(node)
    again = await api.change("webhookDeliveryRedeliver", {"id": node["id"]}, "delivery { state }")
    assert again["delivery"] == {"state": "PENDING"}


async def test_a_replay_of_a_foreign_or_lost_cursor_is_refused(api: Api) -> None:
    id = (await make(api))["endpoint"]["id"]
    for after, code in (("nonsense", "CURSOR_INVALID"), ("b3RoZXIuMQ", "RESYNC_REQUIRED")):
        refused = await api.change("webhookEndpointReplay", {"id": id, "after": after}, "count")
        assert [error["code"] for error in refused["errors"]] == [code]
