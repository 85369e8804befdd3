"""The main job: a file of 500 contacts becomes 1,500 mails, and a client sees every change while it happens."""

import time
from pathlib import Path

from tests.witness import judgement, outreach
from tests.witness.installation import Installation, installed
from tests.witness.listener import Listener, listening
from tests.witness.outside import wait_until
from tests.witness.programs import node, smtp_sink
from tests.witness.sink import Sink, running_sink
from tests.witness.wire import tapped

MAILS = outreach.PEOPLE * outreach.STEPS


def test_500_contacts_of_a_file_get_three_proper_mails_each_and_every_change_is_told_at_once(folder: Path) -> None:
    smtp_sink()
    node()
    with running_sink() as sink, tapped(sink.port) as wire, installed(folder / "data") as relance:
        mailboxes = [outreach.make_mailbox(relance, number, wire.port) for number in range(outreach.MAILBOXES)]
        sequence_id = outreach.make_sequence(relance, mailboxes)
        outreach.write_file(folder / "people.csv")
        after = outreach.events_cursor(relance)
        connection = relance.connection
        with listening(folder, url=connection["websocket"], api_key=connection["apiKey"], after=after) as listener:
            begun_at = time.monotonic()
            account = relance.command("import", "contacts", str(folder / "people.csv"), "--sequence", sequence_id)
            assert account["enrolled"] == outreach.PEOPLE
            told_meanwhile = _follow(sink, listener, relance, sequence_id)
            print(
                f"\n{MAILS} mails and {listener.count()} events in {time.monotonic() - begun_at:.1f} s, import included"
            )
            events = listener.events()
        counts = outreach.status_counts(relance, sequence_id)
        told_by_query = _events_of_the_query(relance, after)
        sent = _sent_by_the_api(relance)
        listed = relance.ask(
            """
            query ($id: ID!) {
              recipients(first: 1, filter: {sequenceId: $id}) { totalCount statusCounts { status count } }
            }
            """,
            id=sequence_id,
        )["recipients"]
        mails = judgement.by_step(sink.mails())

    assert told_meanwhile, "the client heard of no step before the last mail had gone out"
    assert len(mails) == MAILS == sent
    judgement.is_proper_mime(mails)
    assert len(wire.said) >= outreach.MAILBOXES
    for said in wire.said:
        judgement.is_clean_on_the_wire(bytes(said))

    judgement.is_dense(events, after)
    assert [event["cursor"] for event in events] == [event["cursor"] for event in told_by_query]
    recipients = judgement.by_recipient(events)
    assert len(recipients) == outreach.PEOPLE
    for own in recipients.values():
        assert [event["type"] for event in own] == ["recipient.enrolled"] + ["recipient.step_carried_out"] * 3
        assert [event["status"] for event in own] == ["SCHEDULED", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED"]
        assert own[-1]["endReason"] == "COMPLETED"

    assert counts == {status: 500 if status == "COMPLETED" else 0 for status in counts}
    assert len(counts) == 10
    assert listed["totalCount"] == outreach.PEOPLE
    assert {row["status"]: row["count"] for row in listed["statusCounts"]} == counts


def _follow(sink: Sink, listener: Listener, relance: Installation, sequence_id: str) -> bool:
    """Wait until all is done and told; return whether steps were told while mails were still to go."""
    told_meanwhile = False

    def done() -> bool:
        nonlocal told_meanwhile
        assert not listener.has(b'"stepError":{'), "a step failed"
        steps_told = listener.count() - outreach.PEOPLE
        told_meanwhile = told_meanwhile or (steps_told > 0 and sink.count() < MAILS)
        return steps_told >= MAILS

    wait_until(done, "each change is told", seconds=120)
    wait_until(
        lambda: outreach.status_counts(relance, sequence_id)["COMPLETED"] == outreach.PEOPLE, "all have completed"
    )
    return told_meanwhile


def _events_of_the_query(relance: Installation, after: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    while True:
        page = relance.ask(
            "query ($after: String) { recipientEvents(first: 200, after: $after) { nodes { id cursor } } }",
            after=found[-1]["cursor"] if found else after,
        )["recipientEvents"]["nodes"]
        if not page:
            return found
        found += page


def _sent_by_the_api(relance: Installation) -> int:
    """Return how many messages the recipients have that were sent, as the API lists them."""
    document = """
        query ($after: String) {
          recipients(first: 200, after: $after) {
            nodes { messages(first: 50) { nodes { state direction } } }
            pageInfo { hasNextPage endCursor }
          }
        }
    """
    return sum(
        message["state"] == "SENT" and message["direction"] == "OUTGOING"
        for recipient in relance.pages(document, "recipients")
        for message in recipient["messages"]["nodes"]
    )
