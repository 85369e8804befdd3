"""The second mark holds for the address that the contact has at that moment."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain import marking, sending
from domain.claims import Claim
from domain.contacts import ContactFields, write_contacts
from domain.database import Tx, tx
from domain.marking import Mark
from domain.rules.actor import Actor
from domain.rules.outcomes import NotSendable, Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, make_one, messages_of, open_error, set_row
from tests.engine.standing import row_of
from workers.composing import Letter, composed

NEW = "new@people.example"


def mark_of(claim: Claim) -> Mark:
    letter = composed(claim)
    assert isinstance(letter, Letter)
    return letter.mark


@pytest.fixture
async def recipient_id(workspace_id: UUID, actor: Actor, vault: Vault) -> UUID:
    return (await make_one(workspace_id, actor, vault))[1]


async def test_a_changed_address_refuses_the_mark_and_the_mail_goes_to_the_new_one(
    workspace_id: UUID, recipient_id: UUID
) -> None:
    (claim,) = await claim_all()
    contact_id = (await row_of(recipient_id))["contact_id"]
    await tx(workspace_id, lambda t: write_contacts(t, [ContactFields(contact_id=contact_id, values={"email": NEW})]))
    assert await marking.mark([mark_of(claim)]) == set()
    await sending.release([claim])
    await carry(await claim_all(), Sent("250 ok"))
    (message,) = await messages_of(recipient_id)
    assert (message["state"], message["to_address"]) == ("SENT", NEW)


async def test_an_address_that_is_being_changed_refuses_the_mark_without_waiting(
    workspace_id: UUID, recipient_id: UUID
) -> None:
    (claim,) = await claim_all()
    contact_id = (await row_of(recipient_id))["contact_id"]

    async def change_while_marking(t: Tx) -> set[UUID]:
        await write_contacts(t, [ContactFields(contact_id=contact_id, values={"email": NEW, "first_name": "Anew"})])
        return await marking.mark([mark_of(claim)])

    assert await tx(workspace_id, change_while_marking) == set()
    assert await marking.mark([mark_of(claim)]) == set()


async def test_an_address_found_dead_since_the_claim_refuses_the_mark_and_becomes_an_error(
    recipient_id: UUID,
) -> None:
    (claim,) = await claim_all()
    contact_id = (await row_of(recipient_id))["contact_id"]
    await set_row("contacts", contact_id, email_bounced_at=datetime.now(UTC))
    assert await marking.mark([mark_of(claim)]) == set()
    await sending.release([claim])
    (again,) = await claim_all()
    assert isinstance(composed(again), NotSendable)
    await carry([again], Sent("250 ok"))
    assert (await open_error(recipient_id))["code"] == "EMAIL_BOUNCED_BEFORE"
