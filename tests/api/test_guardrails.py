"""Guardrails through the API: their limits, what is held and why, and who releases it."""

from typing import Any
from uuid import UUID

from domain import sending
from domain.rules.outcomes import Sent
from tests.api.conftest import Api, mbx, rcp, seq
from tests.api.incoming_world import due, send, sent_id, take
from tests.engine.sending_world import carry
from tests.inbound.mails import complaint
from tests.world import IN_AN_HOUR, World, email

_GUARDRAIL = """guardrail { hold { cause count sent percent limitPercent message } sent bounced complained
    complaintPercent releasedAt limits { bouncePercent complaintPercent minimumSends windowDays }
    ownLimits { bouncePercent minimumSends } }"""
_SHOWN = f"""query ($mailbox: ID!, $sequence: ID!, $recipient: ID!) {{
    mailbox: node(id: $mailbox) {{ ... on Mailbox {{ state stateMessage {_GUARDRAIL} }} }}
    sequence: node(id: $sequence) {{ ... on Sequence {{ {_GUARDRAIL} }} }}
    recipient: node(id: $recipient) {{ ... on Recipient {{ status waitingReason statusMessage nextAttemptAt }} }}
    viewer {{ workspace {{ guardrailLimits {{ complaintPercent minimumSends }} }} }} }}"""
_WHY = (
    "is held: 1 of the last 4 messages were reported as spam (25 %, more than 0.2 %). "
    "Whoever may change mailboxes can release it (guardrailRelease)."
)


async def look(api: Api, world: World) -> dict[str, Any]:
    """What a screen shows of the guardrails, and of the one who is due."""
    ids = {"mailbox": mbx(world.mailbox_id), "sequence": seq(world.sequence_id)}
    return await api.ask(_SHOWN, ids | {"recipient": rcp(world.recipient_ids[-1])})


async def test_a_complaint_holds_the_mailbox_and_the_sequence_until_a_person_releases_them(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)], people=5)
    claims = {claim.recipient_id: claim for claim in await due(api)}
    await carry([claims[one] for one in world.recipient_ids[:4]], Sent("250 2.0.0 Ok"))
    await sending.release([claims[world.recipient_ids[4]]])
    ids = {"mailboxId": mbx(world.mailbox_id), "sequenceId": seq(world.sequence_id)}
    given = {"minimumSends": 4, "complaintPercent": 0.2}
    payload = await api.change("guardrailUpdate", given, "workspaceLimits { minimumSends complaintPercent }")
    assert payload == {"errors": [], "workspaceLimits": given}
    await api.change("guardrailUpdate", {"mailboxId": ids["mailboxId"], "bouncePercent": 7.5}, "mailbox { id }")
    await take(api, complaint(await sent_id(world.recipient_ids[0])))

    now = await look(api, world)
    assert now["viewer"]["workspace"]["guardrailLimits"] == given
    assert (now["mailbox"]["state"], now["mailbox"]["stateMessage"]) == ("HELD", f"Sending from the mailbox {_WHY}")
    for name, held in (("mailbox", "from the mailbox"), ("sequence", "in the sequence")):
        found = now[name]["guardrail"]
        assert found["hold"] == {
            "cause": "COMPLAINTS",
            "count": 1,
            "sent": 4,
            "percent": 25.0,
            "limitPercent": 0.2,
            "message": f"Sending {held} {_WHY}",
        }
        assert (found["sent"], found["bounced"], found["complained"], found["complaintPercent"]) == (4, 0, 1, 25.0)
        own = {"bouncePercent": 7.5 if name == "mailbox" else None, "minimumSends": None}
        assert found["ownLimits"] == own
        assert found["limits"] == given | {"bouncePercent": own["bouncePercent"] or 5.0, "windowDays": 7}
    waits = {"status": "SCHEDULED", "waitingReason": "GUARDRAIL", "nextAttemptAt": None}
    assert now["recipient"] == waits | {"statusMessage": f"Sending in the sequence {_WHY}"}
    released = await api.change("guardrailRelease", {"sequenceId": ids["sequenceId"]}, "sequence { id }")
    assert released == {"errors": [], "sequence": {"id": ids["sequenceId"]}}
    now = await look(api, world)
    assert now["recipient"] == waits | {"statusMessage": f"Sending from the mailbox {_WHY}"}
    await send(api)
    assert (await look(api, world))["recipient"]["status"] == "SCHEDULED"
    released = await api.change("guardrailRelease", {"mailboxId": ids["mailboxId"]}, "mailbox { state stateMessage }")
    assert released["mailbox"] == {"state": "CONNECTED", "stateMessage": None}
    now = await look(api, world)
    assert (now["recipient"]["waitingReason"], now["mailbox"]["guardrail"]["sent"]) == (None, 0)
    assert now["mailbox"]["guardrail"]["releasedAt"]
    await send(api)
    assert (await look(api, world))["recipient"]["status"] == "IN_PROGRESS"


_REFUSED: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"bouncePercent": 0}, "bouncePercent", "The rate of bounces is 0.01 to 100 per cent; 100 never holds."),
    ({"complaintPercent": 101}, "complaintPercent", "The rate of complaints is 0.01 to 100 per cent; 100 never holds."),
    ({"minimumSends": 0}, "minimumSends", "The smallest sample is 1 to 100,000 messages."),
    ({"windowDays": 31}, "windowDays", "The window is 1 to 30 days."),
)


async def test_what_makes_no_sense_is_refused_in_words(api: Api) -> None:
    for given, field, words in _REFUSED:
        (error,) = (await api.change("guardrailUpdate", given, "mailbox { id }"))["errors"]
        assert (error["code"], error["field"], error["message"]) == ("INVALID", [field], words)
    world = await api.world()
    both = {"mailboxId": mbx(world.mailbox_id), "sequenceId": seq(world.sequence_id)}
    (error,) = (await api.change("guardrailUpdate", both | {"windowDays": 3}, "mailbox { id }"))["errors"]
    assert error["message"] == "Set the limits of a mailbox or of a sequence, one at a time."
    (error,) = (await api.change("guardrailRelease", {}, "mailbox { id }"))["errors"]
    assert error["message"] == "Say which mailbox or which sequence is released."
    gone = mbx(UUID(int=7))
    (error,) = (await api.change("guardrailUpdate", {"mailboxId": gone, "windowDays": 3}, "mailbox { id }"))["errors"]
    assert (error["code"], error["field"]) == ("NOT_FOUND", ["mailboxId"])
