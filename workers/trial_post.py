"""Handing test mails over to mail servers: each once, whatever becomes of it.

Source: product.md section 3 "Templates".
"""

import asyncio
import logging
from typing import Final

from domain import signing_keys, trial_mails
from domain.rules.dkim import Signer
from domain.rules.network import Reach
from domain.rules.outcomes import MailboxBroken, Outcome
from domain.secrets import SecretUnreadable, Vault
from domain.trial_mails import Trial
from workers.sender import smtp_account
from workers.smtp_pool import SmtpPool

log = logging.getLogger("relance.trials")

_AT_ONCE: Final = 4


class TrialPost:
    """Carries a few test mails at once. One for each worker process."""

    def __init__(self, vault: Vault, pool: SmtpPool, reach: Reach) -> None:
        self._vault = vault
        self._reach = reach
        self._pool = pool
        self._tasks: set[asyncio.Task[None]] = set()

    async def claim_and_start(self) -> bool:
        """Take up one test mail whose turn has come; return whether there may be another at once."""
        if len(self._tasks) >= _AT_ONCE:
            return False
        trial = await trial_mails.claim()
        if trial is None:
            return False
        task = asyncio.get_running_loop().create_task(self._carry(trial), name=f"trial-{trial.id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    async def stop(self, patience_seconds: float = 20.0) -> None:
        """Finish what is on its way."""
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks), timeout=patience_seconds)
            for task in late:
                task.cancel()
        await self._pool.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a test mail failed by a mistake of ours", exc_info=task.exception())

    async def _carry(self, trial: Trial) -> None:
        await trial_mails.record(trial, await self._handed_over(trial))

    async def _handed_over(self, trial: Trial) -> Outcome:
        account, mime = trial.account, trial.mime
        password = None
        try:
            if account.sealed_password is not None:
                place = "mailboxes.smtp_password"
                password = self._vault.open(account.sealed_password, trial.workspace_id, place, account.mailbox_id)
            if account.dkim is not None:
                key, place = account.dkim, signing_keys.PLACE
                private = self._vault.open(key.sealed_key, trial.workspace_id, place, account.mailbox_id)
                mime = Signer(key.domain, key.selector, private).signed(mime)
        except SecretUnreadable as problem:
            return MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", str(problem))
        reached = smtp_account(account, password, self._reach)
        async with self._pool.session(account.mailbox_id, reached) as session:
            failed = await session.address(account.address, trial.to_address, mime)
            return failed if failed is not None else await session.send(mime)
