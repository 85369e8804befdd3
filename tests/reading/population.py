"""Recipients of every status in an active, a paused and a draft sequence, with every reason to wait."""

import json
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import orjson

from domain import authoring, enrolment, feed, inbox, pending, recipients, sequences
from domain.contacts import ContactFields
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.rules.actor import Actor
from domain.rules.timing import SendingWindow, parse_wall_time
from domain.secrets import Vault
from tests.engine.standing import make_standing
from tests.world import HOLD, IN_AN_HOUR, World, email, make_mailbox, manual_email, task

WANTS = frozenset(
    {
        *("contact", "sequence", "mailbox", "current_step", "next_step", "pending_action", "steps"),
        *("status_message", "waiting_reason", "next_attempt_at"),
    }
)
NAMES = ("Ada Lovelace", "Alan Turing", "Grace Hopper", "adele_100%", "Émile Zola")


@dataclass(frozen=True)
class Population:
    active: World
    paused_id: UUID
    draft_id: UUID
    behind_ids: list[UUID]  # of the paused sequence; their rows have not followed the pause yet


async def people_of(workspace_id: UUID, actor: Actor, sequence_id: UUID, word: str, count: int) -> list[UUID]:
    candidates = []
    for number in range(count):
        first, _, last = NAMES[number % len(NAMES)].partition(" ")
        values = {"email": f"{word}{number}@people.example", "first_name": first, "last_name": last or None}
        values |= {"company": f"{word.capitalize()} & Co", "time_zone": "Europe/Paris" if number % 2 else None}
        candidates.append(enrolment.Candidate(ContactFields(values=values), external_id=f"ats-{word}-{number}"))
    answers = await enrolment.enroll(
        workspace_id, actor, enrolment.Enrolment(sequence_id=sequence_id, candidates=candidates)
    )
    return [answer.recipient_id for answer in answers if answer.recipient_id is not None]


async def populate(workspace_id: UUID, actor: Actor, vault: Vault, each: int = 2) -> Population:
    active, _ = await make_standing(workspace_id, actor, vault, each)
    steps = [email(wait=IN_AN_HOUR), task(wait=IN_AN_HOUR), email(wait=IN_AN_HOUR)]
    paused_id = await authoring.create(
        workspace_id, "Paused one", steps, settings=SequenceSettings(), mailbox_ids=[active.mailbox_id]
    )
    draft_id = await authoring.create(workspace_id, "Draft one", steps, settings=SequenceSettings())
    behind = await people_of(workspace_id, actor, paused_id, "behind", 3)
    await people_of(workspace_id, actor, draft_id, "draft", 2)
    await sequences.activate(workspace_id, paused_id)
    await recipients.pause(workspace_id, actor, behind[1])
    await recipients.stop(workspace_id, actor, behind[2])
    await every_reason_to_wait(workspace_id, actor, vault)
    # The pause is answered, the rows have not followed: what a screen shows between two batches.
    await fetch(
        "WITH u AS (UPDATE sequences SET status = 'PAUSED', paused_at = now(), settling = true WHERE id = $1 "
        "RETURNING 1) SELECT 1 FROM u",
        paused_id,
    )
    while await feed.number():
        pass
    return Population(active, paused_id, draft_id, behind)


