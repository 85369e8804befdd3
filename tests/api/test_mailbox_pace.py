"""How fast a mailbox sends: set, shown and taken back through the API."""

import pytest

from tests.api.conftest import Api

PACE = "mailbox { id dailyLimit limitNow rampUp { start step } domainGapSeconds }"


async def test_a_ramp_up_and_the_pacing_of_domains_are_set_shown_and_taken_back(api: Api) -> None:
    given = {"address": "jobs@sender.example", "smtpHost": "mail.sender.example", "dailyLimit": 50}
    slow = {"rampUp": {"start": 5, "step": 3}, "domainGapSeconds": 120}
    made = (await api.change("mailboxCreate", given | slow, PACE))["mailbox"]
    assert made == {"id": made["id"], "dailyLimit": 50, "limitNow": 5, **slow}
    kept = (await api.change("mailboxUpdate", {"id": made["id"], "dailyLimit": 4}, PACE))["mailbox"]
    assert kept == made | {"dailyLimit": 4, "limitNow": 4}
    fast = {"id": made["id"], "rampUp": None, "domainGapSeconds": 0, "dailyLimit": 60}
    assert (await api.change("mailboxUpdate", fast, PACE))["mailbox"] == fast | {"limitNow": 60}


@pytest.mark.parametrize(
    ("pace", "field"),
    [
        ({"rampUp": {"start": 0, "step": 1}}, ["rampUp", "start"]),
        ({"rampUp": {"start": 1, "step": 0}}, ["rampUp", "step"]),
        ({"domainGapSeconds": 86_401}, ["domainGapSeconds"]),
    ],
)
async def test_a_pace_out_of_bounds_is_refused_and_says_which(
    api: Api, pace: dict[str, object], field: list[str]
) -> None:
    given = {"address": "jobs@sender.example", "smtpHost": "mail.sender.example"}
    (error,) = (await api.change("mailboxCreate", given | pace, PACE))["errors"]
    assert (error["code"], error["field"]) == ("INVALID", field)
