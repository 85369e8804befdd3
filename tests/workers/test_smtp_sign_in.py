"""Signing in and encrypting: the mailbox is at fault when they fail, and plain text is never the way out."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from domain.rules.smtp_replies import Later, MailboxBroken, Sent
from tests.workers.smtp_servers import QUICK, ScriptedServer, account, certificate_for, good_server, hand_over
from workers.smtp import SmtpSession


async def test_a_wrong_password_breaks_the_mailbox_and_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    async with good_server(password="right") as (port, _):
        good = SmtpSession(account(port, username="ann", password="right"))
        assert await good.open() is None
        await good.close()
        wrong = await SmtpSession(account(port, username="ann", password="wr0ng-secret")).open()
    assert isinstance(wrong, MailboxBroken)
    assert wrong.code == "MAILBOX_CREDENTIALS_REFUSED"
    assert "wr0ng-secret" not in caplog.text + repr(wrong)
    server = ScriptedServer(EHLO=b"250-x\r\n250 AUTH CRAM-MD5 PLAIN LOGIN\r\n", AUTH=b"535 5.7.8 no\r\n")
    async with server.running() as port:
        await SmtpSession(account(port, username="ann", password="x")).open()
    assert sum(line.startswith("AUTH") for line in server.commands) == 1


async def test_a_server_without_sign_in_breaks_a_mailbox_that_needs_it() -> None:
    server = ScriptedServer()
    async with server.running() as port:
        outcome = await SmtpSession(account(port, username="ann", password="x")).open()
    assert isinstance(outcome, MailboxBroken)
    assert outcome.code == "MAILBOX_DISCONNECTED"


def test_a_password_never_shows_in_the_account() -> None:
    assert "s3cret" not in repr(account(25, username="ann", password="s3cret"))


@pytest.mark.parametrize("security", ["STARTTLS", "TLS"])
async def test_mail_travels_encrypted_when_asked_for(security: Any, tmp_path: Path) -> None:
    server_side, trusting = certificate_for("127.0.0.1", tmp_path)
    tls: dict[str, Any] = (
        {"implicit_tls": server_side} if security == "TLS" else {"tls_context": server_side, "require_starttls": True}
    )
    async with good_server(**tls) as (port, handler):
        session = SmtpSession(account(port, security=security), tls_context=trusting)
        assert isinstance(await hand_over(session), Sent)
        await session.close()
    assert len(handler.kept) == 1


@pytest.mark.parametrize("security", ["STARTTLS", "TLS"])
@pytest.mark.parametrize("fault", ["wrong name", "not trusted"])
async def test_a_bad_certificate_breaks_the_mailbox(security: Any, fault: str, tmp_path: Path) -> None:
    name = "other.example" if fault == "wrong name" else "127.0.0.1"
    server_side, trusting = certificate_for(name, tmp_path)
    trusted = trusting if fault == "wrong name" else ssl.create_default_context()
    tls: dict[str, Any] = {"implicit_tls": server_side} if security == "TLS" else {"tls_context": server_side}
    async with good_server(**tls) as (port, handler):
        outcome = await SmtpSession(account(port, security=security), tls_context=trusted).open()
    assert isinstance(outcome, MailboxBroken)
    assert outcome.code == "MAILBOX_CERTIFICATE_INVALID"
    assert not handler.kept


async def test_plain_text_is_never_the_way_out_when_encryption_was_asked_for() -> None:
    for script in ({}, {"EHLO": b"250-x\r\n250 STARTTLS\r\n", "STARTTLS": b"502 5.5.1 no\r\n"}):
        server = ScriptedServer(**script)
        async with server.running() as port:
            asked = await hand_over(SmtpSession(account(port, security="STARTTLS", username="a", password="b")))
        assert isinstance(asked, MailboxBroken)
        assert not {"AUTH", "MAIL"} & {line.split()[0] for line in server.commands}
    server = ScriptedServer()
    async with server.running() as port:
        outcome = await SmtpSession(account(port, security="TLS"), QUICK).open()
    assert isinstance(outcome, MailboxBroken | Later)
    assert not server.payloads
