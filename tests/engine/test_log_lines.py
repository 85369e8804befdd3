"""What the log of API and worker says while mails are sent, one bounces, a sign-in is refused and statements fail:
every line is one JSON object that names what it is about by its ids, and none says who somebody is or what was written.

Source: reliability.md R26.
"""

import io
import json
import logging
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from cli.catcher import RunningCatcher
from cli.console import write_log
from cli.log_lines import JsonLines, TextLines
from domain import authoring, enrolment, inbound, keys, sequences
from domain.connections import credentials
from domain.contacts import ContactFields
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.rules.actor import Actor
from domain.rules.ids import Prefix, to_public
from domain.rules.inbound.intake import InboundSource
from domain.secrets import Vault
from domain.settings import Settings
from tests.api.conftest import serving
from tests.engine.conftest import until, working
from tests.inbound.mails import delivery_report
from tests.workers.smtp_servers import good_server
from tests.world import IN_AN_HOUR, email, make_mailbox, make_world, manual_email

CANARIES = ("zqcanary", "4915799", "rel_")
PERSON = {
    "email": "Zqcanary.Mail@zqcanary.example",
    "phone": "+49 1579 9000001",
    "first_name": "Zqcanary-First",
    "last_name": "Zqcanary-Last",
    "company": "Zqcanary Ltd",
}
FAILED = "carrying a message failed"
UNSENDABLE = "zqcanary.unsendable@zqcanary.example"


async def administer(url: str, statement: str) -> None:
    connection = await asyncpg.connect(**credentials(url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def ended(recipient_id: UUID | None, *states: str) -> bool:
    rows = await fetch("SELECT status FROM recipients WHERE id = $1", recipient_id)
    return rows[0]["status"] in states


async def sent(recipient_id: UUID | None) -> bool:
    return bool(await fetch("SELECT FROM messages WHERE recipient_id = $1 AND state = 'SENT'", recipient_id))


async def test_the_lines_name_ids_and_never_a_person(
    workspace_id: UUID,
    actor: Actor,
    vault: Vault,
    settings: Settings,
    catcher: RunningCatcher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("", "relance", "arq", "httpx"):
        caplog.set_level(logging.DEBUG, name)  # and back at the end of the test
    write_log("DEBUG")
    as_json, as_text = io.StringIO(), io.StringIO()
    handlers = [logging.StreamHandler(as_json), logging.StreamHandler(as_text)]
    handlers[0].setFormatter(JsonLines("tests"))
    handlers[1].setFormatter(TextLines())
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    secret = (await keys.create(workspace_id, "zqcanary")).secret
    try:
        await live(workspace_id, actor, vault, settings, catcher, secret, as_json)
    finally:
        for handler in handlers:
            logging.getLogger().removeHandler(handler)
        await administer(settings.database_url, "ALTER TABLE messages DROP CONSTRAINT IF EXISTS no_canary")
        await administer(settings.database_url, "ALTER TABLE contacts DROP CONSTRAINT IF EXISTS no_canary")

    text = as_json.getvalue() + as_text.getvalue()
    assert [line for line in text.splitlines() if any(word in line.lower() for word in CANARIES)] == []
    lines: list[dict[str, Any]] = [json.loads(line) for line in as_json.getvalue().splitlines()]
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)
    workspace = to_public(Prefix.WORKSPACE, workspace_id)
    (masked,) = (line for line in lines if line.get("requestId") == "our-own-1")
    assert (masked["workspaceId"], masked["level"]) == (workspace, "error")
    assert masked["error"]["constraint_name"] == "no_canary"
    assert any("domain/contacts.py" in place for place in masked["error"]["where"])
    carrying = next(line for line in lines if FAILED in line["message"])
    assert carrying["workspaceId"] == workspace
    assert carrying["recipientId"].startswith("rcp_")
    assert carrying["messageId"].startswith("msg_")
    assert f"recipientId={carrying['recipientId']}" in as_text.getvalue()


async def live(
    workspace_id: UUID,
    actor: Actor,
    vault: Vault,
    settings: Settings,
    catcher: RunningCatcher,
    secret: str,
    log: io.StringIO,
) -> None:
    steps = [email(body="Dear {{ full_name }} of {{ company }}"), email(wait=IN_AN_HOUR), manual_email()]
    world = await make_world(workspace_id, actor, vault, steps=steps, people=0, port=catcher.smtp_port)

    async def enrol(sequence_id: UUID, **fields: str) -> UUID | None:
        person = enrolment.Candidate(ContactFields(values=PERSON | fields, custom={"note": "zqcanary"}))
        batch = enrolment.Enrolment(sequence_id=sequence_id, candidates=[person])
        return (await enrolment.enroll(workspace_id, actor, batch))[0].recipient_id

    async with serving(settings) as running, working(settings), good_server("right") as (refusing, _):
        # A sending, and its bounce.
        bounced = await enrol(world.sequence_id)
        await until(lambda: sent(bounced))
        (mail,) = await fetch("SELECT rfc_message_id FROM messages WHERE recipient_id = $1", bounced)
        words = {"to": PERSON["email"], "status": "5.1.1", "diagnostic": "550 5.1.1 Zqcanary lives elsewhere"}
        report = delivery_report(mail["rfc_message_id"], **words)
        await inbound.ingest(workspace_id, None, report, InboundSource.MAILBOX)
        await until(lambda: ended(bounced, "BOUNCED"))

        # A mailbox whose server refuses its password.
        login = {"smtp_username": "zqcanary.login@sender.example", "smtp_password": "zqcanary-password"}
        mailbox_id = await make_mailbox(workspace_id, vault, refusing, **login, address="zqcanary.box@sender.example")
        other = await authoring.create(
            workspace_id, "Zqcanary", [email()], settings=SequenceSettings(), mailbox_ids=[mailbox_id]
        )
        await sequences.activate(workspace_id, other)
        await enrol(other, email="zqcanary.second@zqcanary.example", phone="+49 1579 9000002")

        async def disconnected() -> bool:
            rows = await fetch("SELECT state FROM mailboxes WHERE id = $1", mailbox_id)
            return bool(rows[0]["state"] == "DISCONNECTED")

        await until(disconnected)

        # Statements that fail, with the whole row in what PostgreSQL says of them: of the worker, and of a request.
        constraint = f"ADD CONSTRAINT no_canary CHECK (to_address <> '{UNSENDABLE}')"
        await administer(settings.database_url, f"ALTER TABLE messages {constraint}")
        await enrol(world.sequence_id, email=UNSENDABLE, phone="+49 1579 9000003")
        constraint = "ADD CONSTRAINT no_canary CHECK (company <> 'Zqcanary & Sons')"
        await administer(settings.database_url, f"ALTER TABLE contacts {constraint}")
        url = f"http://127.0.0.1:{running.config.port}/graphql"
        async with httpx.AsyncClient() as http:
            mutation = 'contactUpsert(input: {company: "Zqcanary & Sons", email: "a@b.example"}) { __typename }'
            for query in (
                f"mutation {{ {mutation} }}",
                '{ contact(id: "zqcanary.mail@zqcanary.example") { zqcanary } }',
                "{ zqcanary.mail@zqcanary.example",
            ):
                headers = {"authorization": f"Bearer {secret}", "x-request-id": "our-own-1"}
                answer = await http.post(url, json={"query": query}, headers=headers)
                assert (answer.status_code, answer.headers["x-request-id"]) == (200, "our-own-1")
                assert answer.json()["extensions"]["requestId"] == "our-own-1"

        async def failed() -> bool:
            return FAILED in log.getvalue()

        await until(failed)
