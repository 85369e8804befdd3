"""Contacts and recipients downloaded as CSV: what a filter keeps, of this workspace alone, safe in a spreadsheet."""

import csv
import io
import json
from typing import Any

from domain import contacts, keys
from domain.contacts import ContactFields
from domain.rules.access import Scope
from domain.rules.contact_csv import ContactRow, read_contacts
from tests.api.conftest import Api, seq
from tests.world import IN_AN_HOUR, email


async def fetched(api: Api, name: str, filter: Any = None, secret: str | None = None) -> Any:
    parameters = {} if filter is None else {"filter": json.dumps(filter)}
    headers = {"authorization": f"Bearer {secret or api.key.secret}"}
    return await api.http.get(f"/exports/{name}", params=parameters, headers=headers)


def rows_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_contacts_are_exported_as_an_import_reads_them_and_no_cell_is_a_formula(api: Api) -> None:
    for number in range(205):  # more than one page
        values = {"email": f"p{number}@people.example", "first_name": "Zoë", "phone": "+33612345678"}
        custom = {"motto": "=cmd|' /C calc'!A0", "score": number} if number == 7 else None
        await contacts.upsert(api.workspace_id, ContactFields(values=values, custom=custom))
    answer = await fetched(api, "contacts.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="contacts.csv"' in answer.headers["content-disposition"]
    rows = {row["email"]: row for row in rows_of(answer)}
    assert len(rows) == 205
    assert rows["p7@people.example"]["motto"] == "'=cmd|' /C calc'!A0"
    assert (rows["p7@people.example"]["score"], rows["p8@people.example"]["score"]) == ("7", "")
    assert rows["p8@people.example"]["phone"] == "+33612345678"
    read = list(read_contacts(io.BytesIO(answer.content)))
    assert len(read) == 205
    assert all(isinstance(row, ContactRow) and row.first_name == "Zoë" for row in read)
    found = rows_of(await fetched(api, "contacts.csv", {"email": "P9@people.example"}))
    assert [row["email"] for row in found] == ["p9@people.example"]
    actions = (await api.ask("{ auditTrail(first: 2) { nodes { action } } }"))["auditTrail"]["nodes"]
    assert actions == [{"action": "contactsExport"}, {"action": "contactsExport"}]


async def test_recipients_are_exported_by_the_filter_of_their_list_and_another_workspace_sees_none(api: Api) -> None:
    world = await api.world(steps=[email(wait=IN_AN_HOUR)], people=3)
    listed = await api.ask("{ recipients { nodes { id status statusMessage contact { id email } } } }")
    rows = rows_of(await fetched(api, "recipients.csv", {"sequenceId": seq(world.sequence_id)}))
    assert [(row["id"], row["status"], row["contact_id"], row["email"]) for row in rows] == [
        (node["id"], node["status"], node["contact"]["id"], node["contact"]["email"])
        for node in listed["recipients"]["nodes"]
    ]
    assert rows[0]["status_message"] == listed["recipients"]["nodes"][0]["statusMessage"]
    assert rows_of(await fetched(api, "recipients.csv", {"status": {"eq": "PAUSED"}})) == []
    theirs = await keys.create(await keys.create_workspace("Theirs"), "theirs")
    assert rows_of(await fetched(api, "recipients.csv", {"sequenceId": seq(world.sequence_id)}, theirs.secret)) == []
    assert rows_of(await fetched(api, "contacts.csv", None, theirs.secret)) == []


async def test_what_cannot_be_exported_is_refused_with_a_code_before_the_file_begins(api: Api) -> None:
    cases: list[tuple[int, str, Any]] = [
        (404, "BAD_USER_INPUT", await fetched(api, "mailboxes.csv")),
        (400, "BAD_USER_INPUT", await fetched(api, "recipients.csv", {"status": {"eq": "LOST"}})),
        (400, "BAD_USER_INPUT", await fetched(api, "recipients.csv", {"search": "x" * 101})),
        (401, "UNAUTHENTICATED", await fetched(api, "contacts.csv", None, "wrong")),
    ]
    writer = await keys.create(api.workspace_id, "writer", scopes=[Scope.CONTACTS_WRITE])
    cases.append((403, "FORBIDDEN", await fetched(api, "contacts.csv", None, writer.secret)))
    for status, code, answer in cases:
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code), answer.text
