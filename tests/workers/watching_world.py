"""A mailbox that is watched on a server of the test's own, and the turns of its watcher, driven by the test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from domain.database import fetch
from domain.secrets import Vault
from tests.world import HERE, make_mailbox
from workers.folder_reading import Intake
from workers.imap import ImapTimeouts
from workers.watcher import Watcher

QUICK = ImapTimeouts(connect_seconds=5.0, read_seconds=5.0)
_PATIENCE_SECONDS = 30.0


def mail(number: int, *, sender: str = "p0@people.example", body: str = "Hello") -> bytes:
    """A small mail with a Message-ID of its own."""
    return (
        f"From: {sender}\r\nTo: jobs@sender.example\r\nSubject: Mail {number}\r\n"
        f"Message-ID: <mail-{number}@people.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n{body}\r\n"
    ).encode()


class Taken:
    """An intake that keeps what it was given: what stands behind it is tested elsewhere."""

    def __init__(self) -> None:
        self.raws: list[bytes] = []
        self.fails_on: bytes | None = None

    async def __call__(self, workspace_id: UUID, mailbox_id: UUID, raw: bytes) -> None:
        if self.fails_on is not None and self.fails_on in raw:
            raise ValueError("this mail cannot be taken in")
        self.raws.append(raw)


async def make_watched(workspace_id: UUID, vault: Vault, port: int, **fields: object) -> UUID:
    """A mailbox whose mail lies on a local IMAP server without encryption."""
    given: dict[str, object] = {
        "imap_host": "127.0.0.1",
        "imap_port": port,
        "imap_security": "NONE",
        "imap_username": "jobs@sender.example",
        "imap_password": "right",
    } | fields
    return await make_mailbox(workspace_id, vault, **given)


@asynccontextmanager
async def watching(vault: Vault, intake: Intake, *, poll_seconds: float = 0.2) -> AsyncIterator[Watcher]:
    """A watcher that goes on by itself while the block runs, with pauses of a test's length."""
    watcher = Watcher(vault, intake, reach=HERE, poll_seconds=poll_seconds, timeouts=QUICK, pauses_seconds=(0.05, 0.1))

    stopping = asyncio.Event()

    async def go_on() -> None:
        while not stopping.is_set():
            await watcher.take()
            await watcher.turns()
            await asyncio.sleep(0.05)

    going = asyncio.create_task(go_on())
    try:
        yield watcher
    finally:
        stopping.set()
        await asyncio.gather(watcher.stop(), going)


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until it holds."""
    for _ in range(int(_PATIENCE_SECONDS / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what}: not within {_PATIENCE_SECONDS:g} seconds")


async def watch_row(mailbox_id: UUID) -> dict[str, object]:
    rows = await fetch(
        "SELECT w.*, m.state, m.state_code, m.state_message FROM mailbox_watches w JOIN mailboxes m "
        "ON m.id = w.mailbox_id WHERE w.mailbox_id = $1",
        mailbox_id,
    )
    return dict(rows[0]) if rows else {}
