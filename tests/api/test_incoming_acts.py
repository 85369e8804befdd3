"""What people and partners do with what came back: absences, companies, reclassifying, and the door for providers."""

import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.requests import Request

from api.inbound_door import Hands, InboundDoor
from domain import feed, inbound
from domain.contacts import ContactFields
from domain.database import fetch
from domain.enrolment import Candidate, Enrolment, enroll
from domain.opting_out import OptOutLinks, opt_out
from domain.plans import SequenceSettings
from domain.rules.ids import Prefix, to_public
from domain.rules.webhooks import signature
from tests.api.conftest import PATIENCE_SECONDS, Api, rcp
from tests.api.incoming_world import due, send, sent_id, shown, take
from tests.engine.sending_world import set_row
from tests.inbound.mails import complaint, delivery_report, letter
from tests.world import IN_AN_HOUR, NOW, World, email

_TWO = (email(), email(wait=NOW))


async def _away(api: Api, world: World, words: str, sent: datetime | None = None) -> inbound.Ingested:
    at = sent or datetime.now(UTC)
    headers = {"Auto_Submitted": "auto-replied", "Date": at.strftime("%a, %d %b %Y %H:%M:%S +0000")}
    ours = await sent_id(world.recipient_ids[0])
    return await take(api, letter(words, in_reply_to=ours, subject="Automatic reply: Hello", **headers))


async def test_an_absence_holds_automated_sends_until_a_business_day_after_the_return(api: Api) -> None:
    world = await api.world(steps=_TWO)
    await send(api)
    friday = datetime.now(UTC).date() + timedelta(days=10)
    friday += timedelta(days=(4 - friday.weekday()) % 7)
    await _away(api, world, f"I am out of the office until {friday.isoformat()}.")
    now = await shown(api, world.recipient_ids[0])
    monday = friday + timedelta(days=3)
    assert now["contact"]["outOfOfficeUntil"].startswith(monday.isoformat())
    assert (now["status"], now["waitingReason"]) == ("IN_PROGRESS", "OUT_OF_OFFICE")
    assert await due(api) == []
    contact_id = now["contact"]["id"]
    released = await api.change("contactHoldRelease", {"id": contact_id}, "contact { outOfOfficeUntil }")
    assert released == {"contact": {"outOfOfficeUntil": None}, "errors": []}
    await _away(api, world, f"Still away. I am out of the office until {friday.isoformat()}.")
    now = await shown(api, world.recipient_ids[0])
    assert now["contact"]["outOfOfficeUntil"] is None, "the same absence held again"
    assert len(await due(api)) == 1


async def test_an_absence_without_a_date_holds_for_seven_days_and_once(api: Api) -> None:
    world = await api.world(steps=_TWO)
    await send(api)
    for words in ("I am out of the office until 03/04.", "I am on vacation."):
        row = (await fetch("SELECT contact_id FROM recipients WHERE id = $1", world.recipient_ids[0]))[0]
        await set_row("contacts", row["contact_id"], out_of_office_until=None)
        before = datetime.now(UTC)
        await _away(api, world, words)
        until = (await shown(api, world.recipient_ids[0]))["contact"]["outOfOfficeUntil"]
        assert timedelta(days=6, hours=23) < datetime.fromisoformat(until) - before < timedelta(days=7, hours=1)
    await set_row("contacts", row["contact_id"], out_of_office_until=None)
    await _away(api, world, "I am on vacation.\n\nOn Monday Jo wrote:\n> something else")
    assert (await shown(api, world.recipient_ids[0]))["contact"]["outOfOfficeUntil"] is None


async def test_a_receipt_of_a_ticket_is_no_absence(api: Api) -> None:
    world = await api.world(steps=_TWO)
    await send(api)
    found = await take(
        api,
        letter(
            "Your request 4711 was received.",
            in_reply_to=await sent_id(world.recipient_ids[0]),
            Auto_Submitted="auto-replied",
        ),
    )
    assert found.classification == "AUTOMATIC_ANSWER"
    assert (await shown(api, world.recipient_ids[0]))["contact"]["outOfOfficeUntil"] is None


async def _enrolled(api: Api, world: World, *addresses: str) -> list[UUID]:
    people = [Candidate(ContactFields(values={"email": address, "first_name": "X"})) for address in addresses]
    answers = await enroll(api.workspace_id, api.actor, Enrolment(sequence_id=world.sequence_id, candidates=people))
    return [answer.recipient_id for answer in answers if answer.recipient_id]


