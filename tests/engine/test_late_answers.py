"""Answers that arrive late or together: each is recorded once, and a definite refusal is proof of no delivery."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import delivery, marking, recipients, unconfirmed
from domain.claims import Claim
from domain.database import fetch
from domain.delivery import Result
from domain.rules.actor import Actor
from domain.rules.outcomes import Later, LaterReason, MailboxBroken, NotSendable, Outcome, Refused, Sent
from domain.secrets import Vault
from tests.engine.sending_world import advance, claim_all, make_one, messages_of, open_error, set_row
from tests.world import email, make_world
from workers.composing import composed


async def _row(recipient_id: UUID) -> dict[str, Any]:
    return dict((await fetch("SELECT * FROM recipients WHERE id = $1", recipient_id))[0])


async def _given_up(workspace_id: UUID, actor: Actor, vault: Vault) -> tuple[UUID, Claim]:
    """A recipient in ERROR: the hand-over of its mail took longer than its lease."""
    _, recipient_id = await make_one(workspace_id, actor, vault)
    (claim,) = await claim_all()
    letter = composed(claim)
    assert not isinstance(letter, NotSendable)
    await marking.mark([letter.mark])
    (message,) = await messages_of(recipient_id)
    await set_row("messages", claim.message_id, lease_until=message["created_at"] - timedelta(hours=1))
    assert await unconfirmed.give_up_lost_hand_overs() == 1
    assert (await open_error(recipient_id))["code"] == "DELIVERY_UNCONFIRMED"
    return recipient_id, claim


async def _answer(claim: Claim, outcome: Outcome) -> None:
    recorded = await delivery.record(claim.workspace_id, [Result(claim.message_id, claim.token, outcome)])
    assert recorded == {claim.message_id}


async def _open_errors(recipient_id: UUID) -> list[str]:
    rows = await fetch("SELECT code FROM step_errors WHERE recipient_id = $1 AND resolved_at IS NULL", recipient_id)
    return [row["code"] for row in rows]


async def test_a_hard_bounce_answered_late_ends_as_bounced(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    recipient_id, claim = await _given_up(workspace_id, actor, vault)
    await _answer(claim, Refused("EMAIL_INVALID", "550 5.1.1 no such user", hard_bounce=True))
    assert (await _row(recipient_id))["status"] == "BOUNCED"
    assert await _open_errors(recipient_id) == []
    (message,) = await messages_of(recipient_id)
    assert (message["state"], message["reply"]) == ("REFUSED", "550 5.1.1 no such user")


async def test_a_refusal_answered_late_replaces_the_doubt(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    recipient_id, claim = await _given_up(workspace_id, actor, vault)
    await _answer(claim, Refused("RECIPIENT_REFUSED_CONTENT", "554 5.7.1 no"))
    assert (await _row(recipient_id))["status"] == "ERROR"
    assert await _open_errors(recipient_id) == ["RECIPIENT_REFUSED_CONTENT"]


async def test_a_later_answered_late_is_tried_again_by_itself(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    recipient_id, claim = await _given_up(workspace_id, actor, vault)
    await _answer(claim, Later(LaterReason.SOFT, "451 4.3.0 not now"))
    row = await _row(recipient_id)
    assert (row["status"], row["step_run"]) == ("SCHEDULED", 1)
    assert row["due_at"] == row["retry_at"] is not None
    assert await _open_errors(recipient_id) == []
    assert await claim_all() == []
    await advance(workspace_id, timedelta(hours=1))
    (again,) = await claim_all()
    assert again.message_id == claim.message_id
    assert again.token == claim.token + 1


async def test_a_later_answered_late_while_paused_waits_for_the_resume(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    recipient_id, claim = await _given_up(workspace_id, actor, vault)
    await recipients.pause(workspace_id, actor, recipient_id)
    await _answer(claim, Later(LaterReason.SOFT, "451 4.3.0 not now"))
    row = await _row(recipient_id)
    assert (row["status"], row["due_at"]) == ("PAUSED", None)
    await recipients.resume(workspace_id, actor, recipient_id)
    row = await _row(recipient_id)
    assert (row["status"], row["step_run"]) == ("SCHEDULED", 1)
    assert row["due_at"] == row["retry_at"] is not None


@pytest.mark.parametrize(
    "outcome", [Later(LaterReason.THROTTLED, "421 slow down"), MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", "535 no")]
)
async def test_a_mailbox_that_answers_late_that_it_cannot_send_holds_the_message_back(
    workspace_id: UUID, actor: Actor, vault: Vault, outcome: Outcome
) -> None:
    recipient_id, claim = await _given_up(workspace_id, actor, vault)
    await _answer(claim, outcome)
    row = await _row(recipient_id)
    assert (row["status"], row["retry_at"]) == ("SCHEDULED", None)
    assert row["due_at"] is not None
    assert await claim_all() == []


async def test_a_late_refusal_moves_nobody_who_has_gone_on(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    recipient_id, claim = await _given_up(workspace_id, actor, vault)
    await recipients.skip_step(workspace_id, actor, recipient_id, claim.step_id)
    before = await _row(recipient_id)
    await _answer(claim, Later(LaterReason.SOFT, "451 4.3.0 not now"))
    assert await _row(recipient_id) == before


async def test_two_outcomes_of_one_recipient_are_recorded_in_one_batch(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(), email(subject="Again")])
    (recipient_id,) = world.recipient_ids
    claims = []
    for skips in (True, False):
        (claim,) = await claim_all()
        letter = composed(claim)
        assert not isinstance(letter, NotSendable)
        assert await marking.mark([letter.mark]) == {claim.message_id}
        if skips:
            await recipients.skip_step(workspace_id, actor, recipient_id, claim.step_id)
        claims.append(claim)
    results = [Result(claim.message_id, claim.token, Sent("250 OK")) for claim in claims]
    assert await delivery.record(workspace_id, results) == {claim.message_id for claim in claims}
    assert (await _row(recipient_id))["status"] == "COMPLETED"
    assert [message["state"] for message in await messages_of(recipient_id)] == ["SENT", "SENT"]
