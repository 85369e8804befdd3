"""What comes back, through the API: each row of the signal table, for every status, in the words of a recruiter."""

from collections.abc import Callable, Mapping

import pytest

from domain.rules.ids import from_public
from domain.rules.lifecycle import OPEN, Status
from domain.rules.outcomes import Later, LaterReason, Refused, Sent, Unknown
from tests.api.conftest import Api, rcp
from tests.api.incoming_world import due, of_every_status, send, sent_id, shown, take
from tests.engine.sending_world import carry
from tests.inbound.mails import complaint, delivery_report, letter
from tests.world import IN_AN_HOUR, email

S = Status
Outcome = tuple[Status, str | None]
_OPEN_SENT = [status for status in OPEN if status is not S.SCHEDULED]


def _becomes(**named: Outcome) -> Mapping[Status, Outcome]:
    """What each status becomes: what is named; `OPEN` for the open ones; else it stays."""
    own = {S.COMPLETED: "COMPLETED", S.BOUNCED: "BOUNCED", S.REPLIED: "REPLIED", S.STOPPED: "STOPPED"}
    stays = {status: (status, own.get(status)) for status in S} | {S.UNSUBSCRIBED: (S.UNSUBSCRIBED, "UNSUBSCRIBED")}
    opened = dict.fromkeys(OPEN, named.pop("OPEN")) if "OPEN" in named else {}
    return stays | opened | {S(name): outcome for name, outcome in named.items()}


_FULL = {"status": "5.2.2", "diagnostic": "552 5.2.2 <p0@people.example>: mailbox is full"}
_LATER = {"action": "delayed", "status": "4.4.1", "diagnostic": "451 4.4.1 connection timed out"}
_UNSUBSCRIBED: Outcome = (S.UNSUBSCRIBED, "UNSUBSCRIBED")
_COMPLAINED: Outcome = (S.UNSUBSCRIBED, "COMPLAINED")
ROWS: dict[str, tuple[Callable[[str], bytes], str, Mapping[Status, Outcome]]] = {
    "a person answers": (
        lambda ours: letter("Yes, tell me more.", in_reply_to=ours, sender="me@private.example"),
        "HUMAN_REPLY",
        _becomes(OPEN=(S.REPLIED, "REPLIED")),
    ),
    "the address is dead": (
        delivery_report,
        "HARD_BOUNCE",
        _becomes(OPEN=(S.BOUNCED, "BOUNCED"), COMPLETED=(S.BOUNCED, "BOUNCED")),
    ),
    "remove me": (
        lambda ours: letter("Please remove me from your list.", in_reply_to=ours, sender="me@private.example"),
        "OPT_OUT",
        _becomes(OPEN=_UNSUBSCRIBED, COMPLETED=_UNSUBSCRIBED, REPLIED=_UNSUBSCRIBED),
    ),
    "reported as spam": (complaint, "COMPLAINT", _becomes(OPEN=_COMPLAINED, COMPLETED=_COMPLAINED)),
    "a machine answers": (
        lambda ours: letter("We got your mail.", in_reply_to=ours, Auto_Submitted="auto-replied"),
        "AUTOMATIC_ANSWER",
        _becomes(),
    ),
    "delivery takes longer": (lambda ours: delivery_report(ours, **_LATER), "DELIVERY_DELAYED", _becomes()),
    "the mailbox is full": (
        lambda ours: delivery_report(ours, **_FULL),
        "DELIVERY_FAILED",
        _becomes(OPEN=(S.ERROR, None), PAUSED=(S.PAUSED, None), COMPLETED=(S.ERROR, None)),
    ),
}


