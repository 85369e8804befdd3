"""Link scanners and a browser that runs scripts opt nobody out of 1,000 mails; the one-click POST does it at once."""

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.witness import outreach
from tests.witness.chromium import Tab, browsing
from tests.witness.installation import Installation, installed
from tests.witness.outside import wait_until
from tests.witness.programs import chromium, smtp_sink
from tests.witness.sink import SunkMail, running_sink

VISITED = 1_000
_SCANNERS = (
    {"user-agent": "Mozilla/5.0 (compatible; LinkScanner/1.0)"},
    {"purpose": "prefetch", "user-agent": "Mozilla/5.0 Chrome/156.0"},
    {"sec-purpose": "prefetch;prerender", "accept-language": "de"},
)
# What a scanner that runs scripts may do without pressing anything: scroll, move, follow all that can be followed.
_STIR = """
(async () => {
    window.scrollTo(0, document.body.scrollHeight);
    for (const kind of ['mousemove', 'mouseover', 'mouseenter', 'pointermove', 'touchstart', 'focus', 'blur', 'scroll',
            'visibilitychange', 'pagehide', 'beforeunload'])
        for (const element of [window, document, ...document.querySelectorAll('*')])
            element.dispatchEvent(new Event(kind, {bubbles: true}));
    const addresses = [...document.querySelectorAll('[href],[src],[action]')].map(e => e.href || e.src || e.action);
    for (const address of addresses) await fetch(address).catch(() => null);
    return document.scripts.length + addresses.filter(address => address !== location.href).length;
})()
"""


def _link(mail: SunkMail) -> str:
    found = re.fullmatch(r"<(\S+)>", str(mail.parsed["List-Unsubscribe"]))
    assert found, mail.parsed["List-Unsubscribe"]
    assert mail.parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return found[1]


def _opted_out(relance: Installation, sequence_id: str) -> int:
    return outreach.status_counts(relance, sequence_id)["UNSUBSCRIBED"]


@pytest.mark.timeout(900)
def test_visits_of_scanners_and_of_a_browser_opt_nobody_out_and_one_click_opts_everybody_out(folder: Path) -> None:
    """Source: reliability.md R22."""
    smtp_sink()
    browser = chromium()
    with running_sink() as sink, installed(folder / "data") as relance:
        mailboxes = [outreach.make_mailbox(relance, number, sink.port) for number in range(outreach.MAILBOXES)]
        sequence_id = outreach.make_sequence(relance, mailboxes)
        outreach.write_file(folder / "people.csv")
        relance.command("import", "contacts", str(folder / "people.csv"), "--sequence", sequence_id)
        wait_until(lambda: sink.count() >= outreach.PEOPLE * outreach.STEPS, "all mails have gone out", seconds=120)
        mails = sink.mails()
        links = sorted({_link(mail) for mail in mails})
        assert len(links) == len(mails) >= VISITED
        asyncio.run(_scanned(links))
        asyncio.run(_browsed(browser, folder, links[:VISITED]))
        assert _opted_out(relance, sequence_id) == 0
        of_a_person = {mail.envelope_to[0]: _link(mail) for mail in mails}
        longest = asyncio.run(_posted(list(of_a_person.values())))
        counts = outreach.status_counts(relance, sequence_id)
    assert counts["UNSUBSCRIBED"] == outreach.PEOPLE == sum(counts.values())
    print(f"\n{VISITED} links visited by scanners and Chromium; slowest of {outreach.PEOPLE} opt-outs {longest:.2f} s")


@pytest.mark.parametrize(("width", "height", "phone"), [(390, 844, True), (320, 568, True), (1280, 800, False)])
def test_the_button_is_pressed_with_a_finger_a_mouse_or_the_keyboard_alone(
    folder: Path, width: int, height: int, phone: bool
) -> None:
    smtp_sink()
    browser = chromium()
    with running_sink() as sink, installed(folder / "data") as relance:
        mailbox = outreach.make_mailbox(relance, 0, sink.port)
        sequence_id = outreach.make_sequence(relance, [mailbox])
        (folder / "people.csv").write_text("email,first_name,last_name,note\n" + "ann@people.example,Ann,Lee,x\n")
        relance.command("import", "contacts", str(folder / "people.csv"), "--sequence", sequence_id)
        wait_until(lambda: sink.count() >= outreach.STEPS, "the mails have gone out", seconds=60)
        link = _link(sink.mails()[0])

        async def press() -> None:
            async with browsing(browser, folder) as tab:
                await tab.window(width, height, mobile=phone)
                await tab.open(link)
                await _fits(tab, width)
                assert _opted_out(relance, sequence_id) == 0
                if phone:
                    await tab.click("button")
                else:
                    await tab.press("Tab", 9)
                    assert await tab.run("document.activeElement.tagName") == "BUTTON"
                    await tab.press("Enter", 13)
                    await tab.loaded()
                await _fits(tab, width)
                assert await tab.run("document.querySelector('[role=status] h1') !== null")
                assert await tab.run("document.cookie") == ""

        asyncio.run(press())
        assert _opted_out(relance, sequence_id) == 1


async def _fits(tab: Tab, width: int) -> None:
    """A narrow screen needs no sideways scrolling, letters are large enough, and the button as large as a finger."""
    assert await tab.run("document.documentElement.scrollWidth") <= width
    assert await tab.run("parseFloat(getComputedStyle(document.querySelector('p')).fontSize)") >= 16
    assert await tab.run("document.documentElement.lang.length") == 2
    tall = await tab.run("(b => b ? b.getBoundingClientRect().height : 48)(document.querySelector('button'))")
    assert tall >= 44


async def _scanned(links: Sequence[str]) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        for method in ("GET", "HEAD"):
            for number, link in enumerate(links):
                answer = await http.request(method, link, headers=_SCANNERS[number % len(_SCANNERS)])
                assert answer.status_code == 200


async def _browsed(browser: str, folder: Path, links: Sequence[str]) -> None:
    async with browsing(browser, folder) as tab:
        for link in links:
            await tab.open(link)
            assert await tab.run(_STIR) == 0


async def _posted(links: Sequence[str]) -> float:
    """Opt out by the two encodings in turn; return the longest time, in seconds."""
    longest = 0.0
    async with httpx.AsyncClient(timeout=30) as http:
        for number, link in enumerate(links):
            begun_at = time.monotonic()
            if number % 2:
                answer = await http.post(link, data={"List-Unsubscribe": "One-Click"})
            else:
                answer = await http.post(link, files={"List-Unsubscribe": (None, "One-Click")})
            assert answer.status_code == 200
            longest = max(longest, time.monotonic() - begun_at)
    return longest
