"""What would fail in a sequence, asked before it is activated: causes with counts, and who is concerned.

Every open recipient is looked at, in batches, with the steps still before it. A text is filled in once for all whose
values look alike to it: for most templates that is which of the values are there. A sequence with more recipients than
`Bounds.recipients`, or whose texts depend on so many different values that they would be filled in more than
`Bounds.filled` times, is looked at in part, and the answer says so.

Source: product.md sections 3 "Templates" and 4.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg

from domain.database import Tx, tx
from domain.foreseeing import Concerned, Found, Look, Preflight
from domain.plans import load_plans
from domain.previewing import to_words
from domain.reading.pages import Order, Page, Slice, from_cursor
from domain.rules.filling_in import Problem, ProblemCode
from domain.rules.plan import SequenceStatus
from domain.rules.template_variables import FIELDS, closest
from domain.sequences import what_lacks
from domain.suppression import IN_FORCE

_CONTACTS_LOOKED_AT: Final = 20_000  # the newest, for the names of custom fields
_BEFORE_ALL: Final = (datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
_ORDER: Final = Order(mark="preflight", column="r.enrolled_at", id_column="r.id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far one preflight looks."""

    recipients: int = 100_000
    filled: int = 10_000  # texts filled in
    batch: int = 500  # recipients read at once


_RECIPIENTS: Final = f"""
    SELECT r.id AS recipient_id, r.enrolled_at, r.current_step_id, r.mailbox_id, r.sms_mailbox_id, r.contacted_at,
        c.first_name, c.last_name, c.email, c.phone, c.company, c.time_zone, c.custom_fields, c.email_bounced_at,
        c.phone_invalid_at,
        {IN_FORCE} AS suppressed
    FROM recipients r JOIN contacts c ON c.id = r.contact_id
    WHERE r.workspace_id = $1 AND r.sequence_id = $2 AND r.deleted_at IS NULL AND r.end_reason IS NULL
        AND (r.enrolled_at, r.id) < ($3, $4)
    ORDER BY r.enrolled_at DESC, r.id DESC LIMIT $5
"""
_OWN: Final = """
    SELECT * FROM recipient_steps
    WHERE workspace_id = $1 AND recipient_id = ANY($2::uuid[]) AND edited_at IS NOT NULL AND outcome IS NULL
"""
_FIELD_KNOWN: Final = f"""
    SELECT f.name, EXISTS (
        SELECT FROM (SELECT custom_fields FROM contacts WHERE workspace_id = $1 AND erased_at IS NULL
            ORDER BY created_at DESC, id DESC LIMIT {_CONTACTS_LOOKED_AT}) c
        WHERE c.custom_fields ? f.name) AS known
    FROM unnest($2::text[]) AS f (name)
"""
_FIELD_NAMES: Final = """
    SELECT DISTINCT name FROM (SELECT custom_fields FROM contacts WHERE workspace_id = $1 AND erased_at IS NULL
        ORDER BY created_at DESC, id DESC LIMIT 500) c CROSS JOIN LATERAL jsonb_object_keys(c.custom_fields) AS name
"""


async def preflight(
    workspace_id: UUID, sequence_id: UUID, slice_: Slice, links_url: str, bounds: Bounds = Bounds()
) -> Preflight | None:
    """Return what would fail; None when there is no such sequence. The page is of the recipients concerned, those
    enrolled last first.

    Raises:
        CursorInvalid, Invalid
    """
    size = slice_.size
    after = from_cursor(workspace_id, _ORDER, slice_.after, "after") if slice_.after is not None else None
    look = await _begin(workspace_id, sequence_id, links_url)
    if look is None:
        return None
    place = _BEFORE_ALL
    answer = look.answer
    while answer.checked_recipients < min(bounds.recipients, answer.open_recipients) and look.filled < bounds.filled:
        size_now = min(bounds.batch, bounds.recipients - answer.checked_recipients)
        rows, own = await _batch(workspace_id, sequence_id, place, size_now)
        for row in rows:
            look.check(row, own)
        if len(rows) < size_now:
            answer.open_recipients = answer.checked_recipients
            break
        place = (rows[-1]["enrolled_at"], rows[-1]["recipient_id"])
    await _note_unknown_fields(workspace_id, look)
    answer.page = _page(workspace_id, answer, after, size)
    return answer


