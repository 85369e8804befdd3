"""What a step would say, what would fail, before anything is sent; nothing is changed by asking."""

import json
from typing import Any

from domain import authoring, preflight
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.reading.pages import Slice
from domain.rules.actor import ENGINE
from domain.rules.fact import Fact
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Signal
from domain.signals import apply
from tests.api.conftest import Api, mbx, rcp, seq, stp
from tests.engine.sending_world import set_row
from tests.world import HOLD, IN_AN_HOUR, email, make_number, make_text_world, manual_email, task, text

_PREVIEW = """query ($step: ID, $recipient: ID, $contact: ID, $content: ContentInput) {
    contentPreview(stepId: $step, recipientId: $recipient, contactId: $contact, content: $content) {
        kind subject html text taskTitle taskNotes variables { name value } contact { email }
        errors { code field variable message suggestedFix { code targetId } step { id } } } }"""

_PREFLIGHT = """query ($id: ID!, $first: Int, $after: String) { sequencePreflight(sequenceId: $id, first: $first,
    after: $after) { canActivate openRecipients checkedRecipients partial
        causes { code count field variable message step { id } suggestedFix { code targetId } }
        recipients { totalCount pageInfo { hasNextPage endCursor }
            nodes { recipient { id } problems { code variable step { id } } } } } }"""


async def _preview(api: Api, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask(_PREVIEW, given))["contentPreview"]
    return found


async def _contact(api: Api, **fields: Any) -> str:
    payload = await api.change("contactUpsert", fields, "contact { id }")
    return str(payload["contact"]["id"])


async def test_a_preview_says_what_the_person_would_read_with_the_values_used(api: Api) -> None:
    steps = [
        email(body="<p>Dear {{ first_name }}</p><script>x</script><p>{{ sender.name }}</p>"),
        manual_email(subject=None, body="Still there?", send_as_reply=True),
        task("Call {{ first_name }} of {{ company | default: 'their company' }}"),
    ]
    world = await api.world(steps=steps)
    recipient = rcp(world.recipient_ids[0])
    first, second, third = (stp(step_id) for step_id in world.step_ids)

    mail = await _preview(api, step=first, recipient=recipient)
    assert (mail["kind"], mail["subject"]) == ("AUTOMATED_EMAIL", "Hello Person 0")
    assert mail["html"] == "<p>Dear Person 0</p><p>Jo Recruiter</p>"
    assert "Dear Person 0" in mail["text"]
    assert mail["contact"] == {"email": "p0@people.example"}
    assert mail["variables"] == [
        {"name": "first_name", "value": "Person 0"},
        {"name": "sender.name", "value": "Jo Recruiter"},
    ]
    assert mail["errors"] == []

    reply = await _preview(api, step=second, recipient=recipient)
    assert (reply["subject"], reply["errors"]) == ("Re: Hello Person 0", [])  # as the first email will begin the thread
    call = await _preview(api, step=third, recipient=recipient)
    assert call["taskTitle"] == "Call Person 0 of their company"
    assert call["variables"][0] == {"name": "company", "value": None}

    await api.change(
        "recipientEditContent", {"id": recipient, "stepId": first, "subject": "For you alone"}, "recipient { id }"
    )
    assert (await _preview(api, step=first, recipient=recipient))["subject"] == "For you alone"
    live = {"kind": "AUTOMATED_EMAIL", "subject": "Draft for {{ first_name }}", "body": "{{ unsubscribe_url }}"}
    unsaved = await _preview(api, step=first, recipient=recipient, content=live)
    assert unsaved["subject"] == "Draft for Person 0"
    assert unsaved["text"].endswith("/u/preview")


