"""The rows of new recipients: each with its place, its mailbox in turn, its timers and its first event.

Source: product.md section 3 "Enrolment".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.database import Tx
from domain.rules import tally
from domain.rules.actor import Actor
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.plan import Plan, Step
from domain.rules.recipient import Recipient
from domain.rules.timers import settle


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A contact that the rules let in."""

    contact: Mapping[str, Any]
    external_id: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where newcomers begin."""

    sequence_id: UUID
    plan: Plan
    first: Step
    mailbox_ids: Sequence[UUID]  # in turn
    sms_mailbox_ids: Sequence[UUID]  # likewise
    start_at: datetime | None


@dataclass(frozen=True, slots=True)
class Born:
    """What became of a newcomer; not inserted where another was faster."""

    id: UUID
    contact_id: UUID
    inserted: bool


_NOBODY: Final = UUID(int=0)
_INSERT: Final = """
    WITH u AS (
        SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::timestamptz[],
            $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::timestamptz[], $22::uuid[],
            $23::jsonb[])
        AS u (id, contact_id, mailbox_id, external_id, sort_name, status, sequence_paused_at, anchor_at, wait_ends_at,
            due_at, due_kind, start_at, sms_mailbox_id, counted)
    ), born AS (
        INSERT INTO recipients (id, workspace_id, sequence_id, contact_id, mailbox_id, external_id, sort_name, version,
            status, sequence_paused_at, begun, current_step_id, last_step_id, plan_revision, step_run, start_at,
            anchor_at, wait_ends_at, due_at, due_kind, enrolled_by_kind, enrolled_by_id, enrolled_at,
            status_changed_at, updated_at, sms_mailbox_id)
        SELECT u.id, $1, $15, u.contact_id, u.mailbox_id, u.external_id, u.sort_name, 1, u.status, u.sequence_paused_at,
            false, $16, $20, $21, 1, u.start_at, u.anchor_at, u.wait_ends_at, u.due_at, u.due_kind, $17, $18, $2, $2,
            $2, u.sms_mailbox_id
        FROM u ON CONFLICT DO NOTHING
        RETURNING id, sequence_id, mailbox_id, status
    ), told AS (
        INSERT INTO events (recipient_id, version, workspace_id, sequence_id, type, status, stage, actor_kind, actor_id,
            step_id, mailbox_id, occurred_at, counted)
        SELECT b.id, 1, $1, b.sequence_id, $19, b.status, 'SCHEDULED', $17, $18, $16, b.mailbox_id, $2, u.counted
        FROM born b JOIN u ON u.id = b.id
    )
    SELECT id FROM born
"""


async def insert(t: Tx, actor: Actor, place: Place, newcomers: Sequence[Newcomer]) -> list[Born]:
    """Insert the recipients with their first events, and return what became of each, in the order given."""
    if not newcomers:
        return []
    offset = await _first_turn(t, place, place.mailbox_ids, "mailbox_id")
    sms_offset = await _first_turn(t, place, place.sms_mailbox_ids, "sms_mailbox_id")
    # All of one time zone begin alike: their timers are worked out once.
    in_zone = {zone: _newborn(t, place, zone) for zone in {newcomer.contact["time_zone"] for newcomer in newcomers}}
    counted = {zone: tally.newborn(one) for zone, one in in_zone.items()}
    zones = [newcomer.contact["time_zone"] for newcomer in newcomers]
    made = [in_zone[zone] for zone in zones]
    ids = [new_id() for _ in newcomers]
    rows = await t.fetch(
        _INSERT,
        t.workspace_id,
        t.now,
        ids,
        [newcomer.contact["id"] for newcomer in newcomers],
        [_in_turn(place.mailbox_ids, offset + number) for number in range(len(newcomers))],
        [newcomer.external_id for newcomer in newcomers],
        [newcomer.contact["sort_name"] for newcomer in newcomers],
        [r.status for r in made],
        [r.sequence_paused_at for r in made],
        [r.anchor_at for r in made],
        [r.wait_ends_at for r in made],
        [r.due_at for r in made],
        [r.due_kind for r in made],
        [r.start_at for r in made],
        place.sequence_id,
        place.first.id,
        actor.kind,
        actor.id,
        EventType.ENROLLED,
        made[0].last_step_id,
        made[0].plan_revision,
        [_in_turn(place.sms_mailbox_ids, sms_offset + number) for number in range(len(newcomers))],
        [counted[zone] for zone in zones],
    )
    inserted = {row["id"] for row in rows}
    return [Born(id, newcomer.contact["id"], id in inserted) for id, newcomer in zip(ids, newcomers, strict=True)]


async def _first_turn(t: Tx, place: Place, mailbox_ids: Sequence[UUID], column: str) -> int:
    """Return where in these mailboxes the turn goes on: after that of whoever was enrolled last."""
    if len(mailbox_ids) < 2:
        return 0
    last = await t.fetchval(
        f"SELECT {column} FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND deleted_at IS NULL "
        "ORDER BY enrolled_at DESC, id DESC LIMIT 1",
        t.workspace_id,
        place.sequence_id,
    )
    return mailbox_ids.index(last) + 1 if last in mailbox_ids else 0


def _in_turn(mailbox_ids: Sequence[UUID], turn: int) -> UUID | None:
    return mailbox_ids[turn % len(mailbox_ids)] if mailbox_ids else None


def _newborn(t: Tx, place: Place, time_zone: str | None) -> Recipient:
    """Return somebody new of this zone, nobody in particular."""
    assert t.workspace_id is not None
    before = place.plan.preceding(place.first.id)
    newborn = Recipient(
        id=_NOBODY,
        workspace_id=t.workspace_id,
        sequence_id=place.sequence_id,
        contact_id=_NOBODY,
        mailbox_id=None,
        version=1,
        time_zone=time_zone,
        sequence_paused_at=t.now if place.plan.paused else None,
        current_step_id=place.first.id,
        last_step_id=before.id if before else None,
        plan_revision=place.plan.revision,
        start_at=place.start_at,
        enrolled_at=t.now,
    )
    return settle(newborn, place.plan, t.now)