async def _batch(
    workspace_id: UUID, sequence_id: UUID, place: tuple[datetime, UUID], size: int
) -> tuple[list[asyncpg.Record], dict[tuple[UUID, UUID], asyncpg.Record]]:
    async def work(t: Tx) -> tuple[list[asyncpg.Record], dict[tuple[UUID, UUID], asyncpg.Record]]:
        rows = await t.fetch(_RECIPIENTS, t.workspace_id, sequence_id, *place, size)
        own = await t.fetch(_OWN, t.workspace_id, [row["recipient_id"] for row in rows])
        return rows, {(row["recipient_id"], row["step_id"]): row for row in own}

    return await tx(workspace_id, work, rings=False)


async def _begin(workspace_id: UUID, sequence_id: UUID, links_url: str) -> Look | None:
    async def work(t: Tx) -> Look | None:
        plans = await load_plans(t, [sequence_id])
        if sequence_id not in plans:
            return None
        plan = plans[sequence_id]
        steps = await t.fetch(
            "SELECT * FROM steps WHERE workspace_id = $1 AND sequence_id = $2 AND removed_at IS NULL ORDER BY position",
            t.workspace_id,
            sequence_id,
        )
        mailboxes = await t.fetch(
            "SELECT m.id, m.address, m.display_name, m.state, m.channel, s.sequence_id IS NOT NULL AS chosen "
            "FROM mailboxes m "
            "LEFT JOIN sequence_mailboxes s ON s.workspace_id = m.workspace_id AND s.mailbox_id = m.id "
            "AND s.sequence_id = $2 WHERE m.workspace_id = $1",
            t.workspace_id,
            sequence_id,
        )
        count = await t.fetchval(
            "SELECT count(*) FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND end_reason IS NULL "
            "AND deleted_at IS NULL",
            t.workspace_id,
            sequence_id,
        )
        held = await t.fetchval(
            "SELECT guardrail_hold IS NOT NULL FROM sequences WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            sequence_id,
        )
        lack = await what_lacks(t, sequence_id, plan)
        answer = Preflight(
            sequence_key=sequence_id,
            can_activate=plan.status is SequenceStatus.DRAFT and lack is None,
            open_recipients=count,
        )
        words = {row["id"]: to_words(row) for row in steps}
        look = Look(answer, plan, words, {row["id"]: row for row in mailboxes}, t.now, links_url)
        look.note_structure(held=held)
        return look

    return await tx(workspace_id, work, rings=False)


async def _note_unknown_fields(workspace_id: UUID, look: Look) -> None:
    """Warn of the custom fields that the texts name and nobody has."""
    wanted = sorted(name for name in look.fields_named if name not in look.fields_seen)
    if not wanted:
        return

    async def work(t: Tx) -> tuple[list[str], tuple[str, ...]]:
        rows = await t.fetch(_FIELD_KNOWN, t.workspace_id, wanted)
        unknown = [row["name"] for row in rows if not row["known"]]
        names = await t.fetch(_FIELD_NAMES, t.workspace_id) if unknown else []
        return unknown, tuple(row["name"] for row in names)

    unknown, names = await tx(workspace_id, work, rings=False)
    for name in unknown:
        meant = closest(name, names)
        problem = Problem(ProblemCode.FIELD_UNKNOWN, detail=f"{FIELDS}.{name}", meant=meant and f"{FIELDS}.{meant}")
        look.answer.causes[Found(problem, look.fields_named[name])] = 0


def _page(workspace_id: UUID, answer: Preflight, after: tuple[datetime, UUID] | None, size: int) -> Page[Concerned]:
    later = [
        (at, one) for at, one in answer.concerned if after is None or (at, one.recipient_key) < (after[0], after[1])
    ]
    shown = later[:size]
    return Page(
        workspace_id,
        [one for _, one in shown],
        [(at, one.recipient_key) for at, one in shown],
        _ORDER,
        has_next_page=len(later) > size,
        has_previous_page=after is not None,
        total_count=len(answer.concerned),
    )