async def test_a_preview_lists_everything_that_is_wrong_and_raises_nothing(api: Api) -> None:
    await api.world(people=0)
    nobody = await _contact(api, externalId="ats-1", firstName="Ann")
    words = {
        "kind": "AUTOMATED_EMAIL",
        "subject": "{{ fields.job }} for {{ first_name }} at {{ company }}",
        "body": "Dear {{ frist_name }}",
    }
    shown = await _preview(api, contact=nobody, content=words)
    assert shown["subject"] == "[fields.job] for Ann at [company]"
    assert (shown["html"], shown["text"]) == (None, None)
    told = [(error["code"], error["field"], error["variable"]) for error in shown["errors"]]
    assert told == [
        ("VARIABLE_MISSING", "subject", "fields.job"),
        ("VARIABLE_MISSING", "subject", "company"),
        ("TEMPLATE_INVALID", "body", None),
        ("EMAIL_MISSING", None, None),
        ("NO_MAILBOX", None, None),
    ]
    assert "Did you mean {{ first_name }}?" in shown["errors"][2]["message"]
    assert shown["errors"][0]["suggestedFix"] == {"code": "FILL_VARIABLE", "targetId": nobody}
    empty = await _preview(api, contact=nobody, content={"kind": "TASK", "taskTitle": "{{ company | default: ' ' }}"})
    assert [error["code"] for error in empty["errors"]] == ["CONTENT_EMPTY"]
    sms = await _preview(api, contact=nobody, content={"kind": "SMS", "body": "Hello {{ first_name }}"})
    assert (sms["text"], [error["code"] for error in sms["errors"]]) == ("Hello Ann", ["PHONE_MISSING", "NO_MAILBOX"])
    reply = {"kind": "MANUAL_EMAIL", "body": "Still there?", "sendAsReply": True}
    first_error = (await _preview(api, contact=nobody, content=reply))["errors"][0]
    assert first_error["code"] == "THREAD_PARENT_MISSING"


async def test_a_preflight_counts_what_would_fail_by_cause_and_names_who_is_concerned(api: Api) -> None:
    steps = [
        email(body="Dear {{ first_name }}, {{ fields.job }}", wait=IN_AN_HOUR),
        email(
            "About {{ company }}", "{% if company == 'Acme' %}{{ phone }}{% endif %} {{ fields.jobb | default: '' }} x"
        ),
        task("Call {{ first_name }}"),
    ]
    world = await api.world(steps=steps, people=6, activate=False)
    for n in range(6):
        given = {"email": f"p{n}@people.example", "fields": {"job": "cook"}, "company": "Acme" if n < 2 else "Other"}
        await _contact(api, **given | ({"phone": "+4930123456"} if n == 0 else {}))
    await _contact(api, email="p5@people.example", fields={"job": None})
    bounced, opted_out = world.recipient_ids[2:4]
    (row,) = await fetch("SELECT contact_id FROM recipients WHERE id = $1", bounced)
    await set_row("contacts", row["contact_id"], email_bounced_at=(await fetch("SELECT now() AS n"))[0]["n"])
    await apply(api.workspace_id, Fact(signal=Signal.HUMAN_REPLY, recipient_id=opted_out, actor=ENGINE))
    await api.change("mailboxDisconnect", {"id": to_public(Prefix.MAILBOX, world.mailbox_id)}, "mailbox { id }")

    given = {"id": seq(world.sequence_id)}
    found = (await api.ask(_PREFLIGHT, given))["sequencePreflight"]
    assert (found["canActivate"], found["openRecipients"], found["checkedRecipients"], found["partial"]) == (
        *(True, 5, 5),
        False,
    )
    counts = {(cause["code"], cause["variable"]): cause["count"] for cause in found["causes"]}
    assert counts == {
        ("MAILBOX_DISCONNECTED", None): 5,
        ("EMAIL_BOUNCED_BEFORE", None): 1,
        ("VARIABLE_MISSING", "fields.job"): 1,
        ("VARIABLE_MISSING", "phone"): 1,
        ("FIELD_UNKNOWN", "fields.jobb"): 0,
    }
    by_code = {cause["code"]: cause for cause in found["causes"]}
    assert "Did you mean “fields.job”?" in by_code["FIELD_UNKNOWN"]["message"]
    assert by_code["MAILBOX_DISCONNECTED"]["suggestedFix"] == {
        "code": "RECONNECT_MAILBOX",
        "targetId": to_public(Prefix.MAILBOX, world.mailbox_id),
    }
    assert "jobs@sender.example" in by_code["MAILBOX_DISCONNECTED"]["message"]
    assert by_code["VARIABLE_MISSING"]["suggestedFix"]["targetId"] == by_code["VARIABLE_MISSING"]["step"]["id"]
    assert found["recipients"]["totalCount"] == 5

    seen: dict[str, list[tuple[str, str | None]]] = {}
    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        answer = await api.ask(_PREFLIGHT, given | {"first": 2, "after": page["endCursor"]})
        part = answer["sequencePreflight"]["recipients"]
        for node in part["nodes"]:
            seen[node["recipient"]["id"]] = [(one["code"], one["variable"]) for one in node["problems"]]
        page = part["pageInfo"]
    lost = ("MAILBOX_DISCONNECTED", None)
    assert seen == {
        rcp(world.recipient_ids[0]): [lost],
        rcp(world.recipient_ids[1]): [lost, ("VARIABLE_MISSING", "phone")],
        rcp(world.recipient_ids[2]): [("EMAIL_BOUNCED_BEFORE", None), lost],
        rcp(world.recipient_ids[4]): [lost],
        rcp(world.recipient_ids[5]): [lost, ("VARIABLE_MISSING", "fields.job")],
    }


