"""Writing sequences: their names, settings, mailboxes and steps.

Source: product.md sections 2 "Sequences" and 3.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from domain.database import Tx, fetch, tx
from domain.plans import SequenceSettings, load_plan
from domain.public_holidays import with_holidays
from domain.refusals import Invalid, NotFound, SequenceActionNotAvailable
from domain.rules.addresses import TimeZoneUnknown, check_time_zone
from domain.rules.ids import new_id
from domain.rules.plan import SequenceStatus
from domain.rules.plan_edits import with_new_times
from domain.rules.timing import next_opening
from domain.sequences import locked, refuse_in, refuse_unless
from domain.settling import settle_small
from domain.steps import STEPS_AT_MOST, NewStep, check_step, insert_step, save_plan, to_new_step

NAME_AT_MOST: Final = 200


async def create(
    workspace_id: UUID,
    name: str,
    steps: Sequence[NewStep],
    *,
    settings: SequenceSettings,
    mailbox_ids: Sequence[UUID] = (),
    external_id: str | None = None,
    guardrail_limits: str = "{}",
) -> UUID:
    """Create a DRAFT with its steps and return its id.

    Raises:
        Invalid, NotFound
    """
    _check_name(name)
    _check_external_id(external_id)
    if len(steps) > STEPS_AT_MOST:
        raise Invalid(f"A sequence has at most {STEPS_AT_MOST} steps.", field=["steps"])
    for index, step in enumerate(steps):
        check_step(step, [f"steps.{index}"])
    sequence_id = new_id()

    async def work(t: Tx) -> UUID:
        complete = await _complete(settings, t.now)
        await _refuse_taken(t, external_id)
        await t.execute(
            """
            INSERT INTO sequences (id, workspace_id, external_id, name, status, settings, guardrail_limits, created_at,
                updated_at)
            VALUES ($1, $2, $3, $4, 'DRAFT', $5, $7, $6, $6) ON CONFLICT (id) DO NOTHING
            """,
            sequence_id,
            t.workspace_id,
            external_id,
            name.strip(),
            orjson.dumps(complete.as_json()).decode(),
            t.now,
            guardrail_limits,
        )
        for position, step in enumerate(steps, start=1):
            await insert_step(t, sequence_id, new_id(), position, step)
        await _set_mailboxes(t, sequence_id, mailbox_ids)
        return sequence_id

    return await tx(workspace_id, work, rings=False)


async def duplicate(
    workspace_id: UUID, sequence_id: UUID, *, name: str | None = None, external_id: str | None = None
) -> UUID:
    """Create a DRAFT with the steps, settings, mailboxes and limits of another sequence, and return its id.

    Raises:
        Invalid, NotFound
    """
    rows = await fetch(
        "SELECT name, settings, guardrail_limits FROM sequences WHERE workspace_id = $1 AND id = $2",
        workspace_id,
        sequence_id,
    )
    if not rows:
        raise NotFound("sequence", field=["id"])
    steps = await fetch(
        "SELECT * FROM steps WHERE workspace_id = $1 AND sequence_id = $2 AND removed_at IS NULL ORDER BY position",
        workspace_id,
        sequence_id,
    )
    mailboxes = await fetch(
        "SELECT mailbox_id FROM sequence_mailboxes WHERE workspace_id = $1 AND sequence_id = $2 ORDER BY position",
        workspace_id,
        sequence_id,
    )
    return await create(
        workspace_id,
        f"Copy of {rows[0]['name']}"[:NAME_AT_MOST] if name is None else name,
        [to_new_step(step) for step in steps],
        settings=SequenceSettings.from_json(rows[0]["settings"]),
        mailbox_ids=[row["mailbox_id"] for row in mailboxes],
        external_id=external_id,
        guardrail_limits=rows[0]["guardrail_limits"],
    )


async def update(
    workspace_id: UUID,
    sequence_id: UUID,
    *,
    name: str | None = None,
    settings: SequenceSettings | None = None,
    mailbox_ids: Sequence[UUID] | None = None,
) -> UUID:
    """Change what is given of a sequence that is not archived.

    Raises:
        Invalid, NotFound, SequenceActionNotAvailable
    """
    if name is not None:
        _check_name(name)

    async def work(t: Tx) -> UUID:
        row = await locked(t, sequence_id)
        refuse_in(row, {SequenceStatus.ARCHIVED}, "The sequence is archived. Unarchive it first.")
        complete = await _complete(settings, t.now) if settings is not None else None
        if complete is not None:
            await _change_times(t, sequence_id, SequenceSettings.from_json(row["settings"]), complete)
        await t.execute(
            "UPDATE sequences SET name = coalesce($3, name), settings = coalesce($4::jsonb, settings), "
            "updated_at = $5, settings_changed_at = CASE WHEN $6 THEN $5 ELSE settings_changed_at END "
            "WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            sequence_id,
            name.strip() if name else None,
            orjson.dumps(complete.as_json()).decode() if complete else None,
            t.now,
            settings is not None or mailbox_ids is not None,
        )
        if mailbox_ids is not None:
            await _set_mailboxes(t, sequence_id, mailbox_ids)
        return sequence_id

    await tx(workspace_id, work)
    await settle_small(workspace_id, sequence_id)
    return sequence_id


async def settings_of(workspace_id: UUID, sequence_id: UUID, *, field: str = "id") -> SequenceSettings:
    """Return a sequence's settings. `field` is what the caller calls the id.

    Raises:
        NotFound
    """
    rows = await fetch("SELECT settings FROM sequences WHERE workspace_id = $1 AND id = $2", workspace_id, sequence_id)
    if not rows:
        raise NotFound("sequence", field=[field])
    return SequenceSettings.from_json(rows[0]["settings"])


async def delete(workspace_id: UUID, sequence_id: UUID) -> UUID:
    """Delete a draft without recipients.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def work(t: Tx) -> UUID:
        row = await locked(t, sequence_id)
        refuse_unless(row, SequenceStatus.DRAFT, "Only a draft can be deleted. Archive it instead.")
        if await t.fetchval(
            "SELECT EXISTS (SELECT FROM recipients WHERE workspace_id = $1 AND sequence_id = $2)",
            t.workspace_id,
            sequence_id,
        ):
            raise SequenceActionNotAvailable("The draft has recipients. Archive it instead.", row["status"])
        for table, column in (("sequence_mailboxes", "sequence_id"), ("steps", "sequence_id"), ("sequences", "id")):
            await t.execute(
                f"DELETE FROM {table} WHERE workspace_id = $1 AND {column} = $2", t.workspace_id, sequence_id
            )
        return sequence_id

    return await tx(workspace_id, work, rings=False)


