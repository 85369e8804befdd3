"""Looking into the provider's list for text messages whose answer was lost: what stands there was taken.

What does not stand there proves nothing: a person says what became of it, or the sequence's policy.

Source: product.md section 2 "Retry belongs to the error"; reliability.md 2.1.
"""

import logging

from domain import unconfirmed_texts
from domain.rules.outcomes import MailboxBroken
from domain.secrets import Vault
from workers.text_gateway import TextGateway, open_text_account

log = logging.getLogger("relance.text_proof")


class TextProof:
    """Asks for each unconfirmed text message of the last hour, once in each round."""

    def __init__(self, vault: Vault, gateway: TextGateway) -> None:
        self._vault = vault
        self._gateway = gateway

    async def look(self) -> bool:
        """Look for all of them once; return whether to look again at once, which is never."""
        for doubt in await unconfirmed_texts.in_doubt():
            account = open_text_account(self._vault, doubt.workspace_id, doubt.account)
            if isinstance(account, MailboxBroken):
                continue
            ids = await self._gateway.ids_of(account, doubt.to, doubt.text, doubt.marked_at)
            if ids:
                try:
                    await unconfirmed_texts.settle(doubt, ids)
                except Exception:  # one workspace's trouble must not keep the others waiting
                    log.exception("message %s is not settled yet", doubt.message_id)
        return False
