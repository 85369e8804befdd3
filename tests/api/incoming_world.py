"""People of every status whose first mail went out, and what the API shows of them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from domain import feed, inbound, pending, recipients
from domain.claims import Claim
from domain.database import fetch
from domain.rules.inbound.intake import InboundSource
from domain.rules.lifecycle import Status
from domain.rules.outcomes import Outcome, Sent
from tests.api.conftest import Api, rcp
from tests.engine.sending_world import carry, claim_all
from tests.inbound.mails import delivery_report, letter
from tests.world import IN_AN_HOUR, World, email, task

_SHOWN = """query ($id: ID!) { node(id: $id) { ... on Recipient {
    status endReason repliedAt waitingReason contact { id outOfOfficeUntil suppressed emailState }
    statusMessage openErrors { nodes { code message } }
    messages { nodes { id direction classification state delivery subject text quotedText from } }
    events(first: 200) { nodes { type status endReason version
        message { id direction classification text } stepError { code } } } } } }"""


async def shown(api: Api, recipient_id: UUID) -> dict[str, Any]:
    """The recipient as a screen reads it, its events numbered."""
    while await feed.number():
        pass
    found: dict[str, Any] = (await api.ask(_SHOWN, {"id": rcp(recipient_id)}))["node"]
    return found


async def due(api: Api) -> list[Claim]:
    """The workspace's due mails, claimed; other tests' workspaces share the database."""
    found: list[Claim] = []
    while claims := await claim_all():
        found += [claim for claim in claims if claim.workspace_id == api.workspace_id]
    return found


async def send(api: Api, outcome: Outcome | None = None) -> None:
    await carry(await due(api), outcome or Sent("250 2.0.0 Ok"))


async def sent_id(recipient_id: UUID) -> str:
    """The Message-ID of the last mail that went out to a recipient."""
    rows = await fetch(
        "SELECT rfc_message_id FROM messages WHERE recipient_id = $1 AND direction = 'OUTGOING' "
        "ORDER BY marked_at DESC NULLS LAST LIMIT 1",
        recipient_id,
    )
    found: str = rows[0]["rfc_message_id"]
    return found


async def take(api: Api, raw: bytes) -> inbound.Ingested:
    return await inbound.ingest(api.workspace_id, None, raw, InboundSource.MAILBOX)


async def of_every_status(api: Api) -> tuple[World, Mapping[Status, UUID]]:
    """One recipient of each status. All but the scheduled one were sent the first mail."""
    world = await api.world(steps=[email(), task(), email(wait=IN_AN_HOUR)], people=len(Status))
    people = dict(zip(Status, world.recipient_ids, strict=True))
    await recipients.pause(api.workspace_id, api.actor, people[Status.SCHEDULED])
    await send(api)
    await recipients.resume(api.workspace_id, api.actor, people[Status.SCHEDULED])
    for status in (Status.IN_PROGRESS, Status.COMPLETED):
        await recipients.skip_step(api.workspace_id, api.actor, people[status], world.step_ids[1])
    await recipients.skip_step(api.workspace_id, api.actor, people[Status.COMPLETED], world.step_ids[2])
    await recipients.pause(api.workspace_id, api.actor, people[Status.PAUSED])
    await recipients.stop(api.workspace_id, api.actor, people[Status.STOPPED])
    full = {"status": "5.2.2", "diagnostic": "552 5.2.2 Mailbox full"}
    await take(api, delivery_report(await sent_id(people[Status.ERROR]), **full))
    await take(api, delivery_report(await sent_id(people[Status.BOUNCED])))
    await take(api, letter("Yes", in_reply_to=await sent_id(people[Status.REPLIED]), sender="x@private.example"))
    await take(api, letter("remove me", in_reply_to=await sent_id(people[Status.UNSUBSCRIBED]), sender="y@p.example"))
    await pending.put_due_before_people(limit=10_000)
    for status, recipient_id in people.items():
        assert (await shown(api, recipient_id))["status"] == status
    return world, people