async def _change_times(t: Tx, sequence_id: UUID, before: SequenceSettings, after: SequenceSettings) -> None:
    """Let those under way follow a new window, or count their days in a new zone."""
    zone_changed = before.zones != after.zones
    if before.window != after.window or zone_changed:
        plan = await load_plan(t, sequence_id)
        await save_plan(t, sequence_id, with_new_times(plan, zone_changed=zone_changed))


async def _refuse_taken(t: Tx, external_id: str | None) -> None:
    if external_id is not None and await t.fetchval(
        "SELECT EXISTS (SELECT FROM sequences WHERE workspace_id = $1 AND external_id = $2)",
        t.workspace_id,
        external_id,
    ):
        raise Invalid("Another sequence has this external id already.", field=["externalId"])


async def _set_mailboxes(t: Tx, sequence_id: UUID, mailbox_ids: Sequence[UUID]) -> None:
    known = await t.fetch(
        "SELECT id FROM mailboxes WHERE workspace_id = $1 AND id = ANY($2::uuid[])", t.workspace_id, list(mailbox_ids)
    )
    if len({row["id"] for row in known}) != len(set(mailbox_ids)):
        raise NotFound("mailbox", field=["mailboxIds"])
    await t.execute(
        "DELETE FROM sequence_mailboxes WHERE workspace_id = $1 AND sequence_id = $2", t.workspace_id, sequence_id
    )
    await t.execute(
        """
        INSERT INTO sequence_mailboxes (workspace_id, sequence_id, mailbox_id, position)
        SELECT $1, $2, u.id, u.position FROM unnest($3::uuid[]) WITH ORDINALITY AS u (id, position)
        """,
        t.workspace_id,
        sequence_id,
        list(dict.fromkeys(mailbox_ids)),
    )


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > NAME_AT_MOST:
        raise Invalid("A sequence needs a name of 1 to 200 characters.", field=["name"])


def _check_external_id(external_id: str | None) -> None:
    if external_id is not None and not 1 <= len(external_id) <= 200:
        raise Invalid("An external id has 1 to 200 characters.", field=["externalId"])


async def _complete(settings: SequenceSettings, now: datetime) -> SequenceSettings:
    """Return settings that can be kept, with the days of their public holidays."""
    complete = await with_holidays(settings, now)
    _check_settings(complete, now)
    return complete


def _check_settings(settings: SequenceSettings, now: datetime) -> None:
    try:
        zone = check_time_zone(settings.time_zone)
    except TimeZoneUnknown as problem:
        raise Invalid(str(problem), field=["settings", "timeZone"]) from None
    if settings.window is not None and next_opening(now, settings.window, zone) is None:
        raise Invalid(
            "With these blackout dates and holidays the sending window never opens.", field=["settings", "window"]
        )
    if (
        settings.reenrolment not in ("NEVER", "AFTER_END", "AFTER_END_PLUS_DAYS")
        or not 0 <= settings.reenrolment_days <= 3650
    ):
        raise Invalid("The days before enrolling again are 0 to 3,650.", field=["settings", "reenrolmentDays"])
