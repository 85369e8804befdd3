"""The same hand-overs, judged by Postfix's smtp-sink: what it counted is what we say we sent."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from domain.rules.smtp_replies import Outcome, Refused, Sent, Unknown
from tests.witness.programs import smtp_sink
from tests.workers.smtp_servers import account, hand_over
from workers.smtp_pool import SmtpPool

pytestmark = pytest.mark.witness


@contextlib.asynccontextmanager
async def sink(folder: Path, *options: str) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    identity = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [smtp_sink(), *identity, *options, "-d", f"{folder}/mail.", f"127.0.0.1:{port}", "100"]
    child = await asyncio.create_subprocess_exec(*command, cwd=folder)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            await asyncio.sleep(0.05)
        yield port
    finally:
        child.terminate()
        await child.wait()


async def send_many(port: int, count: int) -> list[Outcome]:
    pool = SmtpPool()

    async def one(number: int) -> Outcome:
        async with pool.session(f"mailbox {number % 4}", account(port)) as session:
            return await hand_over(session, message=f"Subject: {number}\n\n.Hello\n".encode())

    outcomes = await asyncio.gather(*(one(number) for number in range(count)))
    await pool.close()
    return list(outcomes)


@pytest.fixture
def spool() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="relance-sink-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def mails_in(folder: Path) -> list[str]:
    return [file.read_text() for file in folder.glob("mail.*")]


async def test_the_sink_holds_each_message_once(spool: Path) -> None:
    async with sink(spool) as port:
        outcomes = await send_many(port, 200)
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    numbers = [int(found[1]) for mail in mails_in(spool) if (found := re.search(r"^Subject: (\d+)", mail, re.M))]
    assert sorted(numbers) == list(range(200))


async def test_a_sink_that_takes_the_mail_and_drops_the_line_leaves_it_unknown(spool: Path) -> None:
    async with sink(spool, "-q", ".") as port:
        outcomes = await send_many(port, 20)
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    assert len(mails_in(spool)) == 20


async def test_a_sink_that_refuses_for_good_gets_no_message(spool: Path) -> None:
    async with sink(spool, "-f", "RCPT") as port:
        outcomes = await send_many(port, 8)
    assert all(isinstance(outcome, Refused) for outcome in outcomes)
    assert not mails_in(spool)
