"""Replies that lie in a real Dovecot: each is recorded exactly once, whatever happens to the line and to the worker."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from domain import mailboxes
from domain.database import fetch
from domain.mailbox_fields import MailboxFields
from domain.rules.actor import Actor
from domain.rules.outcomes import Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all
from tests.faults.crew import Crew
from tests.inbound.mails import letter
from tests.witness.cutting import line_cut_every
from tests.witness.dovecot import PASSWORD, Dovecot, running_dovecot
from tests.world import HERE, IN_AN_HOUR, email, make_world

ACCOUNT = "jobs@sender.example"
REPLIES = 200 if os.environ.get("RELANCE_FAULT_RUNS") is None else 5_000
_PATIENCE_SECONDS = 200.0
pytestmark = pytest.mark.timeout(280 if REPLIES == 200 else 3_600)


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


async def _written_to(workspace_id: UUID, actor: Actor, vault: Vault, people: int) -> dict[str, str]:
    """Let that many people have their first mail; return the Message-ID by address."""
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(wait=IN_AN_HOUR)], people=people, port=9)
    while claims := await claim_all(200):
        await carry(claims, Sent("250 taken"))
    rows = await fetch("SELECT to_address, rfc_message_id FROM messages WHERE sequence_id = $1", world.sequence_id)
    assert len(rows) == people
    return {row["to_address"]: row["rfc_message_id"] for row in rows}


async def _read_from(workspace_id: UUID, vault: Vault, port: int) -> None:
    (row,) = await fetch("SELECT id FROM mailboxes WHERE workspace_id = $1", workspace_id)
    given = MailboxFields(
        imap_host="127.0.0.1",
        imap_port=port,
        imap_security="NONE",
        imap_username=ACCOUNT,
        imap_password=PASSWORD,
    )
    await mailboxes.update(workspace_id, vault, row["id"], given, reach=HERE)


async def _replied() -> int:
    rows = await fetch("SELECT count(*) AS n FROM recipients WHERE status = 'REPLIED'")
    found: int = rows[0]["n"]
    return found


async def _until_all_replied(crew: Crew, people: int) -> None:
    for _ in range(int(_PATIENCE_SECONDS * 10 * max(1, REPLIES // 1_000))):
        if await _replied() == people:
            return
        await asyncio.sleep(0.1)
    problems = [dict(row) for row in await fetch("SELECT * FROM mailbox_watches")]
    raise AssertionError(f"{await _replied()} of {people} have replied; {problems}\n{crew.logs()}")


async def test_every_reply_is_recorded_once_while_the_line_is_cut_and_the_worker_killed(
    workspace_id: UUID, actor: Actor, vault: Vault, crew: Crew, dovecot: Dovecot
) -> None:
    seed = int(os.environ.get("RELANCE_SEED", "20261125"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    sent = await _written_to(workspace_id, actor, vault, REPLIES)
    async with line_cut_every(3.0, dovecot.port) as line:
        await _read_from(workspace_id, vault, line.port)
        worker = crew.start()
        addresses = list(sent)
        chance.shuffle(addresses)
        for number, address in enumerate(addresses):
            reply = letter("Yes, call me on Monday.", sender=address, in_reply_to=sent[address])
            dovecot.deliver(ACCOUNT, reply, chance.choice(["INBOX", "INBOX", "INBOX", "Junk"]))
            if number % 100 == 50:
                dovecot.deliver(ACCOUNT, chance.randbytes(2_000))  # what nobody can read must not stop the rest
                worker.kill()
                worker = crew.start()
            if number == REPLIES // 2:
                dovecot.number_anew(ACCOUNT)
            await asyncio.sleep(0.01)
        await _until_all_replied(crew, REPLIES)
        assert line.connections > 3
    rows = await fetch("SELECT recipient_id FROM messages WHERE direction = 'INCOMING'")
    assert Counter(row["recipient_id"] for row in rows) == Counter(
        row["id"] for row in await fetch("SELECT id FROM recipients")
    )
    assert dovecot.unread(ACCOUNT) + dovecot.unread(ACCOUNT, "Junk") == REPLIES + (REPLIES + 49) // 100
