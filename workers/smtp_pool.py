"""Connections kept open between the mails of one mailbox."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass, field

from workers.sandbox import SandboxSession
from workers.smtp import DEFAULT_TIMEOUTS, SmtpAccount, SmtpSession, SmtpTimeouts

Session = SmtpSession | SandboxSession


@dataclass(slots=True)
class _Mailbox:
    id: Hashable
    slots: asyncio.Semaphore
    account: SmtpAccount
    users: int = 0
    idle: list[Session] = field(default_factory=list)
    timers: dict[Session, asyncio.TimerHandle] = field(default_factory=dict)


class SmtpPool:
    """Lends sessions by mailbox: at most `per_mailbox` open at a time, closed after `idle_seconds` unused.

    A changed account makes new sessions and closes the kept ones. One event loop; `close()` at the end.
    """

    def __init__(
        self,
        *,
        per_mailbox: int = 2,
        idle_seconds: float = 30.0,
        timeouts: SmtpTimeouts = DEFAULT_TIMEOUTS,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._per_mailbox = per_mailbox
        self._idle_seconds = idle_seconds
        self._timeouts = timeouts
        self._tls_context = tls_context
        self._mailboxes: dict[Hashable, _Mailbox] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self._closed = False

    @contextlib.asynccontextmanager
    async def session(self, mailbox_id: Hashable, account: SmtpAccount) -> AsyncIterator[Session]:
        """A session of this mailbox for one or more hand-overs; waits while all its slots are lent.

        It connects at its first `address()`. It is cut when the block raises, else kept while its connection stands.
        """
        mailbox = self._mailboxes.setdefault(
            mailbox_id, _Mailbox(mailbox_id, asyncio.Semaphore(self._per_mailbox), account)
        )
        mailbox.users += 1
        try:
            async with mailbox.slots:
                if mailbox.account != account:
                    mailbox.account = account
                    self._dismiss_all(mailbox)
                session = self._kept(mailbox) or self._new(account)
                try:
                    yield session
                except BaseException:
                    session.abort()
                    raise
                self._take_back(mailbox, session)
        finally:
            mailbox.users -= 1
            self._forget_if_unused(mailbox)

    def idle_sessions(self, mailbox_id: Hashable) -> int:
        """How many sessions wait unused for this mailbox."""
        mailbox = self._mailboxes.get(mailbox_id)
        return len(mailbox.idle) if mailbox else 0

    async def close(self) -> None:
        """Close what is kept and wait for the farewells; lent sessions close when they come back."""
        self._closed = True
        for mailbox in list(self._mailboxes.values()):
            self._dismiss_all(mailbox)
            self._forget_if_unused(mailbox)
        while self._farewells:
            await asyncio.gather(*self._farewells, return_exceptions=True)

    def _new(self, account: SmtpAccount) -> Session:
        if account.test_mode:
            return SandboxSession(account)
        return SmtpSession(account, self._timeouts, self._tls_context)

    def _kept(self, mailbox: _Mailbox) -> Session | None:
        while mailbox.idle:
            session = mailbox.idle.pop()
            mailbox.timers.pop(session).cancel()
            if session.is_open:
                return session
            session.abort()
        return None

    def _take_back(self, mailbox: _Mailbox, session: Session) -> None:
        if not session.is_open:
            session.abort()
        elif self._closed or session.account != mailbox.account:
            self._dismiss(session)
        else:
            mailbox.idle.append(session)
            mailbox.timers[session] = asyncio.get_running_loop().call_later(
                self._idle_seconds, self._retire, mailbox, session
            )

    def _retire(self, mailbox: _Mailbox, session: Session) -> None:
        mailbox.timers.pop(session, None)
        mailbox.idle.remove(session)
        self._dismiss(session)
        self._forget_if_unused(mailbox)

    def _dismiss_all(self, mailbox: _Mailbox) -> None:
        for session in mailbox.idle:
            mailbox.timers.pop(session).cancel()
            self._dismiss(session)
        mailbox.idle.clear()

    def _dismiss(self, session: Session) -> None:
        farewell = asyncio.get_running_loop().create_task(session.close())
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _forget_if_unused(self, mailbox: _Mailbox) -> None:
        if not mailbox.users and not mailbox.idle and self._mailboxes.get(mailbox.id) is mailbox:
            del self._mailboxes[mailbox.id]
