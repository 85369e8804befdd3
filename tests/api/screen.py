"""A screen that shows everything of a workspace: what it has read once, and then only what events told it.

What it shows of a thing is made by introspection: each field of its own, the objects in it that have no id, and the ids
of those that have one. So a new field is held to its events from the day it is there.

Source: reliability.md R13.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    is_leaf_type,
)

from api.schema import schema
from domain import contacts, feed, workspace_feed
from domain.contacts import ContactFields
from domain.database import fetch
from domain.rules.ids import Prefix, from_public, to_public
from tests.api.conftest import PATIENCE_SECONDS, Api, Socket

# The lists of a workspace, and what is in them.
LISTS: Final = {
    "recipients": "Recipient",
    "sequences": "Sequence",
    "mailboxes": "Mailbox",
    "contacts": "Contact",
    "pendingActions": "PendingAction",
    "bulkOperations": "BulkOperation",
    "suppressions": "Suppression",
}

_BY_TIME = "computed at the moment of reading, from the clock and from what else is due"
_BY_RECIPIENTS = "counts recipients, whose own events say when to look again"
_BY_MESSAGES = "counts messages within a span of time; what is held because of them is told"

# What no event tells of, and why.
UNTOLD: Final[Mapping[str, str]] = {
    "Recipient.waitingReason": _BY_TIME,
    "Recipient.nextAttemptAt": _BY_TIME,
    "Recipient.schedule": _BY_TIME,
    "RecipientStep.plannedFor": _BY_TIME,
    "Mailbox.limitNow": _BY_TIME,
    "Mailbox.sentLast24Hours": _BY_TIME,
    "Mailbox.waitingRecipients": _BY_RECIPIENTS,
    "MailboxReading.readAt": _BY_TIME,
    "Guardrail.sent": _BY_MESSAGES,
    "Guardrail.bounced": _BY_MESSAGES,
    "Guardrail.complained": _BY_MESSAGES,
    "Guardrail.bouncePercent": _BY_MESSAGES,
    "Guardrail.complaintPercent": _BY_MESSAGES,
    "Guardrail.limits": "those of the workspace, where it has none of its own: `ownLimits` is told",
    "Sequence.statusCounts": _BY_RECIPIENTS,
    "Sequence.stageCounts": _BY_RECIPIENTS,
}


def shown(type_name: str) -> str:
    """Return the selection of all that is told of one thing."""
    return f"{{ {' '.join(_fields(type_name, frozenset()))} }}"


def _fields(type_name: str, above: frozenset[str]) -> Iterator[str]:
    type_ = schema._schema.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    for name, one in type_.fields.items():
        inner = get_named_type(one.type)
        needs = any(isinstance(a.type, GraphQLNonNull) and a.default_value is Undefined for a in one.args.values())
        if needs or f"{type_name}.{name}" in UNTOLD or inner.name in above or inner.name.endswith("Connection"):
            continue
        if is_leaf_type(inner):
            yield name
        elif "id" in inner.fields:
            yield f"{name} {{ id }}"
        else:
            yield f"{name} {{ {' '.join(_fields(inner.name, above | {type_name}))} }}"


_RECIPIENT_EVENTS: Final = f"""subscription ($after: String) {{ recipientEvents(after: $after) {{
    type recipientId version previousStatus status endReason recipient {shown("Recipient")}
    now: recipient {{ contact {{ id emailState }} }} }} }}"""
_EVERYTHING: Final = (
    "query Everything {"
    + " ".join(
        f"{name}(first: 60) {{ nodes {shown(type_name)} pageInfo {{ hasNextPage }} }}"
        for name, type_name in LISTS.items()
    )
    + "}"
)
_WORKSPACE_EVENTS: Final = "subscription ($after: String) { workspaceEvents(after: $after) { type subjectId } }"
_SUBJECTS: Final = {
    Prefix.SEQUENCE: "sequences",
    Prefix.MAILBOX: "mailboxes",
    Prefix.CONTACT: "contacts",
    Prefix.PENDING_ACTION: "pendingActions",
    Prefix.BULK_OPERATION: "bulkOperations",
    Prefix.SUPPRESSION: "suppressions",
}
_TEXTS: Final = ("subject", "body", "taskTitle", "taskNotes")
_WAITS: Final = ("SCHEDULED", "IN_PROGRESS")
_END: Final = "the-end@screen.example"  # a contact that is made last

Rows = dict[str, dict[str, Any]]


async def fresh(api: Api) -> Rows:
    """Return everything of the workspace as it is now, by its id."""
    found: Rows = {}
    for name, page in (await api.ask(_EVERYTHING)).items():
        assert not page["pageInfo"]["hasNextPage"], f"more {name} than this screen shows"
        found |= {row["id"]: _own(row) for row in page["nodes"]}
    return found


def _own(row: dict[str, Any]) -> dict[str, Any]:
    """Take out what of a recipient is not its own: the texts of steps that are those of the sequence, which change with
    it, and the sentence about a wait, which is the words of `waitingReason`."""
    for step in row.get("steps", ()):
        if step.get("edited") is False:
            for name in _TEXTS:
                del step[name]
    if row.get("status") in _WAITS:
        row.pop("statusMessage", None)
    return row


@dataclass
class Screen:
    """What is shown, and what was told so far."""

    api: Api
    rows: Rows
    recipients_after: str
    workspace_after: str
    told: list[str] = field(default_factory=list)

    @classmethod
    async def of(cls, api: Api) -> "Screen":
        """Read everything, each cursor before what it is for."""
        await _number_all(api)
        recipients_after = (await api.ask("{ recipients(first: 1) { eventsCursor } }"))["recipients"]["eventsCursor"]
        workspace_after = (await workspace_feed.after(api.workspace_id, None)).cursor
        return cls(api, await fresh(api), recipients_after, workspace_after)

    async def follow(self) -> list[str]:
        """Take in all events until now, and nothing else. Return what is wrong with them."""
        await _number_all(self.api)
        head = (await feed.state(self.api.workspace_id)).cursor
        wrong: list[str] = []
        end = await contacts.upsert(self.api.workspace_id, ContactFields(values={"email": _END}))
        if head != self.recipients_after:
            async with self.api.socket() as socket:
                await socket.start(_RECIPIENT_EVENTS, {"after": self.recipients_after})
                wrong += await self._recipients(socket, head)
        async with self.api.socket() as socket:
            await socket.start(_WORKSPACE_EVENTS, {"after": self.workspace_after})
            await self._others(socket, to_public(Prefix.CONTACT, end))
        return wrong

    async def _recipients(self, socket: Socket, head: str) -> list[str]:
        wrong, last = [], {}
        while (message := await socket.any_message())["type"] != "ping" or message["payload"]["cursor"] != head:
            if message["type"] == "ping":
                continue
            assert message["type"] == "next", message
            event = message["payload"]["data"]["recipientEvents"]
            id, before = event["recipientId"], self.rows.get(event["recipientId"])
            version, status = last.get(id) or ((before["version"], before["status"]) if before else (0, None))
            if event["version"] != version + 1 or event["previousStatus"] != status:
                wrong.append(f"{event} follows on version {version}, {status}")
            last[id] = event["version"], event["status"]
            self._show(id, event["recipient"])
            if event["now"]:  # what was delivered, or not, is known of the person too
                self._update(event["now"]["contact"])
            self.told.append(event["type"])
        for id, (version, status) in last.items():
            now = self.rows.get(id)
            if (now is None and status is not None) or (now and (now["version"], now["status"]) != (version, status)):
                wrong.append(f"{id} is told to be {status} with version {version}, and is {now}")
        return wrong

    async def _others(self, socket: Socket, end: str) -> None:
        seen = False
        while not seen:
            message = await socket.message()
            assert message["type"] == "next", message
            event = message["payload"]["data"]["workspaceEvents"]
            id = event["subjectId"]
            name = _SUBJECTS[from_public(id)[0]]
            query = f"query ($id: ID!) {{ node(id: $id) {{ ... on {LISTS[name]} {shown(LISTS[name])} }} }}"
            self._show(id, (await self.api.ask(query, {"id": id}))["node"])
            if name == "suppressions":  # whom it is about is found by asking for those that are shown
                for contact in (await self.api.ask("{ contacts(first: 60) { nodes { id suppressed } } }"))["contacts"][
                    "nodes"
                ]:
                    self._update(contact)
            self.told.append(event["type"])
            seen = id == end

    def _update(self, part: dict[str, Any]) -> None:
        self.rows.get(part["id"], {}).update(part)

    def _show(self, id: str, row: dict[str, Any] | None) -> None:
        if row is None or row.get("closedAt") or row.get("liftedAt"):  # those lists show what is open
            self.rows.pop(id, None)
        else:
            self.rows[id] = _own(row)

    async def differences(self) -> list[str]:
        """Return what a fresh query shows otherwise."""
        now = await fresh(self.api)
        found = []
        for id in sorted(now.keys() | self.rows.keys()):
            here, there = self.rows.get(id), now.get(id)
            if here is None or there is None:
                found.append(f"{id} is {'missing' if here is None else 'still shown'}")
            else:
                found += [
                    f"{id}.{name}: {here[name]} for {value}" for name, value in there.items() if here[name] != value
                ]
        return found


async def _number_all(api: Api) -> None:
    """Wait until each event of the workspace has its number, whoever gives it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await fetch("SELECT 1 FROM events WHERE workspace_id = $1 AND seq IS NULL LIMIT 1", api.workspace_id):
            await feed.number()
