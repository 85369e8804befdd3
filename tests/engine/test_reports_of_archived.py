"""A failed-delivery report about someone of an archived sequence is only recorded: nobody could retry it."""

from uuid import UUID

from domain import sequences, signals
from domain.database import fetch
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, messages_of
from tests.world import email, make_world


async def test_a_report_about_a_recipient_of_an_archived_sequence_is_only_recorded(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()])
    (recipient_id,) = world.recipient_ids
    await carry(await claim_all(), Sent("250 OK"))
    await sequences.archive(workspace_id, world.sequence_id)
    (message,) = await messages_of(recipient_id)
    fact = Fact(signal=Signal.DELIVERY_FAILED, recipient_id=recipient_id, actor=ENGINE, message_id=message["id"])
    assert await signals.apply(workspace_id, fact) == set()
    (row,) = await fetch("SELECT status FROM recipients WHERE id = $1", recipient_id)
    assert row["status"] == "COMPLETED"
