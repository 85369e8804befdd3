"""A mailbox or a sequence whose mail bounces or is complained about too often sends nothing more until a person
releases it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from domain import authoring, enrolment, guardrails, mailboxes, marking, recipients, sending, sequences, signals
from domain.claims import Claim
from domain.connections import credentials
from domain.contacts import ContactFields
from domain.database import fetch
from domain.guardrails import Guarded
from domain.plans import SequenceSettings
from domain.reading import guardrails as reading
from domain.reading.guardrails import GuardrailView
from domain.rules.actor import Actor
from domain.rules.fact import Fact
from domain.rules.guardrails import GuardrailCause
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Refused, Sent
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all
from tests.world import IN_AN_HOUR, World, email, make_world
from workers.composing import Letter, composed

BOUNCE = Refused("EMAIL_INVALID", "550 5.1.1 no such user", hard_bounce=True)


@dataclass(frozen=True)
class Guards:
    mailbox: GuardrailView
    sequence: GuardrailView

    @property
    def holding(self) -> tuple[bool, bool]:
        return self.mailbox.hold is not None, self.sequence.hold is not None


async def guards_of(world: World) -> Guards:
    of_mailbox = await reading.of_mailboxes(world.workspace_id, [world.mailbox_id])
    of_sequence = await reading.of_sequences(world.workspace_id, [world.sequence_id])
    return Guards(of_mailbox[world.mailbox_id], of_sequence[world.sequence_id])


async def state_of(mailbox_id: UUID) -> str:
    state: str = (await fetch("SELECT state FROM mailboxes WHERE id = $1", mailbox_id))[0]["state"]
    return state


async def sent_to(workspace_id: UUID, actor: Actor, vault: Vault, people: int, bounced: int) -> World:
    """A world in which so many were written to, some of them in vain, and one more is due. It names those reached."""
    world = await make_world(workspace_id, actor, vault, people=people + 1, steps=[email(), email(wait=IN_AN_HOUR)])
    claims = (await claim_all(people))[:people]
    assert len(claims) == people
    await carry(claims[bounced:], Sent("250 ok"))
    for claim in claims[:bounced]:
        await carry([claim], BOUNCE, marked=False)
    return replace(world, recipient_ids=[claim.recipient_id for claim in claims[bounced:]])


async def second_sequence(world: World, actor: Actor) -> tuple[UUID, UUID]:
    """Another sequence of the same mailbox with one due recipient: both."""
    sequence_id = await authoring.create(
        world.workspace_id, "Other", [email()], settings=SequenceSettings(), mailbox_ids=[world.mailbox_id]
    )
    await sequences.activate(world.workspace_id, sequence_id)
    candidate = enrolment.Candidate(ContactFields(values={"email": "other@people.example", "first_name": "O"}))
    batch = enrolment.Enrolment(sequence_id=sequence_id, candidates=[candidate])
    (answer,) = await enrolment.enroll(world.workspace_id, actor, batch)
    assert answer.recipient_id is not None
    return sequence_id, answer.recipient_id


async def complain(world: World, recipient_ids: Sequence[UUID], actor: Actor) -> None:
    for recipient_id in recipient_ids:
        fact = Fact(signal=Signal.COMPLAINT, recipient_id=recipient_id, actor=actor)
        await signals.apply(world.workspace_id, fact)


async def marked(claim: Claim) -> bool:
    letter = composed(claim)
    assert isinstance(letter, Letter)
    return bool(await marking.mark([letter.mark]))


async def test_more_bounces_than_the_limit_hold_both_and_say_so(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await sent_to(workspace_id, actor, vault, people=60, bounced=3)
    assert (await guards_of(world)).holding == (False, False), "3 of 60 are 5 %, and not more"
    due = await claim_all()
    fact = Fact(signal=Signal.HARD_BOUNCE, recipient_id=world.recipient_ids[10], actor=actor)
    await signals.apply(workspace_id, fact)
    await signals.apply(workspace_id, fact)  # the same message: it counts once
    guards = await guards_of(world)
    for guard in (guards.mailbox, guards.sequence):
        assert guard.hold is not None
        hold = (guard.hold.cause, guard.hold.count, guard.hold.sent, guard.hold.percent, guard.hold.limit_percent)
        assert hold == (GuardrailCause.BOUNCES, 4, 60, 6.67, 5.0)
    assert await state_of(world.mailbox_id) == "HELD"
    assert [await marked(claim) for claim in due] == [False], "what was claimed before is not handed over"
    await sending.release(due)
    assert await claim_all() == []


async def test_a_small_sample_holds_nothing_until_it_has_grown(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make_world(workspace_id, actor, vault, people=60, steps=[email()])
    claims = await claim_all(60)
    await carry(claims[:35], Sent("250 ok"))
    for claim in claims[35:45]:
        await carry([claim], BOUNCE, marked=False)
    await guardrails.check_all()
    assert (await guards_of(world)).holding == (False, False)
    await carry(claims[45:], Sent("250 ok"))
    assert (await guards_of(world)).holding == (False, False)
    await guardrails.check_all()
    assert (await guards_of(world)).holding == (True, True)


@pytest.mark.parametrize("how", ["open", "stopped", "replied", "deleted"])
async def test_a_complaint_counts_whatever_had_become_of_its_recipient(
    workspace_id: UUID, actor: Actor, vault: Vault, how: str
) -> None:
    world = await sent_to(workspace_id, actor, vault, people=60, bounced=0)
    one = world.recipient_ids[0]
    if how == "stopped":
        await recipients.stop(workspace_id, actor, one)
    elif how == "deleted":
        await recipients.delete(workspace_id, actor, one)
    elif how == "replied":
        await signals.apply(workspace_id, Fact(signal=Signal.HUMAN_REPLY, recipient_id=one, actor=actor))
    await complain(world, [one], actor)
    guards = await guards_of(world)
    assert guards.holding == (True, True)
    assert guards.mailbox.hold is not None
    assert (guards.mailbox.hold.cause, guards.mailbox.hold.count) == (GuardrailCause.COMPLAINTS, 1)


async def test_only_a_release_lets_it_send_and_begins_a_new_sample(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await sent_to(workspace_id, actor, vault, people=60, bounced=4)
    await mailboxes.connected(workspace_id, world.mailbox_id)
    assert await state_of(world.mailbox_id) == "HELD"
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    assert await state_of(world.mailbox_id) == "DISCONNECTED"
    await mailboxes.connected(workspace_id, world.mailbox_id)
    assert await state_of(world.mailbox_id) == "HELD"
    await guardrails.release(workspace_id, {Guarded.MAILBOX: world.mailbox_id})
    assert await state_of(world.mailbox_id) == "CONNECTED"
    assert await claim_all() == [], "the sequence is held for itself"
    await guardrails.release(workspace_id, {Guarded.SEQUENCE: world.sequence_id})
    await complain(world, world.recipient_ids[10:12], actor)  # about what was sent before
    await guardrails.check_all()
    guards = await guards_of(world)
    assert guards.holding == (False, False)
    assert (guards.mailbox.sent, guards.sequence.complained) == (0, 0)
    assert len(await claim_all()) == 1


async def test_a_sequence_is_held_for_itself_and_the_mailbox_sends_for_others(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await sent_to(workspace_id, actor, vault, people=60, bounced=0)
    _, other = await second_sequence(world, actor)
    await guardrails.set_limits(workspace_id, {"complaint_percent": 2.0}, Guarded.MAILBOX, world.mailbox_id)
    await complain(world, world.recipient_ids[:1], actor)
    assert (await guards_of(world)).holding == (False, True)
    assert [claim.recipient_id for claim in await claim_all()] == [other]


async def test_limits_of_its_own_go_before_the_workspaces(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await sent_to(workspace_id, actor, vault, people=20, bounced=1)
    await guardrails.set_limits(workspace_id, {"minimum_sends": 10, "bounce_percent": 50})
    await guardrails.set_limits(workspace_id, {"window_days": 2}, Guarded.SEQUENCE, world.sequence_id)
    guards = await guards_of(world)
    assert (guards.sequence.limits.window_days, guards.sequence.limits.minimum_sends) == (2, 10)
    assert (guards.mailbox.limits.window_days, guards.mailbox.limits.bounce_percent) == (7, 50)
    assert guards.holding == (False, False)
    await guardrails.set_limits(workspace_id, {"bounce_percent": 4.5}, Guarded.MAILBOX, world.mailbox_id)
    assert (await guards_of(world)).holding == (True, False), "held at once"
    await guardrails.set_limits(workspace_id, {"bounce_percent": None})
    await guardrails.check_all()
    assert (await guards_of(world)).holding == (True, False), "1 of 20 are 5 %, and not more"


def _rows_touched(node: dict[str, Any]) -> float:
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return float(own) + sum(_rows_touched(child) for child in node.get("Plans", []))


@pytest.mark.parametrize("analyzed", [False, True])
async def test_judging_touches_no_more_messages_than_it_needs_by_any_plan(
    analyzed: bool, workspace_id: UUID, actor: Actor, vault: Vault, open_database: str
) -> None:
    """One bounce among 600 messages: 51 of them say that the rate is low enough."""
    world = await sent_to(workspace_id, actor, vault, people=600, bounced=0)
    await guardrails.set_limits(workspace_id, {"complaint_percent": 100})
    fact = Fact(signal=Signal.HARD_BOUNCE, recipient_id=world.recipient_ids[10], actor=actor)
    await signals.apply(workspace_id, fact)
    if analyzed:
        await fetch("ANALYZE messages")
    connection = await asyncpg.connect(**credentials(open_database))
    try:
        for mode in ("force_generic_plan", "force_custom_plan"):
            for guarded, id in ((Guarded.MAILBOX, world.mailbox_id), (Guarded.SEQUENCE, world.sequence_id)):
                await connection.execute(f"SET plan_cache_mode = {mode}")
                await connection.execute(f"PREPARE judging (uuid, uuid[]) AS {guardrails._JUDGED[guarded]}")
                (plan,) = await connection.fetch(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE judging ('{workspace_id}', '{{{id}}}')"
                )
                await connection.execute("DEALLOCATE judging")
                touched = _rows_touched(orjson.loads(plan[0])[0]["Plan"])
                assert touched < 300, f"{touched:,.0f} rows for one {guarded.name} by {mode}"
    finally:
        await connection.close()
