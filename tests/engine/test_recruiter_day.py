"""docs/recruiter-day.md, lived through: each document is sent over HTTP to an API, with a worker and a mail server."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx

from cli.catcher import RunningCatcher
from domain import keys, users
from domain.keys import NewKey
from domain.rules.ids import Prefix, to_public
from domain.settings import Settings
from tests.api.conftest import serving
from tests.engine.conftest import until, working

DAY = Path(__file__).parents[2] / "docs" / "recruiter-day.md"
PEOPLE = ("Ann", "Ben", "Cem", "Dora", "Eve")


def operations() -> dict[int, str]:
    """Return the document of each numbered chapter."""
    found = re.findall(r"^## (\d+)\. .*?^```graphql\n(.*?)^```", DAY.read_text(), re.MULTILINE | re.DOTALL)
    return {int(number): document for number, document in found}


class Recruiter:
    """Someone with a key, who does what the day says."""

    def __init__(self, http: httpx.AsyncClient, key: NewKey) -> None:
        self._http, self._headers = http, {"authorization": f"Bearer {key.secret}"}
        self._operations = operations()
        self.done: list[int] = []

    async def ask(self, document: str, **variables: Any) -> Any:
        sent = await self._http.post(
            "/graphql", json={"query": document, "variables": variables}, headers=self._headers
        )
        answer = sent.json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def does(self, number: int, **variables: Any) -> Any:
        """Send the document of a chapter; return what its first field answers."""
        self.done.append(number)
        answer = await self.ask(self._operations[number], **variables)
        return next(iter(answer.values()))

    async def done_to(self, number: int, **variables: Any) -> Any:
        """The same, and nothing may have been refused."""
        payload = await self.does(number, **variables)
        assert payload["errors"] == [], payload
        return payload


def test_the_day_has_twenty_numbered_operations() -> None:
    assert list(operations()) == list(range(1, 21))


async def test_the_whole_day(settings: Settings, open_database: str, catcher: RunningCatcher) -> None:
    workspace_id = await keys.create_workspace("Acme")
    key = await keys.create(workspace_id, "Nora's screen")
    kim = await users.create(workspace_id, "Kim")
    async with (
        working(settings),
        serving(settings) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.config.port}", timeout=20) as http,
    ):
        nora = Recruiter(http, key)
        await _live(nora, catcher, to_public(Prefix.USER, kim.id))
    assert sorted(set(nora.done)) == list(range(1, 21))


async def _live(nora: Recruiter, catcher: RunningCatcher, kim: str) -> None:
    server = {"smtpHost": "127.0.0.1", "smtpPort": catcher.smtp_port, "smtpSecurity": "NONE", "minimumGapSeconds": 0}
    made = await nora.done_to(1, input={"address": "nora@acme.example", "displayName": "Nora", **server})
    sequence = (await nora.done_to(2, mailbox=made["mailbox"]["id"]))["sequence"]
    assert (await nora.done_to(3, id=sequence["id"]))["sequence"] == {"status": "ACTIVE"}
    contacts = [
        {"contact": {"email": f"{name}@people.example", "firstName": name, "company": None if name == "Dora" else "X"}}
        for name in PEOPLE
    ]
    enrolled = await nora.done_to(4, sequence=sequence["id"], contacts=contacts)
    assert (enrolled["succeeded"], enrolled["failed"]) == (5, 0)
    recipients = {name: result["recipient"] for name, result in zip(PEOPLE, enrolled["results"], strict=True)}

    async def inbox() -> Any:
        return await nora.does(5, sequence=sequence["id"])

    await until(lambda: _holds(inbox, lambda found: found["totalCount"] == 5))
    waiting = {node["recipient"]["contact"]["firstName"]: node for node in (await inbox())["nodes"]}
    assert waiting["Ann"]["subject"] == "A role for you, Ann"
    assert waiting["Ann"]["availableActions"] == ["SEND_NOW", "SCHEDULE", "SKIP"]
    assert (waiting["Ann"]["recipient"]["status"], waiting["Ann"]["recipient"]["opens"]) == ("PENDING_ACTION", "EMAIL")

    given = await nora.done_to(6, id=waiting["Eve"]["id"], colleague=kim)
    assert given["pendingAction"] == {"assignee": {"id": kim, "name": "Kim"}}

    async def arrived(name: str, count: int) -> bool:
        return len(catcher.catcher.page(to=f"{name}@people.example").mails) == count

    sent = await nora.done_to(7, id=waiting["Ann"]["id"])
    assert sent["pendingAction"]["outcome"] in (None, "SENT")  # a worker may have been faster than the answer
    await until(lambda: arrived("Ann", 2))
    second = await nora.does(7, id=waiting["Ann"]["id"])
    (refusal,) = second["errors"]
    assert refusal["code"] == "PENDING_ACTION_NOT_AVAILABLE"
    await until(lambda: _outcome(nora, waiting["Ann"]["id"], "SENT"))

    await nora.done_to(8, id=waiting["Ben"]["id"], version=waiting["Ben"]["version"])
    await until(lambda: arrived("Ben", 2))
    subjects = [
        message_from_bytes(mail.raw, policy=default)["Subject"]
        for mail in catcher.catcher.page(to="Ben@people.example").mails
    ]
    assert sorted(subjects) == ["Re: Your talk in Leipzig", "Your talk in Leipzig"]

    at = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    chosen = await nora.done_to(9, id=waiting["Cem"]["id"], at=at.isoformat())
    assert chosen["recipient"]["status"] == "IN_PROGRESS"
    assert chosen["recipient"]["waitingReason"] == "SEND_SCHEDULED"
    assert datetime.fromisoformat(chosen["recipient"]["nextAttemptAt"]) == at
    assert chosen["pendingAction"]["availableActions"] == ["SEND_NOW", "SCHEDULE", "CANCEL_SCHEDULE", "SKIP"]
    back = await nora.done_to(10, id=waiting["Cem"]["id"])
    assert back["recipient"] == {"status": "PENDING_ACTION", "waitingReason": None}
    assert back["pendingAction"]["scheduledFor"] is None

    edited = await nora.done_to(11, id=recipients["Cem"]["id"], step=sequence["steps"][0]["id"])
    assert edited["recipient"]["pendingAction"]["body"] == "<p>Cem, one question.</p>"
    assert edited["recipient"]["steps"][0] == {"edited": True}

    held = await nora.done_to(12, id=recipients["Eve"]["id"])
    assert (held["recipient"]["status"], held["recipient"]["pausedBy"]) == ("PAUSED", "RECIPIENT")
    assert held["recipient"]["pendingAction"] == {"availableActions": []}
    gone_on = await nora.done_to(13, id=recipients["Eve"]["id"])
    assert gone_on["recipient"]["status"] == "PENDING_ACTION"

    paused = await nora.done_to(14, id=sequence["id"])
    assert paused["sequence"] == {"status": "PAUSED"}
    assert [node["availableActions"] for node in (await inbox())["nodes"]] == [[], [], []]
    assert (await nora.done_to(15, id=sequence["id"]))["sequence"] == {"status": "ACTIVE"}

    await nora.done_to(7, id=waiting["Dora"]["id"])

    async def errors() -> Any:
        return (await nora.does(16, sequence=sequence["id"]))["nodes"]

    await until(lambda: _holds(errors, lambda found: len(found) == 1))
    (error,) = await errors()
    assert (error["code"], error["suggestedFix"]["targetId"]) == (
        "VARIABLE_MISSING",
        recipients["Dora"]["contact"]["id"],
    )
    assert error["recipient"] == {"id": recipients["Dora"]["id"], "status": "ERROR", "opens": "ERRORS"}
    await nora.done_to(17, contact=recipients["Dora"]["contact"]["id"], recipient=recipients["Dora"]["id"])
    await until(lambda: arrived("Dora", 2))

    async def call() -> Any:
        found = await nora.ask("query ($id: ID!) { node(id: $id) { ... on Recipient { opens pendingAction { id } } } }",
                               id=recipients["Ann"]["id"])  # fmt: skip
        return found["node"]

    await until(lambda: _holds(call, lambda found: found["opens"] == "TASK"))
    spoken = await nora.done_to(18, id=(await call())["pendingAction"]["id"])
    assert spoken["recipient"] == {"status": "COMPLETED", "endReason": "COMPLETED"}
    assert spoken["pendingAction"]["closedBy"] == {"name": "Nora's screen"}

    skipped = await nora.done_to(19, id=waiting["Cem"]["id"])
    assert skipped["pendingAction"] == {"outcome": "SKIPPED"}
    stopped = await nora.done_to(20, id=recipients["Eve"]["id"])
    assert (stopped["recipient"]["status"], stopped["recipient"]["pendingAction"]) == ("STOPPED", None)
    assert await _outcome(nora, waiting["Eve"]["id"], "STOPPED")
    assert await arrived("Eve", 0)


async def _holds(read: Any, fact: Any) -> bool:
    return bool(fact(await read()))


async def _outcome(nora: Recruiter, pending: str, outcome: str) -> bool:
    found = await nora.ask("query ($id: ID!) { node(id: $id) { ... on PendingAction { outcome } } }", id=pending)
    return bool(found["node"]["outcome"] == outcome)
