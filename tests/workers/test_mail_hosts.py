"""Mail servers of a workspace lead nowhere inside the operator's network, whatever a name server says."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from domain import mailboxes
from domain.mailbox_fields import MailboxFields
from domain.refusals import Invalid
from domain.rules.network import PUBLIC_ONLY
from domain.rules.outcomes import MailboxBroken
from domain.rules.step_errors import StepErrorCode
from domain.secrets import Vault
from tests.workers.imap_servers import ImapServer
from tests.workers.smtp_servers import QUICK, account
from tests.world import HERE, make_mailbox
from workers.imap import ImapAccount, ImapFailed, ImapSession
from workers.smtp import SmtpSession

_INSIDE = ("127.0.0.1", "127.1", "0x7f.1", "2130706433", "localhost", "rebound.example", "both.example")
_lookup: Callable[..., Any] = socket.getaddrinfo


@contextmanager
def listening() -> Iterator[tuple[int, list[int]]]:
    """A port of this machine, and how many connections came to it by the end of the block."""
    came: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1], came
        with pytest.raises(BlockingIOError):
            came.append(server.accept()[1][1])


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name server of the test's own: it says of two names that they lead inside. Returns what it was asked."""
    asked: list[str] = []

    def answer(host: str, port: int, *args: Any, **options: Any) -> Any:
        asked.append(str(host))
        if host.endswith(".example"):
            found = ["8.8.8.8", "127.0.0.1"] if host == "both.example" else ["127.0.0.1"]
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)) for address in found]
        return _lookup(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("host", _INSIDE)
async def test_no_connection_leads_inside_for_sending_or_reading(host: str) -> None:
    with listening() as (port, came):
        outcome = await SmtpSession(account(port, host=host, reach=PUBLIC_ONLY), QUICK).open()
        assert isinstance(outcome, MailboxBroken)
        assert (outcome.code, "not a public one" in outcome.reply) == ("MAILBOX_SERVER_UNREACHABLE", True)
        for security in ("NONE", "TLS"):
            session = ImapSession(ImapAccount(host, port, security, "ann", "x", PUBLIC_ONLY))  # type: ignore[arg-type]
            with pytest.raises(ImapFailed, match="not a public one") as failed:
                session.open()
            assert failed.value.code is StepErrorCode.MAILBOX_SERVER_UNREACHABLE
    assert came == []


async def test_a_server_in_the_operators_network_is_reached_by_its_name_looked_up_once(names: list[str]) -> None:
    async with ImapServer().running() as port:
        session = ImapSession(ImapAccount("here.example", port, "NONE", "ann", "right", HERE))
        await asyncio.to_thread(session.open)
        await asyncio.to_thread(session.close)
    assert [name for name in names if name == "here.example"] == ["here.example"]


async def test_a_mailbox_on_a_server_inside_or_at_an_odd_port_is_refused_with_a_way_out(
    workspace_id: UUID, vault: Vault
) -> None:
    base: dict[str, Any] = {"address": "new@sender.example", "imap_password": "x"}
    for given, way_out in (
        ({"smtp_host": "127.0.0.1"}, "RELANCE_PRIVATE_NETWORKS"),
        ({"smtp_host": "0x7f.1"}, "RELANCE_PRIVATE_NETWORKS"),
        ({"smtp_host": "smtp.example.com", "imap_host": "10.0.0.1"}, "RELANCE_PRIVATE_NETWORKS"),
        ({"smtp_host": "smtp.example.com", "smtp_port": 6379}, "Choose one"),
        ({"smtp_host": "smtp.example.com", "imap_host": "imap.example.com", "imap_port": 22}, "Choose one"),
    ):
        with pytest.raises(Invalid, match=way_out):
            await mailboxes.create(workspace_id, vault, MailboxFields(**base, **given))
    mailbox_id = await make_mailbox(workspace_id, vault)
    with pytest.raises(Invalid, match="RELANCE_PRIVATE_NETWORKS"):
        await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(smtp_host="192.168.0.1"))
    # What the operator allowed once stays changeable in everything else.
    await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(daily_limit=3))