@pytest.mark.parametrize("option", [True, False])
async def test_one_reply_ends_the_others_of_a_company_where_the_sequence_says_so(api: Api, option: bool) -> None:
    settings = SequenceSettings(stop_on_company_reply=option)
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)], people=2, settings=settings)
    colleague, private, friend, stranger = await _enrolled(
        api, world, "p9@people.example", "a@gmail.com", "b@gmail.com", "c@other.example"
    )
    await send(api)
    await take(api, letter("Yes", in_reply_to=await sent_id(world.recipient_ids[0])))
    await take(api, letter("Yes", in_reply_to=await sent_id(private), sender="a@gmail.com"))
    for recipient_id in (world.recipient_ids[1], colleague):
        now = await shown(api, recipient_id)
        expected = ("STOPPED", "COMPANY_REPLIED") if option else ("IN_PROGRESS", None)
        assert (now["status"], now["endReason"]) == expected
        if option:
            assert now["events"]["nodes"][-1]["message"]["text"] == "Yes"
    for recipient_id in (friend, stranger):
        assert (await shown(api, recipient_id))["status"] == "IN_PROGRESS"


async def _reclassify(api: Api, message_id: UUID | None, classification: str) -> dict[str, Any]:
    assert message_id is not None
    given = {"id": to_public(Prefix.MESSAGE, message_id), "classification": classification}
    return await api.change("messageReclassify", given, "changed message { classification }")


async def test_a_reply_that_was_none_is_taken_back_and_its_recipient_waits_for_a_person(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)])
    await send(api)
    recipient_id = world.recipient_ids[0]
    found = await take(api, letter("We have received your request.", in_reply_to=await sent_id(recipient_id)))
    assert (await shown(api, recipient_id))["status"] == "REPLIED"
    payload = await _reclassify(api, found.message_id, "AUTOMATIC_ANSWER")
    assert payload == {"changed": 1, "message": {"classification": "AUTOMATIC_ANSWER"}, "errors": []}
    now = await shown(api, recipient_id)
    assert (now["status"], now["endReason"], now["repliedAt"]) == ("PAUSED", None, None)
    assert now["statusMessage"] == (
        "A person said that the message which had ended this was something else; it goes on when it is resumed."
    )
    assert now["events"]["nodes"][-1]["message"]["id"] == to_public(Prefix.MESSAGE, found.message_id or UUID(int=0))
    assert await due(api) == []
    resumed = await api.change("recipientResume", {"id": rcp(recipient_id)}, "recipient { status waitingReason }")
    assert resumed["recipient"] == {"status": "IN_PROGRESS", "waitingReason": "WAIT"}
    await api.change("recipientPause", {"id": rcp(recipient_id)}, "recipient { status }")
    assert (await shown(api, recipient_id))["statusMessage"] == "Paused by a person."
    again = await _reclassify(api, found.message_id, "HUMAN_REPLY")
    assert again["changed"] == 1
    assert (await shown(api, recipient_id))["status"] == "REPLIED"


async def test_what_a_message_did_before_the_events_that_are_kept_is_refused_and_stays(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)])
    await send(api)
    recipient_id = world.recipient_ids[0]
    found = await take(api, letter("We have received your request.", in_reply_to=await sent_id(recipient_id)))
    await feed.number()
    await fetch("DELETE FROM events WHERE workspace_id = $1 RETURNING 1", api.workspace_id)
    await fetch("UPDATE feeds SET first_seq = last_seq + 1 WHERE workspace_id = $1 RETURNING 1", api.workspace_id)
    payload = await _reclassify(api, found.message_id, "AUTOMATIC_ANSWER")
    (refusal,) = payload["errors"]
    assert (refusal["code"], payload["changed"]) == ("TOO_OLD", 0)
    now = await shown(api, recipient_id)
    assert now["status"] == "REPLIED"
    assert now["messages"]["nodes"][-1]["classification"] == "HUMAN_REPLY"


async def test_an_opt_out_by_text_is_taken_back_with_its_suppression(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)])
    await send(api)
    recipient_id = world.recipient_ids[0]
    found = await take(api, letter("Remove me from your list", in_reply_to=await sent_id(recipient_id)))
    now = await shown(api, recipient_id)
    assert (now["status"], now["contact"]["suppressed"]) == ("UNSUBSCRIBED", True)
    await _reclassify(api, found.message_id, "AUTOMATIC_ANSWER")
    now = await shown(api, recipient_id)
    assert (now["status"], now["contact"]["suppressed"]) == ("PAUSED", False)
    lifted = await fetch("SELECT lifted_because FROM suppressions WHERE workspace_id = $1", api.workspace_id)
    assert all(row["lifted_because"] for row in lifted)


