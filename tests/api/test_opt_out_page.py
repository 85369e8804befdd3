"""The public pages of opt-out links: looking changes nothing, the button and the one-click POST opt out at once."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import httpx
import pytest

from api.opt_out_words import WORDS
from domain import enrolment, feed, recipients
from domain.authoring import create
from domain.contacts import ContactFields
from domain.database import fetch
from domain.opting_out import OptOutLinks
from domain.plans import SequenceSettings
from domain.rules.ids import new_id
from tests.api.conftest import Api, rcp
from tests.world import IN_AN_HOUR, World, email, task

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@dataclass
class Subject:
    """Someone with a mail of ours, and a client without any key or cookie, as a mail program is one."""

    api: Api
    world: World
    message_id: UUID
    http: httpx.AsyncClient

    @property
    def recipient_id(self) -> UUID:
        return self.world.recipient_ids[0]

    def url(self, **fields: str) -> str:
        links = OptOutLinks(self.api.vault, self.api.url)
        return links.url(self.api.workspace_id, self.recipient_id, self.message_id, "p0@people.example", fields)

    async def state(self) -> list[asyncpg.Record]:
        """All that an opt-out would move."""
        return await fetch(
            "SELECT r.id, r.status, r.version, "
            "(SELECT count(*) FROM suppressions s WHERE s.workspace_id = $1) AS bound "
            "FROM recipients r WHERE r.workspace_id = $1 ORDER BY r.id",
            self.api.workspace_id,
        )

    async def status(self) -> tuple[str, str]:
        query = "query ($id: ID!) { node(id: $id) { ... on Recipient { status endReason } } }"
        node = (await self.api.ask(query, {"id": rcp(self.recipient_id)}))["node"]
        return node["status"], node["endReason"]


@pytest.fixture
async def subject(api: Api) -> AsyncIterator[Subject]:
    world = await api.world(steps=[email(wait=IN_AN_HOUR)])
    message_id = new_id()
    await fetch(
        "WITH i AS (INSERT INTO messages (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, "
        'step_id, step_run, direction, channel, state, to_address, "references", token, tries, marked_at, at, '
        "created_at) "
        "SELECT $2, $1, r.id, r.sequence_id, r.contact_id, r.mailbox_id, r.current_step_id, 1, 'OUTGOING', 'EMAIL', "
        "'SENT', 'p0@people.example', '[]', 1, 1, now(), now(), now() FROM recipients r WHERE r.id = $3 RETURNING 1) "
        "SELECT 1",
        api.workspace_id,
        message_id,
        world.recipient_ids[0],
    )
    async with httpx.AsyncClient(timeout=15) as http:
        yield Subject(api, world, message_id, http)


async def test_looking_at_a_link_changes_nothing(subject: Subject) -> None:
    before = await subject.state()
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        for headers in ({}, {"purpose": "prefetch"}, {"sec-purpose": "prefetch;prerender"}):
            await subject.http.request(method, subject.url(), headers=headers)
    assert await subject.state() == before


async def test_the_page_has_a_button_and_nothing_that_acts_by_itself(subject: Subject) -> None:
    shown = await subject.http.get(subject.url())
    assert shown.status_code == 200
    assert shown.text.count("<form") == shown.text.count("<button") == 1
    for what in ("<script", "http-equiv", "<img", "<link", "<iframe", "<a ", "onload", "autofocus"):
        assert what not in shown.text
    assert (await subject.http.head(subject.url())).headers["content-length"] == str(len(shown.content))


async def test_the_pages_are_not_stored_not_indexed_not_framed_and_tell_no_one_their_address(subject: Subject) -> None:
    for answer in (await subject.http.get(subject.url()), await subject.http.post(subject.url(), data=ONE_CLICK)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
async def test_a_one_click_post_opts_out_at_once_without_cookie_or_redirect(subject: Subject, encoding: str) -> None:
    """Source: RFC 8058 section 3.1, both encodings."""
    body: dict[str, object] = (
        {"data": ONE_CLICK} if encoding == "urlencoded" else {"files": {"List-Unsubscribe": (None, "One-Click")}}
    )
    answer = await subject.http.post(subject.url(), **body)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert await subject.status() == ("UNSUBSCRIBED", "UNSUBSCRIBED")


async def test_repeating_it_adds_nothing_and_answers_alike(subject: Subject) -> None:
    answers = await asyncio.gather(*(subject.http.post(subject.url(), data=ONE_CLICK) for _ in range(8)))
    before = await subject.state()
    answers.append(await subject.http.post(subject.url(), data=ONE_CLICK))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert await subject.state() == before
    assert before[0]["bound"] == 2


async def test_it_binds_the_person_everywhere_in_the_workspace_and_says_who_did_it(subject: Subject) -> None:
    other = await create(
        subject.api.workspace_id, "Calls", [task(wait=IN_AN_HOUR)], settings=SequenceSettings(), mailbox_ids=[]
    )
    person = enrolment.Candidate(ContactFields(values={"email": "p0@people.example"}))
    (answer,) = await enrolment.enroll(
        subject.api.workspace_id, subject.api.actor, enrolment.Enrolment(sequence_id=other, candidates=[person])
    )
    assert answer.recipient_id is not None
    await subject.http.post(subject.url(), data=ONE_CLICK)
    while await feed.number():
        pass
    asked = await subject.api.ask(
        "{ recipients { nodes { id status endReason contact { suppressed } "
        "events(first: 5) { nodes { type status endReason actor { kind name } } } } } }"
    )
    found = {node["id"]: node for node in asked["recipients"]["nodes"]}
    here, there = found[rcp(subject.recipient_id)], found[rcp(answer.recipient_id)]
    assert (here["status"], here["endReason"]) == ("UNSUBSCRIBED", "UNSUBSCRIBED")
    assert (there["status"], there["endReason"]) == ("UNSUBSCRIBED", "SUPPRESSED")
    assert here["contact"]["suppressed"]
    assert here["events"]["nodes"][-1]["actor"]["kind"] == "CONTACT"


async def test_a_link_works_after_its_recipient_was_deleted(subject: Subject) -> None:
    await recipients.delete(subject.api.workspace_id, subject.api.actor, subject.recipient_id)
    answer = await subject.http.post(subject.url(), data=ONE_CLICK)
    assert answer.status_code == 200
    query = "{ contacts { nodes { suppressed } } }"
    assert (await subject.api.ask(query))["contacts"]["nodes"] == [{"suppressed": True}]


async def test_known_and_unknown_are_answered_alike(subject: Subject) -> None:
    links = OptOutLinks(subject.api.vault, subject.api.url)
    nobody = links.url(new_id(), new_id(), new_id(), "p0@people.example", {})
    stranger = links.url(subject.api.workspace_id, new_id(), new_id(), "p0@people.example", {})
    for method, body in (("GET", None), ("POST", ONE_CLICK)):
        answers = [await subject.http.request(method, url, data=body) for url in (subject.url(), stranger, nobody)]
        assert len({(answer.status_code, answer.text, str(sorted(answer.headers))) for answer in answers}) == 1


async def test_a_tampered_link_and_a_post_that_asks_for_something_else_are_refused(subject: Subject) -> None:
    before = await subject.state()
    good = subject.url()
    bad = [good[:-1], good + "x", good.replace("/u/v1", "/u/v2"), re.sub(r"\.[^.]+$", "." + "A" * 22, good)]
    for url in bad:
        assert (await subject.http.post(url, data=ONE_CLICK)).status_code == 400
        shown = await subject.http.get(url)
        assert shown.status_code == 400
        assert "<form" not in shown.text
    for body in ({"data": {"List-Unsubscribe": "No"}}, {"data": {}}, {"json": ONE_CLICK}, {"content": b"x" * 100_000}):
        assert (await subject.http.post(good, **body)).status_code == 400  # type: ignore[arg-type]
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary=é"):
        answer = await subject.http.post(good, content=b"\r\n--x\r\n\xff", headers={"content-type": kind.encode()})
        assert answer.status_code == 400
    assert await subject.state() == before


@pytest.mark.parametrize(
    ("asked", "hint", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", None, "de"),
        ("fr", None, "fr"),
        ("es-MX;q=0.8, ja", None, "es"),
        ("en;q=0.2, fr;q=0.9", None, "fr"),
        ("ja", "fr", "fr"),
        ("", "es", "es"),
        ("de;q=0, ja", None, "en"),
        ("ja;q=wrong,,;;", "xx", "en"),
        ("*", "de_DE", "de"),
    ],
)
async def test_the_page_speaks_the_readers_language(
    subject: Subject, asked: str, hint: str | None, language: str
) -> None:
    fields = {"Language": hint} if hint else {}
    shown = await subject.http.get(subject.url(**fields), headers={"accept-language": asked})
    assert f'<html lang="{language}">' in shown.text
    assert f">{WORDS[language].button}</button>" in shown.text
    assert shown.headers["content-language"] == language


async def test_when_it_cannot_be_recorded_the_sender_is_told_to_come_again(subject: Subject) -> None:
    await fetch("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'disk full'; END$$")
    await fetch("CREATE TRIGGER refuse BEFORE INSERT ON suppressions FOR EACH ROW EXECUTE FUNCTION refuse()")
    try:
        answer = await subject.http.post(subject.url(), data=ONE_CLICK)
    finally:
        await fetch("DROP TRIGGER refuse ON suppressions")
        await fetch("DROP FUNCTION refuse")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert WORDS["en"].later in answer.text


def test_every_language_has_all_its_words() -> None:
    for words in WORDS.values():
        assert all(getattr(words, name).strip() for name in words.__slots__)
    assert {"en", "de", "fr", "es"} <= set(WORDS)
