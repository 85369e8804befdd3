"""Whose turn it is: sequences take turns, what cannot go out costs none, domains and new mailboxes go slow."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import authoring, enrolment, mailboxes, marking, sending, sequences, settling, turns
from domain import contacts as contact_verbs
from domain.claims import Claim
from domain.contacts import ContactFields
from domain.database import fetch
from domain.mailbox_fields import MailboxFields, RampUp
from domain.plans import SequenceSettings
from domain.reading import recipients as reading
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.rules.outcomes import Later, LaterReason, Refused, Sent
from domain.rules.standing import WaitingReason
from domain.rules.timing import SendingWindow
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, set_row
from tests.world import IN_AN_HOUR, email, make_mailbox, make_world
from workers.composing import Letter, composed

TAKEN = Sent("250 2.0.0 taken")
MOMENT = frozenset({"waiting_reason", "next_attempt_at"})


async def _sequence(
    workspace_id: UUID,
    actor: Actor,
    mailbox_id: UUID,
    addresses: Sequence[str],
    *,
    window: SendingWindow | None = None,
) -> tuple[UUID, list[UUID]]:
    """An active sequence from this mailbox with these people due in it."""
    settings = SequenceSettings(window=window)
    sequence_id = await authoring.create(
        workspace_id, "One", [email(), email(wait=IN_AN_HOUR)], settings=settings, mailbox_ids=[mailbox_id]
    )
    await sequences.activate(workspace_id, sequence_id)
    people = [enrolment.Candidate(ContactFields(values={"email": one, "first_name": "Jo"})) for one in addresses]
    batch = enrolment.Enrolment(sequence_id=sequence_id, candidates=people)
    answers = await enrolment.enroll(workspace_id, actor, batch)
    return sequence_id, [answer.recipient_id for answer in answers if answer.recipient_id is not None]


def _people(word: str, count: int, domain: str = "people.example") -> list[str]:
    return [f"{word}{number}@{domain}" for number in range(count)]


def _shut_now() -> SendingWindow:
    hour = (datetime.now(UTC).hour + 12) % 24
    return SendingWindow(weekdays=frozenset(range(7)), opens=time(hour), closes=time(hour, 30), time_zone="UTC")


async def _mailbox(mailbox_id: UUID) -> dict[str, Any]:
    return dict((await fetch("SELECT * FROM mailboxes WHERE id = $1", mailbox_id))[0])


async def _turn_comes(mailbox_id: UUID) -> None:
    await set_row("mailboxes", mailbox_id, next_send_at=datetime.now(UTC) - timedelta(seconds=1))


async def _due_now(recipient_ids: Sequence[UUID], ago: timedelta = timedelta(minutes=1)) -> None:
    for one in recipient_ids:
        await set_row("recipients", one, due_at=datetime.now(UTC) - ago)


async def _rows(recipient_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    rows = await fetch("SELECT * FROM recipients WHERE id = ANY($1::uuid[]) ORDER BY due_at, id", list(recipient_ids))
    return [dict(row) for row in rows]


# ---- sequences in turn


@pytest.mark.parametrize("gap_seconds", [0, 60])
async def test_the_sequences_of_a_mailbox_have_its_turn_one_after_the_other_however_long_one_of_them_waits(
    gap_seconds: int, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, minimum_gap_seconds=gap_seconds)
    many, ids = await _sequence(workspace_id, actor, mailbox_id, _people("a", 20))
    await _due_now(ids, timedelta(days=2))  # long overdue
    few, _ = await _sequence(workspace_id, actor, mailbox_id, _people("b", 4))
    two, _ = await _sequence(workspace_id, actor, mailbox_id, _people("c", 2))
    claimed: list[UUID] = []
    for _ in range(12 if gap_seconds else 4):
        await _turn_comes(mailbox_id)
        claims = await claim_all(3)
        claimed += [claim.sequence_id for claim in claims]
        await carry(claims, TAKEN)
    assert len(claimed) == 12
    assert all(len(set(claimed[n : n + 3])) == 3 for n in (0, 3))
    assert Counter(claimed) == {many: 6, few: 4, two: 2}  # what one has no more of goes to the others


async def test_a_sequence_that_is_paused_and_has_not_settled_takes_no_turn_from_the_others(
    workspace_id: UUID, actor: Actor, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, minimum_gap_seconds=60)
    paused, ids = await _sequence(workspace_id, actor, mailbox_id, _people("a", 9))
    await _due_now(ids, timedelta(days=2))
    going, _ = await _sequence(workspace_id, actor, mailbox_id, _people("b", 1))
    monkeypatch.setattr(settling, "BATCH", 1)
    await sequences.pause(workspace_id, paused)
    assert len([row for row in await _rows(ids) if row["due_at"]]) > 5
    assert [claim.sequence_id for claim in await claim_all()] == [going]


# ---- what cannot go out costs no turn


async def test_a_backlog_in_a_shut_window_moves_to_its_opening_and_takes_no_turn(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, minimum_gap_seconds=60, daily_limit=3)
    window = _shut_now()
    shut, ids = await _sequence(workspace_id, actor, mailbox_id, _people("a", 40), window=window)
    await _due_now(ids, timedelta(days=2))
    assert await claim_all() == []
    opens_at = (await _rows(ids))[0]["due_at"]
    assert (opens_at.hour, opens_at > datetime.now(UTC)) == (window.opens.hour, True)
    assert {(row["due_at"], row["version"]) for row in await _rows(ids)} == {(opens_at, 1)}
    assert len(await fetch("SELECT 1 FROM messages WHERE sequence_id = $1", shut)) == 1
    going, _ = await _sequence(workspace_id, actor, mailbox_id, _people("b", 2))
    assert [claim.sequence_id for claim in await claim_all()] == [going]  # nobody took the turn


async def test_people_who_are_away_are_met_once_and_take_no_turn(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, minimum_gap_seconds=60)
    _, ids = await _sequence(workspace_id, actor, mailbox_id, [*_people("away", 30), "here@people.example"])
    await _due_now(ids[:30], timedelta(days=2))
    back_at = datetime.now(UTC) + timedelta(days=4)
    away = "UPDATE contacts SET out_of_office_until = $1 WHERE email LIKE 'away%' RETURNING id"
    contacts = await fetch(f"WITH u AS ({away}) SELECT id FROM u ORDER BY id", back_at)
    (claim,) = await claim_all()
    assert claim.contact["email"] == "here@people.example"
    assert {row["due_at"] for row in await _rows(ids[:30])} == {back_at}
    page = await reading.by_ids(workspace_id, ids[:30], wants=MOMENT)
    shown = {(row.waiting_reason, row.next_attempt_at) for row in page.values()}
    assert shown == {(WaitingReason.OUT_OF_OFFICE, max(back_at, (await _mailbox(mailbox_id))["next_send_at"]))}
    # back earlier than said: one of them is let go on
    await contact_verbs.release_hold(workspace_id, contacts[0]["id"])
    await _turn_comes(mailbox_id)
    assert len(await claim_all()) == 1


async def test_a_message_that_could_not_be_made_takes_no_turn_and_one_that_was_refused_keeps_the_gap(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(body="Dear {{ fields.nickname }}")], people=1)
    await set_row("mailboxes", world.mailbox_id, minimum_gap_seconds=60)
    fine, _ = await _sequence(workspace_id, actor, world.mailbox_id, _people("b", 2))
    claims = [*await claim_all()]
    while claims[-1].sequence_id != world.sequence_id:
        await carry(claims[-1:], Refused("EMAIL_INVALID", "550 5.1.1 unknown", hard_bounce=True), marked=False)
        assert await claim_all() == []
        await _turn_comes(world.mailbox_id)
        claims += await claim_all()
    await carry(claims[-1:], TAKEN)  # an error: it has no nickname
    assert [claim.sequence_id for claim in await claim_all()] == [fine]


async def test_a_turn_comes_back_only_as_far_as_the_gap_to_the_last_message_allows(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=3)
    await set_row("mailboxes", world.mailbox_id, minimum_gap_seconds=60)
    await carry(await claim_all(), TAKEN)
    (sent,) = await fetch("SELECT marked_at FROM messages")
    await _turn_comes(world.mailbox_id)
    claims = await claim_all()
    await sending.release(claims)
    mailbox = await _mailbox(world.mailbox_id)
    assert (mailbox["next_send_at"], mailbox["held_back_by"]) == (
        sent["marked_at"] + timedelta(seconds=60),
        "MINIMUM_GAP",
    )


# ---- domains


async def test_messages_to_one_domain_are_spread_out_and_say_so(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, domain_gap_seconds=120)
    _, corp = await _sequence(workspace_id, actor, mailbox_id, _people("a", 20, "corp.example"))
    _, other = await _sequence(workspace_id, actor, mailbox_id, _people("b", 2, "other.example"))
    claims = await claim_all()
    assert sorted(claim.contact["email"].partition("@")[2] for claim in claims) == ["corp.example", "other.example"]
    await carry(claims, TAKEN)
    (next_at,) = await fetch("SELECT next_at FROM domain_turns WHERE domain = 'corp.example'")
    waiting_ones = [one for one in corp if one not in {claim.recipient_id for claim in claims}]
    rows = await _rows(waiting_ones)
    spread = [row["due_at"] for row in rows]
    assert spread[:3] == [next_at["next_at"] + n * timedelta(seconds=120) for n in range(3)]
    assert all(row["due_at"] == row["paced_until"] and row["version"] == 1 for row in rows)
    ahead = spread[-1]
    assert spread[9:] == [ahead] * 10  # a change of the pacing is felt within a quarter of an hour
    assert ahead <= datetime.now(UTC) + timedelta(minutes=15)
    shown = await reading.by_ids(workspace_id, waiting_ones, wants=MOMENT)
    assert {row.waiting_reason for row in shown.values()} == {WaitingReason.DOMAIN_PACING}
    assert all(row.next_attempt_at == row.due_at for row in shown.values())
    assert await claim_all() == []
    await fetch("WITH u AS (UPDATE domain_turns SET next_at = now() RETURNING 1) SELECT 1")  # its turn comes
    await _due_now([waiting_ones[0], *other])
    assert len(await claim_all()) == 2


async def test_many_claimers_take_the_turn_of_a_domain_once(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, domain_gap_seconds=600)
    await _sequence(workspace_id, actor, mailbox_id, _people("a", 30, "corp.example"))

    async def claimer() -> list[Claim]:
        return [claim for _ in range(4) for claim in await claim_all(3)]

    found = await asyncio.gather(*(claimer() for _ in range(5)))
    assert sum(len(claims) for claims in found) == 1


async def test_past_turns_of_domains_are_forgotten_and_coming_ones_are_not(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, domain_gap_seconds=600)
    await _sequence(workspace_id, actor, mailbox_id, ["a@corp.example", "b@other.example"])
    await claim_all()
    assert await turns.forget_past_domain_turns() == 0
    await fetch(
        "WITH u AS (UPDATE domain_turns SET next_at = now() - interval '1 hour' WHERE domain = 'corp.example' "
        "RETURNING 1) SELECT 1"
    )
    assert await turns.forget_past_domain_turns() == 1
    assert [row["domain"] for row in await fetch("SELECT domain FROM domain_turns")] == ["other.example"]


# ---- limits


async def test_a_mailbox_on_its_ramp_up_sends_little_more_with_each_day(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, daily_limit=12, ramp_up=RampUp(5, 3))
    await _sequence(workspace_id, actor, mailbox_id, _people("a", 40))
    began_at = (await _mailbox(mailbox_id))["ramp_up_started_at"]
    sent = 0
    for days, limit in ((0, 5), (1, 8), (2, 11), (3, 12), (400, 12)):
        # as if it had begun so long ago, and nothing had left on the days before
        await set_row("mailboxes", mailbox_id, ramp_up_started_at=began_at - timedelta(days=days))
        await fetch(
            "WITH u AS (UPDATE messages SET marked_at = marked_at - interval '1 day' WHERE marked_at IS NOT NULL "
            "RETURNING 1) SELECT 1"
        )
        await _turn_comes(mailbox_id)
        claims = await claim_all()
        assert len(claims) == min(limit, 40 - sent)
        await carry(claims, TAKEN)
        sent += len(claims)
        mailbox = await _mailbox(mailbox_id)
        if days == 0:  # the next step of the ramp-up comes before the first message is a day old
            assert (mailbox["held_back_by"], mailbox["next_send_at"]) == ("DAILY_LIMIT", began_at + timedelta(days=1))
        await _turn_comes(mailbox_id)
        assert await claim_all() == []
    again = MailboxFields(ramp_up=RampUp(5, 9))
    await mailboxes.update(workspace_id, vault, mailbox_id, again)
    kept = await _mailbox(mailbox_id)
    assert (kept["ramp_up_started_at"], kept["ramp_up_step"]) == (began_at - timedelta(days=400), 9)
    await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(ramp_up=RampUp(6, 9)))
    assert (await _mailbox(mailbox_id))["ramp_up_started_at"] > began_at
    await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(), clears=["ramp_up"])
    assert (await _mailbox(mailbox_id))["ramp_up_start"] is None


async def test_a_ramp_up_or_a_pacing_out_of_bounds_is_refused(workspace_id: UUID, vault: Vault) -> None:
    for fields in ({"ramp_up": RampUp(0, 1)}, {"ramp_up": RampUp(1, 0)}, {"domain_gap_seconds": -1}):
        with pytest.raises(Invalid):
            await make_mailbox(workspace_id, vault, **fields)


async def test_whatever_becomes_of_claims_and_workers_no_more_is_handed_over_than_the_limit(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=60)
    await set_row("mailboxes", world.mailbox_id, daily_limit=20)
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)

    async def worker() -> None:
        for _ in range(40):
            for claim in await claim_all(chance.randint(1, 6)):
                await _something_becomes_of(claim, chance)
            await sending.drop_abandoned()
            await set_row("mailboxes", world.mailbox_id, failures_in_a_row=0)

    await asyncio.gather(*(worker() for _ in range(4)))
    assert await _handed_over() <= 20
    await _turn_comes(world.mailbox_id)
    await carry(await claim_all(), TAKEN)  # a place that came back while another counted it may be left
    assert await _handed_over() == 20


async def _handed_over() -> int:
    (row,) = await fetch("SELECT count(*) AS n FROM messages WHERE marked_at > now() - interval '24 hours'")
    count: int = row["n"]
    return count


async def _something_becomes_of(claim: Claim, chance: random.Random) -> None:
    fate = chance.choice(["sent", "sent", "released", "died", "died marked", "refused", "unreachable"])
    if fate == "released":
        await sending.release([claim])
    elif fate == "died":  # its lease runs out, and someone else claims it
        await set_row("messages", claim.message_id, lease_until=datetime.now(UTC) - timedelta(seconds=2))
    elif fate == "died marked":
        letter = composed(claim)
        assert isinstance(letter, Letter)
        await marking.mark([letter.mark])
    elif fate == "refused":
        await carry([claim], Refused("EMAIL_INVALID", "550 5.1.1 unknown", hard_bounce=True), marked=False)
    elif fate == "unreachable":
        await carry([claim], Later(LaterReason.TRANSPORT, "connection refused"), marked=False)
        await _turn_comes(claim.account.mailbox_id)
    else:
        await carry([claim], TAKEN)


# ---- a server out of reach


async def test_a_mailbox_whose_server_is_out_of_reach_waits_longer_each_time_and_one_message_tries(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=9)
    places = 9
    for minutes in (1, 5, 15, 60, 60):
        claims = await claim_all()
        assert len(claims) == places
        (clock,) = await fetch("SELECT now() AS now")
        await carry(claims, Later(LaterReason.TRANSPORT, "connection refused"), marked=False)
        mailbox = await _mailbox(world.mailbox_id)
        turn_at = mailbox["next_send_at"]
        pause = timedelta(minutes=minutes)
        assert pause <= turn_at - clock["now"] <= pause * 1.2 + timedelta(minutes=1)
        shown = (await reading.by_ids(workspace_id, world.recipient_ids, wants=MOMENT)).values()
        assert {(one.waiting_reason, one.next_attempt_at) for one in shown} == {
            (WaitingReason.MAILBOX_BACKOFF, turn_at)
        }
        assert await claim_all() == []
        await _turn_comes(world.mailbox_id)
        places = 1
    # A refusal of one address is an answer, too: the server is there.
    await carry(await claim_all(), Refused("EMAIL_INVALID", "550 5.1.1 unknown", hard_bounce=True), marked=False)
    assert (await _mailbox(world.mailbox_id))["failures_in_a_row"] == 0
    assert len(await claim_all()) == 8
