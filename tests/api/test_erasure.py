"""Erasing a person through the API: nothing that says who it was is left, nor comes back with what arrives later.

Source: reliability.md R26.
"""

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from domain import marking
from domain.delivery import Result, record
from domain.rules.ids import from_public
from domain.rules.outcomes import Refused
from tests.api.conftest import Api, rcp, seq
from tests.api.incoming_world import due, send, sent_id, shown
from tests.engine.test_erasing import everything
from tests.inbound.mails import complaint, delivery_report, letter
from tests.world import IN_AN_HOUR, World, email, task
from workers.composing import Letter, composed

WORDS = ("qyvrin", "15799123")
PERSON = {
    "email": "Qyvrin.Mail@qyvrin.example",
    "phone": "+49 1579 9123001",
    "firstName": "Qyvrin-First",
    "lastName": "Qyvrin-Last",
    "company": "Qyvrin Ltd",
    "externalId": "qyvrin-7",
    "fields": {"note": "qyvrin"},
}
_FULL = {"status": "5.2.2", "diagnostic": "552 5.2.2 <Qyvrin.Mail@qyvrin.example>: mailbox is full"}


async def found_in(database_url: str, redis_url: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Every line of the database, of Redis and of the logs that says who it was."""
    lines = (await everything(database_url)).splitlines() + caplog.text.splitlines()
    redis = Redis.from_url(redis_url)
    try:
        async for key in redis.scan_iter():
            lines.append(f"{key!r} {await redis.dump(key)!r}")
    finally:
        await redis.aclose()
    return [line[:160] for line in lines if any(word in line.lower() for word in WORDS)]


async def enrolled(api: Api) -> tuple[World, str, str]:
    """The person in a sequence of two mails; the world, the recipient and the contact."""
    world = await api.world(
        steps=[email(body="Dear {{ full_name }}, {{ fields.note }}"), email(wait=IN_AN_HOUR), task()]
    )
    given = {
        "sequenceId": seq(world.sequence_id),
        "contacts": [{"contact": PERSON, "recipientExternalId": "qyvrin-run"}],
        "idempotencyKey": "enrol qyvrin",
    }
    payload = await api.change("recipientsEnroll", given, "results { recipient { id contact { id } } }")
    recipient = payload["results"][0]["recipient"]
    return world, recipient["id"], recipient["contact"]["id"]


async def take(api: Api, raw: bytes) -> dict[str, Any]:
    selection = "outcome message { classification subject text from to } recipient { status }"
    payload = await api.change("inboundMessageIngest", {"raw": raw.decode()}, selection)
    assert payload["errors"] == []
    return payload


async def test_what_comes_after_an_erasure_is_a_fact_without_words(
    api: Api, database_url: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "relance")
    world, recipient, contact = await enrolled(api)
    key = from_public(recipient)[1]
    await send(api)
    ours = await sent_id(key)
    await take(api, letter("Qyvrin is away", in_reply_to=ours, sender=PERSON["email"], Auto_Submitted="auto-replied"))
    assert await found_in(database_url, redis_url, caplog) != []
    erased = await api.change("contactErase", {"id": contact, "idempotencyKey": "erase qyvrin"}, "erasedId")
    assert erased["errors"] == []
    assert await found_in(database_url, redis_url, caplog) == []

    mails: Mapping[str, bytes] = {
        "HUMAN_REPLY": letter("Yours, Qyvrin", in_reply_to=ours, sender=PERSON["email"], subject="Re: Qyvrin"),
        "OPT_OUT": letter("unsubscribe", in_reply_to=ours, sender="alias@qyvrin.example"),
        "DELIVERY_FAILED": delivery_report(ours, to=PERSON["email"], **_FULL),
        "HARD_BOUNCE": delivery_report(ours, to=PERSON["email"]),
        "AUTOMATIC_ANSWER": letter(
            "Qyvrin is back on 2027-01-04", in_reply_to=ours, sender=PERSON["email"], Auto_Submitted="auto-replied"
        ),
        "COMPLAINT": complaint(ours),
    }
    for classification, raw in mails.items():
        taken = await take(api, raw)
        nothing = {"subject": None, "text": None, "from": None, "to": []}
        assert taken["message"] == nothing | {"classification": classification}
        assert taken["recipient"] == {"status": "STOPPED"}
    assert (await take(api, letter("Qyvrin again", sender=PERSON["email"])))["outcome"] == "NOT_OURS"
    report = {"id": recipient, "kind": "REPLIED", "text": "Qyvrin called"}
    assert (await api.change("recipientReport", report, "message { text }"))["message"] == {"text": None}
    assert await found_in(database_url, redis_url, caplog) == []

    for wanted in ({"address": PERSON["email"]}, {"phone": PERSON["phone"]}, {"address": "Alias@qyvrin.example"}):
        given = wanted | {"note": "asked by Qyvrin"}
        made = await api.change("suppressionCreate", given, "suppression { kind value note }")
        assert made["suppression"] == {"kind": "ERASED", "value": None, "note": None}, made
    assert await found_in(database_url, redis_url, caplog) == []
    for again in (
        {"email": PERSON["email"].upper()},
        {"email": "new@free.example", "phone": PERSON["phone"]},
        {"email": "alias@qyvrin.example"},
    ):
        (error,) = (await api.change("contactUpsert", again, "contact { id }"))["errors"]
        assert error["code"] == "SUPPRESSED"
        given = {"sequenceId": seq(world.sequence_id), "contacts": [{"contact": again}]}
        (result,) = (await api.change("recipientsEnroll", given, "results { errors { code } }"))["results"]
        assert result["errors"] == [{"code": "SUPPRESSED"}]


async def test_an_answer_that_comes_after_an_erasure_leaves_no_words(
    api: Api, database_url: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The mail server's last words about a message in flight."""
    _, recipient, contact = await enrolled(api)
    claim = next(claim for claim in await due(api) if rcp(claim.recipient_id) == recipient)
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark]) == {claim.message_id}
    erased = await api.change("contactErase", {"id": contact}, "inFlight")
    assert erased["inFlight"] == 1
    words = "550 5.1.1 <qyvrin.mail@qyvrin.example> does not live here"
    outcome = Refused("EMAIL_INVALID", words, hard_bounce=True)
    assert await record(api.workspace_id, [Result(claim.message_id, claim.token, outcome)]) == {claim.message_id}
    assert (await shown(api, claim.recipient_id))["status"] == "STOPPED"
    assert await found_in(database_url, redis_url, caplog) == []
