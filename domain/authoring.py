"""Writing sequences: their names, settings, mailboxes and steps.

Source: product.md sections 2 "Sequences" and 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from domain.database import Tx, fetch, tx
from domain.plans import SequenceSettings
from domain.refusals import Invalid, NotFound, SequenceActionNotAvailable
from domain.rules.addresses import TimeZoneUnknown, check_time_zone
from domain.rules.content import TemplateInvalid, check_template
from domain.rules.ids import new_id
from domain.rules.plan import EMAIL_KINDS, SequenceStatus, StepKind
from domain.rules.timing import Wait, next_opening
from domain.sequences import locked, refuse_in, refuse_unless

STEPS_AT_MOST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    """A step as a caller gives it."""

    kind: StepKind
    wait: Wait
    subject: str | None = None
    body: str | None = None
    task_kind: str | None = None
    task_title: str | None = None
    task_notes: str | None = None
    send_as_reply: bool = False


async def create(
    workspace_id: UUID,
    name: str,
    steps: Sequence[NewStep],
    *,
    settings: SequenceSettings,
    mailbox_ids: Sequence[UUID] = (),
    external_id: str | None = None,
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
        _check_step(step, [f"steps.{index}"])
    sequence_id = new_id()

    async def work(t: Tx) -> UUID:
        _check_settings(settings, t.now)
        await _refuse_taken(t, external_id)
        await t.execute(
            """
            INSERT INTO sequences (id, workspace_id, external_id, name, status, settings, created_at, updated_at)
            VALUES ($1, $2, $3, $4, 'DRAFT', $5, $6, $6) ON CONFLICT (id) DO NOTHING
            """,
            sequence_id,
            t.workspace_id,
            external_id,
            name.strip(),
            orjson.dumps(settings.as_json()).decode(),
            t.now,
        )
        for position, step in enumerate(steps, start=1):
            await _insert_step(t, sequence_id, position, step)
        await _set_mailboxes(t, sequence_id, mailbox_ids)
        return sequence_id

    return await tx(workspace_id, work, rings=False)


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
        if settings is not None:
            _check_settings(settings, t.now)
        await t.execute(
            "UPDATE sequences SET name = coalesce($3, name), settings = coalesce($4::jsonb, settings), "
            "updated_at = $5, settings_changed_at = CASE WHEN $6 THEN $5 ELSE settings_changed_at END "
            "WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            sequence_id,
            name.strip() if name else None,
            orjson.dumps(settings.as_json()).decode() if settings else None,
            t.now,
            settings is not None or mailbox_ids is not None,
        )
        if mailbox_ids is not None:
            await _set_mailboxes(t, sequence_id, mailbox_ids)
        return sequence_id

    return await tx(workspace_id, work, rings=False)


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


async def add_step(workspace_id: UUID, sequence_id: UUID, step: NewStep) -> UUID:
    """Add a step at the end and return its id. Those who have completed do not reopen.

    Raises:
        Invalid, NotFound, SequenceActionNotAvailable
    """
    _check_step(step, [])

    async def work(t: Tx) -> UUID:
        row = await locked(t, sequence_id)
        refuse_in(row, {SequenceStatus.ARCHIVED}, "The sequence is archived. Unarchive it first.")
        last, count = (
            await t.fetch(
                "SELECT coalesce(max(position), 0), count(*) FILTER (WHERE removed_at IS NULL) FROM steps "
                "WHERE workspace_id = $1 AND sequence_id = $2",
                t.workspace_id,
                sequence_id,
            )
        )[0]
        if count >= STEPS_AT_MOST:
            raise Invalid(f"A sequence has at most {STEPS_AT_MOST} steps.", field=["sequenceId"])
        return await _insert_step(t, sequence_id, last + 1, step)

    return await tx(workspace_id, work, rings=False)


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


async def _insert_step(t: Tx, sequence_id: UUID, position: int, step: NewStep) -> UUID:
    step_id = new_id()
    await t.execute(
        """
        INSERT INTO steps (id, workspace_id, sequence_id, position, kind, wait_amount, wait_unit, subject, body,
            task_kind, task_title, task_notes, send_as_reply, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
        """,
        step_id,
        t.workspace_id,
        sequence_id,
        position,
        step.kind,
        step.wait.amount,
        step.wait.unit,
        step.subject,
        step.body,
        step.task_kind,
        step.task_title,
        step.task_notes,
        step.send_as_reply,
        t.now,
    )
    return step_id


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > 200:
        raise Invalid("A sequence needs a name of 1 to 200 characters.", field=["name"])


def _check_external_id(external_id: str | None) -> None:
    if external_id is not None and not 1 <= len(external_id) <= 200:
        raise Invalid("An external id has 1 to 200 characters.", field=["externalId"])


def _check_settings(settings: SequenceSettings, now: datetime) -> None:
    try:
        zone = check_time_zone(settings.time_zone)
    except TimeZoneUnknown as problem:
        raise Invalid(str(problem), field=["settings", "timeZone"]) from None
    if settings.window is not None and next_opening(now, settings.window, zone) is None:
        raise Invalid("With these blackout dates the sending window never opens.", field=["settings", "window"])
    if (
        settings.reenrolment not in ("NEVER", "AFTER_END", "AFTER_END_PLUS_DAYS")
        or not 0 <= settings.reenrolment_days <= 3650
    ):
        raise Invalid("The days before enrolling again are 0 to 3,650.", field=["settings", "reenrolmentDays"])


def _check_step(step: NewStep, path: list[str]) -> None:
    if step.kind is StepKind.TASK:
        if not (step.task_title or "").strip():
            raise Invalid("A task needs a title.", field=[*path, "taskTitle"])
    elif step.kind in EMAIL_KINDS:
        if not (step.body or "").strip():
            raise Invalid("An email step needs a body.", field=[*path, "body"])
        if not step.send_as_reply and not (step.subject or "").strip():
            raise Invalid("An email step needs a subject, unless it is sent as a reply.", field=[*path, "subject"])
    else:
        raise Invalid(f"Steps of the kind {step.kind} cannot be carried out yet.", field=[*path, "kind"])
    for name, template in (
        ("subject", step.subject),
        ("body", step.body),
        ("taskTitle", step.task_title),
        ("taskNotes", step.task_notes),
    ):
        if template is not None:
            if len(template) > 200_000:
                raise Invalid("This text is longer than 200,000 characters.", field=[*path, name])
            try:
                check_template(template)
            except TemplateInvalid as problem:
                raise Invalid(str(problem), field=[*path, name]) from None
