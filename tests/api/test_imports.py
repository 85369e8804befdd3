"""Files uploaded and imported through the API, and the same for all contacts whom a filter keeps."""

import asyncio
import csv
import io
from typing import Any

import httpx

from domain import authoring, bulk, contacts, keys
from domain.contacts import ContactFields
from domain.import_files import BYTES_AT_MOST
from domain.plans import SequenceSettings
from domain.rules.access import Scope
from domain.rules.ids import Prefix, to_public
from tests.api.conftest import PATIENCE_SECONDS, Api, seq
from tests.world import IN_AN_HOUR, email

OPERATION = """
    id kind action status matched done changed unchanged refused summary fileName sequence { id }
    importCounts { created updated enrolled alreadyEnrolled notEnrolled }
    refusals { nodes { line code message recipientId contactId contact { email } } }
"""
FILE = "Work Mail;First Name;Score\nann@a.test;Ann;7\nbo@a.test;Bo;8\nANN@a.test;Twin;9\n=x;Bad;1;too;many\n"


async def upload(api: Api, content: str | bytes, secret: str | None = None, key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {secret or api.key.secret}", "content-type": "text/csv"}
    if key is not None:
        headers["idempotency-key"] = key
    return await api.http.post("/imports", params={"name": "people.csv"}, content=content, headers=headers)


async def head_of_answer(api: Api, header: str) -> str:
    """The first line that is answered to an upload whose body never comes."""
    reader, writer = await asyncio.open_connection(*api.url.removeprefix("http://").split(":"))
    asked = f"POST /imports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api.key.secret}\r\n{header}\r\n\r\n"
    writer.write(asked.encode())
    line = await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)
    writer.close()
    return line.decode()


async def shown(api: Api, id: str) -> dict[str, Any]:
    for _ in range(20):
        if not await bulk.go_on():
            break
    asked = f"query ($id: ID!) {{ node(id: $id) {{ ... on BulkOperation {{ {OPERATION} }} }} }}"
    found: dict[str, Any] = (await api.ask(asked, {"id": id}))["node"]
    return found


async def ordered(api: Api, mutation: str, input: dict[str, Any]) -> dict[str, Any]:
    made = await api.change(mutation, input, "bulkOperation { id }")
    assert made["errors"] == [], made
    return await shown(api, made["bulkOperation"]["id"])


