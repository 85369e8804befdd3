"""A mailbox whose mail bounces or is complained about too often sends nothing more until a person releases it."""

from uuid import UUID

from domain import guardrails, mailboxes, signals
from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Refused, Sent
from domain.secrets import Vault
from domain.signals import Fact
from tests.engine.sending_world import carry, claim_all
from tests.world import IN_AN_HOUR, World, email, make_world

BOUNCE = Refused("EMAIL_INVALID", "550 5.1.1 no such user", hard_bounce=True)


async def state_of(mailbox_id: UUID) -> tuple[str, str | None]:
    row = (await fetch("SELECT state, state_message FROM mailboxes WHERE id = $1", mailbox_id))[0]
    return row["state"], row["state_message"]


async def sent_to(workspace_id: UUID, actor: Actor, vault: Vault, people: int, bounced: int) -> World:
    """A world in which so many were written to, the first of them in vain, and one more is due."""
    world = await make_world(workspace_id, actor, vault, people=people + 1, steps=[email(), email(wait=IN_AN_HOUR)])
    claims = (await claim_all(people))[:people]
    assert len(claims) == people
    await carry(claims[bounced:], Sent("250 ok"))
    for claim in claims[:bounced]:
        await carry([claim], BOUNCE, marked=False)
    return world


async def test_too_many_bounces_hold_it_and_it_says_so(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await sent_to(workspace_id, actor, vault, people=60, bounced=4)
    state, message = await state_of(world.mailbox_id)
    assert state == "HELD"
    assert message is not None
    assert message.startswith("3 of the last messages bounced: more than 5 %.")
    assert await claim_all() == []


async def test_a_small_sample_and_a_low_rate_hold_nothing(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await sent_to(workspace_id, actor, vault, people=40, bounced=10)
    await guardrails.check_all()
    assert (await state_of(world.mailbox_id))[0] == "CONNECTED"


async def test_a_sample_that_grows_later_is_judged_by_the_round(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make_world(workspace_id, actor, vault, people=60, steps=[email()])
    claims = await claim_all(60)
    for claim in claims[:5]:
        await carry([claim], BOUNCE, marked=False)
    await carry(claims[5:], Sent("250 ok"))
    assert (await state_of(world.mailbox_id))[0] == "CONNECTED"
    await guardrails.check_all()
    assert (await state_of(world.mailbox_id))[0] == "HELD"


async def test_one_complaint_among_sixty_holds_it(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await sent_to(workspace_id, actor, vault, people=60, bounced=0)
    fact = Fact(signal=Signal.COMPLAINT, recipient_id=world.recipient_ids[0], actor=actor)
    await signals.apply(workspace_id, fact)
    state, message = await state_of(world.mailbox_id)
    assert state == "HELD"
    assert message is not None
    assert "reported as spam" in message


async def test_only_a_release_lets_it_send_and_what_was_before_counts_no_more(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await sent_to(workspace_id, actor, vault, people=60, bounced=4)
    await mailboxes.connected(workspace_id, world.mailbox_id)
    assert (await state_of(world.mailbox_id))[0] == "HELD"
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    await mailboxes.connected(workspace_id, world.mailbox_id)
    assert (await state_of(world.mailbox_id))[0] == "HELD"
    await guardrails.release(workspace_id, world.mailbox_id)
    assert await state_of(world.mailbox_id) == ("CONNECTED", None)
    await guardrails.check_all()
    assert (await state_of(world.mailbox_id))[0] == "CONNECTED"
    assert len(await claim_all()) == 1
