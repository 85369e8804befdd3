"""Watching a mailbox: every mail is given to the intake once, whatever the connection and the numbering do."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain import mailboxes
from domain import watching as leases
from domain.database import fetch
from domain.mailbox_fields import MailboxFields
from domain.secrets import Vault
from tests.workers.imap_servers import ImapServer
from tests.workers.watching_world import Taken, mail, make_watched, until, watch_row, watching


async def test_new_mail_is_taken_in_once_from_inbox_and_junk_and_stays_unread(workspace_id: UUID, vault: Vault) -> None:
    server, taken = ImapServer(), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        server.deliver(mail(1))
        server.deliver(mail(2), "Spam")
        async with watching(vault, taken):
            await until(lambda: len(taken.raws) == 2, "two mails are taken in")
            server.deliver(mail(3))
            await until(lambda: len(taken.raws) == 3, "the third is taken in")
    assert sorted(taken.raws) == [mail(1), mail(2), mail(3)]
    assert not any("BODY[" in command or "STORE" in command or "SELECT" in command for command in server.commands)
    async with server.running() as port:
        await fetch("WITH u AS (UPDATE mailboxes SET imap_port = $1 RETURNING 1) SELECT 1", port)
        async with watching(vault, taken):
            server.deliver(mail(4))
            # The third may come again where the first worker ended before it was noted: the intake knows it then.
            await until(lambda: mail(4) in taken.raws, "a later worker goes on where the first stopped")
    assert set(taken.raws[3:]) <= {mail(3), mail(4)}


async def test_a_mailbox_that_was_given_up_is_not_held_by_a_lengthening_that_comes_too_late(
    workspace_id: UUID, vault: Vault
) -> None:
    await make_watched(workspace_id, vault, 1)
    (held,) = await leases.take(10)
    await leases.let_go(held)
    assert await leases.renew([held]) == set()
    (again,) = await leases.take(10)
    assert again.token > held.token


async def test_a_server_that_idles_tells_of_new_mail_before_the_next_look(workspace_id: UUID, vault: Vault) -> None:
    server, taken = ImapServer(), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        async with watching(vault, taken, poll_seconds=3600):
            await until(lambda: "IDLE" in server.commands, "the server is let tell")
            server.deliver(mail(1))
            await until(lambda: len(taken.raws) == 1, "it told")


async def test_a_server_that_cannot_idle_is_looked_at_again_and_again(workspace_id: UUID, vault: Vault) -> None:
    server, taken = ImapServer(idles=False), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        async with watching(vault, taken):
            await until(lambda: len(server.commands) > 10, "it is looked at")
            server.deliver(mail(1))
            await until(lambda: len(taken.raws) == 1, "the mail is found")
    assert "IDLE" not in server.commands


async def test_connections_that_are_cut_lose_no_mail(workspace_id: UUID, vault: Vault) -> None:
    server, taken = ImapServer(), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        async with watching(vault, taken):
            for number in range(40):
                server.deliver(mail(number))
                if number % 10 == 5:
                    server.cut_on = "UID FETCH"
                if number % 10 == 9:
                    server.cut_all()
                await until(lambda n=number: len(set(taken.raws)) == n + 1, f"mail {number} is taken in")
    assert {mail(number) for number in range(40)} == set(taken.raws)


async def test_a_mail_that_appears_behind_the_cursor_is_found_by_the_look_over_the_last_days(
    workspace_id: UUID, vault: Vault
) -> None:
    server, taken = ImapServer(), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        server.deliver(mail(9), uid=9)
        async with watching(vault, taken):
            await until(lambda: len(taken.raws) == 1, "the mail with the high number is taken in")
            server.deliver(mail(4), uid=4)
            server.deliver(mail(10), uid=10)
            await until(lambda: len(taken.raws) == 2, "the next is taken in")
            assert mail(4) not in taken.raws
            await fetch(
                "WITH u AS (UPDATE watched_folders SET reconciled_at = now() - interval '1 day' RETURNING 1) SELECT 1"
            )
            await until(lambda: mail(4) in taken.raws, "the late one is found")
    assert len(taken.raws) == 3


async def test_a_server_that_numbers_its_mails_anew_is_read_anew(workspace_id: UUID, vault: Vault) -> None:
    server, taken = ImapServer(), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        for number in range(3):
            server.deliver(mail(number), uid=100 + number)
        async with watching(vault, taken):
            await until(lambda: len(taken.raws) == 3, "all are taken in")
            server.deliver(mail(3))
            server.number_anew()
            server.cut_all()
            await until(lambda: mail(3) in taken.raws, "the one that came meanwhile is found")
            await until(lambda: len(taken.raws) == 7, "the others are given to the intake again, which knows them")
            server.deliver(mail(4))
            await until(lambda: mail(4) in taken.raws, "it goes on from there")


async def test_mail_from_before_the_mailbox_was_added_is_none_of_ours(workspace_id: UUID, vault: Vault) -> None:
    server, taken = ImapServer(), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        server.deliver(mail(1), at=datetime.now(UTC) - timedelta(hours=3))
        server.deliver(mail(2))
        async with watching(vault, taken):
            await until(lambda: mail(2) in taken.raws, "the new one is taken in")
    assert taken.raws == [mail(2)]


async def test_a_mail_that_cannot_be_taken_in_is_recorded_as_failed_and_the_next_ones_come(
    workspace_id: UUID, vault: Vault
) -> None:
    server, taken = ImapServer(), Taken()
    taken.fails_on = b"Mail 2"
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        for number in range(1, 5):
            server.deliver(mail(number))
        async with watching(vault, taken):
            await until(lambda: mail(4) in taken.raws, "the last is taken in")
            await until(lambda: server.commands.count("IDLE") > 0, "the folder is read to its end")
    assert taken.raws == [mail(1), mail(3), mail(4)]
    rows = await fetch("SELECT uid, problem FROM watched_mails WHERE problem IS NOT NULL")
    assert [tuple(row) for row in rows] == [(2, "ValueError")]


async def test_a_refused_password_disconnects_the_mailbox_at_once_and_a_new_one_is_tried(
    workspace_id: UUID, vault: Vault
) -> None:
    server, taken = ImapServer(password="another"), Taken()
    async with server.running() as port:
        mailbox_id = await make_watched(workspace_id, vault, port)
        server.deliver(mail(1))
        async with watching(vault, taken):
            await until(lambda: server.sign_ins > 0, "the old password is tried")
            for _ in range(400):
                found = await watch_row(mailbox_id)
                if found["state"] == "DISCONNECTED":
                    break
                await asyncio.sleep(0.05)
            assert found["state_code"] == "MAILBOX_CREDENTIALS_REFUSED"
            tried = server.sign_ins
            await asyncio.sleep(0.5)
            assert server.sign_ins == tried, "a refused password is not tried again and again"
            await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(imap_password="another"))
            await mailboxes.connected(workspace_id, mailbox_id)
            await until(lambda: len(taken.raws) == 1, "the new password works")


async def test_a_connection_that_is_cut_at_the_sign_in_is_no_refused_password(workspace_id: UUID, vault: Vault) -> None:
    server, taken = ImapServer(), Taken()
    server.cut_on = "LOGIN"
    server.deliver(mail(1))
    async with server.running() as port:
        mailbox_id = await make_watched(workspace_id, vault, port)
        async with watching(vault, taken):
            await until(lambda: len(taken.raws) == 1, "it is read after the next sign-in")
        assert (await watch_row(mailbox_id))["state"] == "CONNECTED"


async def test_a_mute_server_does_not_keep_the_others_waiting(workspace_id: UUID, vault: Vault) -> None:
    mute, good, taken = ImapServer(), ImapServer(), Taken()
    mute.mute_on = "LOGIN"
    async with mute.running() as mute_port, good.running() as port:
        for number in range(30):
            await make_watched(workspace_id, vault, mute_port, address=f"mute{number}@sender.example")
        await make_watched(workspace_id, vault, port)
        good.deliver(mail(1))
        async with watching(vault, taken):
            await until(lambda: len(taken.raws) == 1, "the good one is read")
            good.deliver(mail(2))
            await until(lambda: len(taken.raws) == 2, "and again")


async def test_two_watchers_share_the_mailboxes_and_the_second_goes_on_when_the_first_is_gone(
    workspace_id: UUID, vault: Vault
) -> None:
    server, first, second = ImapServer(), Taken(), Taken()
    async with server.running() as port:
        await make_watched(workspace_id, vault, port)
        async with watching(vault, second):
            async with watching(vault, first):
                server.deliver(mail(1))
                await until(lambda: mail(1) in first.raws + second.raws, "one of them takes it in")
                server.deliver(mail(2))
                await until(lambda: mail(2) in first.raws + second.raws, "one of them takes it in")
            server.deliver(mail(3))
            await until(lambda: mail(3) in second.raws or mail(3) in first.raws, "whoever is left goes on")
    assert set(first.raws + second.raws) == {mail(1), mail(2), mail(3)}