async def test_a_file_is_uploaded_once_tried_dry_imported_and_its_refused_rows_downloaded(api: Api) -> None:
    world = await api.world(steps=[email(wait=IN_AN_HOUR)], people=1)
    first = await upload(api, FILE, key="once")
    again = await upload(api, FILE, key="once")
    assert (first.status_code, first.json()["fileId"]) == (201, again.json()["fileId"])
    other = await upload(api, FILE + "\n", key="once")
    assert (other.status_code, other.json()["errors"][0]["extensions"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    told = first.json()
    assert told["columns"] == [
        {"name": "Work Mail", "meaning": "CUSTOM_FIELD", "fieldName": "Work Mail"},
        {"name": "First Name", "meaning": "FIRST_NAME", "fieldName": None},
        {"name": "Score", "meaning": "CUSTOM_FIELD", "fieldName": "Score"},
    ]
    assert "No column is called email" in told["problem"]
    order = {"fileId": told["fileId"], "enroll": {"sequenceId": seq(world.sequence_id)}}
    refused = await api.change("contactsImport", order, "bulkOperation { id }")
    assert (refused["errors"][0]["code"], refused["errors"][0]["field"]) == ("INVALID", ["columns"])
    order["columns"] = [
        {"name": "Work Mail", "meaning": "EMAIL"},
        {"name": "Score", "meaning": "CUSTOM_FIELD", "fieldName": "score"},
    ]
    tried = await ordered(api, "contactsImport", {**order, "dryRun": True})
    assert (await api.ask('{ contacts(filter: { search: "ann" }) { totalCount } }'))["contacts"]["totalCount"] == 0
    done = await ordered(api, "contactsImport", order)
    assert done["importCounts"] == tried["importCounts"]
    assert done["importCounts"] == {
        "created": 2,
        "updated": 0,
        "enrolled": 2,
        "alreadyEnrolled": 0,
        "notEnrolled": 0,
    }
    assert (done["kind"], done["action"], done["fileName"]) == ("IMPORT", None, "people.csv")
    assert done["sequence"] == {"id": seq(world.sequence_id)}
    assert done["summary"] == "Imported 2, refused 2: 1 stands there before, 1 has a mistake."
    assert [(one["line"], one["code"]) for one in done["refusals"]["nodes"]] == [
        (4, "DUPLICATE_IN_BATCH"),
        (5, "INVALID"),
    ]
    headers = {"authorization": f"Bearer {api.key.secret}"}
    answer = await api.http.get("/exports/refusals.csv", params={"operation": done["id"]}, headers=headers)
    assert answer.status_code == 200, answer.text
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == ["Work Mail", "First Name", "Score", "relance_line", "relance_code", "relance_reason"]
    assert rows[1][:5] == ["ANN@a.test", "Twin", "9", "4", "DUPLICATE_IN_BATCH"]
    assert (rows[2][:5], rows[2][6:]) == (["'=x", "Bad", "1", "5", "INVALID"], ["too", "many"])
    corrected = answer.text.replace("ANN@a.test", "cy@a.test").replace("'=x", "di@a.test").replace(",too,many", "")
    more = {**order, "fileId": (await upload(api, corrected)).json()["fileId"]}
    assert (await ordered(api, "contactsImport", more))["importCounts"]["created"] == 2
    people = (await api.ask('{ contacts(filter: { search: "twin" }) { nodes { email fields } } }'))["contacts"]["nodes"]
    assert people == [{"email": "cy@a.test", "fields": {"score": "9"}}]


async def test_what_is_no_file_of_contacts_or_may_not_be_uploaded_is_refused_with_a_code(api: Api) -> None:
    reader = await keys.create(api.workspace_id, "reader", scopes=[Scope.READ])
    importer = await keys.create(api.workspace_id, "importer", scopes=[Scope.CONTACTS_WRITE])
    assert "413" in await head_of_answer(api, f"content-length: {BYTES_AT_MOST + 1}")
    for status, reason, answer in (
        (400, "INVALID", await upload(api, b"PK\x03\x04 a workbook")),
        (400, "INVALID", await upload(api, b"")),
        (403, None, await upload(api, FILE, reader.secret)),
        (401, None, await upload(api, FILE, "wrong")),
    ):
        assert answer.status_code == status, answer.text
        assert answer.json()["errors"][0]["extensions"].get("reason") == reason
    file_id = (await upload(api, FILE.replace("Work Mail", "email"), importer.secret)).json()["fileId"]
    world = await api.world(steps=[email(wait=IN_AN_HOUR)], people=0)
    asked = "mutation ($input: ContactsImportInput!) { contactsImport(input: $input) { bulkOperation { id } } }"
    order = {"fileId": file_id, "enroll": {"sequenceId": seq(world.sequence_id)}}
    response = await api.http.post(
        "/graphql",
        json={"query": asked, "variables": {"input": order}},
        headers={"authorization": f"Bearer {importer.secret}"},
    )
    assert response.json()["errors"][0]["extensions"]["requiredScopes"] == ["recipients:write"]
    theirs = await keys.create(await keys.create_workspace("Theirs"), "theirs")
    response = await api.http.post(
        "/graphql",
        json={
            "query": asked.replace("{ bulkOperation { id }", "{ errors { code }"),
            "variables": {"input": {"fileId": file_id}},
        },
        headers={"authorization": f"Bearer {theirs.secret}"},
    )
    assert response.json()["data"]["contactsImport"]["errors"] == [{"code": "NOT_FOUND"}]


async def test_all_whom_a_filter_keeps_are_enrolled_and_suppressed_each_once(api: Api) -> None:
    first = await api.world(steps=[email(wait=IN_AN_HOUR)], people=3)
    steps, mailbox = [email(wait=IN_AN_HOUR)], [first.mailbox_id]
    second = await authoring.create(api.workspace_id, "Second", steps, settings=SequenceSettings(), mailbox_ids=mailbox)
    nameless = await contacts.upsert(
        api.workspace_id, ContactFields(values={"external_id": "x-1", "first_name": "Ned"})
    )
    into = {"enroll": {"sequenceId": seq(second)}}
    tried = await ordered(api, "bulkEnrollmentCreate", {"filter": {}, **into, "dryRun": True})
    assert tried["summary"] == "Would enrol 3, refuse 1: 1 has no address."
    of_first = {"recipients": {"sequenceId": seq(first.sequence_id)}, **into}
    assert (await ordered(api, "bulkEnrollmentCreate", of_first))["summary"] == "Enrolled 3, refused none."
    again = await ordered(api, "bulkEnrollmentCreate", {"filter": {}, **into})
    assert (again["changed"], again["unchanged"], again["refused"]) == (0, 3, 1)
    (refused,) = again["refusals"]["nodes"]
    assert (refused["contactId"], refused["code"], refused["recipientId"]) == (
        to_public(Prefix.CONTACT, nameless),
        "EMAIL_MISSING",
        None,
    )
    both = await api.change("bulkEnrollmentCreate", {"filter": {}, **of_first}, "bulkOperation { id }")
    assert both["errors"][0]["code"] == "INVALID"

    listed = {"recipients": {"sequenceId": seq(second)}, "note": "They asked us."}
    tried = await ordered(api, "bulkSuppressionCreate", {**listed, "dryRun": True})
    assert (tried["kind"], tried["summary"]) == ("SUPPRESS", "Would suppress 3, refuse none.")
    assert (await api.ask("{ suppressions { totalCount } }"))["suppressions"]["totalCount"] == 0
    assert (await ordered(api, "bulkSuppressionCreate", listed))["changed"] == 3
    assert (await ordered(api, "bulkSuppressionCreate", {"filter": {}}))["summary"] == (
        "Suppressed 1, left 3 as they are, refused none."
    )
    ledger = (await api.ask("{ suppressions { nodes { kind reason note } } }"))["suppressions"]["nodes"]
    assert ledger.count({"kind": "CONTACT", "reason": "LISTED", "note": "They asked us."}) == 3
    enrolled = await ordered(api, "bulkEnrollmentCreate", {"filter": {"search": "Person"}, **into})
    assert enrolled["refused"] + enrolled["unchanged"] == 3


async def test_no_more_exports_run_at_once_than_are_allowed(api: Api) -> None:
    (caller,) = [await api.process.keys.caller(api.key.secret)]
    headers = {"authorization": f"Bearer {api.key.secret}"}
    with api.process.exports.taken(caller), api.process.exports.taken(caller):
        assert (await api.http.get("/exports/contacts.csv", headers=headers)).status_code == 200
        with api.process.exports.taken(caller):
            answer = await api.http.get("/exports/contacts.csv", headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    told = answer.json()["errors"][0]["extensions"]
    assert (told["code"], told["limit"], told["allowed"]) == ("RATE_LIMITED", "exportsPerKey", 3)
    for _ in range(5):  # a place is given back with the answer
        assert (await api.http.get("/exports/contacts.csv", headers=headers)).status_code == 200
