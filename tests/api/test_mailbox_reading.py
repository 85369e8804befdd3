"""A mailbox that is read: its IMAP server is given, tried, and how the reading goes is told."""

from typing import Any

from domain import watching
from domain.database import fetch
from domain.rules.ids import from_public
from domain.rules.step_errors import StepErrorCode
from tests.api.conftest import Api

SELECTION = "mailbox { id state stateCode reading { readAt problemCode problemMessage } }"
READ = {"imapHost": "imap.sender.example", "imapUsername": "jobs", "imapPassword": "right"}


async def make(api: Api, **more: Any) -> dict[str, Any]:
    given = {"address": "jobs@sender.example", "smtpHost": "mail.sender.example", **more}
    made: dict[str, Any] = await api.change("mailboxCreate", given, SELECTION)
    assert made["errors"] == []
    return dict(made["mailbox"])


async def stored(id: str) -> dict[str, Any]:
    rows = await fetch("SELECT * FROM mailboxes WHERE id = $1", from_public(id)[1])
    return dict(rows[0])


async def test_a_mailbox_is_read_only_when_it_has_an_imap_server(api: Api) -> None:
    assert (await make(api))["reading"] is None
    read = await make(api, address="read@sender.example", **READ)
    assert read["reading"] == {"readAt": None, "problemCode": None, "problemMessage": None}
    row = await stored(read["id"])
    assert (row["imap_port"], row["imap_security"], row["imap_username"]) == (993, "TLS", "jobs")


async def test_one_password_is_enough_for_sending_and_reading_and_none_is_refused(api: Api) -> None:
    made = await make(api, smtpUsername="jobs", smtpPassword="right", imapHost="imap.sender.example")
    vault = api.process.vault
    row = await stored(made["id"])
    key = from_public(made["id"])[1]
    assert vault.open(bytes(row["imap_password"]), api.workspace_id, "mailboxes.imap_password", key) == "right"
    given = {"address": "b@sender.example", "smtpHost": "mail.sender.example", "imapHost": "imap.sender.example"}
    refused = await api.change("mailboxCreate", given, SELECTION)
    assert [error["field"] for error in refused["errors"]] == [["imapPassword"]]


async def test_a_new_place_to_read_from_needs_the_password_again_and_none_needs_nothing(api: Api) -> None:
    id = (await make(api, **READ))["id"]
    for change in ({"imapHost": "imap.evil.example"}, {"imapPort": 143}, {"imapUsername": "other"}):
        refused = await api.change("mailboxUpdate", {"id": id, **change}, SELECTION)
        assert [error["field"] for error in refused["errors"]] == [["imapPassword"]], change
    cleared = await api.change("mailboxUpdate", {"id": id, "imapHost": None}, SELECTION)
    assert (cleared["errors"], cleared["mailbox"]["reading"]) == ([], None)
    assert (await stored(id))["imap_password"] is None


async def test_connecting_says_which_of_the_two_sign_ins_failed_and_why(api: Api) -> None:
    id = (await make(api, smtpPassword="right", **READ | {"imapPassword": "wrong"}))["id"]
    refused = await api.change("mailboxConnect", {"id": id}, SELECTION)
    (error,) = refused["errors"]
    assert error["code"] == "MAILBOX_NOT_CONNECTED"
    assert error["message"].startswith("Signing in for reading mail failed.")
    assert "535 Authentication failed" in error["message"]
    assert (await stored(id))["state"] == "DISCONNECTED"
    await api.change("mailboxUpdate", {"id": id, "imapPassword": "right"}, SELECTION)
    connected = await api.change("mailboxConnect", {"id": id}, SELECTION)
    assert (connected["errors"], connected["mailbox"]["state"]) == ([], "CONNECTED")


async def test_what_keeps_a_mailbox_from_being_read_is_told_until_it_is_read_again(api: Api) -> None:
    id = (await make(api, **READ))["id"]
    (watch,) = [one for one in await watching.take(1_000) if one.workspace_id == api.workspace_id]
    await watching.found_failing(watch, StepErrorCode.MAILBOX_SERVER_UNREACHABLE, "connection refused")
    asked = (
        "query ($id: ID!) { node(id: $id) { ... on Mailbox { state reading { readAt problemCode problemMessage } } } }"
    )
    told = (await api.ask(asked, {"id": id}))["node"]
    assert told["state"] == "CONNECTED"
    assert told["reading"]["problemCode"] == "MAILBOX_SERVER_UNREACHABLE"
    assert "connection refused" in told["reading"]["problemMessage"]
    await watching.found_well(watch)
    told = (await api.ask(asked, {"id": id}))["node"]
    assert told["reading"]["readAt"] is not None
    assert told["reading"]["problemCode"] is None