async def _press_link(api: Api, recipient_id: UUID) -> None:
    """Press the opt-out link of the last mail that went out to a recipient."""
    (sent,) = await fetch("SELECT id, to_address FROM messages WHERE rfc_message_id = $1", await sent_id(recipient_id))
    links = OptOutLinks(api.vault, api.url)
    url = links.url(api.workspace_id, recipient_id, sent["id"], sent["to_address"], {})
    link = links.read(url.rpartition("/")[2])
    assert link is not None
    await opt_out(link)


async def _grounds(api: Api, recipient_id: UUID) -> int:
    """How many entries of the ledger are in force for the person of a recipient."""
    rows = await fetch(
        "SELECT count(*) AS n FROM suppressions s JOIN recipients r ON r.contact_id = s.contact_id "
        "WHERE s.workspace_id = $1 AND r.id = $2 AND s.lifted_at IS NULL",
        api.workspace_id,
        recipient_id,
    )
    return int(rows[0]["n"])


async def test_who_opted_out_by_another_way_too_stays_out_when_the_text_is_reclassified(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)], people=5)
    await send(api)
    link, complained, reported, twice, listed = world.recipient_ids
    texts = {
        one: (await take(api, letter("Unsubscribe", in_reply_to=await sent_id(one), sender=f"p{n}@people.example")))
        for n, one in enumerate(world.recipient_ids)
    }
    await _press_link(api, link)
    await _press_link(api, link)
    assert await _grounds(api, link) == 2
    spam = await take(api, complaint(await sent_id(complained)))
    await api.change("recipientReport", {"id": rcp(reported), "kind": "OPTED_OUT"}, "recipient { status }")
    words = letter("Remove me from your list", in_reply_to=await sent_id(twice), sender="p3@people.example")
    second = await take(api, words)
    given = {"address": "p4@people.example", "note": "legal letter"}
    put = await api.change("suppressionCreate", given, "suppression { id note reason }")
    assert (put["suppression"]["note"], put["suppression"]["reason"]) == ("legal letter", "LISTED")
    again = await api.change("suppressionCreate", given, "suppression { id }")
    assert again["suppression"]["id"] == put["suppression"]["id"]
    for one, text in texts.items():
        assert (await _reclassify(api, text.message_id, "AUTOMATIC_ANSWER"))["errors"] == []
        now = await shown(api, one)
        assert (now["status"], now["contact"]["suppressed"]) == ("UNSUBSCRIBED", True)
        expected = {complained: "COMPLAINED", listed: "SUPPRESSED"}.get(one, "UNSUBSCRIBED")
        assert now["endReason"] == expected
    assert await _enrolled(api, world, *(f"p{n}@people.example" for n in range(5))) == []
    for meaning in ("HUMAN_REPLY", "AUTOMATIC_ANSWER"):
        (refusal,) = (await _reclassify(api, spam.message_id, meaning))["errors"]
        assert refusal["code"] == "INVALID"
    assert (await shown(api, complained))["contact"]["suppressed"]
    await _reclassify(api, second.message_id, "AUTOMATIC_ANSWER")
    assert not (await shown(api, twice))["contact"]["suppressed"]
    lifted = {"id": put["suppression"]["id"], "reason": "It was another person."}
    assert (await api.change("suppressionDelete", lifted, "suppression { id }"))["errors"] == []
    assert not (await shown(api, listed))["contact"]["suppressed"]


async def test_another_reply_and_another_opt_out_are_what_ended_it_when_the_first_was_none(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)], people=3)
    await send(api)
    replied, opted, stopped = world.recipient_ids
    first = await take(api, letter("We have received your request.", in_reply_to=await sent_id(replied)))
    second = await take(api, letter("Yes, call me", in_reply_to=await sent_id(replied)))
    before = (await shown(api, replied))["repliedAt"]
    await _reclassify(api, first.message_id, "AUTOMATIC_ANSWER")
    now = await shown(api, replied)
    assert (now["status"], now["endReason"]) == ("REPLIED", "REPLIED")
    assert now["repliedAt"] > before
    await _reclassify(api, second.message_id, "AUTOMATIC_ANSWER")
    assert (await shown(api, replied))["repliedAt"] is None
    text = await take(api, letter("Unsubscribe", in_reply_to=await sent_id(opted), sender="p1@people.example"))
    await take(api, letter("Yes, call me", in_reply_to=await sent_id(opted), sender="p1@people.example"))
    await _reclassify(api, text.message_id, "AUTOMATIC_ANSWER")
    now = await shown(api, opted)
    assert (now["status"], now["contact"]["suppressed"]) == ("REPLIED", False)
    await api.change("recipientStop", {"id": rcp(stopped)}, "recipient { status }")
    told = len((await shown(api, stopped))["events"]["nodes"])
    await _press_link(api, stopped)
    await _press_link(api, stopped)
    now = await shown(api, stopped)
    assert (now["status"], now["contact"]["suppressed"]) == ("STOPPED", True)
    assert [event["type"] for event in now["events"]["nodes"][told:]] == ["recipient.message_recorded"]