async def test_what_a_sequence_lacks_forbids_to_activate_it_and_leads_to_the_preflight(api: Api) -> None:
    steps = [{"kind": "AUTOMATED_EMAIL", "subject": "Hi", "body": "Hello"}]
    made = await api.change("sequenceCreate", {"name": "New", "steps": steps}, "sequence { id }")
    id = made["sequence"]["id"]
    (refused,) = (await api.change("sequenceActivate", {"id": id}, "sequence { id }"))["errors"]
    assert (refused["code"], refused["suggestedFix"]["code"]) == ("SEQUENCE_ACTION_NOT_AVAILABLE", "CHECK_SEQUENCE")
    assert refused["suggestedFix"]["targetId"] == id
    found = (await api.ask(_PREFLIGHT, {"id": id}))["sequencePreflight"]
    assert (found["canActivate"], [cause["code"] for cause in found["causes"]]) == (False, ["NO_MAILBOX"])


async def test_a_text_message_is_looked_at_with_its_number_and_its_bound(api: Api) -> None:
    steps = [text("Hi {{ first_name }}"), text("{{ fields.long }}")]
    world = await make_text_world(api.workspace_id, api.actor, api.vault, "https://provider.example", steps=steps)
    recipient, first, second = rcp(world.recipient_ids[0]), *(stp(step_id) for step_id in world.step_ids)
    shown = await _preview(api, step=first, recipient=recipient)
    assert (shown["kind"], shown["subject"], shown["html"], shown["text"]) == ("SMS", None, None, "Hi Person 0")
    assert shown["errors"] == []
    await _contact(api, email="p0@people.example", fields={"long": "x" * 1_531})
    (too_long,) = (await _preview(api, step=second, recipient=recipient))["errors"]
    assert too_long["code"] == "MESSAGE_TOO_LARGE"
    await _contact(api, email="p0@people.example", phone=None)
    found = (await api.ask(_PREFLIGHT, {"id": seq(world.sequence_id)}))["sequencePreflight"]
    assert {cause["code"]: cause["count"] for cause in found["causes"]} == {"MESSAGE_TOO_LARGE": 1, "PHONE_MISSING": 1}


async def test_what_the_preflight_says_of_activating_is_what_activating_does(api: Api) -> None:
    mailbox = (await api.world(people=0)).mailbox_id
    number = await make_number(api.workspace_id, api.vault, "https://provider.example")
    of_steps: list[tuple[list[Any], list[Any], bool]] = [
        ([], [mailbox], False),
        ([task()], [], True),
        ([text()], [], False),
        ([text()], [mailbox], False),
        ([text()], [number], True),
        ([email(), text()], [number], False),
        ([email(), text()], [number, mailbox], True),
    ]
    for steps, mailboxes, may in of_steps:
        made = await authoring.create(
            api.workspace_id, "Draft", steps, settings=SequenceSettings(), mailbox_ids=mailboxes
        )
        found = (await api.ask(_PREFLIGHT, {"id": seq(made)}))["sequencePreflight"]
        payload = await api.change("sequenceActivate", {"id": seq(made)}, "sequence { status }")
        assert (found["canActivate"], payload["errors"] == []) == (may, may), (steps, mailboxes)


