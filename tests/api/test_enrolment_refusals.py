"""Each refusal of enrolling, provoked by its cause, and its way out."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from domain import enrolment
from domain.contacts import ContactFields
from domain.database import fetch
from domain.enrolment import Answer, Candidate, Enrolment
from domain.refusals import ExclusiveElsewhere
from domain.rules.actor import ENGINE
from domain.rules.fact import Fact
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Signal
from domain.signals import apply
from tests.api.conftest import Api, rcp, seq, stp
from tests.engine.sending_world import advance
from tests.world import IN_AN_HOUR, World, email, task

_TOLD = """results { recipient { id enrolledBy { kind } currentStep { id } nextAttemptAt }
    errors { code message field suggestedFix { code }
        ... on AlreadyEnrolledError { recipient { id } } ... on ExclusiveElsewhereError { recipient { id } } } }
    succeeded failed"""


async def _enrol(api: Api, world: World, *addresses: str, **more: Any) -> dict[str, Any]:
    people = [{"contact": {"email": address}} for address in addresses]
    return await api.change(
        "recipientsEnroll", {"sequenceId": seq(world.sequence_id), "contacts": people} | more, _TOLD
    )


async def _refusal(api: Api, world: World, address: str, **more: Any) -> dict[str, Any]:
    payload = await _enrol(api, world, address, **more)
    (result,) = payload["results"]
    assert result["recipient"] is None
    assert (payload["succeeded"], payload["failed"]) == (0, 1)
    (error,) = result["errors"]
    return dict(error)


async def _settings(api: Api, world: World, **settings: Any) -> None:
    payload = await api.change(
        "sequenceUpdate", {"id": seq(world.sequence_id), "settings": settings}, "sequence { settings { exclusive } }"
    )
    assert payload["errors"] == []


async def test_who_is_in_is_named_and_who_was_in_comes_back_as_the_sequence_says(api: Api) -> None:
    world = await api.world(steps=[email(wait=IN_AN_HOUR)])
    (recipient,) = world.recipient_ids
    already = await _refusal(api, world, "p0@people.example")
    assert (already["code"], already["recipient"]) == ("ALREADY_ENROLLED", {"id": rcp(recipient)})

    await api.change("recipientStop", {"id": rcp(recipient)}, "inFlight")
    await _settings(api, world, reenrolment="NEVER")
    assert (await _refusal(api, world, "p0@people.example"))["code"] == "REENROLMENT_NOT_ALLOWED"
    await _settings(api, world, reenrolment="AFTER_END_PLUS_DAYS", reenrolmentDays=3)
    waits = await _refusal(api, world, "p0@people.example")
    assert waits["code"] == "REENROLMENT_NOT_ALLOWED"
    assert "can be enrolled again from" in waits["message"]
    await advance(api.workspace_id, timedelta(days=3, hours=1))
    assert (await _enrol(api, world, "p0@people.example"))["succeeded"] == 1
    assert (await _refusal(api, world, "p0@people.example"))["code"] == "ALREADY_ENROLLED"


async def test_what_is_wrong_with_the_person_is_told_and_a_task_first_needs_no_address(api: Api) -> None:
    world = await api.world(steps=[email(wait=IN_AN_HOUR), task()], people=3)
    bounced, opted_out, _ = world.recipient_ids
    await apply(api.workspace_id, Fact(signal=Signal.HARD_BOUNCE, recipient_id=bounced, actor=ENGINE))
    await apply(api.workspace_id, Fact(signal=Signal.OPT_OUT, recipient_id=opted_out, actor=ENGINE))
    again = await _refusal(api, world, "p0@people.example")
    assert (again["code"], again["suggestedFix"]["code"]) == ("EMAIL_BOUNCED_BEFORE", "CORRECT_EMAIL")
    assert (await _refusal(api, world, "p1@people.example"))["code"] == "SUPPRESSED"

    nobody = {"contacts": [{"contact": {"externalId": "ats-1"}}], "sequenceId": seq(world.sequence_id)}
    (missing,) = (await api.change("recipientsEnroll", nobody, _TOLD))["results"]
    assert [error["code"] for error in missing["errors"]] == ["EMAIL_MISSING"]
    (by_task,) = (await api.change("recipientsEnroll", nobody | {"startStepId": stp(world.step_ids[1])}, _TOLD))[
        "results"
    ]
    assert by_task["errors"] == []
    assert by_task["recipient"]["currentStep"] == {"id": stp(world.step_ids[1])}
    assert by_task["recipient"]["enrolledBy"] == {"kind": "API_KEY"}

    await api.change("contactUpsert", {"externalId": "ats-2", "email": "two@people.example"}, "contact { id }")
    two = {"contact": {"externalId": "ats-1", "email": "two@people.example"}}
    twice = [{"contact": {"email": "new@people.example"}}, {"contact": {"email": "NEW@people.example"}}, two]
    payload = await api.change("recipientsEnroll", {"sequenceId": seq(world.sequence_id), "contacts": twice}, _TOLD)
    codes = [[error["code"] for error in result["errors"]] for result in payload["results"]]
    assert codes == [[], ["DUPLICATE_IN_BATCH"], ["CONTACT_AMBIGUOUS"]]


async def test_a_dry_run_says_the_same_and_changes_nothing_and_an_archived_sequence_takes_nobody(api: Api) -> None:
    world = await api.world(steps=[email(wait=IN_AN_HOUR)])
    tried = await _enrol(api, world, "p0@people.example", "new@people.example", dryRun=True)
    assert [[error["code"] for error in result["errors"]] for result in tried["results"]] == [["ALREADY_ENROLLED"], []]
    assert len(await fetch("SELECT 1 FROM contacts WHERE workspace_id = $1", api.workspace_id)) == 1
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    (started,) = (await _enrol(api, world, "new@people.example", startAt=later.isoformat()))["results"]
    assert datetime.fromisoformat(started["recipient"]["nextAttemptAt"]) == later + timedelta(hours=1)

    await api.change("sequenceArchive", {"id": seq(world.sequence_id), "stopOpenRecipients": True}, "inFlight")
    refused = await _enrol(api, world, "late@people.example")
    assert [error["code"] for error in refused["errors"]] == ["SEQUENCE_ARCHIVED"]


async def test_a_sequence_that_shares_nobody_is_exclusive_in_both_directions_and_counts_open_ones(api: Api) -> None:
    shared = await api.world(steps=[email(wait=IN_AN_HOUR)], people=2)
    made = await api.change(
        "sequenceCreate",
        {
            "name": "Alone",
            "steps": [{"kind": "TASK", "taskTitle": "Call"}],
            "settings": {"exclusive": True},
            "mailboxIds": [to_public(Prefix.MAILBOX, shared.mailbox_id)],
        },
        "sequence { id settings { exclusive } }",
    )
    assert made["sequence"]["settings"] == {"exclusive": True}
    alone = {"sequenceId": made["sequence"]["id"]}
    refused = await _refusal(api, shared, "p0@people.example", **alone)
    assert (refused["code"], refused["recipient"]) == ("EXCLUSIVE_ELSEWHERE", {"id": rcp(shared.recipient_ids[0])})
    assert "“Outreach”" in refused["message"]

    await api.change("recipientStop", {"id": rcp(shared.recipient_ids[0])}, "inFlight")
    assert (await _enrol(api, shared, "p0@people.example", **alone))["succeeded"] == 1  # what has ended does not count
    back = await _refusal(api, shared, "p0@people.example")
    assert (back["code"], "“Alone”" in back["message"]) == ("EXCLUSIVE_ELSEWHERE", True)


async def test_of_two_enrolments_at_once_one_wins_where_a_sequence_shares_nobody(api: Api) -> None:
    """By the id of a contact that is there, and by an address that is new to both."""
    options = {"steps": [task(wait=IN_AN_HOUR)], "people": 0}
    first = await api.world(**options)
    second_id = (
        await api.change(
            "sequenceCreate",
            {"name": "Alone", "settings": {"exclusive": True}, "steps": [{"kind": "TASK", "taskTitle": "Call"}]},
            "sequence { id }",
        )
    )["sequence"]["id"]
    (second,) = await fetch("SELECT id FROM sequences WHERE workspace_id = $1 AND name = 'Alone'", api.workspace_id)
    assert seq(second["id"]) == second_id

    async def enrol(sequence_id: Any, fields: ContactFields) -> Answer:
        wanted = Enrolment(sequence_id=sequence_id, candidates=[Candidate(fields)])
        (answer,) = await enrolment.enroll(api.workspace_id, api.actor, wanted)
        return answer

    known = [
        (await api.change("contactUpsert", {"email": f"known{n}@people.example"}, "contact { id }"))["contact"]["id"]
        for n in range(8)
    ]
    rows = await fetch("SELECT id FROM contacts WHERE workspace_id = $1 ORDER BY id", api.workspace_id)
    assert len(rows) == len(known)
    people = [ContactFields(row["id"]) for row in rows]
    people += [ContactFields(values={"email": f"new{n}@people.example"}) for n in range(8)]
    answers = await asyncio.gather(
        *(enrol(sequence_id, fields) for fields in people for sequence_id in (first.sequence_id, second["id"]))
    )
    for one, other in zip(answers[::2], answers[1::2], strict=True):
        won = [answer for answer in (one, other) if answer.recipient_id is not None]
        (lost,) = [answer for answer in (one, other) if answer.refusal is not None]
        assert len(won) == 1
        assert lost.refusal is not None
        assert isinstance(lost.refusal, ExclusiveElsewhere) or lost.refusal.code == "CONTACT_AMBIGUOUS"
    open_twice = await fetch(
        "SELECT contact_id FROM recipients WHERE workspace_id = $1 AND end_reason IS NULL "
        "GROUP BY 1 HAVING count(*) > 1",
        api.workspace_id,
    )
    assert open_twice == []
