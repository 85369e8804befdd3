"""Strangers' mail is read in a process apart, which may die without harm."""

import asyncio

import pytest

from domain.mail_reader import read_apart
from domain.rules.inbound.reading import Reading, Unreadable, read
from tests.inbound.mails import delivery_report, letter

_FIELDS = (
    b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.0.0\n"
    b"Diagnostic-Code: smtp; "
)


async def test_a_mail_read_apart_is_read_as_here() -> None:
    for raw in (letter("Yes"), delivery_report("<x@sender.example>"), b"\x00"):
        assert await read_apart(raw) == read(raw)


async def test_a_mail_that_takes_too_long_is_reported_and_the_next_is_read() -> None:
    late = await read_apart(letter("x" * 1_000_000), deadline_seconds=0.0)
    assert isinstance(late, Unreadable)
    assert "more than 0 seconds" in late.reason
    assert isinstance(await read_apart(letter("Yes")), Reading)


async def test_many_mails_at_once_are_all_read_and_nobody_else_waits() -> None:
    reading = asyncio.gather(*(read_apart(letter(f"Answer {number}")) for number in range(30)))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0.001)
    found = await reading
    assert [one.text for one in found if isinstance(one, Reading)] == [f"Answer {number}" for number in range(30)]
    assert turns > 1


async def test_of_a_mail_over_the_limit_the_beginning_is_read() -> None:
    raw = letter("Yes, gladly.") + b"A" * (26 * 1024 * 1024)
    found = await read_apart(raw, deadline_seconds=60)
    assert isinstance(found, Reading)
    assert found.text.startswith("Yes, gladly.")


@pytest.mark.parametrize("again", [b"a", b" ", b"\n ", b"<", b"a@", b"=", b"1.", b"> ", b"user ", b"<<< 550 x\n"])
async def test_a_mail_that_repeats_one_thing_tens_of_thousands_of_times_is_read_as_any_other(again: bytes) -> None:
    body = again * (30_000 // len(again))
    flat = body.replace(b"\n", b" ")
    head = b"From: MAILER-DAEMON@mx.example\nTo: " + flat + b"\nSubject: Undeliverable " + flat + b"\n"
    report = b"--b\n\n" + body + b"\n--b\nContent-Type: message/delivery-status\n\n" + _FIELDS + flat + b"\n\n--b--\n"
    kinds = b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
    for raw in (head + b"\n" + body, head + kinds + report):
        assert isinstance(await read_apart(raw), Reading)
