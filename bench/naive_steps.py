"""The baseline of `bench.steps`: what one writes first. A program of its own that prints one line of JSON.

A job of arq for each due step; each reads its rows through the ORM, renders, builds the mail with the standard
library, opens a connection for it, and saves row by row. No claim, no marks, no fencing, no events: less than we do.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from typing import Any
from uuid import UUID

import aiosmtplib
import orjson
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func
from tortoise import Tortoise

from domain.connections import credentials
from domain.rules.content import contact_variables, render_body, render_subject
from domain.rules.ids import new_id
from domain.tables import Contact, Mailbox, Message, Recipient, Step
from domain.tables.config import tortoise_config

_QUEUE = "bench:naive"
_JOBS_AT_ONCE = 100


async def carry_out(ctx: dict[str, Any], recipient_id: str) -> None:
    recipient = await Recipient.get(id=UUID(recipient_id))
    contact = await Contact.get(id=recipient.contact_id)
    mailbox = await Mailbox.get(id=recipient.mailbox_id)
    steps = await Step.filter(sequence_id=recipient.sequence_id).order_by("position")
    step = next(step for step in steps if step.id == recipient.current_step_id)
    variables = contact_variables(
        first_name=contact.first_name,
        last_name=contact.last_name,
        email=contact.email,
        company=contact.company,
        fields=contact.custom_fields,
        sender_name=mailbox.display_name,
        sender_address=mailbox.address,
    )
    body = render_body(step.body or "", variables)
    mail = EmailMessage(policy=SMTP.clone(max_line_length=998))
    mail["From"], mail["To"] = f"{mailbox.display_name} <{mailbox.address}>", str(contact.email)
    mail["Subject"], mail["Message-ID"] = (
        render_subject(step.subject or "", variables),
        make_msgid(domain="sender.example"),
    )
    mail.set_content(body.text)
    mail.add_alternative(body.html, subtype="html")
    await aiosmtplib.send(mail, hostname=mailbox.smtp_host, port=mailbox.smtp_port, start_tls=False)
    now = datetime.now(UTC)
    await Message.create(
        id=new_id(),
        workspace_id=recipient.workspace_id,
        recipient_id=recipient.id,
        sequence_id=recipient.sequence_id,
        contact_id=contact.id,
        mailbox_id=mailbox.id,
        step_id=step.id,
        step_run=1,
        direction="OUTGOING",
        state="SENT",
        rfc_message_id=mail["Message-ID"],
        subject=mail["Subject"],
        text=body.text,
        html=body.html,
        to_address=contact.email,
        marked_at=now,
        at=now,
    )
    following = [later for later in steps if later.position > step.position]
    recipient.current_step_id = following[0].id
    recipient.begun, recipient.status = True, "IN_PROGRESS"
    recipient.due_at, recipient.updated_at = now + timedelta(days=1), now
    recipient.wait_ends_at = recipient.due_at
    recipient.version += 1
    await recipient.save()


async def main(count: int) -> None:
    await Tortoise.init(
        config=tortoise_config(credentials(os.environ["DATABASE_URL"]) | {"maxsize": 10}), _enable_global_fallback=True
    )
    redis = await create_pool(RedisSettings.from_dsn(os.environ["REDIS_URL"]), default_queue_name=_QUEUE)
    due = await Recipient.filter(due_at__lte=datetime.now(UTC)).limit(count)
    for recipient in due:
        await redis.enqueue_job("carry_out", str(recipient.id))
    worker = Worker(
        functions=[func(carry_out, name="carry_out", keep_result=0)],
        redis_pool=redis,
        queue_name=_QUEUE,
        burst=True,
        max_jobs=_JOBS_AT_ONCE,
        handle_signals=False,
    )
    began_at, began_cpu = time.perf_counter(), time.process_time()
    await worker.async_run()
    found = {
        "seconds": time.perf_counter() - began_at,
        "cpu_seconds": time.process_time() - began_cpu,
        "steps": await Message.filter(state="SENT").count(),
    }
    await worker.close()
    await Tortoise.close_connections()
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
