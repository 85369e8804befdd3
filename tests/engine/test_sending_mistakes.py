"""A message that meets a mistake of ours is not claimed again for ever."""

import asyncio
from collections.abc import Hashable
from datetime import timedelta
from typing import NoReturn
from uuid import UUID

from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.sending_world import messages_of, open_error
from tests.engine.standing import row_of
from tests.world import HERE, email, make_world
from workers.sender import Sender
from workers.smtp import SmtpAccount
from workers.smtp_pool import SmtpPool


class Mistaken(SmtpPool):
    """Fails in a way that nobody thought of."""

    def session(self, mailbox_id: Hashable, account: SmtpAccount) -> NoReturn:
        raise ZeroDivisionError


async def test_a_message_that_fails_by_our_mistake_three_times_is_an_error(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()])
    (unlucky,) = world.recipient_ids
    sender = Sender(vault, reach=HERE, slots=10, lease=timedelta(seconds=30), pool=Mistaken())
    for failures in (1, 2, 3):
        assert (await row_of(unlucky))["status"] == "SCHEDULED", failures
        await sender.claim_and_start()
        await asyncio.gather(*list(sender._tasks), return_exceptions=True)
        await fetch(
            "WITH u AS (UPDATE messages SET lease_until = now() - interval '1 minute' WHERE state = 'CLAIMED' "
            "RETURNING 1) SELECT 1"
        )
    await sender.stop()
    assert (await row_of(unlucky))["status"] == "ERROR"
    assert (await open_error(unlucky))["code"] == "INTERNAL_ERROR"
    assert len(await messages_of(unlucky)) == 1
