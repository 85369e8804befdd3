"""The main job while workers are killed with SIGKILL: nobody gets a mail twice, and no mail is lost in silence."""

import os
import random
from pathlib import Path
from typing import Any

from tests.witness import judgement, outreach
from tests.witness.installation import Installation, installed
from tests.witness.listener import listening
from tests.witness.outside import wait_until
from tests.witness.programs import node, smtp_sink
from tests.witness.sink import Sink, running_sink

MAILS = outreach.PEOPLE * outreach.STEPS
KILLS = 6
_KILL_AFTER_MAILS = MAILS // (KILLS + 2)
_UNCONFIRMED = """
    query ($after: String) {
      stepErrors(first: 200, after: $after, filter: {open: true}) {
        nodes { id code step { position } recipient { status contact { email } } }
        pageInfo { hasNextPage endCursor }
      }
    }
"""
_RESOLVE = """
    mutation ($id: ID!, $outcome: DeliveryOutcome!) {
      deliveryResolve(input: {errorId: $id, outcome: $outcome}) { errors { code message } }
    }
"""


def test_workers_killed_at_random_send_no_mail_twice_and_lose_none_without_flagging_it(folder: Path) -> None:
    smtp_sink()
    node()
    seed = int(os.environ.get("RELANCE_SEED", random.randrange(10**9)))
    print(f"\nRELANCE_SEED={seed}")
    chance = random.Random(seed)
    # Some answers after the dot take seconds, so that kills also fall between the hand-over and its record.
    with running_sink("-W", ".:1:20") as sink, installed(folder / "data", RELANCE_LEASE_SECONDS="3") as relance:
        relance.add_worker()
        relance.add_worker()
        mailboxes = [outreach.make_mailbox(relance, number, sink.port) for number in range(outreach.MAILBOXES)]
        sequence_id = outreach.make_sequence(relance, mailboxes)
        outreach.write_file(folder / "people.csv")
        after = outreach.events_cursor(relance)
        connection = relance.connection
        with listening(folder, url=connection["websocket"], api_key=connection["apiKey"], after=after) as listener:
            relance.command("import", "contacts", str(folder / "people.csv"), "--sequence", sequence_id)
            _kill_at_random(relance, sink, chance)
            wait_until(
                lambda: _nobody_is_on_the_way(relance, sequence_id), "all have completed or are flagged", seconds=120
            )
            flagged = _flagged(relance)
            mails = judgement.by_step(sink.mails())
            _is_told_apart(mails, flagged)
            print(f"{KILLS} kills, {len(mails)} mails, {len(flagged)} flagged as unconfirmed")

            # What a person does then: look into the mailbox, and say what became of it.
            for (email, step), error in flagged.items():
                outcome = "WAS_SENT" if (email, step) in mails else "SEND_AGAIN"
                relance.ask(_RESOLVE, id=error["id"], outcome=outcome)
            wait_until(
                lambda: outreach.status_counts(relance, sequence_id)["COMPLETED"] == outreach.PEOPLE,
                "all have completed",
                seconds=60,
            )
            version_sum = sum(row["version"] for row in _versions(relance))
            wait_until(lambda: listener.count() >= version_sum, "each change is told")
            events = listener.events()
        mails = judgement.by_step(sink.mails())
    assert len(mails) == MAILS
    judgement.is_proper_mime(mails)
    judgement.is_dense(events, after)
    assert len(events) == version_sum
    assert {own[-1]["status"] for own in judgement.by_recipient(events).values()} == {"COMPLETED"}


def _kill_at_random(relance: Installation, sink: Sink, chance: random.Random) -> None:
    """Kill one worker after each so many mails, whichever chance says."""
    for number in range(1, KILLS + 1):
        wait_until(lambda count=number: sink.count() >= count * _KILL_AFTER_MAILS, "mails go out", seconds=60)  # type: ignore[misc]
        relance.kill(chance.choice(relance.worker_pids()))


def _nobody_is_on_the_way(relance: Installation, sequence_id: str) -> bool:
    counts = outreach.status_counts(relance, sequence_id)
    return counts["COMPLETED"] + counts["ERROR"] == outreach.PEOPLE


def _flagged(relance: Installation) -> dict[tuple[str, int], dict[str, Any]]:
    errors = list(relance.pages(_UNCONFIRMED, "stepErrors"))
    assert {error["code"] for error in errors} <= {"DELIVERY_UNCONFIRMED"}
    assert {error["recipient"]["status"] for error in errors} <= {"ERROR"}
    return {(error["recipient"]["contact"]["email"], error["step"]["position"]): error for error in errors}


def _is_told_apart(mails: dict[tuple[str, int], Any], flagged: dict[tuple[str, int], Any]) -> None:
    """See that each mail that is not in the sink is flagged, or comes after a flagged one."""
    first_open = dict(flagged.keys())
    assert len(first_open) == len(flagged), "two open errors of one recipient"
    for person in outreach.people():
        for step in range(1, outreach.STEPS + 1):
            reached = first_open.get(person.email, outreach.STEPS + 1)
            if step < reached:
                assert (person.email, step) in mails, f"step {step} for {person.email} is lost"
            elif step > reached:
                assert (person.email, step) not in mails, f"step {step} went to {person.email} past an open error"


def _versions(relance: Installation) -> list[dict[str, int]]:
    document = """
        query ($after: String) {
          recipients(first: 200, after: $after) { nodes { version } pageInfo { hasNextPage endCursor } }
        }
    """
    return list(relance.pages(document, "recipients"))
