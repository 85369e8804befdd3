"""Each error of a mailbox by its real cause, and its fix through the API until the mail arrives."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import seq
from tests.catalogue.conftest import Post, mbx
from tests.engine.conftest import until
from tests.workers.smtp_servers import ScriptedServer, certificate_for, good_server

# what the server answers, and where; the error of the mailbox
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"GREETING": b"554 5.7.1 your account is suspended\r\n"}, "MAILBOX_SUSPENDED", "ASK_ADMIN"),
    ({"GREETING": b"521 this host takes no mail\r\n"}, "MAILBOX_SUSPENDED", "ASK_ADMIN"),
    ({"GREETING": b"550 what\r\n"}, "MAILBOX_SERVER_UNREACHABLE", "RECONNECT_MAILBOX"),
    ({"MAIL": b"530 5.7.0 Authentication required\r\n"}, "MAILBOX_DISCONNECTED", "RECONNECT_MAILBOX"),
    ({"MAIL": b"554 5.7.7 your account has been suspended\r\n"}, "MAILBOX_SUSPENDED", "ASK_ADMIN"),
    ({"MAIL": b"553 5.1.8 that domain is not yours\r\n"}, "SENDER_NOT_ALLOWED", "RECONNECT_MAILBOX"),
    ({"DOT": b"550 5.7.60 no permissions to send as this sender\r\n"}, "SENDER_NOT_ALLOWED", "RECONNECT_MAILBOX"),
]


@pytest.mark.parametrize(("script", "code", "fix"), BROKEN)
async def test_a_server_that_turns_the_mailbox_away_disconnects_it_until_it_is_connected_again(
    post: Post, script: dict[str, Any], code: str, fix: str
) -> None:
    post.server.script |= script
    world = await post.world()
    error = await post.failed(code)
    assert error["recipient"]["mailbox"]["state"] == "DISCONNECTED"
    assert error["suggestedFix"]["code"] == fix
    assert error["suggestedFix"]["targetId"] == mbx(world.mailbox_id)
    if code == "SENDER_NOT_ALLOWED":  # only a retry finds out, and it needs the mailbox
        assert error["causeGoneAt"] is None
    else:
        await post.is_refused_a_retry(error)
    post.mend()
    handed_over = len(post.server.payloads)
    await post.change("mailboxConnect", id=mbx(world.mailbox_id))
    (shown,) = await post.errors()
    assert shown["causeGoneAt"] is not None
    await post.retried(error)
    assert len(post.server.payloads) == handed_over + 1


async def test_a_mailbox_that_a_person_disconnected_is_connected_again(post: Post) -> None:
    world = await post.world(activate=False)
    await post.change("mailboxDisconnect", id=mbx(world.mailbox_id))
    await post.change("sequenceActivate", id=seq(world.sequence_id))
    error = await post.failed("MAILBOX_DISCONNECTED")
    await post.is_refused_a_retry(error)
    await post.change("mailboxConnect", id=mbx(world.mailbox_id))
    await post.retried(error)


async def test_a_refused_password_is_entered_again(post: Post) -> None:
    world = await post.world(activate=False)
    async with good_server(password="right") as (port, handler):
        given = {"id": mbx(world.mailbox_id), "smtpPort": port, "smtpUsername": "jobs"}
        await post.change("mailboxUpdate", **given, smtpPassword="wrong")
        await post.change("sequenceActivate", id=seq(world.sequence_id))
        error = await post.failed("MAILBOX_CREDENTIALS_REFUSED")
        still = await post.api.change("mailboxConnect", {"id": mbx(world.mailbox_id)}, "mailbox { state }")
        assert still["errors"][0]["code"] == "MAILBOX_NOT_CONNECTED"
        await post.is_refused_a_retry((await post.errors())[0])
        await post.change("mailboxUpdate", **given, smtpPassword="right")
        await post.change("mailboxConnect", id=mbx(world.mailbox_id))
        await post.change("recipientRetry", id=error["recipient"]["id"])

        async def arrived() -> bool:
            return len(handler.kept) == 1

        await until(arrived)


@pytest.mark.parametrize("security", ["TLS", "STARTTLS", "STARTTLS refused", "STARTTLS missing"])
async def test_a_server_that_cannot_prove_who_it_is_gets_nothing_and_never_plain_text(
    post: Post, security: str, tmp_path: Path
) -> None:
    untrusted, _ = certificate_for("127.0.0.1", tmp_path)
    world = await post.world(activate=False)
    if security in ("TLS", "STARTTLS"):
        options: dict[str, Any] = {"implicit_tls": untrusted} if security == "TLS" else {"tls_context": untrusted}
        async with good_server(**options) as (port, handler):
            given = {"smtpPort": port, "smtpSecurity": security}
            await post.change("mailboxUpdate", id=mbx(world.mailbox_id), **given)
            await post.change("sequenceActivate", id=seq(world.sequence_id))
            error = await post.failed("MAILBOX_CERTIFICATE_INVALID")
            assert handler.kept == []
    else:
        extra = {"EHLO": b"250-x\r\n250 STARTTLS\r\n", "STARTTLS": b"501 5.5.4 no\r\n"}
        server = ScriptedServer(**(extra if security == "STARTTLS refused" else {}))
        async with server.running() as port:
            given = {"smtpPort": port, "smtpSecurity": "STARTTLS"}
            await post.change("mailboxUpdate", id=mbx(world.mailbox_id), **given)
            await post.change("sequenceActivate", id=seq(world.sequence_id))
            error = await post.failed("MAILBOX_CERTIFICATE_INVALID")
            assert not server.payloads
            assert "MAIL" not in {line.split()[0] for line in server.commands}
    assert error["suggestedFix"]["code"] == "ASK_ADMIN"
    await post.is_refused_a_retry(error)
    # The administrator moves the mailbox to a server that needs no certificate.
    moved = {"id": mbx(world.mailbox_id), "smtpPort": post.port, "smtpSecurity": "NONE"}
    await post.change("mailboxUpdate", **moved)
    await post.change("mailboxConnect", id=mbx(world.mailbox_id))
    await post.retried(error)


async def test_a_daily_limit_of_the_provider_is_a_wait_of_the_mailbox_and_no_error(post: Post) -> None:
    post.server.script["RCPT"] = b"550 5.4.5 Daily user sending limit exceeded\r\n"
    await post.world(people=3)
    asked = "{ recipients { nodes { status waitingReason nextAttemptAt } } }"

    async def waits() -> bool:
        nodes = (await post.api.ask(asked))["recipients"]["nodes"]
        return all(node["waitingReason"] == "MAILBOX_BACKOFF" for node in nodes)

    await until(waits)
    assert await post.errors() == []
    assert not post.server.payloads


async def test_a_sequence_without_a_mailbox_gets_one(post: Post) -> None:
    world = await post.world(activate=False, people=1)
    draft = await post.api.change(
        "sequenceCreate",
        {"name": "Early", "steps": [{"kind": "AUTOMATED_EMAIL", "subject": "Hello", "body": "Hello there"}]},
        "sequence { id }",
    )
    sequence_id = draft["sequence"]["id"]
    enrolled = await post.api.change(
        "recipientsEnroll",
        {"sequenceId": sequence_id, "contacts": [{"contact": {"email": "early@people.example"}}]},
        "succeeded",
    )
    assert enrolled["succeeded"] == 1
    await post.change("sequenceUpdate", id=sequence_id, mailboxIds=[mbx(world.mailbox_id)])
    await post.change("sequenceActivate", id=sequence_id)
    error = await post.failed("NO_MAILBOX")
    assert error["suggestedFix"]["code"] == "CHOOSE_MAILBOX"
    assert error["suggestedFix"]["targetId"] == sequence_id
    await post.retried(error)
    assert seq(world.sequence_id) != sequence_id