async def test_an_email_is_shown_from_a_mailbox_for_email_though_the_first_of_the_sequence_is_a_number(
    api: Api,
) -> None:
    world = await make_text_world(api.workspace_id, api.actor, api.vault, "https://provider.example", steps=[email()])
    rows = await fetch("SELECT id FROM mailboxes WHERE workspace_id = $1 AND channel = 'EMAIL'", api.workspace_id)
    await authoring.update(api.workspace_id, world.sequence_id, mailbox_ids=[world.mailbox_id, rows[0]["id"]])
    contact = await _contact(api, email="new@people.example", firstName="New")
    shown = await _preview(
        api, step=stp(world.step_ids[0]), contact=contact,
        content={"kind": "AUTOMATED_EMAIL", "subject": "Hi", "body": "{{ sender.address }}"},
    )  # fmt: skip
    assert (shown["text"], shown["errors"]) == ("jobs@sender.example", [])
    given = {"stepId": stp(world.step_ids[0]), "contactId": contact}
    sent = await api.change("testEmailSend", given, "testEmail { to }")
    assert (sent["testEmail"], sent["errors"]) == ({"to": "jobs@sender.example"}, [])
    wrong = await api.change("testEmailSend", given | {"mailboxId": mbx(world.mailbox_id)}, "testEmail { to }")
    assert [(error["code"], error["field"]) for error in wrong["errors"]] == [("INVALID", ["mailboxId"])]


async def test_what_a_guardrail_or_a_dead_number_holds_back_is_said_before(api: Api) -> None:
    world = await make_text_world(
        api.workspace_id, api.actor, api.vault, "https://provider.example", steps=[text(wait=IN_AN_HOUR), email()]
    )
    hold = json.dumps(HOLD.as_json())
    rows = await fetch("SELECT id FROM mailboxes WHERE workspace_id = $1 AND channel = 'EMAIL'", api.workspace_id)
    await set_row("mailboxes", rows[0]["id"], state="HELD", guardrail_hold=hold)
    await set_row("sequences", world.sequence_id, guardrail_hold=hold)
    (contact,) = await fetch(
        "UPDATE contacts SET phone_invalid_at = now() WHERE workspace_id = $1 RETURNING id, phone", api.workspace_id
    )
    found = (await api.ask(_PREFLIGHT, {"id": seq(world.sequence_id)}))["sequencePreflight"]
    causes = [(one["code"], one["count"], (one["suggestedFix"] or {}).get("targetId")) for one in found["causes"]]
    assert causes == [
        ("GUARDRAIL_HOLD", 1, mbx(rows[0]["id"])),
        ("PHONE_INVALID", 1, None),
        ("GUARDRAIL_HOLD", 0, seq(world.sequence_id)),
    ]
    shown = await _preview(api, step=stp(world.step_ids[0]), recipient=rcp(world.recipient_ids[0]))
    assert [(one["code"], one["suggestedFix"]["targetId"]) for one in shown["errors"]] == [
        ("PHONE_INVALID", to_public(Prefix.CONTACT, contact["id"]))
    ]
    shown = await _preview(api, step=stp(world.step_ids[1]), recipient=rcp(world.recipient_ids[0]))
    assert [one["code"] for one in shown["errors"]] == ["GUARDRAIL_HOLD"]


async def test_a_preflight_that_looked_at_a_part_says_so(api: Api) -> None:
    steps = [email("{{ company | default: 'you' }} x", "{% if company == 'X' %}a{% endif %} b")]
    world = await api.world(steps=steps, people=5, activate=False)
    for n in range(5):
        await _contact(api, email=f"p{n}@people.example", company=f"Company {n}")

    async def looked(**bounds: int) -> tuple[int, int, bool]:
        found = await preflight.preflight(
            api.workspace_id, world.sequence_id, Slice(), "http://x", preflight.Bounds(**bounds)
        )
        assert found is not None
        return found.checked_recipients, found.open_recipients, found.partial

    assert await looked(batch=2) == (5, 5, False)
    assert await looked(recipients=3, batch=2) == (3, 5, True)
    assert await looked(filled=3, batch=1) == (3, 5, True)
