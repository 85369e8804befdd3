"""People of every status to whom a message is being handed over, or of whose hand-over the answer was lost; and people
of every status who were sent a text message.
"""

from collections.abc import Mapping
from uuid import UUID

from domain import marking, pending, recipients
from domain.claims import Claim
from domain.database import fetch
from domain.delivery import Result, record
from domain.marking import Mark
from domain.rules.lifecycle import Status
from domain.rules.outcomes import Outcome, Sent, Unknown
from tests.api.conftest import Api, rcp
from tests.api.incoming_world import due
from tests.engine.sending_world import carry
from tests.world import IN_AN_HOUR, World, email, make_text_world, task, text
from workers.composing import Letter, composed, texted

S = Status
_REPORTED = {S.BOUNCED: "HARD_BOUNCED", S.REPLIED: "REPLIED", S.UNSUBSCRIBED: "OPTED_OUT"}


async def answered(api: Api, claim: Claim, outcome: Outcome) -> None:
    """Let the mail server's answer come in."""
    assert await record(api.workspace_id, [Result(claim.message_id, claim.token, outcome)]) == {claim.message_id}


async def _come_to_their_ends(api: Api, people: Mapping[Status, UUID]) -> None:
    await recipients.pause(api.workspace_id, api.actor, people[S.PAUSED])
    await recipients.stop(api.workspace_id, api.actor, people[S.STOPPED])
    for status, kind in _REPORTED.items():
        report = {"id": rcp(people[status]), "kind": kind}
        assert (await api.change("recipientReport", report, "recipient { id }"))["errors"] == []
    await pending.put_due_before_people(limit=10_000)
    rows = await fetch("SELECT id, status FROM recipients WHERE workspace_id = $1", api.workspace_id)
    assert {row["id"]: row["status"] for row in rows} == {key: status for status, key in people.items()}


async def of_every_status_in_flight(api: Api) -> tuple[World, Mapping[Status, UUID], Mapping[Status, Claim]]:
    """One recipient of each status, and the hand-over of its second mail (of the first, where it is scheduled): under
    way, or its answer lost, which a person then skipped where the recipient went on."""
    world = await api.world(steps=[email(), email(), task()], people=len(S))
    people = dict(zip(S, world.recipient_ids, strict=True))
    await recipients.pause(api.workspace_id, api.actor, people[S.SCHEDULED])
    await carry(await due(api), Sent("250 2.0.0 Ok"))
    await recipients.resume(api.workspace_id, api.actor, people[S.SCHEDULED])
    of = {recipient_id: status for status, recipient_id in people.items()}
    claims = {of[claim.recipient_id]: claim for claim in await due(api)}
    assert set(claims) == set(S)
    letters = [composed(claim) for claim in claims.values()]
    marks = [letter.mark for letter in letters if isinstance(letter, Letter)]
    assert len(await marking.mark(marks)) == len(S)
    for status in (S.ERROR, S.PENDING_ACTION, S.COMPLETED):
        await answered(api, claims[status], Unknown("the connection was cut"))
    for status in (S.PENDING_ACTION, S.COMPLETED):
        await recipients.skip_step(api.workspace_id, api.actor, people[status], world.step_ids[1])
    await recipients.skip_step(api.workspace_id, api.actor, people[S.COMPLETED], world.step_ids[2])
    await _come_to_their_ends(api, people)
    return world, people, claims


async def of_every_status_by_text(api: Api) -> tuple[World, Mapping[Status, UUID], Mapping[Status, UUID]]:
    """One recipient of each status, and the text message of each; the scheduled one was sent none, and of the one in
    error nobody knows whether it was."""
    steps = [text(), task(), text(wait=IN_AN_HOUR)]
    world = await make_text_world(
        api.workspace_id, api.actor, api.vault, "https://provider.example", steps=steps, people=len(S)
    )
    people = dict(zip(S, world.recipient_ids, strict=True))
    await recipients.pause(api.workspace_id, api.actor, people[S.SCHEDULED])
    claims = {claim.recipient_id: claim for claim in await due(api)}
    marks = [mark for mark in map(texted, claims.values()) if isinstance(mark, Mark)]
    assert len(await marking.mark(marks)) == len(S) - 1
    for recipient_id, claim in claims.items():
        lost = recipient_id == people[S.ERROR]
        await answered(api, claim, Unknown("lost") if lost else Sent("SM1 queued"))
    await recipients.resume(api.workspace_id, api.actor, people[S.SCHEDULED])
    for status in (S.IN_PROGRESS, S.COMPLETED):
        await recipients.skip_step(api.workspace_id, api.actor, people[status], world.step_ids[1])
    await recipients.skip_step(api.workspace_id, api.actor, people[S.COMPLETED], world.step_ids[2])
    await _come_to_their_ends(api, people)
    of = {recipient_id: status for status, recipient_id in people.items()}
    return world, people, {of[claim.recipient_id]: claim.message_id for claim in claims.values()}
