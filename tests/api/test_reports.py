"""Reports through the API: each number says whom it counts, and the list of those has as many."""

import asyncio
import contextlib
import random
from datetime import timedelta
from typing import Any

from domain import pending, recipients, sequences, settling, signals
from domain.claims import Claim
from domain.database import fetch
from domain.refusals import Refusal
from domain.rules.actor import ENGINE
from domain.rules.fact import Fact
from domain.rules.ids import Prefix, new_id, to_public
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Refused, Sent
from tests.api.conftest import PATIENCE_SECONDS, Api
from tests.engine.sending_world import carry, claim_all
from tests.engine.test_counters import number_all
from tests.engine.test_random_walks import Walk
from tests.world import NOW, email, make_world, task

REPORT = """
fragment Figures on ReportFigure { count filter }
query ($sequence: ID, $mailbox: ID, $from: Date!, $until: Date!, $zone: String!) {
  report(sequenceId: $sequence, mailboxId: $mailbox) {
    eventsCursor
    recipients { ...Figures } contacted { ...Figures } replied { ...Figures }
    statuses { status figure { ...Figures } } stages { stage figure { ...Figures } }
    steps { step { id kind } reached { ...Figures } waiting { ...Figures } sent { ...Figures } replied { ...Figures }
      bounced { ...Figures } skipped { ...Figures } failed { ...Figures } }
    mailboxes { mailbox { id address } recipients { ...Figures } statuses { status figure { ...Figures } }
      contacted { ...Figures } replied { ...Figures } }
    days(from: $from, until: $until, timeZone: $zone) { date enrolled { ...Figures } contacted { ...Figures }
      replied { ...Figures } completed { ...Figures } bounced { ...Figures } stopped { ...Figures }
      unsubscribed { ...Figures } }
  }
}"""
LIST = "query ($filter: RecipientFilter) { recipients(first: 0, filter: $filter) { totalCount } }"


