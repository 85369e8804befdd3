"""Answers to a hand-over, receipts and incoming text messages, through the API: for every status what product.md's
signal table says, in the words of a recruiter.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from domain.database import fetch
from domain.rules import text_paths
from domain.rules.lifecycle import ENDED, OPEN, Status
from domain.rules.outcomes import Later, LaterReason, Outcome, Refused, Sent
from tests.api.conftest import Api, rcp
from tests.api.hand_over_world import answered, of_every_status_by_text, of_every_status_in_flight
from tests.api.incoming_world import due, shown
from tests.api.test_text_door import NUMBER, tell

S = Status
_REASONS = {status: str(status) for status in ENDED}  # of these worlds
_STAYS: Mapping[Status, Status] = {status: status for status in S}
# Whom the step in question still stands before: the others were taken past it, or have ended.
_AT_IT = (S.SCHEDULED, S.IN_PROGRESS, S.PAUSED, S.ERROR)


def _all_open(becomes: Status, *others: Status) -> Mapping[Status, Status]:
    return _STAYS | dict.fromkeys((*OPEN, *others), becomes)


# The answer; what the message becomes; what its recipient becomes.
ANSWERS: dict[str, tuple[Outcome, str, Mapping[Status, Status]]] = {
    # It is known now that nothing was sent: who was in error for not knowing waits like the others.
    "later": (Later(LaterReason.SOFT, "451 4.3.0 try later"), "DEFERRED", _STAYS | {S.ERROR: S.IN_PROGRESS}),
    "sent": (Sent("250 2.0.0 Ok"), "SENT", _STAYS | {S.SCHEDULED: S.IN_PROGRESS, S.ERROR: S.IN_PROGRESS}),
    "failed": (
        Refused("RECIPIENT_REFUSED_CONTENT", "554 5.7.1 no thanks"),
        "REFUSED",
        _STAYS | {S.SCHEDULED: S.ERROR, S.IN_PROGRESS: S.ERROR},
    ),
}


async def _versions(api: Api) -> dict[str, int]:
    rows = await fetch("SELECT id, version FROM recipients WHERE workspace_id = $1", api.workspace_id)
    return {rcp(row["id"]): row["version"] for row in rows}


def _since(now: dict[str, Any], version: int) -> list[dict[str, Any]]:
    """The events of a recipient after a version, oldest first."""
    return [event for event in now["events"]["nodes"] if event["version"] > version]


def _reason(status: Status) -> str | None:
    return _REASONS.get(status)


@pytest.mark.parametrize("row", ANSWERS)
async def test_what_a_server_answers_to_a_hand_over_shows_for_every_status_also_late(api: Api, row: str) -> None:
    outcome, message, becomes = ANSWERS[row]
    _, people, claims = await of_every_status_in_flight(api)
    versions = await _versions(api)
    for before, recipient_id in people.items():
        await answered(api, claims[before], outcome)
        now = await shown(api, recipient_id)
        after = becomes[before]
        assert (now["status"], now["endReason"]) == (after, _reason(after)), before
        (ours,) = [one for one in now["messages"]["nodes"] if one["state"] != "RECEIVED"][-1:]
        assert ours["state"] == message, before
        events = [(one["type"], one["status"], one["endReason"]) for one in _since(now, versions[rcp(recipient_id)])]
        if row == "sent":  # a fact, whatever had become of it
            assert events == [("recipient.step_carried_out", after, _reason(after))], before
            assert now["openErrors"]["nodes"] == [], before
        elif row == "failed":
            at_it = before in _AT_IT
            assert events == ([("recipient.step_failed", after, None)] if at_it else []), before
            codes = [one["code"] for one in now["openErrors"]["nodes"]]
            assert codes == (["RECIPIENT_REFUSED_CONTENT"] if at_it else []), before
            assert ("no thanks" in now["statusMessage"]) is (at_it and before is not S.PAUSED), before
        else:
            assert events == ([("recipient.step_retried", after, None)] if before is S.ERROR else []), before
            backs_off = before in _AT_IT and before is not S.PAUSED
            assert (now["waitingReason"] == "RETRY_BACKOFF") is backs_off, before
            assert ("asked to try later" in now["statusMessage"]) is backs_off, before
    await _is_left_alone_until_resumed(api, row, people)


async def _is_left_alone_until_resumed(api: Api, row: str, people: Mapping[Status, Any]) -> None:
    """Whoever is paused shows, and does, nothing of it until resumed."""
    claimed = {claim.recipient_id for claim in await due(api)}
    assert claimed == ({people[S.SCHEDULED]} if row == "sent" else set())  # for its second mail
    resumed = await api.change(
        "recipientResume", {"id": rcp(people[S.PAUSED])}, "recipient { status waitingReason openErrors { totalCount } }"
    )
    now = resumed["recipient"]
    if row == "later":
        assert (now["status"], now["waitingReason"]) == ("IN_PROGRESS", "RETRY_BACKOFF")
    else:  # who resumes one recipient has its failed step tried again
        assert (now["status"], now["openErrors"]["totalCount"]) == ("IN_PROGRESS", 0)


# What the door is told; what the recipient becomes; how it is understood, or shown at our message.
TEXTS: dict[str, tuple[dict[str, str], Mapping[Status, Status], str]] = {
    "words": ({"Body": "Yes, call me!"}, _all_open(S.REPLIED), "HUMAN_REPLY"),
    "STOP": ({"Body": "STOP"}, _all_open(S.UNSUBSCRIBED, S.COMPLETED, S.REPLIED), "OPT_OUT"),
    "delivered": ({"MessageStatus": "delivered"}, _STAYS | {S.ERROR: S.IN_PROGRESS}, "DELIVERED"),
    "undelivered": (
        {"MessageStatus": "undelivered", "ErrorCode": "30003"},
        _all_open(S.ERROR, S.COMPLETED) | {S.PAUSED: S.PAUSED},
        "FAILED",
    ),
}


@pytest.mark.parametrize("row", TEXTS)
async def test_what_comes_back_about_a_text_message_shows_for_every_status(api: Api, row: str) -> None:
    told, becomes, means = TEXTS[row]
    world, people, messages = await of_every_status_by_text(api)
    versions = await _versions(api)
    for number, (before, recipient_id) in enumerate(people.items()):
        if "Body" in told:
            incoming = {"MessageSid": f"SMin{number}", "From": f"+49170123450{number:02}", "To": NUMBER}
            answer = await tell(api, text_paths.incoming(world.mailbox_id), incoming | told)
            assert answer.status_code == 200
        elif before is S.SCHEDULED:
            continue  # nothing was sent to it
        else:
            path = text_paths.reports(world.mailbox_id, messages[before])
            assert (await tell(api, path, {"MessageSid": "SM1"} | told)).status_code == 204
        now = await shown(api, recipient_id)
        after = becomes[before]
        assert (now["status"], now["endReason"]) == (after, _reason(after)), before
        events = _since(now, versions[rcp(recipient_id)])
        last = now["messages"]["nodes"][-1]
        if "Body" in told:
            assert (last["direction"], last["classification"], last["text"]) == ("INCOMING", means, told["Body"])
            moved = "recipient.message_recorded" if after is before else "recipient.status_changed"
            assert [(one["type"], one["message"]["id"]) for one in events] == [(moved, last["id"])], before
            if before is not S.REPLIED:
                noted = row == "words" and before in (*OPEN, S.COMPLETED)
                assert bool(now["repliedAt"]) is noted, before
            continue
        assert (last["direction"], last["state"], last["delivery"]) == ("OUTGOING", "SENT", means), before
        failed = row == "undelivered" and before in (*OPEN, S.COMPLETED)
        expected = ["recipient.step_carried_out"] if before is S.ERROR else []  # a report proves that it was taken
        assert [one["type"] for one in events] == expected + ["recipient.step_failed"] * failed, before
        assert [one["code"] for one in now["openErrors"]["nodes"]] == ["SOFT_BOUNCE_EXHAUSTED"] * failed, before
        assert ("switched off or out of reach" in now["statusMessage"]) is (failed and before is not S.PAUSED)