@pytest.mark.parametrize("row", ROWS)
async def test_what_comes_back_shows_in_status_reason_event_and_messages(api: Api, row: str) -> None:
    written, classification, becomes = ROWS[row]
    _, people = await of_every_status(api)
    for before, recipient_id in people.items():
        if before is S.SCHEDULED:
            continue  # nothing was sent to it: see the reports by partners below
        raw = written(await sent_id(recipient_id))
        payload = await api.change(
            "inboundMessageIngest",
            {"raw": raw.decode()},
            "outcome again recipient { id } message { id classification direction }",
        )
        assert (payload["errors"], payload["outcome"], payload["again"]) == ([], "RECORDED", False)
        assert payload["message"] == payload["message"] | {"classification": classification, "direction": "INCOMING"}
        assert payload["recipient"]["id"] == rcp(recipient_id)
        now = await shown(api, recipient_id)
        assert (now["status"], now["endReason"]) == becomes[before], (row, before)
        last = now["events"]["nodes"][-1]
        assert (last["status"], last["endReason"]) == becomes[before], (row, before)
        assert last["message"] == last["message"] | {"id": payload["message"]["id"], "classification": classification}
        assert payload["message"]["id"] in [message["id"] for message in now["messages"]["nodes"]]
        if row == "a person answers" and before in (*_OPEN_SENT, S.COMPLETED):
            assert now["repliedAt"]
        if row == "the mailbox is full" and before in (*_OPEN_SENT, S.COMPLETED):
            assert [error["code"] for error in now["openErrors"]["nodes"]] == ["MAILBOX_FULL"]
        if row == "the address is dead":
            assert now["contact"]["emailState"] == "BOUNCED"
        if row in ("remove me", "reported as spam"):
            assert now["contact"]["suppressed"]
    await send(api)
    for status, recipient_id in people.items():  # nothing was answered by sending again
        outgoing = [m for m in (await shown(api, recipient_id))["messages"]["nodes"] if m["direction"] == "OUTGOING"]
        assert len(outgoing) == 1, status


@pytest.mark.parametrize(
    ("kind", "becomes"),
    [
        ("REPLIED", _becomes(OPEN=(S.REPLIED, "REPLIED"))),
        ("HARD_BOUNCED", _becomes(OPEN=(S.BOUNCED, "BOUNCED"), COMPLETED=(S.BOUNCED, "BOUNCED"))),
        ("OPTED_OUT", _becomes(OPEN=_UNSUBSCRIBED, COMPLETED=_UNSUBSCRIBED, REPLIED=_UNSUBSCRIBED)),
        ("COMPLAINED", _becomes(OPEN=_COMPLAINED, COMPLETED=_COMPLAINED)),
    ],
)
async def test_a_partner_reports_through_the_same_door(api: Api, kind: str, becomes: Mapping[Status, Outcome]) -> None:
    _, people = await of_every_status(api)
    for before, recipient_id in people.items():
        given = {"id": rcp(recipient_id), "kind": kind, "text": "By phone: call me\n> a word about your work"}
        payload = await api.change("recipientReport", given, "recipient { status endReason } message { id quotedText }")
        assert payload["errors"] == []
        assert (payload["recipient"]["status"], payload["recipient"]["endReason"]) == becomes[before], before
        assert payload["message"]["quotedText"] == "> a word about your work"
        last = (await shown(api, recipient_id))["events"]["nodes"][-1]
        assert last["message"]["id"] == payload["message"]["id"]
        again = await api.change("recipientReport", given, "message { id }")
        assert again["message"]["id"] == payload["message"]["id"]


async def test_a_single_email_sequence_bounces_after_it_has_completed(api: Api) -> None:
    world = await api.world(steps=[email()])
    await send(api)
    assert (await shown(api, world.recipient_ids[0]))["status"] == "COMPLETED"
    await take(api, delivery_report(await sent_id(world.recipient_ids[0])))
    now = await shown(api, world.recipient_ids[0])
    assert (now["status"], now["endReason"], now["contact"]["emailState"]) == ("BOUNCED", "BOUNCED", "BOUNCED")


