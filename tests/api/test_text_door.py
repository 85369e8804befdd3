"""The door of a number: text messages that come in, and reports about those that went out."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from domain import authoring, enrolment, marking, sending
from domain.contacts import ContactFields
from domain.database import fetch
from domain.delivery import Result, record
from domain.plans import SequenceSettings
from domain.rules import text_paths
from domain.rules.outcomes import Sent, Unknown
from domain.rules.text_signature import text_signature
from tests.api.conftest import Api, rcp
from tests.engine.sending_world import KEY
from tests.workers.twilio_server import NUMBER, TOKEN
from tests.world import IN_AN_HOUR, World, email, make_text_world, text
from workers.composing import texted

THEIRS = "+4917012345000"


@pytest.fixture
async def world(api: Api) -> World:
    """One person who was sent a text message, and is written to by email beside it."""
    world = await make_text_world(
        api.workspace_id, api.actor, api.vault, "https://provider.example", steps=[text(), text()]
    )
    await sent(world, Sent("SM" + "0" * 32 + " queued"))
    return world


async def sent(world: World, outcome: Sent | Unknown) -> UUID:
    others = await fetch("SELECT id FROM workspaces WHERE id <> $1", world.workspace_id)
    claims = await sending.claim(10, KEY, but_of=[row["id"] for row in others])
    (claim,) = [one for one in claims if one.lane.channel == "SMS"]
    assert await marking.mark([texted(claim)])  # type: ignore[list-item]
    await record(claim.workspace_id, [Result(claim.message_id, claim.token, outcome)])
    return claim.message_id


async def tell(api: Api, path: str, fields: dict[str, str], token: str = TOKEN) -> httpx.Response:
    """Post what the provider would, signed with the token."""
    url = api.process.settings.links_url + path
    headers = {"x-twilio-signature": text_signature(token, url, fields.items())}
    return await api.http.post(path, data=fields, headers=headers)


async def says(api: Api, world: World, words: str, *, sid: str = "SMin1", sender: str = THEIRS) -> httpx.Response:
    fields = {"MessageSid": sid, "From": sender, "To": NUMBER, "Body": words, "NumMedia": "0"}
    return await tell(api, text_paths.incoming(world.mailbox_id), fields)


async def reports(api: Api, world: World, message_id: UUID, state: str, code: int | None = None) -> int:
    fields = {"MessageSid": "SM" + "0" * 32, "MessageStatus": state}
    if code is not None:
        fields["ErrorCode"] = str(code)
    return (await tell(api, text_paths.reports(world.mailbox_id, message_id), fields)).status_code


async def status_of(world: World) -> str:
    status: str = (await fetch("SELECT status FROM recipients WHERE id = $1", world.recipient_ids[0]))[0]["status"]
    return status


async def sent_one(world: World) -> UUID:
    rows = await fetch("SELECT id FROM messages WHERE recipient_id = $1 AND state = 'SENT'", world.recipient_ids[0])
    message_id: UUID = rows[0]["id"]
    return message_id


async def suppressions(api: Api) -> list[tuple[str, str]]:
    rows = await fetch(
        "SELECT kind, source FROM suppressions WHERE workspace_id = $1 AND lifted_at IS NULL ORDER BY kind",
        api.workspace_id,
    )
    return [(row["kind"], row["source"]) for row in rows]


async def test_what_is_not_signed_with_the_numbers_token_is_refused_and_leaves_nothing(api: Api, world: World) -> None:
    path = text_paths.incoming(world.mailbox_id)
    stop = {"MessageSid": "SMx", "From": THEIRS, "To": NUMBER, "Body": "STOP"}
    answers = [
        await api.http.post(path, data=stop),
        await tell(api, path, stop, token="another"),
        await tell(api, text_paths.incoming(UUID(int=1)), stop),
        await tell(api, "/sms/nothing", stop),
    ]
    assert {(one.status_code, one.text) for one in answers} == {(403, answers[0].text)}
    assert (await tell(api, path, stop | {"Body": "x" * 70_000})).status_code == 413
    assert await status_of(world) == "IN_PROGRESS"
    assert await suppressions(api) == []


async def test_an_answer_by_text_message_is_a_reply_and_counts_once(api: Api, world: World) -> None:
    for _ in range(2):
        answer = await says(api, world, "Yes, call me!")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/xml")
    assert await status_of(world) == "REPLIED"
    asked = """query ($id: ID!) { node(id: $id) { ... on Recipient { endReason smsMailbox { address channel }
        messages { nodes { direction channel state classification text from to segments delivery } } } } }"""
    found = await api.ask(asked, {"id": rcp(world.recipient_ids[0])})
    assert found["node"]["endReason"] == "REPLIED"
    assert found["node"]["smsMailbox"] == {"address": NUMBER, "channel": "SMS"}
    out, incoming = found["node"]["messages"]["nodes"]
    assert (out["direction"], out["channel"], out["to"], out["segments"]) == ("OUTGOING", "SMS", [THEIRS], 1)
    assert incoming == {
        "direction": "INCOMING",
        "channel": "SMS",
        "state": "RECEIVED",
        "classification": "HUMAN_REPLY",
        "text": "Yes, call me!",
        "from": THEIRS,
        "to": [NUMBER],
        "segments": 1,
        "delivery": None,
    }


async def test_stop_binds_the_number_and_the_person_in_every_sequence_and_start_lifts_nothing(
    api: Api, world: World
) -> None:
    emails = await make_world_of_emails(api, world)
    assert (await says(api, world, "Stop.", sid="SM1")).status_code == 200
    assert await status_of(world) == "UNSUBSCRIBED"
    assert await status_of(emails) == "UNSUBSCRIBED"
    assert await suppressions(api) == [("CONTACT", "REPLY"), ("PHONE", "REPLY")]
    assert (await says(api, world, "START", sid="SM2")).status_code == 200
    assert await status_of(world) == "UNSUBSCRIBED"
    assert len(await suppressions(api)) == 2


async def make_world_of_emails(api: Api, world: World) -> World:
    sequence_id = await authoring.create(
        api.workspace_id, "Emails", [email(wait=IN_AN_HOUR)], settings=SequenceSettings()
    )
    candidate = enrolment.Candidate(ContactFields(values={"email": "p0@people.example"}))
    (answer,) = await enrolment.enroll(
        api.workspace_id, api.actor, enrolment.Enrolment(sequence_id=sequence_id, candidates=[candidate])
    )
    assert answer.recipient_id is not None
    return World(api.workspace_id, world.mailbox_id, sequence_id, [], [answer.recipient_id])


async def test_stop_from_a_number_that_nobody_was_written_to_binds_it_all_the_same(api: Api, world: World) -> None:
    assert (await says(api, world, "STOP", sender="+4915112345678")).status_code == 200
    assert await suppressions(api) == [("PHONE", "REPLY")]
    assert (await says(api, world, "Who is this?", sid="SM2", sender="+4915112345678")).status_code == 200
    assert await status_of(world) == "IN_PROGRESS"


async def test_receipts_are_shown_and_a_number_that_cannot_be_reached_is_an_error(api: Api, world: World) -> None:
    message_id = await sent_one(world)
    assert [await reports(api, world, message_id, state) for state in ("queued", "sent")] == [204, 204]
    assert await reports(api, world, message_id, "undelivered", 30005) == 204
    assert await reports(api, world, message_id, "delivered") == 204  # too late: the first that is final stands
    assert await status_of(world) == "ERROR"
    asked = """query ($id: ID!) { node(id: $id) { ... on Recipient { statusMessage messages { nodes { delivery } }
        openErrors { nodes { code message step { kind } availableActions } } } } }"""
    found = (await api.ask(asked, {"id": rcp(world.recipient_ids[0])}))["node"]
    (error,) = found["openErrors"]["nodes"]
    assert (error["code"], error["step"]["kind"], error["availableActions"]) == ("PHONE_INVALID", "SMS", [])
    assert "does not exist" in error["message"]
    assert found["messages"]["nodes"] == [{"delivery": "FAILED"}]
    other = await reports(api, world, UUID(int=1), "delivered")
    assert other == 404


async def test_a_report_proves_a_hand_over_whose_answer_was_lost(api: Api, world: World) -> None:
    message_id = await sent(world, Unknown("lost"))
    assert await status_of(world) == "ERROR"
    assert await reports(api, world, message_id, "sent") == 204
    assert await status_of(world) == "COMPLETED"
    assert await reports(api, world, message_id, "delivered") == 204
    rows = await fetch("SELECT delivery FROM messages WHERE id = $1", message_id)
    assert rows[0]["delivery"] == "DELIVERED"


async def test_what_a_partner_reports_of_a_text_is_a_text_and_binds_the_number(api: Api, world: World) -> None:
    said = {"id": rcp(world.recipient_ids[0]), "kind": "REPLIED", "text": "Later, please"}
    payload = await api.change("recipientReport", said, "recipient { status } message { channel text }")
    assert payload["recipient"] == {"status": "REPLIED"}
    assert payload["message"] == {"channel": "SMS", "text": "Later, please"}
    by_mail = await api.change("recipientReport", said | {"text": "Or not", "channel": "EMAIL"}, "message { channel }")
    assert by_mail["message"] == {"channel": "EMAIL"}
    bounced = await api.change("recipientReport", said | {"kind": "HARD_BOUNCED", "channel": "SMS"}, "__typename")
    assert [(error["code"], error["field"]) for error in bounced["errors"]] == [("INVALID", ["channel"])]
    await api.change("recipientReport", said | {"kind": "OPTED_OUT", "text": None}, "__typename")
    assert await suppressions(api) == [("CONTACT", "API"), ("PHONE", "API")]


async def test_a_number_is_added_changed_and_shown_without_its_token(api: Api) -> None:
    shown = (
        "mailbox { id channel address sms { apiUrl accountSid incomingUrl } dailyLimit } errors { code field message }"
    )
    given: dict[str, Any] = {"number": "+1 (415) 555-0100", "accountSid": "AC1", "authToken": "secret"}
    made = (await api.change("smsMailboxCreate", given, shown))["mailbox"]
    assert (made["channel"], made["address"], made["dailyLimit"]) == ("SMS", NUMBER, 200)
    assert made["sms"] == {
        "apiUrl": "https://api.twilio.com",
        "accountSid": "AC1",
        "incomingUrl": f"{api.process.settings.links_url}/sms/{made['id']}",
    }
    refused = [
        ("smsMailboxCreate", given | {"number": "0170 1234567"}, ["number"]),
        ("smsMailboxCreate", given, ["number"]),
        ("smsMailboxCreate", given | {"number": "+491701", "apiUrl": "ftp://x"}, None),
        ("smsMailboxUpdate", {"id": made["id"], "apiUrl": "https://elsewhere.example"}, ["authToken"]),
        ("mailboxUpdate", {"id": made["id"], "dailyLimit": 7}, ["id"]),
        ("mailboxDkimKeyCreate", {"id": made["id"]}, ["id"]),
    ]
    for name, wanted, field in refused:
        (error,) = (await api.change(name, wanted, shown))["errors"]
        assert error["code"] == "INVALID"
        assert field is None or error["field"] == field
    changed = await api.change("smsMailboxUpdate", {"id": made["id"], "dailyLimit": 7}, shown)
    assert changed["mailbox"]["dailyLimit"] == 7
