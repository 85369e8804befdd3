"""Erasing a person after a worker has sent, read a bounce and told a partner: neither the worker's log nor what is kept
of webhooks says who it was.

Source: reliability.md R26.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from cli.catcher import RunningCatcher
from cli.console import write_log
from domain import enrolment, erasing, inbound, webhooks
from domain.contacts import ContactFields
from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.ids import Prefix, to_public
from domain.rules.inbound.intake import InboundSource
from domain.rules.network import Reach
from domain.secrets import Vault
from domain.settings import Settings
from tests.engine.conftest import until, working
from tests.engine.test_erasing import PERSON, everything, hits
from tests.inbound.mails import delivery_report
from tests.workers.webhook_receiver import Receiver, receiving
from tests.world import IN_AN_HOUR, email, make_world

HERE = Reach.of("127.0.0.1")


async def test_neither_logs_nor_webhooks_keep_who_it_was(
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
    steps = [email(body="Dear {{ full_name }} of {{ company }}"), email(wait=IN_AN_HOUR)]
    world = await make_world(workspace_id, actor, vault, steps=steps, people=0, port=catcher.smtp_port)
    person = enrolment.Candidate(ContactFields(values=PERSON, custom={"note": "zqcanary"}), "zqcanary-run")
    batch = enrolment.Enrolment(sequence_id=world.sequence_id, candidates=[person])

    # The mail server and the partner's system name the person in their answers.
    partner = Receiver(answers=lambda _: (200, {}), words="Thank you, Zqcanary-Last is updated")
    async with receiving(partner), working(replace(settings, reach=HERE)):
        made = await webhooks.create(workspace_id, vault, HERE, f"http://127.0.0.1:{partner.port}/")
        partner.secrets.append(made.secret)
        (answer,) = await enrolment.enroll(workspace_id, actor, batch)

        async def sent() -> bool:
            return bool(await our_mail(answer.recipient_id))

        def told(status: str) -> Callable[[], Awaitable[bool]]:
            async def holds() -> bool:
                heard = any(
                    (one.payload["data"]["recipientId"], one.payload["data"]["status"])
                    == (to_public(Prefix.RECIPIENT, answer.recipient_id or UUID(int=0)), status)
                    for one in partner.heard
                )
                return heard and not await fetch("SELECT FROM webhook_deliveries WHERE state = 'PENDING'")

            return holds

        await until(sent)
        (mail,) = await our_mail(answer.recipient_id)
        words = {"to": PERSON["email"], "status": "5.2.2", "diagnostic": "552 5.2.2 Zqcanary has no room"}
        report = delivery_report(mail["rfc_message_id"], **words)
        await inbound.ingest(workspace_id, None, report, InboundSource.MAILBOX)
        await until(told("ERROR"))
        assert "Zqcanary-Last is updated" in await everything(settings.database_url)
        await erasing.erase(workspace_id, actor, mail["contact_id"])
        await until(told("STOPPED"))
    assert hits(await everything(settings.database_url)) == []
    assert "the worker is ready" in caplog.text
    assert hits(caplog.text) == []


async def our_mail(recipient_id: UUID | None) -> list[asyncpg.Record]:
    return await fetch("SELECT * FROM messages WHERE recipient_id = $1 AND state = 'SENT'", recipient_id)
