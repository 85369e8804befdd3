"""docs/recruiter-day.md, lived through: each document is sent over HTTP to an API, with a worker, a mail
server and a provider of text messages."""

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
from tests.workers.twilio_server import NUMBER, SID, TOKEN, Provider, providing

DAY = Path(__file__).parents[2] / "docs" / "recruiter-day.md"
PHONES = {name: f"+4917012345{n:02}" for n, name in enumerate(("Ann", "Ben", "Cem", "Dora", "Eve"), start=60)}


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

    async def does(self, number: int, /, **variables: Any) -> Any:
        """Send the document of a chapter; return what its first field answers."""
        self.done.append(number)
        answer = await self.ask(self._operations[number], **variables)
        return next(iter(answer.values()))

    async def done_to(self, number: int, /, **variables: Any) -> Any:
        """The same, and nothing may have been refused."""
        payload = await self.does(number, **variables)
        assert payload["errors"] == [], payload
        return payload


def test_the_day_has_thirty_numbered_operations() -> None:
    assert list(operations()) == list(range(1, 31))


async def test_the_whole_day(settings: Settings, open_database: str, catcher: RunningCatcher) -> None:
    workspace_id = await keys.create_workspace("Acme")
    key = await keys.create(workspace_id, "Nora's screen")
    kim = await users.create(workspace_id, "Kim")
    async with (
        providing() as provider,
        working(settings),
        serving(settings) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.config.port}", timeout=20) as http,
    ):
        nora = Recruiter(http, key)
        await _Day(nora, catcher, provider).live(to_public(Prefix.USER, kim.id))
    assert sorted(set(nora.done)) == list(range(1, 31))


