"""One good input for each mutation, in a world where it is done. What walks all mutations starts from here: a new
mutation needs an example, and is then covered by itself."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from domain import pending, users
from domain.database import fetch
from domain.rules.actor import ENGINE
from domain.rules.fact import Fact
from domain.rules.ids import Prefix, from_public, to_public
from domain.rules.lifecycle import Signal
from domain.signals import apply
from domain.steps import NewStep
from tests.api.conftest import Api, rcp, seq, stp
from tests.inbound.mails import letter
from tests.world import HOLD, IN_AN_HOUR, World, email, make_mailbox, make_number, manual_email, task

Example = Callable[[Api], Awaitable[dict[str, Any]]]


def mbx(world: World) -> str:
    return to_public(Prefix.MAILBOX, world.mailbox_id)


async def _running(api: Api, **options: Any) -> World:
    return await api.world(**{"steps": [email(wait=IN_AN_HOUR), email(wait=IN_AN_HOUR)], **options})


async def _test_clock(api: Api) -> dict[str, Any]:
    workspace_id = (await _running(api)).workspace_id
    await fetch("UPDATE workspaces SET test_mode = true WHERE id = $1", workspace_id)
    return {"seconds": 3_600}


async def _recipient(api: Api) -> dict[str, Any]:
    return {"id": rcp((await _running(api)).recipient_ids[0])}


async def _recipient_and_step(api: Api) -> dict[str, Any]:
    world = await _running(api)
    return {"id": rcp(world.recipient_ids[0]), "stepId": stp(world.step_ids[0])}


async def _sequence(api: Api) -> dict[str, Any]:
    return {"id": seq((await _running(api)).sequence_id)}


async def _draft(api: Api) -> dict[str, Any]:
    return {"id": seq((await _running(api, activate=False, people=0)).sequence_id)}


async def _moved(api: Api, *mutations: str) -> dict[str, Any]:
    world = await _running(api, people=0)
    for name in mutations:
        payload = await api.change(name, {"id": seq(world.sequence_id)}, "sequence { id }")
        assert not payload["errors"], payload
    return {"id": seq(world.sequence_id)}


async def _paused_recipient(api: Api) -> dict[str, Any]:
    example = await _recipient(api)
    await api.change("recipientPause", example, "inFlight")
    return example


async def _failed_recipient(api: Api) -> dict[str, Any]:
    world = await _running(api)
    fact = Fact(signal=Signal.DELIVERY_FAILED, recipient_id=world.recipient_ids[0], actor=ENGINE)
    assert await apply(api.workspace_id, fact)
    return {"id": rcp(world.recipient_ids[0])}


async def _task(api: Api) -> dict[str, Any]:
    return await _pending(api, task())


async def _scheduled(api: Api) -> dict[str, Any]:
    example = await _pending(api, manual_email())
    at = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    await api.change("pendingEmailSchedule", {**example, "at": at}, "recipient { id }")
    return example


async def _assigned(api: Api) -> dict[str, Any]:
    user = await users.create(api.workspace_id, "Ada")
    return await _plus(_pending(api, task()), assigneeId=to_public(Prefix.USER, user.id))


async def _pending(api: Api, step: NewStep) -> dict[str, Any]:
    await api.world(steps=[step, email(wait=IN_AN_HOUR)])
    await pending.put_due_before_people()
    (row,) = await fetch("SELECT id FROM pending_actions WHERE workspace_id = $1", api.workspace_id)
    return {"id": to_public(Prefix.PENDING_ACTION, row["id"])}


async def _unconfirmed(api: Api) -> dict[str, Any]:
    world = await _running(api)
    (recipient_id,) = world.recipient_ids
    fact = Fact(signal=Signal.DELIVERY_FAILED, recipient_id=recipient_id, actor=ENGINE, code="DELIVERY_UNCONFIRMED")
    assert await apply(api.workspace_id, fact)
    (row,) = await fetch("SELECT id FROM step_errors WHERE workspace_id = $1", api.workspace_id)
    await fetch(
        "WITH u AS (UPDATE step_errors SET step_id = $3 WHERE workspace_id = $1 AND id = $2 RETURNING 1) SELECT 1",
        api.workspace_id,
        row["id"],
        world.step_ids[0],
    )
    return {"errorId": to_public(Prefix.STEP_ERROR, row["id"]), "outcome": "SEND_AGAIN"}


async def _mailbox(api: Api) -> dict[str, Any]:
    return {"id": to_public(Prefix.MAILBOX, await make_mailbox(api.workspace_id, api.vault))}


async def _enrol(api: Api) -> dict[str, Any]:
    world = await _running(api, people=1)
    contacts = [{"contact": {"email": "new@people.example"}}, {"contact": {"email": "p0@people.example"}}]
    return {"sequenceId": seq(world.sequence_id), "contacts": contacts}


async def _apply(api: Api) -> dict[str, Any]:
    world = await _running(api, people=3)
    ids = [rcp(recipient_id) for recipient_id in world.recipient_ids]
    await api.change("recipientStop", {"id": ids[1]}, "inFlight")
    return {"ids": ids, "action": "PAUSE"}


async def _bulk(api: Api) -> dict[str, Any]:
    world = await _running(api, people=2)
    return {"action": "PAUSE", "filter": {"sequenceId": seq(world.sequence_id)}}


async def _import(api: Api) -> dict[str, Any]:
    world = await _running(api, people=1)
    answer = await api.http.post(
        "/imports", content="email\nimported@people.example\n", headers={"authorization": f"Bearer {api.key.secret}"}
    )
    assert answer.status_code == 201, answer.text
    return {"fileId": answer.json()["fileId"], "enroll": {"sequenceId": seq(world.sequence_id)}}


async def _bulk_enrollment(api: Api) -> dict[str, Any]:
    world = await _running(api, people=1)
    return {"filter": {"search": "Person"}, "enroll": {"sequenceId": seq(world.sequence_id)}}


async def _bulk_suppression(api: Api) -> dict[str, Any]:
    world = await _running(api, people=1)
    return {"recipients": {"sequenceId": seq(world.sequence_id)}, "note": "They asked us."}


async def _ordered(api: Api) -> dict[str, Any]:
    made = await api.change("bulkOperationCreate", await _bulk(api), "bulkOperation { id }")
    return {"id": made["bulkOperation"]["id"]}


async def _plus(example: Awaitable[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {**await example, **more}


async def _step_add(api: Api) -> dict[str, Any]:
    step = {"kind": "TASK", "taskKind": "CALL", "taskTitle": "Call", "wait": {"amount": 1, "unit": "DAYS"}}
    return {"sequenceId": (await _draft(api))["id"], "step": step}


async def _step(api: Api, **more: Any) -> dict[str, Any]:
    return {"id": stp((await _running(api)).step_ids[0])} | more


async def _given(**input: Any) -> dict[str, Any]:
    return input


async def _endpoint(api: Api) -> dict[str, Any]:
    made = await api.change("webhookEndpointCreate", {"url": "https://hooks.example/relance"}, "endpoint { id }")
    return {"id": made["endpoint"]["id"]}


async def _delivery(api: Api) -> dict[str, Any]:
    made = await api.change("webhookEndpointTest", await _endpoint(api), "delivery { id }")
    return {"id": made["delivery"]["id"]}


async def _replay(api: Api) -> dict[str, Any]:
    after = (await api.ask("{ recipients { eventsCursor } }"))["recipients"]["eventsCursor"]
    return {**await _endpoint(api), "after": after}


async def _suppress(api: Api) -> dict[str, Any]:
    await _running(api, people=2)
    return {"domain": "people.example", "note": "asked by phone"}


async def _suppression(api: Api) -> dict[str, Any]:
    made = await api.change("suppressionCreate", {"domain": "elsewhere.example"}, "suppression { id }")
    return {"id": made["suppression"]["id"], "reason": "a mistake"}


async def _group(api: Api) -> dict[str, Any]:
    await _failed_recipient(api)
    (group,) = (await api.ask("{ errorGroups { nodes { id } } }"))["errorGroups"]["nodes"]
    return {"id": group["id"]}


async def _mail(api: Api) -> dict[str, Any]:
    await _running(api)
    return {"raw": letter("Yes, gladly.").decode()}


async def _incoming(api: Api) -> dict[str, Any]:
    made = await api.change("inboundMessageIngest", await _mail(api), "message { id }")
    return {"id": made["message"]["id"], "classification": "AUTOMATIC_ANSWER"}


async def _contact(api: Api) -> dict[str, Any]:
    made = await api.change("contactUpsert", {"email": "away@people.example"}, "contact { id }")
    return {"id": made["contact"]["id"]}


async def _held(api: Api) -> dict[str, Any]:
    """A mailbox that a guardrail holds."""
    id = (await _mailbox(api))["id"]
    await fetch(
        "WITH u AS (UPDATE mailboxes SET state = 'HELD', guardrail_hold = $2 WHERE id = $1 RETURNING 1) SELECT 1",
        from_public(id)[1],
        orjson.dumps(HOLD.as_json()).decode(),
    )
    return {"mailboxId": id}


async def _guarded(api: Api, **limits: Any) -> dict[str, Any]:
    return {"mailboxId": (await _mailbox(api))["id"], **limits}


async def _number(api: Api) -> dict[str, Any]:
    number_id = await make_number(api.workspace_id, api.vault, "https://provider.example")
    return {"id": to_public(Prefix.MAILBOX, number_id)}


async def _trial(api: Api) -> dict[str, Any]:
    world = await _running(api)
    return {"stepId": stp(world.step_ids[0]), "recipientId": rcp(world.recipient_ids[0]), "to": "me@desk.example"}


async def _signing(api: Api) -> dict[str, Any]:
    example = await _mailbox(api)
    await api.change("mailboxDkimKeyCreate", example, "mailbox { id }")
    return example


EXAMPLES: Final[Mapping[str, Example]] = {
    "contactUpsert": lambda api: _given(email="new@people.example", fields={"b": 1, "a": {"c": None}}),
    "recipientsEnroll": _enrol,
    "mailboxCreate": lambda api: _given(address="new@sender.example", smtpHost="localhost", smtpPassword="right"),
    "smsMailboxCreate": lambda api: _given(number="+14155550100", accountSid="AC1", authToken="secret"),
    "smsMailboxUpdate": lambda api: _plus(_number(api), dailyLimit=7),
    "mailboxUpdate": lambda api: _plus(_mailbox(api), dailyLimit=7),
    "mailboxConnect": _mailbox,
    "mailboxDisconnect": _mailbox,
    "guardrailUpdate": lambda api: _guarded(api, bouncePercent=4.5, windowDays=None),
    "guardrailRelease": _held,
    "mailboxDkimKeyCreate": _mailbox,
    "mailboxDkimKeyRemove": _signing,
    "contactErase": _contact,
    "sequenceCreate": lambda api: _given(name="New", externalId="partner-1"),
    "sequenceUpdate": lambda api: _plus(_sequence(api), name="Renamed"),
    "sequenceActivate": _draft,
    "sequencePause": _sequence,
    "sequenceResume": lambda api: _moved(api, "sequencePause"),
    "sequenceArchive": lambda api: _moved(api),
    "sequenceUnarchive": lambda api: _moved(api, "sequenceArchive"),
    "sequenceDelete": _draft,
    "stepAdd": _step_add,
    "stepUpdate": lambda api: _step(api, subject="New"),
    "stepMove": _step,
    "stepRemove": _step,
    "sequenceDuplicate": _sequence,
    "recipientPause": _recipient,
    "recipientResume": _paused_recipient,
    "recipientSkipStep": _recipient_and_step,
    "recipientEditContent": lambda api: _plus(_recipient_and_step(api), subject="For you"),
    "recipientStop": _recipient,
    "recipientDelete": _recipient,
    "recipientRetry": _failed_recipient,
    "recipientsApply": _apply,
    "bulkOperationCreate": _bulk,
    "bulkOperationCancel": _ordered,
    "contactsImport": _import,
    "bulkEnrollmentCreate": _bulk_enrollment,
    "bulkSuppressionCreate": _bulk_suppression,
    "deliveryResolve": _unconfirmed,
    "taskComplete": lambda api: _plus(_task(api), note="Done."),
    "pendingActionAssign": _assigned,
    "pendingActionSkip": _task,
    "errorGroupRetry": _group,
    "suppressionCreate": _suppress,
    "suppressionDelete": _suppression,
    "pendingEmailSend": lambda api: _plus(_pending(api, manual_email()), subject="Edited"),
    "pendingEmailSchedule": lambda api: _plus(
        _pending(api, manual_email()), at=(datetime.now(UTC) + timedelta(days=2)).isoformat()
    ),
    "pendingEmailUnschedule": _scheduled,
    "webhookEndpointCreate": lambda api: _given(url="https://hooks.example/relance"),
    "webhookEndpointUpdate": lambda api: _plus(_endpoint(api), enabled=False),
    "webhookEndpointDelete": _endpoint,
    "webhookSecretRotate": _endpoint,
    "webhookEndpointTest": _endpoint,
    "webhookDeliveryRedeliver": _delivery,
    "webhookEndpointReplay": _replay,
    "inboundMessageIngest": _mail,
    "recipientReport": lambda api: _plus(_recipient(api), kind="REPLIED", text="Yes"),
    "messageReclassify": _incoming,
    "contactHoldRelease": _contact,
    "testEmailSend": _trial,
    "sandboxClockAdvance": _test_clock,
    "frequencyCapChange": lambda api: _given(frequencyCap={"messages": 3, "days": 7}),
    "inboundSecretRotate": lambda api: _given(endPrevious=True),
}
