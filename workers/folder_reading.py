"""Reading the folders of one mailbox: what is new, what slipped past the cursor, what proves that we have sent.

The cursor of a folder passes only mails that were taken in or recorded as failed. UIDs come in any order and may
appear late, so that each day the last days are looked over too; when the server numbers its mails anew
(UIDVALIDITY), they are looked over at once, and the intake knows again what it has had.

Source: RFC 9051 section 2.3.1.1; reliability.md 2.14.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from domain import watching
from domain.connections import is_an_outage
from domain.watching import Cursor, Watch
from workers.imap import Folder, FolderRole, Head, ImapSession, Opened

log = logging.getLogger("relance.watcher")

Intake = Callable[[UUID, UUID, bytes], Awaitable[object]]
"""Takes in one mail, given its workspace, its mailbox and the mail as it came. The same mail again changes nothing."""

Ask = Callable[..., Awaitable[Any]]

MAILS_PER_TURN: Final = 60
_AT_ONCE: Final = 20
MAIL_BYTES_AT_MOST: Final = 25 * 1024 * 1024  # of a larger mail the beginning is read, which holds its text
_LARGE_BYTES: Final = 1024 * 1024
LARGE_MAILS_AT_ONCE: Final = 4
"""Of all the mailboxes of a worker, so that its memory has a bound."""
_LOOKED_BACK: Final = timedelta(days=3)
_RECONCILED_EVERY: Final = timedelta(days=1)
_ATTEMPTS_AT_MOST: Final = 3
_CLOCKS_APART: Final = timedelta(hours=1)


class FolderReading:
    """The folders of one mailbox, over one connection. `ask` asks the session in a thread.

    `attempts` counts failures by folder, UIDVALIDITY and UID, over connections.
    """

    def __init__(
        self,
        watch: Watch,
        session: ImapSession,
        ask: Ask,
        intake: Intake,
        attempts: dict[tuple[str, int, int], int],
        large_mails: asyncio.Semaphore,
    ) -> None:
        self._watch = watch
        self._session = session
        self._ask = ask
        self._intake = intake
        self._attempts = attempts
        self._large_mails = large_mails
        self.progressed = False  # whether anything was read over this connection

    async def read(self, folders: Sequence[Folder]) -> bool:
        """Read up to MAILS_PER_TURN mails of these folders; return whether there is more."""
        cursors = await watching.cursors(self._watch)
        room = MAILS_PER_TURN
        for folder in folders:
            if folder.role is FolderRole.SENT:
                await self._prove(folder.name)
                continue
            room -= await self._read_folder(folder.name, cursors.get(folder.name), room)
            if room <= 0:
                return True
        return False

    async def _read_folder(self, name: str, cursor: Cursor | None, room: int) -> int:
        """Return how many mails were looked at; at least `room` says that there may be more."""
        opened: Opened = await self._ask(self._session.open_folder, name)
        now = datetime.now(UTC)
        validity = opened.uid_validity
        known = cursor is not None and cursor.uid_validity == validity
        if cursor is not None and known and now - cursor.reconciled_at < _RECONCILED_EVERY:
            new = await self._ask(self._session.uids_after, cursor.last_uid)
            await self._take_in(name, validity, new[:room], moves=True)
            return len(new)
        new = await self._ask(self._session.uids_after, cursor.last_uid) if cursor is not None and known else []
        since = self._watch.since if cursor is None else cursor.reconciled_at - _LOOKED_BACK
        # Days are the server's, in its own time zone: one more is asked for.
        day = (max(since, self._watch.since) - timedelta(days=1)).date()
        recent = await self._ask(self._session.uids_since, day)
        missing = await watching.unknown_uids(self._watch, name, validity, sorted({*new, *recent}))
        await self._take_in(name, validity, missing[:room], moves=False)
        if len(missing) < room:
            read_up_to = max([opened.uid_next - 1, cursor.last_uid if cursor and known else 0, *new, *recent])
            await watching.reconciled(self._watch, name, validity, read_up_to)
        return len(missing)

    async def _take_in(self, name: str, validity: int, uids: Sequence[int], *, moves: bool) -> None:
        for start in range(0, len(uids), _AT_ONCE):
            batch = uids[start : start + _AT_ONCE]
            heads: Mapping[int, Head] = await self._ask(self._session.heads, batch)
            problems: dict[int, str | None] = {}
            try:
                for uid in batch:
                    problems[uid] = await self._take_one(name, validity, uid, heads.get(uid))
            finally:
                if problems:  # those before one that could not be taken in stay taken in
                    last_uid = max(problems) if moves else None
                    await watching.note(self._watch, name, validity, problems, last_uid=last_uid)
                    self.progressed = True

    async def _take_one(self, name: str, validity: int, uid: int, head: Head | None) -> str | None:
        """Take one mail in; return why it is recorded as failed, or None."""
        if head is None or self._is_older(head):
            return None
        if head.size_bytes <= _LARGE_BYTES:
            return await self._read_one(name, validity, uid)
        async with self._large_mails:
            return await self._read_one(name, validity, uid)

    async def _read_one(self, name: str, validity: int, uid: int) -> str | None:
        raw = await self._ask(self._session.mail, uid, MAIL_BYTES_AT_MOST)
        if raw is None:
            return None
        try:
            await self._intake(self._watch.workspace_id, self._watch.mailbox_id, raw)
        except Exception as problem:
            if is_an_outage(problem):
                raise
            key = (name, validity, uid)
            self._attempts[key] = self._attempts.get(key, 0) + 1
            if self._attempts[key] < _ATTEMPTS_AT_MOST:
                raise
            del self._attempts[key]
            log.exception("mail %s of folder %s in mailbox %s is recorded as failed", uid, name, self._watch.mailbox_id)
            return type(problem).__name__
        return None

    def _is_older(self, head: Head) -> bool:
        arrived_at = head.arrived_at
        if arrived_at is None or arrived_at.tzinfo is None:
            return False
        return arrived_at < self._watch.since - _CLOCKS_APART

    async def _prove(self, name: str) -> None:
        unproved = await watching.unproved(self._watch)
        if not unproved:
            return
        await self._ask(self._session.open_folder, name)
        for message in unproved:
            if await self._ask(self._session.has_message_id, message.rfc_message_id):
                await watching.proved_sent(self._watch, message)