async def test_a_suppression_from_elsewhere_ends_what_is_open_and_nothing_else(api: Api) -> None:
    first, second = await api.world(steps=[email(), email(wait=IN_AN_HOUR)]), None
    second = await api.ask(
        """mutation ($s: SequenceCreateInput!) { sequenceCreate(input: $s) { sequence { id } errors { message } } }""",
        {
            "s": {
                "name": "Other",
                "steps": [
                    {"kind": "TASK", "taskKind": "CALL", "taskTitle": "Call", "wait": {"amount": 1, "unit": "DAYS"}}
                ],
            }
        },
    )
    other_sequence = second["sequenceCreate"]["sequence"]["id"]
    enrolled = await api.change(
        "recipientsEnroll",
        {"sequenceId": other_sequence, "contacts": [{"contact": {"email": "p0@people.example"}}]},
        "results { recipient { id } errors { message } }",
    )
    other = from_public(enrolled["results"][0]["recipient"]["id"])[1]
    await send(api)
    await take(api, letter("unsubscribe", in_reply_to=await sent_id(first.recipient_ids[0])))
    mine, theirs = await shown(api, first.recipient_ids[0]), await shown(api, other)
    assert (mine["status"], mine["endReason"]) == ("UNSUBSCRIBED", "UNSUBSCRIBED")
    assert (theirs["status"], theirs["endReason"]) == ("UNSUBSCRIBED", "SUPPRESSED")
    assert theirs["events"]["nodes"][-1]["message"]["text"] == "unsubscribe"


async def test_the_suppression_list_ends_what_is_open_and_leaves_what_has_ended(api: Api) -> None:
    becomes = _becomes(OPEN=(S.UNSUBSCRIBED, "SUPPRESSED"))
    _, people = await of_every_status(api)
    for before, recipient_id in people.items():
        known = await shown(api, recipient_id)
        payload = await api.change("suppressionCreate", {"contactId": known["contact"]["id"]}, "suppression { kind }")
        assert payload["errors"] == []
        now = await shown(api, recipient_id)
        assert (now["status"], now["endReason"], now["contact"]["suppressed"]) == (*becomes[before], True), before
        if before in OPEN:
            last = now["events"]["nodes"][-1]
            assert (last["type"], last["endReason"]) == ("recipient.status_changed", "SUPPRESSED"), before
        else:
            assert now["events"] == known["events"], before


async def test_a_temporary_refusal_waits_and_is_tried_again_and_late_proof_counts(api: Api) -> None:
    world = await api.world(steps=[email(), email(wait=IN_AN_HOUR)], people=3)
    claims = {claim.recipient_id: claim for claim in await due(api)}
    refused, sent, failed = world.recipient_ids
    await carry([claims[refused]], Later(LaterReason.SOFT, "451 4.3.0 try later"))
    now = await shown(api, refused)
    assert (now["status"], now["waitingReason"]) == ("SCHEDULED", "RETRY_BACKOFF")
    from domain.delivery import Result, record

    for recipient_id in (sent, failed):
        await carry([claims[recipient_id]], Unknown("cut"))
        error = (await shown(api, recipient_id))["openErrors"]["nodes"][0]
        assert error["code"] == "DELIVERY_UNCONFIRMED"
    await record(api.workspace_id, [Result(claims[sent].message_id, claims[sent].token, Sent("250 Ok"))])
    outcome = Refused("RECIPIENT_REFUSED_CONTENT", "554 no")
    await record(api.workspace_id, [Result(claims[failed].message_id, claims[failed].token, outcome)])
    now = await shown(api, sent)
    assert (now["status"], now["openErrors"]["nodes"]) == ("IN_PROGRESS", [])
    assert now["events"]["nodes"][-1]["type"] == "recipient.step_carried_out"
    now = await shown(api, failed)
    assert (now["status"], now["openErrors"]["nodes"][0]["code"]) == ("ERROR", "RECIPIENT_REFUSED_CONTENT")
