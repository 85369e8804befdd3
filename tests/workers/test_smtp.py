"""Hand-overs against real servers on loopback: good ones, refusing ones and ones that misbehave at each stage."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from domain.rules.smtp_replies import Later, LaterReason, MailboxBroken, Outcome, Refused, Sent, Unknown
from tests.workers.smtp_servers import (
    ANN,
    BOB,
    CLOSE,
    HANG,
    MESSAGE,
    QUICK,
    RESET,
    ScriptedServer,
    account,
    good_server,
    hand_over,
)
from workers.smtp import SmtpSession, SmtpTimeouts


async def outcome_with(timeouts: SmtpTimeouts = QUICK, **script: Any) -> tuple[Outcome, ScriptedServer]:
    server = ScriptedServer(**script)
    async with server.running() as port:
        session = SmtpSession(account(port), timeouts)
        outcome = await hand_over(session)
        await session.close()
    return outcome, server


async def test_a_good_server_takes_several_messages_over_one_connection() -> None:
    async with good_server() as (port, handler):
        session = SmtpSession(account(port))
        for number in range(3):
            outcome = await hand_over(session, message=MESSAGE + b"%d\r\n" % number)
            assert outcome == Sent("250 2.0.0 queued as 4F1A")
        await session.close()
        assert not session.is_open
    assert [(sender, recipients) for sender, recipients, _, _ in handler.kept] == [(ANN, [BOB])] * 3


async def test_the_message_arrives_byte_for_byte_with_crlf_and_doubled_dots() -> None:
    server = ScriptedServer()
    async with server.running() as port:
        session = SmtpSession(account(port))
        await hand_over(session, message=b".one\n..two\r\n.\r\nthree\rfour\n.\nend")
        await session.close()
    assert server.payloads == [b"..one\r\n...two\r\n..\r\nthree\r\nfour\r\n..\r\nend\r\n.\r\n"]


async def test_a_reply_of_each_stage_is_read_as_that_stage() -> None:
    cases: list[tuple[dict[str, Any], Outcome]] = [
        ({"GREETING": b"554 5.7.1 listed\r\n"}, MailboxBroken("MAILBOX_SUSPENDED", "554 5.7.1 listed")),
        ({"GREETING": b"421 busy\r\n"}, Later(LaterReason.TRANSPORT, "421 busy")),
        ({"EHLO": b"421 4.3.2 closing\r\n"}, Later(LaterReason.TRANSPORT, "421 4.3.2 closing")),
        ({"MAIL": b"550 5.1.7 no\r\n"}, MailboxBroken("SENDER_NOT_ALLOWED", "550 5.1.7 no")),
        ({"RCPT": b"550-5.1.1 no\r\n550 5.1.1 body\r\n"}, Refused("EMAIL_INVALID", "550 5.1.1 no 5.1.1 body", True)),
        ({"RCPT": b"450 4.7.1 wait\r\n"}, Later(LaterReason.GREYLISTED, "450 4.7.1 wait")),
        ({"DATA": b"451 4.3.0 disk\r\n"}, Later(LaterReason.SOFT, "451 4.3.0 disk")),
        ({"DATA": b"554 5.7.1 no\r\n"}, Refused("RECIPIENT_REFUSED_CONTENT", "554 5.7.1 no")),
        ({"DOT": b"554 5.7.1 spam\r\n"}, Refused("RECIPIENT_REFUSED_CONTENT", "554 5.7.1 spam")),
        ({"DOT": b"552 5.2.2 full\r\n"}, Later(LaterReason.MAILBOX_FULL, "552 5.2.2 full")),
        ({"DOT": b"421 4.7.0 slow down\r\n"}, Later(LaterReason.THROTTLED, "421 4.7.0 slow down")),
    ]
    for script, expected in cases:
        outcome, _ = await outcome_with(**script)
        assert outcome == expected, script


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT"])
@pytest.mark.parametrize("misdeed", [HANG, CLOSE, RESET, b"hello?\r\n", b"250 " + b"x" * 100_000 + b"\r\n"])
async def test_a_failure_before_data_is_the_transports_and_nothing_was_sent(stage: str, misdeed: Any) -> None:
    outcome, server = await outcome_with(**{stage: misdeed})
    assert isinstance(outcome, Later)
    assert outcome.reason is LaterReason.TRANSPORT
    assert not server.payloads


@pytest.mark.parametrize("stage", ["DATA", "DOT"])
@pytest.mark.parametrize("misdeed", [HANG, CLOSE, RESET, b"hello?\r\n", b"250 " + b"x" * 100_000 + b"\r\n"])
async def test_anything_but_a_reply_after_data_is_unknown(stage: str, misdeed: Any) -> None:
    outcome, _ = await outcome_with(**{stage: misdeed})
    assert isinstance(outcome, Unknown)


async def test_the_final_answer_may_take_longer_than_an_ordinary_one() -> None:
    server = ScriptedServer(DOT=HANG)
    async with server.running() as port:
        session = SmtpSession(account(port), SmtpTimeouts(command_seconds=0.1, dot_seconds=5))
        assert await session.address(ANN, BOB) is None
        sending = asyncio.create_task(session.send(MESSAGE))
        await asyncio.sleep(0.4)
        assert not sending.done()
        server.writers[0].write(b"250 taken at last\r\n")
        assert await sending == Sent("250 taken at last")
        session.abort()


async def test_a_connection_lost_before_data_is_provably_unsent() -> None:
    server = ScriptedServer()
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert await session.address(ANN, BOB) is None
        server.writers[0].transport.abort()
        await asyncio.sleep(0.05)
        outcome = await session.send(MESSAGE)
    assert isinstance(outcome, Later)
    assert "DATA" not in server.commands


async def test_a_cancelled_hand_over_cuts_the_connection() -> None:
    server = ScriptedServer(DOT=HANG)
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert await session.address(ANN, BOB) is None
        sending = asyncio.create_task(session.send(MESSAGE))
        await asyncio.sleep(0.1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not session.is_open


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_rest_of_a_cancelled_message_never_leaves(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def scenario() -> None:
        going_on, received = asyncio.Event(), bytearray()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 x\r\n")
            for answer in (b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
                await reader.readline()
                writer.write(answer)
            await going_on.wait()
            with contextlib.suppress(ConnectionError):
                while block := await reader.read(1 << 20):
                    received.extend(block)
            writer.close()
            going_on.clear()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        session = SmtpSession(account(server.sockets[0].getsockname()[1]))
        assert await session.address(ANN, BOB) is None
        sending = asyncio.create_task(session.send(b"x" * 76 * 500_000))
        await asyncio.sleep(0.2)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        going_on.set()
        async with asyncio.timeout(5):
            while going_on.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not received.endswith(b"\r\n.\r\n")
        server.close()

    run(scenario())


async def test_a_refused_recipient_leaves_the_connection_for_the_next_one() -> None:
    server = ScriptedServer(RCPT=b"550 5.1.1 no\r\n")
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert isinstance(await hand_over(session), Refused)
        server.script["RCPT"] = b"250 ok\r\n"
        assert isinstance(await hand_over(session), Sent)
        await session.close()
    assert server.connections == 1
    assert [line.split()[0] for line in server.commands] == [
        "EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT",
    ]  # fmt: skip


@pytest.mark.parametrize("death", [CLOSE, RESET, b"421 4.4.2 idle for too long\r\n"])
async def test_a_kept_connection_that_died_is_replaced_before_data_unseen(death: Any) -> None:
    server = ScriptedServer()
    async with server.running() as port:
        session = SmtpSession(account(port), QUICK)
        assert isinstance(await hand_over(session), Sent)
        server.script["MAIL"] = [death, b"250 ok\r\n"]
        assert isinstance(await hand_over(session), Sent)
        await session.close()
    assert server.connections == 2


async def test_a_connection_is_replaced_once_only() -> None:
    server = ScriptedServer()
    async with server.running() as port:
        session = SmtpSession(account(port), QUICK)
        assert isinstance(await hand_over(session), Sent)
        server.script["MAIL"] = CLOSE
        assert isinstance(await hand_over(session), Later)
    assert server.connections == 2


async def test_nobody_listening_is_the_transports_fault_and_names_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    outcome = await SmtpSession(account(port), QUICK).open()
    assert isinstance(outcome, Later)
    assert outcome.reply.startswith(f"Could not reach 127.0.0.1:{port}")
    unnamed = await SmtpSession(account(25, host="no-such-host.invalid"), QUICK).open()
    assert isinstance(unnamed, Later)


async def test_size_and_eight_bit_letters_are_declared_where_offered() -> None:
    server = ScriptedServer(EHLO=b"250-x\r\n250-8BITMIME\r\n250 SIZE 100\r\n")
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert isinstance(await hand_over(session, message="Subject: é\n\n.é".encode()), Sent)
        too_large = await hand_over(session, message=b"x" * 99)
        await session.close()
    assert server.commands[1] == f"MAIL FROM:<{ANN}> SIZE=20 BODY=8BITMIME"
    assert isinstance(too_large, Refused)
    assert too_large.code == "MESSAGE_TOO_LARGE"
    assert len(server.payloads) == 1


async def test_international_domains_are_translated_and_local_parts_need_the_extension() -> None:
    server = ScriptedServer()
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert isinstance(await hand_over(session, recipient="bob@bücher.example"), Sent)
        refused = await hand_over(session, recipient="jürgen@bücher.example")
        await session.close()
    assert "RCPT TO:<bob@xn--bcher-kva.example>" in server.commands
    assert isinstance(refused, Refused)
    assert refused.code == "EMAIL_INVALID"
    server = ScriptedServer(EHLO=b"250-x\r\n250 SMTPUTF8\r\n")
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert isinstance(await hand_over(session, recipient="jürgen@bücher.example"), Sent)
        await session.close()
    assert server.commands[1:3] == [f"MAIL FROM:<{ANN}> SMTPUTF8", "RCPT TO:<jürgen@xn--bcher-kva.example>"]


@pytest.mark.parametrize(
    "address", ["a@b\r\nRCPT TO:<x@y>", "a b@c", "a@b>", "", "a", "@b", "a@", "a\x00@b", "ü@b\u2028c"]
)
async def test_an_address_that_could_change_the_command_is_refused(address: str) -> None:
    server = ScriptedServer()
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert isinstance(await session.address(ANN, address), Refused)
        assert isinstance(await session.address(address, BOB), MailboxBroken)
        await session.close()
    assert [line.split()[0] for line in server.commands] == ["EHLO", "QUIT"]


async def test_a_server_that_speaks_only_helo_is_good_enough() -> None:
    outcome, _ = await outcome_with(EHLO=b"502 what\r\n", HELO=b"250 hello\r\n")
    assert isinstance(outcome, Sent)


async def test_the_kernel_is_told_to_notice_dead_peers() -> None:
    server = ScriptedServer()
    async with server.running() as port:
        session = SmtpSession(account(port))
        assert await session.open() is None
        assert session._client is not None
        sock = session._client.get_transport_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        with contextlib.suppress(AttributeError):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        await session.close()