async def test_an_absence_that_was_none_holds_nobody(api: Api) -> None:
    world = await api.world(steps=_TWO)
    await send(api)
    recipient_id = world.recipient_ids[0]
    found = await _away(api, world, "I am on vacation.")
    until = (await shown(api, recipient_id))["contact"]["outOfOfficeUntil"]
    await _reclassify(api, found.message_id, "OPT_OUT")
    assert (await shown(api, recipient_id))["contact"]["outOfOfficeUntil"] is None
    await _reclassify(api, found.message_id, "AUTOMATIC_ANSWER")
    now = await shown(api, recipient_id)
    assert (now["status"], now["contact"]["outOfOfficeUntil"]) == ("PAUSED", until)
    await api.change("contactHoldRelease", {"id": now["contact"]["id"]}, "contact { id }")
    await _reclassify(api, found.message_id, "HUMAN_REPLY")
    assert (await shown(api, recipient_id))["contact"]["outOfOfficeUntil"] is None


async def test_a_reply_that_asked_to_stop_becomes_an_opt_out(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)])
    await send(api)
    found = await take(api, letter("Leave me alone, will you", in_reply_to=await sent_id(world.recipient_ids[0])))
    await _reclassify(api, found.message_id, "OPT_OUT")
    now = await shown(api, world.recipient_ids[0])
    assert (now["status"], now["endReason"], now["contact"]["suppressed"]) == ("UNSUBSCRIBED", "UNSUBSCRIBED", True)


async def test_what_others_did_since_is_not_taken_back(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)], people=3)
    await send(api)
    stopped, bounced, elsewhere = world.recipient_ids
    await api.change("recipientStop", {"id": rcp(stopped)}, "recipient { status }")
    late = await take(api, letter("Yes", in_reply_to=await sent_id(stopped)))
    await _reclassify(api, late.message_id, "AUTOMATIC_ANSWER")
    assert (await shown(api, stopped))["status"] == "STOPPED"
    report = await take(api, delivery_report(await sent_id(bounced)))
    await _reclassify(api, report.message_id, "AUTOMATIC_ANSWER")
    assert (await shown(api, bounced))["status"] == "BOUNCED"
    reply = await take(api, letter("Yes", in_reply_to=await sent_id(elsewhere)))
    await api.change("recipientReport", {"id": rcp(elsewhere), "kind": "OPTED_OUT"}, "recipient { status }")
    await _reclassify(api, reply.message_id, "AUTOMATIC_ANSWER")
    assert (await shown(api, elsewhere))["status"] == "UNSUBSCRIBED"


async def test_only_what_came_in_can_be_reclassified_and_only_as_what_people_decide(api: Api) -> None:
    await api.world()
    await send(api)
    sent = (await fetch("SELECT id FROM messages WHERE workspace_id = $1", api.workspace_id))[0]["id"]
    for message_id, classification in ((sent, "OPT_OUT"), (UUID(int=5), "OPT_OUT"), (sent, "HARD_BOUNCE")):
        (error,) = (await _reclassify(api, message_id, classification))["errors"]
        assert error["code"] in ("INVALID", "NOT_FOUND")


async def test_a_mail_in_base64_is_read_and_what_is_neither_is_refused(api: Api) -> None:
    world = await api.world()
    await send(api)
    raw = letter("Grüße, gerne!", in_reply_to=await sent_id(world.recipient_ids[0]))
    given = {"raw": base64.encodebytes(raw).decode()}
    payload = await api.change("inboundMessageIngest", given, "outcome message { text from }")
    assert payload["message"] == {"text": "Grüße, gerne!", "from": "p0@people.example"}
    (error,) = (await api.change("inboundMessageIngest", {"raw": "!!"}, "outcome"))["errors"]
    assert (error["code"], error["field"]) == ("INVALID", ["raw"])


