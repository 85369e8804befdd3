"""The mail catcher: it takes everything, keeps the newest, shows it safely and misbehaves on request."""

import asyncio
import email.message
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from cli.catcher import MailCatcher, PortTaken, RunningCatcher, catcher_app, running_catcher, serve


def mail(number: int, answers: str = "", html: str = "<p>Hello</p>", subject: str = "") -> bytes:
    message = email.message.EmailMessage()
    message["From"] = "Ann <ann@sender.example>"
    message["To"] = f"bob{number}@recipient.example"
    message["Subject"] = subject or f"Grüße {number}"
    message["Message-ID"] = f"<m{number}@sender.example>"
    if answers:
        message["In-Reply-To"] = answers
        message["References"] = answers
    message.set_content("Hello in text")
    message.add_alternative(html, subtype="html")
    return message.as_bytes()


def keep(catcher: MailCatcher, number: int, raw: bytes | None = None, answers: str = "") -> int:
    return catcher.keep("ann@sender.example", [f"bob{number}@recipient.example"], raw or mail(number, answers)).id


def browser(catcher: MailCatcher, host: str = "127.0.0.1", **options: object) -> httpx.AsyncClient:
    app = catcher_app(catcher, **options)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


@pytest.fixture
async def running() -> AsyncIterator[RunningCatcher]:
    async with running_catcher() as catcher:
        yield catcher


def test_what_is_kept_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    keep(MailCatcher(folder), 1)
    (file,) = folder.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]
    file.chmod(0o644)  # as an earlier version left it
    MailCatcher(folder)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]


async def test_any_sign_in_and_any_mail_are_taken_byte_for_byte(running: RunningCatcher) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=running.smtp_port, start_tls=False)
    await client.connect(username="anyone", password="anything")
    raw = b"Subject: x\r\n\r\n.dot\r\n\xc3\xa9 8-bit\r\n"
    options = ["SMTPUTF8", "BODY=8BITMIME"]
    await client.mail("ann@sender.example", options=options)
    await client.rcpt("jürgen@recipient.example", encoding="utf-8")
    await client.data(raw)
    await client.quit()
    [caught] = running.catcher.page().mails
    assert (caught.raw, caught.recipients) == (raw, ("jürgen@recipient.example",))


@pytest.mark.parametrize(
    ("address", "code", "text"),
    [
        ("bounce@x.example", 550, "5.1.1"),
        ("Bounce-anna@x.example", 550, "5.1.1"),
        ("full+1@x.example", 452, "4.2.2"),
        ("later.on@x.example", 451, "4.7.1"),
        ("policy_a@x.example", 550, "5.7.1"),
        ("bouncer@x.example", 250, "2.1.5"),
    ],
)
async def test_magic_addresses_are_refused_on_purpose(
    running: RunningCatcher, address: str, code: int, text: str
) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=running.smtp_port, start_tls=False) as client:
        await client.mail("ann@sender.example")
        reply = await client.execute_command(b"RCPT", f"TO:<{address}>".encode())
    assert reply.code == code
    assert reply.message.startswith(text)


async def test_the_page_is_served_beside_the_mail_port(running: RunningCatcher) -> None:
    async with httpx.AsyncClient() as client:
        page = await client.get(running.url)
        assert "No mails yet" in page.text
        for name in ("page.css", "page.js"):
            assert (await client.get(running.url + name)).status_code == 200


async def test_a_taken_port_is_named_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} for the page"):
            await serve(0, port)
        with pytest.raises(PortTaken, match=f"port {port} for mail"):
            await serve(port, 0)


async def test_it_stops_when_its_task_is_cancelled() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
    task = asyncio.create_task(serve(*ports))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_mails_survive_a_restart_in_their_folder(tmp_path: Path) -> None:
    before = MailCatcher(tmp_path)
    raw = b"Delivered-To: not-the-envelope\r\nSubject: x\r\n\r\nbody\r\n"
    before.keep("", ["a@x.example", "ü@x.example"], raw)
    (tmp_path / "00000000002.eml").write_bytes(b"Return-Path: <cut sho")
    after = MailCatcher(tmp_path)
    [found] = after.page().mails
    assert (found.sender, found.recipients, found.raw) == ("", ("a@x.example", "ü@x.example"), raw)
    assert found.size_bytes == len(raw)
    assert keep(after, 3) == 3


def test_only_the_newest_mails_are_kept_in_memory_and_on_disk(tmp_path: Path) -> None:
    catcher = MailCatcher(tmp_path, capacity=3)
    for number in range(5):
        keep(catcher, number)
    assert [found.id for found in catcher.page().mails] == [5, 4, 3]
    assert len(list(tmp_path.iterdir())) == 3
    assert [found.id for found in MailCatcher(tmp_path, capacity=2).page().mails] == [5, 4]
    catcher.clear()
    assert not list(tmp_path.iterdir())


def test_a_conversation_is_found_from_any_of_its_mails() -> None:
    catcher = MailCatcher()
    first = keep(catcher, 1)
    other = keep(catcher, 2)
    second = keep(catcher, 3, answers="<m1@sender.example>")
    third = keep(catcher, 4, answers="<m3@sender.example>")
    for mail_id in (first, second, third):
        found = catcher.mail(mail_id)
        assert found is not None
        assert [one.id for one in catcher.thread(found)] == [first, second, third]
    assert catcher.thread_sizes(catcher.page().mails) == {first: 3, second: 3, third: 3}
    assert other not in catcher.thread_sizes(catcher.page().mails)


