"""What must hold after any fault: no mail twice, none lost without being flagged, the feed dense."""

from collections import Counter
from uuid import UUID

from domain import authoring, enrolment, feed, sequences
from domain.contacts import ContactFields
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.steps import NewStep
from tests.faults.crew import DawdlingServer
from tests.world import email, make_mailbox


async def enrol_people(
    workspace_id: UUID,
    actor: Actor,
    vault: Vault,
    server: DawdlingServer,
    people: int,
    *,
    mailboxes: int = 5,
    steps: tuple[NewStep, ...] = (),
) -> UUID:
    """An active sequence over several mailboxes with everybody due at once; return its id."""
    mailbox_ids = [
        await make_mailbox(workspace_id, vault, server.port, address=f"jobs{n}@sender.example")
        for n in range(mailboxes)
    ]
    sequence_id = await authoring.create(
        workspace_id, "Faults", steps or (email(),), settings=SequenceSettings(), mailbox_ids=mailbox_ids
    )
    await sequences.activate(workspace_id, sequence_id)
    candidates = [
        enrolment.Candidate(ContactFields(values={"email": f"p{n}@people.example", "first_name": f"Person {n}"}))
        for n in range(people)
    ]
    for start in range(0, people, 500):
        batch = enrolment.Enrolment(sequence_id=sequence_id, candidates=candidates[start : start + 500])
        answers = await enrolment.enroll(workspace_id, actor, batch)
        assert all(answer.recipient_id for answer in answers)
    return sequence_id


async def drained(workspace_id: UUID) -> bool:
    """Whether nothing is due, claimed or being handed over any more, and every event has its number."""
    rows = await fetch(
        """
        SELECT (SELECT count(*) FROM recipients WHERE workspace_id = $1 AND due_at <= now())
            + (SELECT count(*) FROM messages WHERE workspace_id = $1 AND state IN ('CLAIMED', 'HANDING_OVER'))
            + (SELECT count(*) FROM events WHERE workspace_id = $1 AND seq IS NULL) AS left
        """,
        workspace_id,
    )
    return bool(rows[0]["left"] == 0)


async def judge(workspace_id: UUID, server: DawdlingServer) -> int:
    """Check what must always hold once everything has drained; return how many deliveries are unconfirmed."""
    rows = await fetch(
        "SELECT x.rfc_message_id, x.state, x.recipient_id, x.step_id, c.email FROM messages x "
        "JOIN contacts c ON c.id = x.contact_id WHERE x.workspace_id = $1",
        workspace_id,
    )
    taken = server.by_message_id
    states = {row["rfc_message_id"]: row["state"] for row in rows}
    assert max(taken.values(), default=1) == 1, "a mail twice, by Message-ID"
    assert taken.keys() <= states.keys(), "a mail that no row knows"
    steps = Counter((row["recipient_id"], row["step_id"]) for row in rows if row["rfc_message_id"] in taken)
    assert max(steps.values(), default=1) == 1, "a mail twice, by recipient and step"
    sent = {message_id for message_id, state in states.items() if state == "SENT"}
    unconfirmed = {message_id for message_id, state in states.items() if state == "UNCONFIRMED"}
    assert sent <= taken.keys(), "a row that says SENT and no mail"
    assert taken.keys() <= sent | unconfirmed, "a mail whose row does not say so"
    flagged = await fetch(
        "SELECT x.rfc_message_id FROM step_errors e JOIN messages x ON x.id = e.message_id JOIN recipients r "
        "ON r.error_id = e.id WHERE e.workspace_id = $1 AND e.code = 'DELIVERY_UNCONFIRMED' AND e.resolved_at IS NULL",
        workspace_id,
    )
    assert {row["rfc_message_id"] for row in flagged} == unconfirmed, "an unconfirmed delivery that nobody sees"
    people = {row["email"] for row in rows if row["state"] in ("SENT", "UNCONFIRMED")}
    enrolled = await fetch(
        "SELECT c.email FROM recipients r JOIN contacts c ON c.id = r.contact_id WHERE r.workspace_id = $1 "
        "AND r.end_reason IS DISTINCT FROM 'STOPPED' AND r.end_reason IS DISTINCT FROM 'UNSUBSCRIBED' "
        "AND r.paused_at IS NULL AND r.deleted_at IS NULL",
        workspace_id,
    )
    assert {row["email"] for row in enrolled} <= people, "a recipient lost without a word"
    await judge_feed(workspace_id)
    return len(unconfirmed)


async def judge_feed(workspace_id: UUID) -> None:
    """The feed is dense, in version order for each recipient, and the tallies equal a fresh count."""
    rows = await fetch(
        "SELECT seq, recipient_id, version FROM events WHERE workspace_id = $1 ORDER BY seq", workspace_id
    )
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert (await feed.state(workspace_id)).last_seq == len(rows)
    versions: dict[UUID, int] = {}
    for row in rows:
        assert row["version"] == versions.get(row["recipient_id"], 0) + 1
        versions[row["recipient_id"]] = row["version"]
    tallies = await fetch(
        "SELECT status, sum(count)::int AS n FROM tallies WHERE workspace_id = $1 GROUP BY status "
        "HAVING sum(count) <> 0 ORDER BY status",
        workspace_id,
    )
    counted = await fetch(
        "SELECT status, count(*)::int AS n FROM recipients WHERE workspace_id = $1 AND deleted_at IS NULL "
        "GROUP BY status ORDER BY status",
        workspace_id,
    )
    assert [tuple(row) for row in tallies] == [tuple(row) for row in counted]


async def run_out_leases(workspace_id: UUID) -> None:
    """Let the time of every lease pass at once."""
    await fetch(
        "WITH u AS (UPDATE messages SET lease_until = now() - interval '10 seconds' WHERE workspace_id = $1 "
        "AND lease_until IS NOT NULL RETURNING 1) SELECT 1",
        workspace_id,
    )