class Provider:
    """A mail provider that signs what it hands in."""

    def __init__(self, http: httpx.AsyncClient, url: str, secret: str) -> None:
        self.http, self.path, self.secret = http, httpx.URL(url).path, secret

    async def hand_in(self, raw: bytes, *, age_seconds: int = 0, signed: bytes | None = None) -> httpx.Response:
        at = int(time.time()) - age_seconds
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(at), "content-type": "message/rfc822"}
        headers["webhook-signature"] = f"v1,bm90IHRoaXM= {signature([self.secret], 'msg_1', at, signed or raw)}"
        return await self.http.post(self.path, content=raw, headers=headers)


async def _provider(api: Api, **given: Any) -> Provider:
    payload = await api.change("inboundSecretRotate", given or {"endPrevious": False}, "url secret")
    return Provider(api.http, payload["url"], payload["secret"])


async def test_a_provider_hands_in_a_signed_mail_once(api: Api) -> None:
    world = await api.world()
    await send(api)
    provider = await _provider(api)
    raw = letter("Yes", in_reply_to=await sent_id(world.recipient_ids[0]))
    answers = [(await provider.hand_in(raw)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["again"] for answer in answers] == [False, True]
    assert answers[0].json()["outcome"] == "RECORDED"
    assert (await shown(api, world.recipient_ids[0]))["status"] == "REPLIED"


async def test_what_is_not_signed_now_by_this_workspace_is_not_looked_at(api: Api) -> None:
    world = await api.world()
    await send(api)
    provider = await _provider(api)
    raw = letter("Yes", in_reply_to=await sent_id(world.recipient_ids[0]))
    stranger = Provider(api.http, f"https://x.example/inbound/{to_public(Prefix.WORKSPACE, UUID(int=9))}", "whsec_AAAA")
    answers = [
        await provider.hand_in(raw, signed=raw + b"x"),
        await provider.hand_in(raw, age_seconds=400),
        await provider.hand_in(raw, age_seconds=-400),
        await Provider(api.http, provider.path, "whsec_AAAA").hand_in(raw),
        await stranger.hand_in(raw),
        await api.http.post(provider.path, content=raw),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert (await shown(api, world.recipient_ids[0]))["status"] == "IN_PROGRESS"


async def test_a_mail_over_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    provider = await _provider(api)
    response = await provider.hand_in(b"x" * (25 * 1024 * 1024 + 1))
    assert response.status_code == 413


async def test_a_process_holds_so_many_bytes_of_mails_and_lets_them_go(api: Api) -> None:
    door = InboundDoor(api.process, Hands(at_most=1_000))
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> dict[str, Any]:
        if not halfway.is_set():
            halfway.set()
            return {"type": "http.request", "body": b"x" * 900, "more_body": True}
        await go_on.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def at_once() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 200, "more_body": False}

    def request(receive: Any) -> Request:
        return Request({"type": "http", "headers": [], "path_params": {"workspace": "nonsense"}}, receive)

    async with asyncio.timeout(PATIENCE_SECONDS):
        first = asyncio.create_task(door.take(request(slowly)))
        await halfway.wait()
        for _ in range(1_000):
            if door.hands.held:
                break
            await asyncio.sleep(0)
        full = await door.take(request(at_once))
        assert (full.status_code, full.headers["retry-after"]) == (503, "10")
        go_on.set()
        assert (await first).status_code == 401
        assert (await door.take(request(at_once))).status_code == 401
    assert door.hands.held == 0


async def test_the_secret_before_is_good_for_a_day_unless_it_is_ended(api: Api) -> None:
    first = await _provider(api)
    second = await _provider(api)
    raw = letter("Hello")
    assert [(await one.hand_in(raw)).status_code for one in (first, second)] == [200, 200]
    third = await _provider(api, endPrevious=True)
    assert [(await one.hand_in(raw)).status_code for one in (first, second, third)] == [401, 401, 200]


async def test_the_secret_is_sealed_where_it_is_stored(api: Api) -> None:
    row = await fetch("SELECT inbound_secret FROM workspaces WHERE id = $1", api.workspace_id)
    assert row[0]["inbound_secret"] is None
    provider = await _provider(api)
    row = await fetch("SELECT inbound_secret FROM workspaces WHERE id = $1", api.workspace_id)
    assert provider.secret.encode() not in bytes(row[0]["inbound_secret"])