class _Day:
    def __init__(self, nora: Recruiter, catcher: RunningCatcher, provider: Provider) -> None:
        self.nora, self.catcher, self.provider = nora, catcher, provider
        self.sequence = ""
        self.steps: list[dict[str, str]] = []
        self.recipients: dict[str, Any] = {}

    async def live(self, kim: str) -> None:
        await self.prepare()
        await self.look_before_it_starts()
        await self.start()
        await self.write_to_people(kim)
        await self.hold_and_change()
        await self.mend_and_go_on()
        await self.account_for_it()

    async def prepare(self) -> None:
        server = {"smtpHost": "127.0.0.1", "smtpPort": self.catcher.smtp_port, "smtpSecurity": "NONE"}
        given = {"address": "nora@acme.example", "displayName": "Nora", "minimumGapSeconds": 0, **server}
        mailbox = (await self.nora.done_to(1, input=given))["mailbox"]
        account = {"accountSid": SID, "authToken": TOKEN, "apiUrl": self.provider.url, "minimumGapSeconds": 0}
        number = (await self.nora.done_to(2, input={"number": NUMBER, **account}))["mailbox"]
        assert (number["channel"], number["address"]) == ("SMS", NUMBER)
        sequence = (await self.nora.done_to(3, mailbox=mailbox["id"], number=number["id"]))["sequence"]
        assert sequence["status"] == "DRAFT"
        self.sequence, self.steps = sequence["id"], sequence["steps"]
        self.recipients |= await self.enrol(4, ["Ann", "Ben"])

    async def enrol(self, number: int, names: list[str]) -> dict[str, Any]:
        contacts = [
            {"email": f"{name}@people.example", "firstName": name}
            | ({} if name == "Dora" else {"company": "X"})
            | ({} if name == "Ann" else {"phone": PHONES[name]})
            for name in names
        ]
        enrolled = await self.nora.done_to(
            number, sequence=self.sequence, contacts=[{"contact": one} for one in contacts]
        )
        assert (enrolled["succeeded"], enrolled["failed"]) == (len(names), 0)
        return {name: result["recipient"] for name, result in zip(names, enrolled["results"], strict=True)}

    async def look_before_it_starts(self) -> None:
        ann = self.recipients["Ann"]
        said = await self.nora.does(5, step=self.steps[1]["id"], recipient=ann["id"])
        assert (said["text"].strip(), said["errors"]) == ("Ann, is X still the right place?", [])
        assert {"name": "company", "value": "X"} in said["variables"]

        foreseen = (await self.nora.does(6, sequence=self.sequence))["steps"]
        assert [one["step"]["kind"] for one in foreseen] == ["MANUAL_EMAIL", "AUTOMATED_EMAIL", "SMS", "TASK"]
        times = [datetime.fromisoformat(one["expectedAt"] or one["waitEndsAt"]) for one in foreseen]
        assert times == sorted(times)

        found = await self.nora.does(7, sequence=self.sequence)
        assert (found["canActivate"], found["checkedRecipients"]) == (True, 2)
        (cause,) = found["causes"]
        assert (cause["code"], cause["count"]) == ("PHONE_MISSING", 1)
        assert [one["recipient"]["contact"] for one in found["recipients"]["nodes"]] == [{"firstName": "Ann"}]
        await self.nora.done_to(8, contact=ann["contact"]["id"], phone=PHONES["Ann"])
        assert (await self.nora.does(7, sequence=self.sequence))["causes"] == []

        step = self.steps[0]["id"]
        trial = await self.nora.done_to(9, step=step, recipient=ann["id"], to="nora.private@acme.example")
        tried = trial["testEmail"]["id"]
        await until(lambda: self.shows("TestEmail", tried, "state", "SENT"))
        assert self.subjects("nora.private@acme.example") == ["[Test] A role for you, Ann"]

    async def start(self) -> None:
        assert (await self.nora.done_to(10, id=self.sequence))["sequence"] == {"status": "ACTIVE"}
        self.recipients |= await self.enrol(11, ["Cem", "Dora", "Eve"])
        await until(lambda: _holds(self.inbox, lambda found: found["totalCount"] == 5))
        self.waiting = {node["recipient"]["contact"]["firstName"]: node for node in (await self.inbox())["nodes"]}

    async def write_to_people(self, kim: str) -> None:
        nora, waiting = self.nora, self.waiting
        assert waiting["Ann"]["subject"] == "A role for you, Ann"
        assert waiting["Ann"]["availableActions"] == ["SEND_NOW", "SCHEDULE", "SKIP"]
        shown = waiting["Ann"]["recipient"]
        assert (shown["status"], shown["opens"]) == ("PENDING_ACTION", "EMAIL")

        given = await nora.done_to(13, id=waiting["Eve"]["id"], colleague=kim)
        assert given["pendingAction"] == {"assignee": {"id": kim, "name": "Kim"}}

        sent = await nora.done_to(14, id=waiting["Ann"]["id"])
        assert sent["pendingAction"]["outcome"] in (None, "SENT")  # a worker may have been faster than the answer
        await until(lambda: self.got("Ann", 2))
        (refusal,) = (await nora.does(14, id=waiting["Ann"]["id"]))["errors"]
        assert refusal["code"] == "PENDING_ACTION_NOT_AVAILABLE"
        await until(lambda: self.shows("PendingAction", waiting["Ann"]["id"], "outcome", "SENT"))

        await nora.done_to(15, id=waiting["Ben"]["id"], version=waiting["Ben"]["version"])
        await until(lambda: self.got("Ben", 2))
        assert self.subjects("Ben@people.example") == ["Re: Your talk in Leipzig", "Your talk in Leipzig"]

        at = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
        chosen = await nora.done_to(16, id=waiting["Cem"]["id"], at=at.isoformat())
        assert chosen["recipient"]["status"] == "IN_PROGRESS"
        assert chosen["recipient"]["waitingReason"] == "SEND_SCHEDULED"
        assert datetime.fromisoformat(chosen["recipient"]["nextAttemptAt"]) == at
        assert chosen["pendingAction"]["availableActions"] == ["SEND_NOW", "SCHEDULE", "CANCEL_SCHEDULE", "SKIP"]
        back = await nora.done_to(17, id=waiting["Cem"]["id"])
        assert back["recipient"] == {"status": "PENDING_ACTION", "waitingReason": None}
        assert back["pendingAction"]["scheduledFor"] is None

        edited = await nora.done_to(18, id=self.recipients["Cem"]["id"], step=self.steps[0]["id"])
        assert edited["recipient"]["pendingAction"]["body"] == "<p>Cem, one question.</p>"
        assert edited["recipient"]["steps"][0] == {"edited": True}

    async def hold_and_change(self) -> None:
        nora, eve = self.nora, self.recipients["Eve"]["id"]
        held = await nora.done_to(19, id=eve)
        assert (held["recipient"]["status"], held["recipient"]["pausedBy"]) == ("PAUSED", "RECIPIENT")
        assert held["recipient"]["pendingAction"] == {"availableActions": []}
        assert (await nora.done_to(20, id=eve))["recipient"]["status"] == "PENDING_ACTION"

        for name in ("Ann", "Ben"):  # the follow-up and the text message have gone out by themselves
            await until(lambda name=name: self.shows("Recipient", self.recipients[name]["id"], "opens", "TASK"))  # type: ignore[misc]
        texts = {one["To"]: one["Body"] for one in self.provider.taken}
        assert texts == {PHONES[name]: f"{name}, may I call you about the role? Nora" for name in ("Ann", "Ben")}

        paused = await nora.done_to(21, id=self.sequence)
        assert paused["sequence"] == {"status": "PAUSED"}
        assert [node["availableActions"] for node in (await self.inbox())["nodes"]] == [[], [], []]
        assert (await nora.done_to(22, id=self.sequence))["sequence"] == {"status": "ACTIVE"}

        change = {"step": self.steps[2]["id"], "body": "{{ first_name }}, a word about the role? Nora"}
        tried = await nora.done_to(23, **change, dryRun=True)
        assert {one["effect"]: one["count"] for one in tried["effects"]} == {"NEW_CONTENT": 3, "PASSED": 2}
        await nora.done_to(23, **change, dryRun=False)

    async def mend_and_go_on(self) -> None:
        nora, dora = self.nora, self.recipients["Dora"]
        await nora.done_to(14, id=self.waiting["Dora"]["id"])

        async def errors() -> Any:
            return (await nora.does(24, sequence=self.sequence))["nodes"]

        await until(lambda: _holds(errors, lambda found: len(found) == 1))
        (error,) = await errors()
        assert (error["code"], error["suggestedFix"]["targetId"]) == ("VARIABLE_MISSING", dora["contact"]["id"])
        assert error["recipient"] == {"id": dora["id"], "status": "ERROR", "opens": "ERRORS"}
        await nora.done_to(25, contact=dora["contact"]["id"], recipient=dora["id"])
        await until(lambda: self.got("Dora", 2))
        await until(lambda: self.shows("Recipient", dora["id"], "opens", "TASK"))
        assert self.provider.taken[-1]["Body"] == "Dora, a word about the role? Nora"

        document = "query ($id: ID!) { node(id: $id) { ... on Recipient { pendingAction { id } } } }"
        call = await nora.ask(document, id=self.recipients["Ann"]["id"])
        spoken = await nora.done_to(26, id=call["node"]["pendingAction"]["id"])
        assert spoken["recipient"] == {"status": "COMPLETED", "endReason": "COMPLETED"}
        assert spoken["pendingAction"]["closedBy"] == {"name": "Nora's screen"}

        skipped = await nora.done_to(27, id=self.waiting["Cem"]["id"])
        assert skipped["pendingAction"] == {"outcome": "SKIPPED"}
        stopped = await nora.done_to(28, id=self.recipients["Eve"]["id"])
        assert (stopped["recipient"]["status"], stopped["recipient"]["pendingAction"]) == ("STOPPED", None)
        assert await self.shows("PendingAction", self.waiting["Eve"]["id"], "outcome", "STOPPED")
        assert await self.got("Eve", 0)
        await until(lambda: _holds(errors, lambda found: len(found) == 1))
        assert (await errors())[0]["code"] == "THREAD_PARENT_MISSING"

    async def account_for_it(self) -> None:
        async def report() -> Any:
            return await self.nora.does(29, sequence=self.sequence)

        def is_told(found: Any) -> bool:
            counts = {one["status"]: one["figure"]["count"] for one in found["statuses"] if one["figure"]["count"]}
            return counts == {"COMPLETED": 1, "STOPPED": 1, "PENDING_ACTION": 2, "ERROR": 1}

        await until(lambda: _holds(report, is_told))
        found = await report()
        steps = {one["step"]["kind"]: one for one in found["steps"]}
        sent = {kind: one["sent"]["count"] for kind, one in steps.items()}
        assert sent == {"MANUAL_EMAIL": 3, "AUTOMATED_EMAIL": 3, "SMS": 3, "TASK": 1}
        assert (steps["MANUAL_EMAIL"]["skipped"]["count"], steps["TASK"]["waiting"]["count"]) == (1, 2)
        listed = await self.nora.does(30, filter=steps["SMS"]["sent"]["filter"])
        assert listed["totalCount"] == 3
        assert {node["contact"]["firstName"] for node in listed["nodes"]} == {"Ann", "Ben", "Dora"}

    async def inbox(self) -> Any:
        return await self.nora.does(12, sequence=self.sequence)

    async def got(self, name: str, count: int) -> bool:
        return len(self.catcher.catcher.page(to=f"{name}@people.example").mails) == count

    def subjects(self, address: str) -> list[str]:
        mails = self.catcher.catcher.page(to=address).mails
        return sorted(str(message_from_bytes(mail.raw, policy=default)["Subject"]) for mail in mails)

    async def shows(self, kind: str, id: str, name: str, value: str) -> bool:
        found = await self.nora.ask(f"query ($id: ID!) {{ node(id: $id) {{ ... on {kind} {{ {name} }} }} }}", id=id)
        return bool(found["node"][name] == value)


async def _holds(read: Any, fact: Any) -> bool:
    return bool(fact(await read()))
