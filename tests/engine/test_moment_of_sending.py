"""The next wait begins when the server took the message over, however long that could not be written down."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from cli.catcher import RunningCatcher
from domain import faults, marking
from domain.database import fetch
from domain.delivery import Result, record
from domain.rules.actor import Actor
from domain.rules.outcomes import Sent
from domain.secrets import Vault
from tests.engine.sending_world import claim_all, make_one, messages_of
from tests.engine.standing import row_of
from tests.world import HERE, IN_AN_HOUR, email, make_world
from workers.composing import Letter, composed
from workers.sender import Sender


async def test_an_answer_recorded_hours_later_starts_the_next_wait_when_it_was_given(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id = await make_one(workspace_id, actor, vault)
    (claim,) = await claim_all()
    letter = composed(claim)
    assert isinstance(letter, Letter)
    await marking.mark([letter.mark])
    outage = timedelta(hours=3)
    await record(workspace_id, [Result(claim.message_id, claim.token, Sent("250 ok"), ago=lambda: outage)])
    row, (message,) = await row_of(recipient_id), await messages_of(recipient_id)
    (done,) = await fetch("SELECT done_at FROM recipient_steps WHERE step_id = $1", world.step_ids[0])
    sent_at = message["at"]
    assert sent_at + outage <= row["updated_at"]
    assert (row["anchor_at"], row["contacted_at"], done["done_at"]) == (sent_at, sent_at, sent_at)
    assert row["due_at"] == sent_at + timedelta(hours=1)
    (following,) = await claim_all()  # its wait of an hour ran during the outage
    assert following.step_id == world.step_ids[1]


@pytest.fixture
def late_records() -> Iterator[timedelta]:
    faults.arm("before_record=sleep:1.5")
    yield timedelta(seconds=1.5)
    faults.arm("")


async def test_the_sender_says_how_long_ago_the_server_answered(
    workspace_id: UUID, actor: Actor, vault: Vault, catcher: RunningCatcher, late_records: timedelta
) -> None:
    steps = [email(), email(wait=IN_AN_HOUR)]
    world = await make_world(workspace_id, actor, vault, steps=steps, port=catcher.smtp_port)
    sender = Sender(vault, reach=HERE, slots=4, lease=timedelta(seconds=30))
    await sender.claim_and_start()
    await asyncio.wait(list(sender._tasks), timeout=20)
    await sender.stop()
    row = await row_of(world.recipient_ids[0])
    assert row["contacted_at"] + late_records <= row["updated_at"]
    assert row["due_at"] == row["contacted_at"] + timedelta(hours=1)
