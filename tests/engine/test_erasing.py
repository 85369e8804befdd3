"""Erasing a person: nothing that says who it was is left in the database, the counts stay, an opt-out outlives it."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from domain import contacts, enrolment, erasing, feed, marking, pending, signals, suppressing
from domain.connections import credentials
from domain.contacts import ContactFields
from domain.database import fetch
from domain.delivery import Result, record
from domain.opting_out import OptOutLinks, opt_out
from domain.refusals import NotFound, PersonErased, Suppressed
from domain.rules.actor import Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import Sent
from domain.rules.personal_columns import NOT_PERSONAL, OWNED_BY, PERSONAL
from domain.secrets import Vault
from domain.suppressing import Wanted
from tests.engine.sending_world import advance, carry, claim_all
from tests.world import IN_AN_HOUR, World, email, make_world, statuses, task
from workers.composing import Letter, composed

WORDS = ("zqcanary", "4915799")
PERSON = {
    "email": "Zqcanary.Mail@zqcanary.example",
    "phone": "+49 1579 9000001",
    "first_name": "Zqcanary-First",
    "last_name": "Zqcanary-Last",
    "company": "Zqcanary Ltd",
    "external_id": "zqcanary-7",
}


async def everything(database_url: str) -> str:
    """All of the database as text, bytes as their letters: what a dump would show."""
    connection = await asyncpg.connect(**credentials(database_url))
    try:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        found = []
        for table in tables:
            for row in await connection.fetch(f'SELECT * FROM "{table["table_name"]}"'):
                cells = (c.decode("latin-1") if isinstance(c, bytes) else str(c) for c in row.values())
                found.append(f"{table['table_name']}: {' | '.join(cells)}")
        return "\n".join(found)
    finally:
        await connection.close()


def hits(text: str) -> list[str]:
    return [line[:200] for line in text.splitlines() if any(word in line.lower() for word in WORDS)]


async def enrolled(workspace_id: UUID, actor: Actor, vault: Vault) -> tuple[World, UUID, UUID]:
    """The person in a sequence of two mails and a task; returns the recipient and the contact."""
    steps = [
        email(body="Dear {{ full_name }} of {{ company }}, see {{ fields.note }}"),
        email(wait=IN_AN_HOUR),
        task("Call {{ first_name }} at {{ phone }}", wait=IN_AN_HOUR),
    ]
    world = await make_world(workspace_id, actor, vault, people=3, steps=steps)
    batch = enrolment.Enrolment(
        sequence_id=world.sequence_id,
        candidates=[enrolment.Candidate(ContactFields(values=PERSON, custom={"note": "zqcanary"}), "zqcanary-run")],
    )
    (answer,) = await enrolment.enroll(workspace_id, actor, batch)
    assert answer.recipient_id is not None
    found = await fetch("SELECT contact_id FROM recipients WHERE id = $1", answer.recipient_id)
    return world, answer.recipient_id, found[0]["contact_id"]


async def test_nothing_that_says_who_it_was_is_left_and_the_counts_stay(
    workspace_id: UUID, actor: Actor, vault: Vault, open_database: str
) -> None:
    """Source: reliability.md R26."""
    _, recipient_id, contact_id = await enrolled(workspace_id, actor, vault)
    for _ in range(2):
        await carry(await claim_all(), Sent("250 ok zqcanary"))
        await advance(workspace_id, timedelta(hours=2))
    await pending.put_due_before_people()
    await signals.apply(workspace_id, Fact(signal=Signal.COMPLAINT, recipient_id=recipient_id, actor=actor))
    await suppressing.create(workspace_id, actor, Wanted(phone=PERSON["phone"], note="of zqcanary"))
    while await feed.number():
        pass
    before = await statuses(workspace_id)
    sent = (await fetch("SELECT count(*) AS n FROM messages WHERE state = 'SENT'"))[0]["n"]
    assert len(hits(await everything(open_database))) > 5
    await erasing.erase(workspace_id, actor, contact_id)
    assert hits(await everything(open_database)) == []
    assert await statuses(workspace_id) == before
    assert (await fetch("SELECT count(*) AS n FROM messages WHERE state = 'SENT'"))[0]["n"] == sent
    with pytest.raises(NotFound):
        await erasing.erase(workspace_id, actor, contact_id)
    with pytest.raises(NotFound):
        await contacts.upsert(workspace_id, ContactFields(contact_id, {"first_name": "Back"}))


async def test_open_runs_stop_and_what_is_in_flight_is_told_and_still_recorded(
    workspace_id: UUID, actor: Actor, vault: Vault, open_database: str
) -> None:
    _, recipient_id, contact_id = await enrolled(workspace_id, actor, vault)
    claim = next(each for each in await claim_all() if each.recipient_id == recipient_id)
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark]) == {claim.message_id}
    done = await erasing.erase(workspace_id, actor, contact_id)
    assert (done.stopped, done.in_flight) == (1, 1)
    await record(workspace_id, [Result(claim.message_id, claim.token, Sent("250 ok"))])
    rows = await fetch("SELECT status, end_reason, contacted_at FROM recipients WHERE id = $1", recipient_id)
    assert (rows[0]["status"], rows[0]["end_reason"]) == ("STOPPED", "STOPPED")
    assert hits(await everything(open_database)) == []


@pytest.mark.parametrize("how", ["opt-out", "address", "phone", "person"])
async def test_whoever_was_suppressed_and_erased_cannot_come_back(
    workspace_id: UUID, actor: Actor, vault: Vault, how: str
) -> None:
    world, recipient_id, contact_id = await enrolled(workspace_id, actor, vault)
    if how == "opt-out":
        await signals.apply(workspace_id, Fact(signal=Signal.OPT_OUT, recipient_id=recipient_id, actor=actor))
    else:
        given = {"address": {"address": PERSON["email"]}, "phone": {"phone": PERSON["phone"]}}
        wanted = Wanted(**given[how]) if how in given else Wanted(contact_id=contact_id)
        await suppressing.create(workspace_id, actor, wanted)
    await erasing.erase(workspace_id, actor, contact_id)
    again = {"email": PERSON["email"].upper()}
    if how == "phone":
        again = {"email": "x@y.example", "phone": "00491579 9000001"}
    with pytest.raises(PersonErased):
        await contacts.upsert(workspace_id, ContactFields(values=again))
    batch = enrolment.Enrolment(
        sequence_id=world.sequence_id, candidates=[enrolment.Candidate(ContactFields(values=again))]
    )
    (answer,) = await enrolment.enroll(workspace_id, actor, batch)
    assert isinstance(answer.refusal, PersonErased)
    other = await contacts.upsert(workspace_id, ContactFields(values={"email": "free@people.example"}))
    with pytest.raises(PersonErased):
        await contacts.upsert(workspace_id, ContactFields(other, again))


async def test_whoever_was_only_erased_may_come_back_and_an_old_link_binds_them_then(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, recipient_id, contact_id = await enrolled(workspace_id, actor, vault)
    claim = next(each for each in await claim_all() if each.recipient_id == recipient_id)
    links = OptOutLinks(vault, "https://x.example")
    link = links.read(links.url(workspace_id, recipient_id, claim.message_id, PERSON["email"], {}).rpartition("/")[2])
    assert link is not None
    await erasing.erase(workspace_id, actor, contact_id)
    batch = enrolment.Enrolment(
        sequence_id=world.sequence_id,
        candidates=[enrolment.Candidate(ContactFields(values={"email": PERSON["email"]}))],
    )
    (answer,) = await enrolment.enroll(workspace_id, actor, batch)
    assert answer.recipient_id is not None
    await opt_out(link)
    rows = await fetch("SELECT end_reason FROM recipients WHERE id = $1", answer.recipient_id)
    assert rows[0]["end_reason"] == "SUPPRESSED"
    (refused,) = await enrolment.enroll(workspace_id, actor, batch)
    assert isinstance(refused.refusal, Suppressed)


async def test_the_register_names_every_column_that_can_hold_words(open_database: str) -> None:
    rows = await fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type NOT IN ('uuid', 'boolean', 'smallint', 'integer', 'bigint', 'double precision', "
        "'timestamp with time zone', 'date')"
    )
    there = {(row["table_name"], row["column_name"]) for row in rows}
    listed = {(table, name) for lists in (PERSONAL, NOT_PERSONAL) for table, names in lists.items() for name in names}
    times = {("contacts", name) for name in ("email_bounced_at", "phone_invalid_at", "out_of_office_until")}
    undecided = sorted(".".join(place) for place in there - listed)
    assert not undecided, f"say in domain/rules/personal_columns.py whether erasing clears {', '.join(undecided)}"
    assert listed - there == times, "these are listed and not there"
    assert set(PERSONAL) == set(OWNED_BY)
    twice = {(t, n) for t, names in PERSONAL.items() for n in names} & {
        (t, n) for t, names in NOT_PERSONAL.items() for n in names
    }
    assert twice == set()
