"""The slots of a worker are shared: a mail server that is slow or out of reach holds up nobody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from cli.catcher import RunningCatcher
from domain import authoring, enrolment, keys, sequences
from domain.contacts import ContactFields
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.conftest import until
from tests.engine.sending_world import claim_all
from tests.world import HERE, World, email, make_mailbox, make_world
from workers.sender import Sender
from workers.smtp_account import SmtpTimeouts
from workers.smtp_pool import SmtpPool


@contextlib.asynccontextmanager
async def mute_server() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter]]]:
    """A mail server that accepts and never greets: its port, and the connections it got."""
    got: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: got.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], got
    finally:
        server.close()
        for writer in got:
            writer.close()


@contextlib.asynccontextmanager
async def sending_with(vault: Vault, *, command_seconds: float, slots: int = 20) -> AsyncIterator[Sender]:
    """A sender at work, patient with mail servers for so long."""
    pool = SmtpPool(timeouts=SmtpTimeouts(connect_seconds=2, command_seconds=command_seconds, dot_seconds=30))
    woken = asyncio.Event()
    sender = Sender(vault, reach=HERE, slots=slots, lease=timedelta(seconds=30), on_free=woken.set, pool=pool)

    async def go_round() -> None:
        while True:
            woken.clear()
            if not await sender.claim_and_start():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), 0.1)

    rounds = asyncio.create_task(go_round())
    try:
        yield sender
    finally:
        rounds.cancel()
        await asyncio.gather(rounds, return_exceptions=True)
        await sender.stop(patience_seconds=0.1)


async def sent(world: World) -> int:
    rows = await fetch("SELECT 1 FROM messages WHERE workspace_id = $1 AND state = 'SENT'", world.workspace_id)
    return len(rows)


async def test_mute_mail_servers_do_not_hold_up_another_workspace(
    workspace_id: UUID, actor: Actor, vault: Vault, catcher: RunningCatcher
) -> None:
    also_mute_id, healthy_id = await keys.create_workspace("Also mute"), await keys.create_workspace("Healthy")
    async with mute_server() as (port, got), sending_with(vault, command_seconds=60):
        for one in (workspace_id, also_mute_id):
            await make_world(one, actor, vault, steps=[email()], people=30, port=port)
        await until(lambda: _reached(got, 4))
        healthy = await make_world(healthy_id, actor, vault, steps=[email()], people=9, port=catcher.smtp_port)

        async def all_sent() -> bool:
            return await sent(healthy) == 9

        await until(all_sent, seconds=10)
        assert len(got) == 4


async def _mailbox_of(world_id: UUID, actor: Actor, vault: Vault, port: int, name: str, people: int) -> UUID:
    """A mailbox on this server with an active sequence of its own in which so many are due; return the sequence."""
    mailbox_id = await make_mailbox(world_id, vault, port, address=f"{name}@sender.example")
    sequence_id = await authoring.create(
        world_id, name, [email()], settings=SequenceSettings(), mailbox_ids=[mailbox_id]
    )
    await sequences.activate(world_id, sequence_id)
    candidates = [
        enrolment.Candidate(ContactFields(values={"email": f"{name}{n}@people.example", "first_name": "Jo"}))
        for n in range(people)
    ]
    await enrolment.enroll(world_id, actor, enrolment.Enrolment(sequence_id=sequence_id, candidates=candidates))
    return sequence_id


async def _sent_in(sequence_id: UUID) -> int:
    return len(await fetch("SELECT 1 FROM messages WHERE sequence_id = $1 AND state = 'SENT'", sequence_id))


async def _in_hand(workspace_id: UUID) -> int:
    rows = await fetch("SELECT 1 FROM messages WHERE workspace_id = $1 AND lease_until IS NOT NULL", workspace_id)
    return len(rows)


async def test_more_mute_mailboxes_than_a_worker_has_slots_do_not_hold_up_the_healthy_ones(
    workspace_id: UUID, actor: Actor, vault: Vault, catcher: RunningCatcher
) -> None:
    async with mute_server() as (port, got), sending_with(vault, command_seconds=120):
        for number in range(12):  # each has four in hand: 48 for 20 slots
            await _mailbox_of(workspace_id, actor, vault, port, f"mute{number}", 6)
        await until(lambda: _reached(got, 10))
        healthy = [
            await _mailbox_of(workspace_id, actor, vault, catcher.smtp_port, f"fine{number}", 15) for number in range(3)
        ]

        async def all_sent() -> bool:
            return [await _sent_in(one) for one in healthy] == [15, 15, 15]

        await until(all_sent, seconds=40)
        assert await _in_hand(workspace_id) == 48


async def test_one_workspace_has_only_its_share_of_what_waits_for_slow_servers(
    workspace_id: UUID, actor: Actor, vault: Vault, catcher: RunningCatcher
) -> None:
    other_id = await keys.create_workspace("Healthy")
    async with mute_server() as (port, got), sending_with(vault, command_seconds=120, slots=2):
        for number in range(6):
            await _mailbox_of(workspace_id, actor, vault, port, f"mute{number}", 6)

        async def has_its_share() -> bool:
            return await _in_hand(workspace_id) >= 9  # of 18

        await until(has_its_share, seconds=40)
        healthy = await _mailbox_of(other_id, actor, vault, catcher.smtp_port, "fine", 9)

        async def all_sent() -> bool:
            return await _sent_in(healthy) == 9

        await until(all_sent, seconds=40)
        assert await _in_hand(workspace_id) <= 9 + 2
        assert len(got) <= 6 * 2


async def test_what_waits_for_a_dead_mail_server_is_given_back_with_the_first_failure(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with mute_server() as (port, got), sending_with(vault, command_seconds=0.5):
        await make_world(workspace_id, actor, vault, steps=[email()], people=10, port=port)

        async def all_back() -> bool:
            rows = await fetch("SELECT state FROM messages ORDER BY state")
            return [row["state"] for row in rows] == ["DEFERRED", "DEFERRED", "DROPPED", "DROPPED"]

        await until(all_back, seconds=5)
        assert len(got) == 2
        assert await claim_all() == []


async def _reached(got: list[asyncio.StreamWriter], count: int) -> bool:
    return len(got) >= count
