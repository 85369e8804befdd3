"""A bounce or an opt-out binds the address that was written to; an address given since starts clean."""

from uuid import UUID

import pytest

from domain import contacts, signals
from domain.contacts import ContactFields
from domain.database import fetch
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, make_one, messages_of


async def _apply_after_a_new_address(workspace_id: UUID, actor: Actor, vault: Vault, signal: Signal) -> UUID:
    """Let the signal arrive about a mail to p0@people.example when the person has new@people.example."""
    _, recipient_id = await make_one(workspace_id, actor, vault)
    await carry(await claim_all(), Sent("250 OK"))
    (contact,) = await fetch("SELECT contact_id FROM recipients WHERE id = $1", recipient_id)
    contact_id: UUID = contact["contact_id"]
    await contacts.upsert(workspace_id, ContactFields(contact_id, values={"email": "New@people.example"}))
    (message,) = await messages_of(recipient_id)
    fact = Fact(signal=signal, recipient_id=recipient_id, actor=ENGINE, message_id=message["id"])
    assert await signals.apply(workspace_id, fact) == {recipient_id}
    return contact_id


async def test_a_bounce_of_the_old_address_leaves_the_new_one_clean(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    contact_id = await _apply_after_a_new_address(workspace_id, actor, vault, Signal.HARD_BOUNCE)
    (row,) = await fetch("SELECT email_bounced_at FROM contacts WHERE id = $1", contact_id)
    assert row["email_bounced_at"] is None


async def test_a_bounce_of_the_present_address_is_kept(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    _, recipient_id = await make_one(workspace_id, actor, vault)
    await carry(await claim_all(), Sent("250 OK"))
    (message,) = await messages_of(recipient_id)
    fact = Fact(signal=Signal.HARD_BOUNCE, recipient_id=recipient_id, actor=ENGINE, message_id=message["id"])
    await signals.apply(workspace_id, fact)
    (row,) = await fetch("SELECT email_bounced_at FROM contacts WHERE workspace_id = $1", workspace_id)
    assert row["email_bounced_at"] is not None


@pytest.mark.parametrize("signal", [Signal.OPT_OUT, Signal.COMPLAINT])
async def test_an_opt_out_binds_the_person_and_the_address_written_to(
    workspace_id: UUID, actor: Actor, vault: Vault, signal: Signal
) -> None:
    contact_id = await _apply_after_a_new_address(workspace_id, actor, vault, signal)
    rows = await fetch("SELECT kind, value FROM suppressions WHERE workspace_id = $1", workspace_id)
    assert {(row["kind"], row["value"]) for row in rows} == {
        ("CONTACT", str(contact_id)),
        ("ADDRESS", "p0@people.example"),
    }
