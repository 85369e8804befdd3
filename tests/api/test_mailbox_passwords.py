"""A stored password goes only where whoever gave it said it should go."""

from typing import Any

import pytest

from domain.secrets import Vault
from tests.api.conftest import Api

SELECTION = "mailbox { id }"


async def make(api: Api, **more: Any) -> str:
    given = {"address": "jobs@sender.example", "smtpHost": "mail.sender.example", "smtpUsername": "jobs", **more}
    id: str = (await api.change("mailboxCreate", given, SELECTION))["mailbox"]["id"]
    return id


@pytest.mark.parametrize(
    "change",
    [
        {"smtpHost": "mail.evil.example"},
        {"smtpPort": 2525},
        {"smtpSecurity": "NONE"},
        {"smtpUsername": "other"},
        {"smtpUsername": None},
        {"smtpHost": "mail.evil.example", "dailyLimit": 5},
    ],
)
async def test_a_new_place_to_sign_in_needs_the_password_again(api: Api, change: dict[str, Any]) -> None:
    id = await make(api, smtpPassword="right")
    refused = await api.change("mailboxUpdate", {"id": id, **change}, SELECTION)
    (error,) = refused["errors"]
    assert (refused["mailbox"], error["code"], error["field"]) == (None, "INVALID", ["smtpPassword"])
    for password in ("again", None):
        taken = await api.change("mailboxUpdate", {"id": id, **change, "smtpPassword": password}, SELECTION)
        assert (taken["errors"], taken["mailbox"]) == ([], {"id": id})


async def test_what_stays_as_it_is_and_what_has_no_password_needs_none(api: Api) -> None:
    id = await make(api, smtpPassword="right")
    same = {"smtpHost": "mail.sender.example", "smtpPort": 587, "smtpSecurity": "STARTTLS", "smtpUsername": "jobs"}
    for change in (same, {"dailyLimit": 7}, {"smtpHost": None}):
        assert (await api.change("mailboxUpdate", {"id": id, **change}, SELECTION))["errors"] == []
    without = await make(api, address="other@sender.example")
    moved = {"id": without, "smtpHost": "mail.elsewhere.example"}
    assert (await api.change("mailboxUpdate", moved, SELECTION))["errors"] == []


async def test_a_password_that_cannot_be_read_any_more_is_asked_for_too(api: Api) -> None:
    id = await make(api, smtpPassword="right")
    api.process.vault = Vault(bytes(reversed(range(32))))
    refused = await api.change("mailboxUpdate", {"id": id, "smtpHost": "mail.evil.example"}, SELECTION)
    assert [error["field"] for error in refused["errors"]] == [["smtpPassword"]]
