"""Kept connections: few, lent one at a time, closed when idle, changed or broken."""

import asyncio
from typing import Any

import pytest

from domain.rules.smtp_replies import Later, Sent
from tests.workers.smtp_servers import ANN, BOB, CLOSE, HANG, MESSAGE, QUICK, ScriptedServer, account, hand_over
from workers.smtp_pool import SmtpPool


async def until(fact: Any, seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not fact():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_mails_of_one_mailbox_share_a_connection() -> None:
    server, pool = ScriptedServer(), SmtpPool()
    async with server.running() as port:
        for _ in range(3):
            async with pool.session("m1", account(port)) as session:
                assert isinstance(await hand_over(session), Sent)
        assert (server.connections, pool.idle_sessions("m1")) == (1, 1)
        async with pool.session("m2", account(port)) as session:
            assert isinstance(await hand_over(session), Sent)
        assert server.connections == 2
        await pool.close()
    assert server.commands.count("QUIT") == 2


async def test_a_mailbox_never_has_more_connections_than_its_slots() -> None:
    server, pool = ScriptedServer(), SmtpPool(per_mailbox=2)
    now, most = 0, 0

    async def one(port: int) -> None:
        nonlocal now, most
        async with pool.session("m1", account(port)) as session:
            now, most = now + 1, max(most, now + 1)
            assert isinstance(await hand_over(session), Sent)
            now -= 1

    async with server.running() as port:
        await asyncio.gather(*(one(port) for _ in range(20)))
        await pool.close()
    assert (most, server.connections, len(server.payloads)) == (2, 2, 20)


async def test_an_idle_connection_is_closed_with_a_farewell_and_forgotten() -> None:
    server, pool = ScriptedServer(), SmtpPool(idle_seconds=0.1)
    async with server.running() as port:
        async with pool.session("m1", account(port)) as session:
            assert isinstance(await hand_over(session), Sent)
        await until(lambda: server.ended)
        assert "QUIT" in server.commands
        assert pool.idle_sessions("m1") == 0
        assert not pool._mailboxes
        await pool.close()


async def test_a_changed_account_gets_new_connections() -> None:
    server, pool = ScriptedServer(EHLO=b"250-x\r\n250 AUTH PLAIN\r\n", AUTH=b"235 ok\r\n"), SmtpPool()
    async with server.running() as port:
        old, new = account(port, username="a", password="old"), account(port, username="a", password="new")
        async with pool.session("m1", old) as lent:
            assert isinstance(await hand_over(lent), Sent)
            async with pool.session("m1", new) as session:
                assert session.account == new
                assert isinstance(await hand_over(session), Sent)
        await until(lambda: server.ended == 1)
        assert pool.idle_sessions("m1") == 1
        await pool.close()
    assert server.connections == 2


async def test_a_connection_is_cut_when_the_borrower_fails() -> None:
    server, pool = ScriptedServer(), SmtpPool()
    async with server.running() as port:
        with pytest.raises(RuntimeError):  # noqa: PT012
            async with pool.session("m1", account(port)) as session:
                assert await session.address(ANN, BOB) is None
                raise RuntimeError
        await until(lambda: server.ended)
        assert pool.idle_sessions("m1") == 0
        assert "QUIT" not in server.commands
        await pool.close()


async def test_a_connection_is_not_kept_after_an_unknown_outcome() -> None:
    server, pool = ScriptedServer(DOT=[HANG, b"250 ok\r\n"]), SmtpPool(timeouts=QUICK)
    async with server.running() as port:
        async with pool.session("m1", account(port)) as session:
            await hand_over(session)
        assert pool.idle_sessions("m1") == 0
        async with pool.session("m1", account(port)) as session:
            assert isinstance(await hand_over(session), Sent)
        await pool.close()


async def test_a_hand_over_given_up_after_the_envelope_leaves_nothing_for_the_next() -> None:
    server, pool = ScriptedServer(), SmtpPool()
    async with server.running() as port:
        async with pool.session("m1", account(port)) as session:
            assert await session.address(ANN, "paused@recipient.example") is None
        async with pool.session("m1", account(port)) as session:
            assert isinstance(await hand_over(session), Sent)
        await pool.close()
    assert server.commands[3] == "RSET"
    assert len(server.payloads) == 1


async def test_a_connection_that_died_while_idle_is_replaced_unseen() -> None:
    server, pool = ScriptedServer(MAIL=[b"250 ok\r\n", b"250 ok\r\n"]), SmtpPool()
    async with server.running() as port:
        async with pool.session("m1", account(port)) as session:
            assert isinstance(await hand_over(session), Sent)
        server.writers[0].transport.abort()
        async with pool.session("m1", account(port)) as session:
            assert await session.address(ANN, BOB, MESSAGE) is None
            assert isinstance(await session.send(MESSAGE), Sent)
        await pool.close()
    assert server.connections == 2


async def test_a_dead_server_fails_each_borrower_in_turn_and_blocks_nobody() -> None:
    server, pool = ScriptedServer(GREETING=CLOSE), SmtpPool(per_mailbox=1, timeouts=QUICK)
    async with server.running() as port:
        for _ in range(3):
            async with pool.session("m1", account(port)) as session:
                assert isinstance(await hand_over(session), Later)
        await pool.close()
    assert not pool._mailboxes