async def test_the_list_is_searched_and_paged_as_json() -> None:
    catcher = MailCatcher()
    for number in range(12):
        keep(catcher, number)
    async with browser(catcher) as client:
        first = (await client.get("/api/mails?limit=5")).json()
        rest = (await client.get(f"/api/mails?limit=50&after={first['nextAfter']}")).json()
        assert [one["id"] for one in first["mails"] + rest["mails"]] == list(range(12, 0, -1))
        assert (first["total"], rest["nextAfter"]) == (12, None)
        found = (await client.get("/api/mails", params={"to": "BOB11@", "subject": "grüße 11"})).json()
        assert [one["messageId"] for one in found["mails"]] == ["<m11@sender.example>"]
        assert (await client.get("/api/count")).json() == {"count": 12, "newest": 12}
        opened = (await client.get("/api/mails/12")).json()
        assert (opened["text"], opened["html"]) == ("Hello in text\n", "<p>Hello</p>\n")
        for wrong in ("/api/mails?limit=0", "/api/mails?limit=501", "/api/mails?after=x", "/api/mails?limit=-1"):
            refused = await client.get(wrong)
            assert refused.status_code == 400
            assert "error" in refused.json()
        assert (await client.get("/api/mails/99")).json()["error"].startswith("This mail is not here")


async def test_every_view_of_a_mail_and_its_source_can_be_read() -> None:
    catcher, raw = MailCatcher(), mail(1)
    mail_id = keep(catcher, 1, raw)
    async with browser(catcher) as client:
        for view in ("html", "text", "headers", "source", "nonsense"):
            page = await client.get(f"/mails/{mail_id}?view={view}")
            assert page.status_code == 200
            assert "Grüße 1" in page.text
        source = await client.get(f"/mails/{mail_id}/raw")
        assert source.content == raw
        assert "attachment" in source.headers["content-disposition"]
        assert (await client.get("/mails/2")).status_code == 404
        assert 'href="/mails/1"' in (await client.get("/?q=bob1")).text
        assert "No mail matches" in (await client.get("/?q=nobody")).text


async def test_a_hostile_mail_cannot_run_or_load_anything() -> None:
    catcher = MailCatcher()
    evil = "<script>alert(1)</script><img src=https://elsewhere.example/x>"
    keep(catcher, 1, mail(1, html=evil, subject=evil))
    async with browser(catcher) as client:
        for path in ("/", "/mails/1", "/mails/1?view=headers", "/mails/1?view=source", "/?q=<script>"):
            page = await client.get(path)
            assert "<script>alert" not in page.text
            assert "<img" not in page.text
            assert "script-src 'self'" in page.headers["content-security-policy"]
        shown = await client.get("/mails/1")
        assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in shown.text
        policy = (await client.get("/mails/1/html")).headers["content-security-policy"]
        assert policy.startswith("sandbox allow-popups")
        assert "allow-scripts" not in policy
        assert "default-src 'none'" in policy
        assert "img-src data:;" in policy


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe",
        b"Subject: =?utf-8?q?=ZZ?= =?x?b?!?=\r\n\r\nx",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<b>",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename*=utf-8''%ff\"\r\n\r\nx",
        b"From: <<<>>>\r\nMessage-ID: [\r\nDate: never\r\n\r\n",
    ],
)
async def test_a_broken_mail_is_still_shown(raw: bytes) -> None:
    catcher = MailCatcher()
    catcher.keep("", ["a@x.example"], raw)
    async with browser(catcher) as client:
        for path in ("/", "/mails/1", "/mails/1?view=headers", "/mails/1?view=source", "/mails/1/html", "/api/mails/1"):
            assert (await client.get(path)).status_code == 200


async def test_only_this_machines_names_are_answered_unless_told_otherwise() -> None:
    catcher = MailCatcher()
    for host in ("localhost:8025", "127.0.0.1", "[::1]:8025"):
        async with browser(catcher, host) as client:
            assert (await client.get("/api/count")).status_code == 200
    async with browser(catcher, "rebound.example") as client:
        assert (await client.get("/api/count")).status_code == 421
    async with browser(catcher, "mail.internal", allowed_hosts=("mail.internal",)) as client:
        assert (await client.get("/api/count")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "deleted"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://127.0.0.1"}, True),
        ({}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"}, False),
        ({"origin": "http://elsewhere.example"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_another_sites_page_cannot_delete_the_mails(headers: dict[str, str], deleted: bool) -> None:
    catcher = MailCatcher()
    keep(catcher, 1)
    async with browser(catcher) as client:
        answer = await client.post("/delete-all", headers=headers)
        assert (await client.get("/delete-all")).status_code == 405
    assert answer.status_code == (303 if deleted else 403)
    assert len(catcher) == (0 if deleted else 1)


async def test_links_hold_when_it_is_mounted_under_a_path() -> None:
    catcher = MailCatcher()
    keep(catcher, 1)
    app = Starlette(routes=[Mount("/mail", catcher_app(catcher))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        page = await client.get("/mail/")
        assert 'href="/mail/mails/1"' in page.text
        assert 'src="/mail/page.js"' in page.text
        assert (await client.get("/mail/mails/1")).status_code == 200
        assert (await client.get("/mail/api/mails/7")).json()["error"]
        assert (await client.post("/mail/delete-all")).headers["location"] == "/mail/"
