"""A hundred mailboxes of a real Dovecot on one worker: a reply is heard soon, whatever the others' servers do."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.outcomes import Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all
from tests.faults.crew import Crew, WorkerProcess
from tests.inbound.mails import letter
from tests.witness.dovecot import PASSWORD, Dovecot, running_dovecot
from tests.workers.imap_servers import ImapServer
from tests.workers.watching_world import make_watched
from tests.world import IN_AN_HOUR, email, make_world

MAILBOXES = 100
HANGING = 40
BACKLOG = 10_000
_PATIENCE_SECONDS = 90.0
_RESIDENT_KIB_AT_MOST = 400 * 1024
_THREADS_AT_MOST = 64


@pytest.fixture
def crew(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Crew]:
    hired = Crew(database_url, redis_url, tmp_path)
    try:
        yield hired
    finally:
        hired.end_all()


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    with running_dovecot() as running:
        yield running


def _account(number: int) -> str:
    return f"jobs{number}@sender.example"


async def _watch(workspace_id: UUID, vault: Vault, account: str, port: int, password: str) -> None:
    await make_watched(workspace_id, vault, port, address=account, imap_username=account, imap_password=password)


async def _count(sql: str) -> int:
    found: int = (await fetch(sql))[0]["n"]
    return found


async def _until(holds: Callable[[], Awaitable[bool]], crew: Crew, what: str) -> None:
    for _ in range(int(_PATIENCE_SECONDS * 10)):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what}\n{crew.logs()}")


def _of_process(worker: WorkerProcess, name: str) -> int:
    status = Path(f"/proc/{worker.program.pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_a_reply_in_any_of_a_hundred_mailboxes_is_heard_while_one_is_overfull_and_others_hang(
    workspace_id: UUID, actor: Actor, vault: Vault, crew: Crew, dovecot: Dovecot
) -> None:
    steps = [email(), email(wait=IN_AN_HOUR)]
    await make_world(workspace_id, actor, vault, steps=steps, people=MAILBOXES, port=9)
    while claims := await claim_all(200):
        await carry(claims, Sent("250 taken"))
    sent = [
        (r["to_address"], r["rfc_message_id"]) for r in await fetch("SELECT to_address, rfc_message_id FROM messages")
    ]
    assert len(sent) == MAILBOXES
    newsletters = (letter(f"Newsletter {n}", sender=f"news{n}@shop.example") for n in range(BACKLOG))
    dovecot.deliver_all(_account(0), newsletters)
    hanging = ImapServer()
    hanging.mute_on = "EXAMINE"
    async with hanging.running() as hanging_port:
        for number in range(HANGING):
            await _watch(workspace_id, vault, f"hanging{number}@sender.example", hanging_port, hanging.password)
        for number in range(MAILBOXES):
            dovecot.deliver(_account(number), letter("An old mail of somebody else."))
            await _watch(workspace_id, vault, _account(number), dovecot.port, PASSWORD)
        worker = crew.start()

        async def all_watched() -> bool:
            # Of the overfull one, the beginning.
            return await _count("SELECT count(DISTINCT mailbox_id) AS n FROM watched_mails") == MAILBOXES

        await _until(all_watched, crew, "not all are watched")
        random.Random(20261125).shuffle(sent)
        for number, (address, message_id) in enumerate(sent):
            raw = letter("Yes, call me on Monday.", sender=address, in_reply_to=message_id)
            dovecot.deliver(_account(number or 1), raw)

        async def all_heard() -> bool:
            return await _count("SELECT count(*) AS n FROM recipients WHERE status = 'REPLIED'") == MAILBOXES

        await _until(all_heard, crew, "not all replies were heard")
        read = await _count("SELECT count(*) AS n FROM watched_mails")
        assert read < BACKLOG, "the overfull mailbox was not waited for"

        async def goes_on() -> bool:
            return await _count("SELECT count(*) AS n FROM watched_mails") > read

        await _until(goes_on, crew, "the overfull mailbox is not read")
        assert hanging.sign_ins > 0
        assert _of_process(worker, "VmHWM") < _RESIDENT_KIB_AT_MOST
        assert _of_process(worker, "Threads") < _THREADS_AT_MOST
