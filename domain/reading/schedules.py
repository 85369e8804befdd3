"""What lies before a recipient, and before whoever would be enrolled in a sequence.

The rules foresee it (rules/forecast.py), from the same facts and by the same moves with which the engine goes on.

Source: product.md section 3 ("the exact future is the preview's business").
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.database import Tx, tx
from domain.plans import load_plans
from domain.reading.rows import StepRow
from domain.reading.sequences import steps_by_ids
from domain.refusals import Invalid
from domain.rules.addresses import TimeZoneUnknown, check_time_zone
from domain.rules.forecast import Assumption, DayOffReason, Expected, Forecast, Turn, forecast
from domain.rules.ids import new_id
from domain.rules.recipient import Recipient
from domain.rules.standing import WaitingReason
from domain.writing import read

_START_WITHIN: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class DayOffView:
    """A day on which the window does not open."""

    date: str
    reason: DayOffReason
    name: str | None


@dataclass(frozen=True, slots=True)
class ScheduledStepRow:
    """One step to come."""

    step: StepRow
    wait_ends_at: datetime
    expected_at: datetime | None
    moved_by: Sequence[WaitingReason]
    days_off: Sequence[DayOffView]


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """The steps to come, in order."""

    steps: Sequence[ScheduledStepRow]
    time_zone: str
    assumptions: Sequence[Assumption]


async def of_recipients(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, ScheduleView]:
    """Return the schedule of each of the recipients that are there, by key."""

    async def work(t: Tx) -> dict[UUID, Forecast]:
        found = await read(t, ids)
        plans = await load_plans(t, [each.sequence_id for each in found.values()])
        mailbox_ids = {id for each in found.values() for id in (each.mailbox_id, each.sms_mailbox_id)}
        turns, silent = await _mailboxes(t, mailbox_ids)
        held = await _held(t, plans)
        return {
            key: forecast(
                each, plans[each.sequence_id], t.now, turns, mailbox_ids if each.sequence_id in held else silent
            )
            for key, each in found.items()
        }

    return await _shown(workspace_id, await tx(workspace_id, work, rings=False))


async def of_sequence(
    workspace_id: UUID,
    sequence_id: UUID,
    *,
    time_zone: str | None = None,
    start_at: datetime | None = None,
    start_step_id: UUID | None = None,
) -> ScheduleView | None:
    """Return the schedule of somebody in this time zone (None: unknown) who would be enrolled now, and whose first wait
    would begin no earlier than `start_at`; None when there is no such sequence.

    Raises:
        Invalid: the zone is unknown, or the start is no step of the sequence, or more than ten years from now.
    """
    if time_zone is not None:
        try:
            check_time_zone(time_zone)
        except TimeZoneUnknown as unknown:
            raise Invalid(str(unknown), field=["timeZone"]) from None

    async def work(t: Tx) -> dict[UUID, Forecast]:
        plan = (await load_plans(t, [sequence_id])).get(sequence_id)
        if plan is None:
            return {}
        first = plan.first() if start_step_id is None else plan.step(start_step_id)
        if start_step_id is not None and (first is None or first.removed):
            raise Invalid("The sequence has no such step.", field=["startStepId"])
        if start_at is not None and abs(start_at - t.now) > _START_WITHIN:
            raise Invalid("The start must lie within ten years of now.", field=["startAt"])
        before = plan.preceding(first.id) if first is not None else None
        somebody = Recipient(
            id=new_id(),
            workspace_id=workspace_id,
            sequence_id=sequence_id,
            contact_id=new_id(),
            mailbox_id=None,
            version=1,
            time_zone=time_zone,
            start_at=start_at,
            current_step_id=first.id if first is not None else None,
            last_step_id=before.id if before is not None else None,
            plan_revision=plan.revision,
        )
        return {somebody.id: forecast(somebody, plan, t.now)}

    found = await _shown(workspace_id, await tx(workspace_id, work, rings=False))
    return next(iter(found.values()), None)


async def _mailboxes(t: Tx, ids: Collection[UUID | None]) -> tuple[dict[UUID, Turn], set[UUID | None]]:
    """Return when each mailbox may send next, in business time, and which cannot send at the moment."""
    rows = await t.fetch(
        "SELECT id, state, next_send_at - now() AS until, held_back_by FROM mailboxes "
        "WHERE workspace_id = $1 AND id = ANY($2::uuid[])",
        t.workspace_id,
        [id for id in ids if id is not None],
    )
    turns = {
        row["id"]: Turn(t.now + row["until"], WaitingReason(row["held_back_by"] or WaitingReason.MINIMUM_GAP))
        for row in rows
    }
    return turns, {None, *(row["id"] for row in rows if row["state"] != "CONNECTED")}


async def _held(t: Tx, sequence_ids: Collection[UUID]) -> set[UUID]:
    """Return the sequences in which a guardrail holds sending."""
    rows = await t.fetch(
        "SELECT id FROM sequences WHERE workspace_id = $1 AND id = ANY($2::uuid[]) AND guardrail_hold IS NOT NULL",
        t.workspace_id,
        list(sequence_ids),
    )
    return {row["id"] for row in rows}


async def _shown(workspace_id: UUID, found: dict[UUID, Forecast]) -> dict[UUID, ScheduleView]:
    steps = await steps_by_ids(workspace_id, {step.step_id for each in found.values() for step in each.steps})
    return {
        key: ScheduleView([_step(step, steps[step.step_id]) for step in each.steps], each.zone.key, each.assumptions)
        for key, each in found.items()
    }


def _step(expected: Expected, step: StepRow) -> ScheduledStepRow:
    days = [DayOffView(day.date.isoformat(), day.reason, day.name) for day in expected.days_off]
    return ScheduledStepRow(step, expected.wait_ends_at, expected.at, expected.moved_by, days)
