"""Handing test mails over to mail servers: each once, whatever becomes of it.

Source: product.md section 3 "Templates".
"""

import asyncio
import logging
from typing import Final

from domain import trial_mails
from domain.rules.network import Reach
from domain.rules.outcomes import MailboxBroken, Outcome
from domain.secrets import Vault
from domain.trial_mails import Trial
from workers.rounds import still_going
from workers.smtp_pool import SmtpPool
from workers.unsealing import reached, signed

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

    async def stop(self, patience_seconds: float = 20.0, hurry: asyncio.Event | None = None) -> None:
        """Finish what is on its way, unless `hurry` is set."""
        if self._tasks:
            for task in await still_going(list(self._tasks), patience_seconds, hurry):
                task.cancel()
        await self._pool.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a test mail failed by a mistake of ours", exc_info=task.exception())

    async def _carry(self, trial: Trial) -> None:
        await trial_mails.record(trial, await self._handed_over(trial))

    async def _handed_over(self, trial: Trial) -> Outcome:
        account = trial.account
        server = reached(self._vault, trial.workspace_id, account, self._reach)
        if isinstance(server, MailboxBroken):
            return server
        mime = signed(self._vault, trial.workspace_id, account, trial.mime)
        if isinstance(mime, MailboxBroken):
            return mime
        async with self._pool.session(account.mailbox_id, server) as session:
            failed = await session.address(account.address, trial.to_address, mime)
            return failed if failed is not None else await session.send(mime)