async def every_reason_to_wait(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    """Put recipients into each of the situations that waiting reasons speak of, by their timers."""
    turns = {"DAILY_LIMIT": 300, "MINIMUM_GAP": 20, "MAILBOX_BACKOFF": 60, None: -60, "HELD": 0, "GONE": 0, "KEPT": 30}
    window = SendingWindow(
        weekdays=frozenset(range(7)),
        opens=parse_wall_time("opens", "00:00"),
        closes=parse_wall_time("closes", "24:00"),
        time_zone="Europe/Paris",
        use_recipient_time_zone=True,
    )
    for number, (word, seconds) in enumerate(turns.items()):
        mailbox_id = await make_mailbox(workspace_id, vault, address=f"m{number}@sender.example")
        sequence_id = await authoring.create(
            workspace_id,
            f"Waiting {word}",
            [email(), email()],
            settings=SequenceSettings(window=window),
            mailbox_ids=[mailbox_id],
        )
        await sequences.activate(workspace_id, sequence_id)
        ids = await people_of(workspace_id, actor, sequence_id, f"w{number}", 9)
        state = {"HELD": "HELD", "GONE": "DISCONNECTED"}.get(word or "", "CONNECTED")
        await _alter(
            "mailboxes SET state = $2::text, held_back_by = $3, next_send_at = now() + make_interval(secs => $4), "
            "guardrail_hold = CASE WHEN $2::text = 'HELD' THEN $5::jsonb END",
            mailbox_id,
            state,
            word if word not in ("HELD", "GONE", "KEPT") else None,
            float(seconds),
            orjson.dumps(HOLD.as_json()).decode(),
        )
        await _released(workspace_id, actor, mailbox_id, number)
        await _timers(ids[0], "wait_ends_at = now() + interval '1 hour', due_at = now() + interval '2 hours'")
        await _timers(ids[1], "retry_at = now() + interval '1 hour', due_at = now() + interval '1 hour'")
        await _timers(ids[2], "due_at = now() + interval '8 hours'")  # shut meanwhile
        await _timers(ids[3], "due_at = now() - interval '1 minute'")
        await _timers(ids[4], "due_at = NULL, due_kind = NULL")
        await _alter(
            "contacts SET out_of_office_until = now() + interval '3 days'",
            (await fetch("SELECT contact_id FROM recipients WHERE id = $1", ids[5]))[0]["contact_id"],
        )
        await recipients.pause(workspace_id, actor, ids[6])
        await _claim(ids[7], "HANDING_OVER" if number % 2 else "CLAIMED")
        paced = "paced_until = now() + interval '5 minutes', due_at = now() + interval '5 minutes'"
        await _timers(ids[8], f"{paced}, frequency_capped = {number % 2 == 1}")
        today = (await fetch("SELECT (now() AT TIME ZONE 'Europe/Paris')::date AS day"))[0]["day"]
        days = [(today + timedelta(days=offset)).isoformat() for offset in (-1, 0, 1)]
        if word == "KEPT":
            await _alter("sequences SET guardrail_hold = $2", sequence_id, orjson.dumps(HOLD.as_json()).decode())
        if number == 0:
            await _alter(
                "sequences SET settings = jsonb_set(settings, '{window,blackout_dates}', to_jsonb($2::text[]))",
                sequence_id,
                days,
            )
        if number == 1:  # public holidays at the same time, in place of own dates
            known = {"country": "FR", "subdivision": None, "through": days[-1], "dates": dict.fromkeys(days, "Noël")}
            await _alter(
                "sequences SET settings = jsonb_set(settings, '{window,public_holidays}', $2::jsonb)",
                sequence_id,
                json.dumps(known),
            )


async def _released(workspace_id: UUID, actor: Actor, mailbox_id: UUID, number: int) -> None:
    """Manual emails that people have released: now, now to someone who is away, and at a time."""
    sequence_id = await authoring.create(
        workspace_id, f"By hand {number}", [manual_email()], settings=SequenceSettings(), mailbox_ids=[mailbox_id]
    )
    await sequences.activate(workspace_id, sequence_id)
    ids = await people_of(workspace_id, actor, sequence_id, f"h{number}", 3)
    await pending.put_due_before_people()
    rows = await fetch(
        "SELECT r.id, r.pending_id, r.contact_id, now() AS now FROM recipients r WHERE r.id = ANY($1::uuid[])", ids
    )
    found = {row["id"]: row for row in rows}
    for recipient_id in ids[:2]:
        await inbox.send(workspace_id, actor, found[recipient_id]["pending_id"])
    await _alter("contacts SET out_of_office_until = now() + interval '3 days'", found[ids[1]]["contact_id"])
    later = found[ids[2]]["now"] + timedelta(days=1)
    await inbox.schedule(workspace_id, actor, found[ids[2]]["pending_id"], later)


async def _timers(recipient_id: UUID, changes: str) -> None:
    await _alter(f"recipients SET wait_ends_at = now() - interval '1 hour', {changes}", recipient_id, twice=changes)


async def _alter(change: str, key: UUID, *values: object, twice: str = "") -> None:
    if "wait_ends_at" in twice:
        change = f"recipients SET {twice}"
    await fetch(f"WITH u AS (UPDATE {change} WHERE id = $1 RETURNING 1) SELECT 1 FROM u", key, *values)


async def _claim(recipient_id: UUID, state: str) -> None:
    await fetch(
        """
        WITH u AS (INSERT INTO messages (id, workspace_id, recipient_id, sequence_id, contact_id, mailbox_id, step_id,
            step_run, direction, channel, state, "references", token, tries, lease_until, marked_at, created_at)
        SELECT gen_random_uuid(), workspace_id, id, sequence_id, contact_id, mailbox_id, current_step_id, step_run,
            'OUTGOING', 'EMAIL', $2::varchar, '[]', 1, 1, now() + interval '10 minutes',
            CASE WHEN $2::varchar = 'HANDING_OVER' THEN now() END, now()
        FROM recipients WHERE id = $1 RETURNING 1) SELECT 1 FROM u
        """,
        recipient_id,
        state,
    )
