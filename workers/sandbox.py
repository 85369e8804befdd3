"""The outside of test workspaces, where the network would begin: nothing is ever connected to.

Source: domain/rules/sandbox.py.
"""

import logging
from collections import deque
from datetime import datetime
from typing import Final
from uuid import UUID

from domain import sandbox
from domain.connections import is_an_outage
from domain.rules.outcomes import Later, LaterReason, Outcome, Sent, Stage
from domain.rules.sandbox import TAKEN, of_mailbox, of_person
from workers.smtp_account import SmtpAccount
from workers.text_gateway import OpenedAccount, TextGateway, TextMessage

log = logging.getLogger("relance.sandbox")

_REMEMBERED: Final = 10_000


class SandboxSession:
    """Answers as a mail server would, without one; a session like SmtpSession."""

    def __init__(self, account: SmtpAccount) -> None:
        self.account = account
        self.is_open = False
        self._recipient: str | None = None

    async def address(self, sender: str, recipient: str, message: bytes | None = None) -> Outcome | None:
        """Offer the envelope; None to go on."""
        self.is_open = True
        broken, person = of_mailbox(sender), of_person(recipient)
        if broken is not None:
            return broken.outcome
        if person is not None and person.outcome is not None and person.stage is not Stage.DOT:
            return person.outcome
        self._recipient = recipient
        return None

    async def send(self, message: bytes) -> Outcome:
        """Take the message over, or do what its address brings about."""
        recipient, self._recipient = self._recipient, None
        if recipient is None:
            return Later(LaterReason.TRANSPORT, "The connection was lost before the message was offered.")
        person = of_person(recipient)
        return TAKEN if person is None or person.outcome is None else person.outcome

    async def close(self) -> None:
        """End it."""
        self.abort()

    def abort(self) -> None:
        """End it without a word."""
        self.is_open, self._recipient = False, None


class SandboxedTexts:
    """Text messages of test workspaces stay here; all others go through the provider's gateway."""

    def __init__(self, outside: TextGateway) -> None:
        self._outside = outside

    async def send(self, account: OpenedAccount, message: TextMessage) -> Outcome:
        if not account.test_mode:
            return await self._outside.send(account, message)
        person = of_person(message.to)
        if person is not None and person.outcome is not None:
            return person.outcome
        return Sent(f"SM{message.reports_url.rpartition('_')[2]} kept in the sandbox: nothing has left")

    async def ids_of(self, account: OpenedAccount, to: str, text: str, since: datetime) -> list[str] | None:
        return None if account.test_mode else await self._outside.ids_of(account, to, text, since)

    async def try_account(self, account: OpenedAccount) -> Outcome | None:
        return None if account.test_mode else await self._outside.try_account(account)


class Answers:
    """Lets come in what messages to magic addresses bring back. One for each worker process."""

    def __init__(self) -> None:
        self._done: deque[UUID] = deque(maxlen=_REMEMBERED)

    async def come_back(self) -> bool:
        """Do so for a few; return whether there may be more at once."""
        expected = await sandbox.unanswered(self._done)
        for one in expected:
            try:
                await sandbox.come_back(one)
            except Exception as problem:  # one workspace's trouble must not keep the others waiting
                if is_an_outage(problem):
                    raise  # tried again in the next round
                log.exception("nothing came back to message %s", one.message_id)
            self._done.append(one.message_id)
        return bool(expected)