def figures(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every number of an answer, with its place."""
    if isinstance(node, list):
        return [found for index, part in enumerate(node) for found in figures(part, f"{path}[{index}]")]
    if not isinstance(node, dict):
        return []
    if "filter" in node and "count" in node:
        return [(path, node)]
    return [found for name, part in node.items() for found in figures(part, f"{path}.{name}")]


async def _asked(api: Api, **variables: Any) -> Any:
    (clock,) = await fetch(
        "SELECT (now() + make_interval(secs => clock_offset_seconds))::date AS today FROM workspaces WHERE id = $1",
        api.workspace_id,
    )
    span = {"from": str(clock["today"] - timedelta(days=300)), "until": str(clock["today"] + timedelta(days=1))}
    return (await api.ask(REPORT, {**span, "zone": "Asia/Kathmandu", **variables}))["report"]


async def _said_and_listed(api: Api, report: Any) -> int:
    """Compare each number that is not 0, and a few that are, with the list behind it; return how many."""
    found = figures(report)
    compared = [one for one in found if one[1]["count"]] + [one for one in found if not one[1]["count"]][::40]
    for place, figure in compared:
        listed = (await api.ask(LIST, {"filter": figure["filter"]}))["recipients"]["totalCount"]
        assert listed == figure["count"], f"{place}: {figure}"
    return len(compared)


async def test_each_number_says_whom_it_counts_after_whatever_happened(api: Api) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    world = await make_world(api.workspace_id, api.actor, api.vault, steps=[email(), task(), email()], people=14)
    walk = Walk(world, api.actor, seed)
    for number in range(90):
        with contextlib.suppress(Refusal):  # a task has no text of an email to edit
            await walk.step()
        if number % 15 == 0:
            await pending.put_due_before_people()
    ids = world.recipient_ids
    for signal, recipient_id in zip([Signal.HARD_BOUNCE, Signal.OPT_OUT, Signal.HUMAN_REPLY], ids, strict=False):
        await signals.apply(api.workspace_id, Fact(signal=signal, recipient_id=recipient_id, actor=ENGINE))
    await recipients.delete(api.workspace_id, api.actor, ids[3])
    while await settling.settle_batch(api.workspace_id, world.sequence_id):
        pass
    await number_all()

    whole = await _asked(api)
    assert whole["recipients"]["count"] == len(ids) - 1, "the deleted one is not counted, stopped ones are"
    one = await _asked(api, sequence=to_public(Prefix.SEQUENCE, world.sequence_id))
    assert [step["step"]["kind"] for step in one["steps"]] == ["AUTOMATED_EMAIL", "TASK", "AUTOMATED_EMAIL"]
    assert one["mailboxes"][0]["mailbox"]["address"] == "jobs@sender.example"
    assert sum(day["enrolled"]["count"] for day in one["days"]) == len(ids) - 1
    assert await _said_and_listed(api, one) > 20, "\n".join(walk.trail)
    assert await _said_and_listed(api, await _asked(api, mailbox=to_public(Prefix.MAILBOX, world.mailbox_id))) > 8
    assert await _asked(api, sequence=to_public(Prefix.SEQUENCE, new_id())) is None


async def test_whoever_failed_counts_as_listed_while_rows_follow_the_pause_of_their_sequence(api: Api) -> None:
    world = await make_world(api.workspace_id, api.actor, api.vault, steps=[email(), email(wait=NOW)], people=3)
    failed = Refused("RECIPIENT_REFUSED_CONTENT", "550 5.7.1 No.")

    async def claimed(count: int) -> list[Claim]:
        found: list[Claim] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < count:  # other tests may have left others due, who have their turns too
                found += [one for one in await claim_all() if one.workspace_id == api.workspace_id]
        return found

    first, *others = await claimed(3)
    await carry([first], failed, marked=False)
    await carry(others, Sent("250 2.0.0 taken"))
    for again in await claimed(2):
        await carry([again], failed, marked=False)
    await sequences.pause(api.workspace_id, world.sequence_id)
    await number_all()
    asked = to_public(Prefix.SEQUENCE, world.sequence_id)
    report = await _asked(api, sequence=asked)
    stages = {one["stage"]: one["figure"]["count"] for one in report["stages"]}
    assert stages == {"SCHEDULED": 1, "IN_PROGRESS": 2, "FINISHED": 0, "ERROR": 0}
    await _said_and_listed(api, report)
    document = """query ($id: ID!) { node(id: $id) { ... on Sequence { stageCounts { stage count }
      recipients { stageCounts { stage count } nodes { status stage statusMessage } } } } }"""
    shown = (await api.ask(document, {"id": asked}))["node"]
    for counted in (shown, shown["recipients"]):
        assert {one["stage"]: one["count"] for one in counted["stageCounts"]} == stages
    assert {(one["status"], one["statusMessage"]) for one in shown["recipients"]["nodes"]} == {
        ("PAUSED", "The sequence is paused.")
    }
    assert sorted(one["stage"] for one in shown["recipients"]["nodes"]) == ["IN_PROGRESS", "IN_PROGRESS", "SCHEDULED"]
    while await settling.settle_batch(api.workspace_id, world.sequence_id):
        pass
    await number_all()
    again = await _asked(api, sequence=asked)
    assert {one["stage"]: one["figure"]["count"] for one in again["stages"]} == stages


async def test_days_out_of_bounds_and_unknown_zones_are_refused_with_what_to_do(api: Api) -> None:
    async def refused(**given: str) -> str:
        variables = {"from": "2026-03-01", "until": "2026-03-02", "zone": "UTC", **given}
        answer = (await api.post(REPORT, variables)).json()
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", answer
        message: str = answer["errors"][0]["message"]
        return message

    assert "366" in await refused(until="2027-03-02")
    assert "366" in await refused(until="2026-02-01")
    assert "Mars/Olympus" in await refused(zone="Mars/Olympus")
    assert "calendar" in await refused(**{"from": "9999-12-30", "until": "9999-12-31"})
