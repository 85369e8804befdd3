"""What an unconfirmed delivery offers while its recipient is held is what resolving it then takes."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from domain import recipients, sequences, unconfirmed
from domain.reading import step_errors
from domain.refusals import ActionNotAvailable, RetryNotAvailable
from domain.rules.actor import Actor
from domain.rules.outcomes import Unknown
from domain.rules.step_errors import StepErrorAction
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, make_one, open_error


async def _offered(workspace_id: UUID) -> Sequence[str]:
    (error,) = (await step_errors.page(workspace_id, filter=step_errors.OPEN_ONES)).rows
    return error.available_actions


@pytest.mark.parametrize("whole_sequence", [False, True])
async def test_while_it_is_paused_only_that_it_was_sent_is_offered_and_taken(
    whole_sequence: bool, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id = await make_one(workspace_id, actor, vault)
    await carry(await claim_all(), Unknown("The line went dead after the dot."))
    error_id = (await open_error(recipient_id))["id"]
    both = (StepErrorAction.CONFIRM_SENT, StepErrorAction.SEND_AGAIN)
    assert await _offered(workspace_id) == both
    if whole_sequence:
        await sequences.pause(workspace_id, world.sequence_id)
    else:
        await recipients.pause(workspace_id, actor, recipient_id)
    assert await _offered(workspace_id) == (StepErrorAction.CONFIRM_SENT,)
    with pytest.raises(ActionNotAvailable):
        await unconfirmed.resolve(workspace_id, actor, error_id, was_sent=False)
    with pytest.raises(RetryNotAvailable, match="not sent again by a retry"):  # nor by a resume, which it does not name
        await recipients.retry(workspace_id, actor, recipient_id)
    assert await unconfirmed.resolve(workspace_id, actor, error_id, was_sent=True) == recipient_id
