"""Handing claimed messages over to mail servers: slots, both marks, the outcome, the leases.

A job of arq never sends: it wakes this supervisor, which claims at most its free slots and carries each message in a
task of its own. Nothing cancels such a task in the middle of DATA; on shutdown what is past the second mark is
finished and the rest is given back.

Source: architecture.md "The flow of one step"; reliability.md 2.1, 2.6.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from domain import delivery, marking, sending, signals
from domain.claims import Claim, TextAccount
from domain.connections import is_an_outage
from domain.delivery import Result
from domain.faults import point
from domain.log_context import about
from domain.marking import Mark
from domain.metrics import CLAIMS, MESSAGES_IN_HAND, SEND_SECONDS, SENDS
from domain.opting_out import OptOutLinks
from domain.rules import text_paths
from domain.rules.network import PUBLIC_ONLY, Reach
from domain.rules.outcomes import (
    Later,
    MailboxBroken,
    NotSendable,
    OptedOut,
    Outcome,
    Refused,
    Sent,
    Unknown,
    is_the_mailboxes,
)
from domain.secrets import Vault
from workers.batching import Batching
from workers.composing import Letter, composed, texted
from workers.rounds import still_going
from workers.sandbox import SandboxSession
from workers.smtp import SmtpSession
from workers.smtp_pool import SmtpPool
from workers.text_gateway import TextGateway, TextMessage, open_text_account
from workers.unsealing import reached, signed

log = logging.getLogger("relance.sender")

# Of one mailbox: two that are handed over and two that come next. More would only keep others out while its server is
# slow.
_IN_HAND_PER_MAILBOX: Final = 4
# A message that has taken longer waits for its mail server: its slot is another's, and a slot may be lent on so often.
_SLOW_AFTER_SECONDS: Final = 2.0
_SLOW_FOR_EACH_SLOT: Final = 9
_FAILURES_AT_MOST: Final = 3  # claims of one message that end by a mistake of ours, until the mistake is shown
_COUNTED_AS: Final[Mapping[type, str]] = {
    Sent: "sent",
    Later: "deferred",
    MailboxBroken: "mailbox_broken",
    Unknown: "unconfirmed",
    OptedOut: "opted_out",
    NotSendable: "not_sendable",
}
_PAUSES_SECONDS: Final = (0.1, 0.5, 2.0, 5.0, *[10.0] * 30)


class Sender:
    """Carries `slots` messages at once, and beside them those that wait for slow mail servers: at most nine times as
    many, half of them of one workspace. One for each worker process.

    Source: reliability.md 2.8: a hanging server holds up nobody else.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        slots: int,
        lease: timedelta,
        on_free: Callable[[], None] = lambda: None,
        pool: SmtpPool | None = None,
        reach: Reach = PUBLIC_ONLY,
        texts: TextGateway | None = None,
        links_url: str = "http://localhost:8000",
    ) -> None:
        self._vault = vault
        self._links = OptOutLinks(vault, links_url)
        self._slots = slots
        self._lease = lease
        self._on_free = on_free  # called when a slot became free
        self._pool = pool or SmtpPool()
        self._reach = reach
        self._texts = texts  # None: what is to go out as a text message fails with INTEGRATION_FAILED
        self._links_url = links_url
        self._tasks: dict[asyncio.Task[None], Claim] = {}
        self._began: dict[UUID, float] = {}  # when each message in hand was taken up, by the loop's clock
        self._held_back: set[UUID] = set()  # messages in hand whose mailbox has failed since they were claimed
        self._marked: set[UUID] = set()  # messages in hand that are past their second mark
        self._failures: dict[UUID, int] = {}  # mistakes of ours so far, by message
        self._mark = Batching(self._mark_all)
        self._record = Batching(self._record_all)
        self._stopping = False

    async def claim_and_start(self) -> bool:
        """Claim as many due messages as there are free slots and start them; return whether more may be due at once.

        Returns in well under a second; the messages go on by themselves.
        """
        free, crowded = self._room()
        if self._stopping or free <= 0:
            return False
        claims = await sending.claim(
            free,
            self._vault.message_id_key,
            per_mailbox=_IN_HAND_PER_MAILBOX,
            lease=self._lease,
            but_of=crowded,
        )
        await point("after_claim")
        loop = asyncio.get_running_loop()
        for claim in claims:
            self._began[claim.message_id] = loop.time()
            task = loop.create_task(self._carry(claim), name=f"send-{claim.message_id}")
            self._tasks[task] = claim
            task.add_done_callback(self._done)
            CLAIMS.labels(_kind(claim)).inc()
        MESSAGES_IN_HAND.set(len(self._tasks))
        return 0 < len(claims) < free

    def _room(self) -> tuple[int, list[UUID]]:
        """Return how many more messages may be taken up, and the workspaces that have their share of the slow ones."""
        slow_since = asyncio.get_running_loop().time() - _SLOW_AFTER_SECONDS
        slow = [claim.workspace_id for claim in self._tasks.values() if self._began[claim.message_id] < slow_since]
        slow_at_most = self._slots * _SLOW_FOR_EACH_SLOT
        free = self._slots - len(self._tasks) + min(len(slow), slow_at_most)
        return free, [workspace_id for workspace_id, count in Counter(slow).items() if count >= slow_at_most // 2]

    def _done(self, task: asyncio.Task[None]) -> None:
        claim = self._tasks.pop(task)
        message_id = claim.message_id
        began_at = self._began.pop(message_id, None)
        MESSAGES_IN_HAND.set(len(self._tasks))
        if began_at is not None:
            SEND_SECONDS.labels(_kind(claim)).observe(asyncio.get_running_loop().time() - began_at)
        self._held_back.discard(message_id)
        self._marked.discard(message_id)
        self._on_free()
        if not task.cancelled() and task.exception() is not None:
            with _about(claim):
                log.error("carrying a message failed; its lease will run out", exc_info=task.exception())

    async def renew_leases(self) -> bool:
        """Lengthen the leases of what is being carried, so that a slow mail server does not look like a dead worker."""
        held = [(claim.message_id, claim.token) for claim in self._tasks.values()]
        if held:
            await sending.renew(held, lease=self._lease)
        return False

    async def stop(self, patience_seconds: float = 20.0, hurry: asyncio.Event | None = None) -> None:
        """Claim nothing more, finish what is on its way, give back what is not; at once when `hurry` is set."""
        self._stopping = True
        if self._tasks:
            late = await still_going(list(self._tasks), patience_seconds, hurry)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        await self._pool.close()

    async def _carry(self, claim: Claim) -> None:
        with _about(claim):
            await self._carried_through(claim)

    async def _carried_through(self, claim: Claim) -> None:
        try:
            await self._carry_out(claim)
        except Exception as problem:
            # Past the second mark it is never claimed again: a person is asked when the lease runs out.
            if is_an_outage(problem) or claim.message_id in self._marked:
                raise
            self._failures[claim.message_id] = failures = self._failures.get(claim.message_id, 0) + 1
            if failures < _FAILURES_AT_MOST:
                raise
            log.exception("the message failed %s times and is an error now", failures)
            await self._finish(claim, NotSendable("INTERNAL_ERROR", str(claim.message_id)))
        self._failures.pop(claim.message_id, None)

    async def _carry_out(self, claim: Claim) -> None:
        if isinstance(claim.account, TextAccount):
            await self._carry_text(claim, claim.account)
            return
        letter = _composed(claim, lambda claim: composed(claim, self._links))
        if isinstance(letter, NotSendable):
            await self._finish(claim, letter)
            return
        account = reached(self._vault, claim.workspace_id, claim.account, self._reach)
        if isinstance(account, MailboxBroken):
            await self._finish(claim, account)
            return
        mime = signed(self._vault, claim.workspace_id, claim.account, letter.mime)
        if isinstance(mime, MailboxBroken):
            await self._finish(claim, mime)
            return
        async with self._pool.session(claim.account.mailbox_id, account) as session:
            await self._hand_over(claim, replace(letter, mime=mime), session)

    async def _hand_over(self, claim: Claim, letter: Letter, session: SmtpSession | SandboxSession) -> None:
        if self._stopping or claim.message_id in self._held_back:
            await sending.release([claim])
            return
        failed = await session.address(claim.account.address, letter.mark.to_address, letter.mime)
        if failed is not None:
            await self._finish(claim, failed)
            return
        await self._mark_and_send(claim, letter.mark, lambda: session.send(letter.mime))

    async def _carry_text(self, claim: Claim, account: TextAccount) -> None:
        mark = _composed(claim, texted)
        if isinstance(mark, NotSendable):
            await self._finish(claim, mark)
            return
        opened = open_text_account(self._vault, claim.workspace_id, account)
        if isinstance(opened, MailboxBroken):
            await self._finish(claim, opened)
            return
        gateway = self._texts
        if gateway is None:
            await self._finish(claim, NotSendable("INTEGRATION_FAILED", "This worker sends no text messages."))
            return
        if self._stopping or claim.message_id in self._held_back:
            await sending.release([claim])
            return
        reports_url = self._links_url + text_paths.reports(account.mailbox_id, claim.message_id)
        message = TextMessage(to=mark.to_address, text=mark.text, reports_url=reports_url)
        await self._mark_and_send(claim, mark, lambda: gateway.send(opened, message))

    async def _mark_and_send(self, claim: Claim, mark: Mark, send: Callable[[], Awaitable[Outcome]]) -> None:
        await point("before_mark")
        marked = await self._mark(mark)
        if marked is None:
            marked = claim.message_id in await marking.mark([mark], lease=self._lease)
        if not marked:
            await sending.release([claim])
            await signals.end_if_suppressed(claim.workspace_id, claim.recipient_id)
            return
        self._marked.add(claim.message_id)
        await point("after_mark")
        outcome = await self._send(claim, send)
        await point("after_dot")
        await self._finish(claim, outcome)

    async def _send(self, claim: Claim, send: Callable[[], Awaitable[Outcome]]) -> Outcome:
        try:
            return await send()
        except asyncio.CancelledError:
            # A shutdown that could not wait: whether the server took it is not known.
            lost = Unknown("The sender was stopped in the middle of handing the message over.")
            await asyncio.shield(self._finish(claim, lost))
            raise

    async def _finish(self, claim: Claim, outcome: Outcome | NotSendable) -> None:
        clock = asyncio.get_running_loop().time
        answered_at = clock()
        await point("before_record")
        if is_the_mailboxes(outcome):
            # What waits here for a session of this mailbox is not to try the same server one after the other.
            self._held_back |= {
                other.message_id
                for other in self._tasks.values()
                if other.account.mailbox_id == claim.account.mailbox_id
            }
        result = Result(
            claim.message_id,
            claim.token,
            outcome,
            claimed_at=claim.now,
            ago=lambda: timedelta(seconds=clock() - answered_at),
        )
        recorded = await self._record((claim.workspace_id, result))
        if recorded is None:
            recorded = await self._record_alone(claim.workspace_id, result)
        SENDS.labels(_kind(claim), _came_of(outcome) if recorded else "too_late").inc()
        if not recorded:
            log.warning("the outcome of the message came too late to count")
        await point("after_record")

    async def _record_alone(self, workspace_id: UUID, result: Result) -> bool:
        """Record one outcome that could not be recorded with others, however long the database is away: what the mail
        server said is known only here."""
        for pause_seconds in _PAUSES_SECONDS:
            try:
                return bool(await delivery.record(workspace_id, [result]))
            except Exception:
                log.warning("the outcome of the message is not recorded yet", exc_info=True)
            await asyncio.sleep(pause_seconds)
        return bool(await delivery.record(workspace_id, [result]))

    async def _mark_all(self, marks: Sequence[Mark]) -> list[bool | None]:
        """Return for each whether it may go out; None for all when they could not be marked together."""
        try:
            allowed = await marking.mark(marks, lease=self._lease)
        except Exception:
            log.warning("%s messages are marked one by one", len(marks), exc_info=True)
            return [None] * len(marks)
        return [mark.claim.message_id in allowed for mark in marks]

    async def _record_all(self, results: Sequence[tuple[UUID, Result]]) -> list[bool | None]:
        """Return for each whether it was recorded; None where those of its workspace could not be."""
        recorded: set[UUID] = set()
        failed: set[UUID] = set()
        for workspace_id in {workspace for workspace, _ in results}:
            together = [result for workspace, result in results if workspace == workspace_id]
            try:
                recorded |= await delivery.record(workspace_id, together)
            except Exception:
                log.warning("%s outcomes are recorded one by one", len(together), exc_info=True)
                failed.add(workspace_id)
        return [None if workspace in failed else result.message_id in recorded for workspace, result in results]


def _kind(claim: Claim) -> str:
    return "sms" if isinstance(claim.account, TextAccount) else "email"


def _came_of(outcome: Outcome | NotSendable) -> str:
    """Return what came of a message, as it is counted."""
    if isinstance(outcome, Refused):
        return "bounced" if outcome.hard_bounce else "refused"
    return _COUNTED_AS[type(outcome)]


def _about(claim: Claim) -> AbstractContextManager[None]:
    return about(workspace_id=claim.workspace_id, recipient_id=claim.recipient_id, message_id=claim.message_id)


_Made = TypeVar("_Made")


def _composed(claim: Claim, compose: Callable[[Claim], _Made | NotSendable]) -> _Made | NotSendable:
    try:
        return compose(claim)
    except Exception:  # a mistake of ours: shown, and not tried again and again
        log.exception("the message could not be composed")
        return NotSendable("INTERNAL_ERROR", str(claim.message_id))
