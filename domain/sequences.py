"""Sequences: writing them, and moving them between DRAFT, ACTIVE, PAUSED and ARCHIVED.

A pause is immediate at any size: `paused_at` on the sequence is a gate before every hand-over from the moment it is
committed. The rows of its recipients follow in batches (`settle_batch`), through the one writer.

Source: product.md section 2 "Sequences"; architecture.md "Facts, not memories".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx, fetch, tx
from domain.plans import SequenceSettings, load_plan
from domain.refusals import Invalid, NotFound, SequenceActionNotAvailable
from domain.rules import recipient as rules
from domain.rules.actor import ENGINE
from domain.rules.addresses import TimeZoneUnknown, check_time_zone
from domain.rules.content import TemplateInvalid, check_template
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.lifecycle import EndReason
from domain.rules.recipient import Plan, Recipient, SequenceStatus, StepKind
from domain.rules.timing import Wait, next_opening
from domain.writing import Change, read, write

BATCH: Final = 2_000
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


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of changing a sequence's status."""

    sequence_id: UUID
    in_flight: int = 0  # messages whose hand-over had begun before the answer


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
        row = await _locked(t, sequence_id)
        _refuse_in(row, {SequenceStatus.ARCHIVED}, "The sequence is archived. Unarchive it first.")
        if settings is not None:
            _check_settings(settings, t.now)
        await t.execute(
            "UPDATE sequences SET name = coalesce($3, name), settings = coalesce($4::jsonb, settings), updated_at = $5 "
            "WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            sequence_id,
            name.strip() if name else None,
            orjson.dumps(settings.as_json()).decode() if settings else None,
            t.now,
        )
        if mailbox_ids is not None:
            await _set_mailboxes(t, sequence_id, mailbox_ids)
        return sequence_id

    return await tx(workspace_id, work, rings=False)


async def settings_of(workspace_id: UUID, sequence_id: UUID) -> SequenceSettings:
    """Return a sequence's settings.

    Raises:
        NotFound
    """
    rows = await fetch("SELECT settings FROM sequences WHERE workspace_id = $1 AND id = $2", workspace_id, sequence_id)
    if not rows:
        raise NotFound("sequence", field=["id"])
    return SequenceSettings.from_json(rows[0]["settings"])


async def activate(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """DRAFT → ACTIVE: the waits of those enrolled start now.

    Raises:
        NotFound
        SequenceActionNotAvailable: not a draft, without steps, or an email step without a mailbox to send from.
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        _refuse_unless(row, SequenceStatus.DRAFT, "Only a draft can be activated.")
        plan = await load_plan(t, sequence_id)
        if plan.first() is None:
            raise SequenceActionNotAvailable("The sequence has no steps. Add a step first.", row["status"])
        sends = any(step.kind is StepKind.AUTOMATED_EMAIL and not step.removed for step in plan.steps)
        if sends and not await t.fetchval(
            "SELECT EXISTS (SELECT FROM sequence_mailboxes WHERE workspace_id = $1 AND sequence_id = $2)",
            t.workspace_id,
            sequence_id,
        ):
            raise SequenceActionNotAvailable(
                "The sequence has no mailbox to send from. Choose one first.", row["status"]
            )

    return await _move(workspace_id, sequence_id, SequenceStatus.ACTIVE, "RESUME", check)


async def pause(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """ACTIVE → PAUSED: no hand-over begins after this has answered; the rows of the recipients follow.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        _refuse_unless(row, SequenceStatus.ACTIVE, "Only an active sequence can be paused.")

    return await _move(workspace_id, sequence_id, SequenceStatus.PAUSED, "PAUSE", check)


async def resume(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """PAUSED → ACTIVE: waits go on with what was left. Recipients paused by hand stay paused; nothing is retried.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        _refuse_unless(row, SequenceStatus.PAUSED, "Only a paused sequence can be resumed.")

    return await _move(workspace_id, sequence_id, SequenceStatus.ACTIVE, "RESUME", check)


async def archive(workspace_id: UUID, sequence_id: UUID, *, stop_open_recipients: bool = False) -> Moved:
    """Any → ARCHIVED: enrolling is refused from now on.

    Raises:
        NotFound
        SequenceActionNotAvailable: archived already, or it has open recipients and was not told to stop them.
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        _refuse_in(row, {SequenceStatus.ARCHIVED}, "The sequence is archived already.")
        count = await t.fetchval(
            "SELECT count(*) FROM recipients WHERE workspace_id = $1 AND sequence_id = $2 AND end_reason IS NULL "
            "AND deleted_at IS NULL",
            t.workspace_id,
            sequence_id,
        )
        if count and not stop_open_recipients:
            raise SequenceActionNotAvailable(
                f"{count} recipients are still open. Stop them with the archiving, or wait until they have ended.",
                row["status"],
                count,
            )

    return await _move(workspace_id, sequence_id, SequenceStatus.ARCHIVED, "STOP", check)


async def unarchive(workspace_id: UUID, sequence_id: UUID) -> Moved:
    """ARCHIVED → PAUSED.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def check(t: Tx, row: asyncpg.Record) -> None:
        _refuse_unless(row, SequenceStatus.ARCHIVED, "Only an archived sequence can be unarchived.")
        if row["settling"]:
            raise SequenceActionNotAvailable(
                "Its recipients are still being stopped. Try again in a moment.", row["status"]
            )

    return await _move(workspace_id, sequence_id, SequenceStatus.PAUSED, "PAUSE", check)


async def delete(workspace_id: UUID, sequence_id: UUID) -> UUID:
    """Delete a draft without recipients.

    Raises:
        NotFound, SequenceActionNotAvailable
    """

    async def work(t: Tx) -> UUID:
        row = await _locked(t, sequence_id)
        _refuse_unless(row, SequenceStatus.DRAFT, "Only a draft can be deleted. Archive it instead.")
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
        row = await _locked(t, sequence_id)
        _refuse_in(row, {SequenceStatus.ARCHIVED}, "The sequence is archived. Unarchive it first.")
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


async def settle_batch(workspace_id: UUID, sequence_id: UUID) -> int:
    """Let up to 2,000 recipients follow the last change of their sequence; return how many did. 0 = all have.

    Safe to repeat and to interrupt: what is left is found again by its facts.
    """

    async def work(t: Tx) -> int:
        row = await t.fetchrow(
            "SELECT status, settling, paused_at FROM sequences WHERE workspace_id = $1 AND id = $2 FOR SHARE",
            t.workspace_id,
            sequence_id,
        )
        if row is None or row["settling"] is None:
            return 0
        ids = [r["id"] for r in await t.fetch(_UNSETTLED[row["settling"]], t.workspace_id, sequence_id, BATCH)]
        plan = await load_plan(t, sequence_id)
        rows = await read(t, ids)
        changes = [_settled(before, plan, row, t.now) for before in rows.values()]
        await write(t, changes)
        return len(changes)

    settled = await tx(workspace_id, work)
    if settled == 0:
        await tx(workspace_id, lambda t: _mark_settled(t, sequence_id), rings=False)
    return settled


async def unsettled() -> list[tuple[UUID, UUID]]:
    """Return (workspace, sequence) of each sequence whose recipients still have to follow."""
    rows = await fetch(
        "SELECT workspace_id, id FROM sequences WHERE settling IS NOT NULL ORDER BY updated_at LIMIT 100"
    )
    return [(row["workspace_id"], row["id"]) for row in rows]


_OPEN = "workspace_id = $1 AND sequence_id = $2 AND end_reason IS NULL AND deleted_at IS NULL"
_UNSETTLED: Mapping[str, str] = {
    "PAUSE": f"SELECT id FROM recipients WHERE {_OPEN} AND sequence_paused_at IS NULL ORDER BY id LIMIT $3",
    "RESUME": f"""
        SELECT id FROM recipients WHERE {_OPEN} AND (sequence_paused_at IS NOT NULL OR (anchor_at IS NULL
            AND paused_at IS NULL AND error_id IS NULL AND pending_id IS NULL)) ORDER BY id LIMIT $3
    """,
    "STOP": f"SELECT id FROM recipients WHERE {_OPEN} ORDER BY id LIMIT $3",
}


def _settled(before: Recipient, plan: Plan, sequence: asyncpg.Record, now: datetime) -> Change:
    if sequence["settling"] == "STOP":
        after = rules.end(before, plan, EndReason.STOPPED, now)
    elif sequence["settling"] == "PAUSE":
        after = rules.hold_with_sequence(before, plan, sequence["paused_at"])
    else:
        after = rules.release_with_sequence(before, plan, now)
    kind = EventType.STATUS_CHANGED if after.status is not before.status else EventType.HOLD_CHANGED
    return Change(before=before, after=after, type=kind, actor=ENGINE)


async def _mark_settled(t: Tx, sequence_id: UUID) -> None:
    row = await t.fetchrow(
        "SELECT settling FROM sequences WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, sequence_id
    )
    if (
        row is not None
        and row["settling"] is not None
        and not await t.fetch(_UNSETTLED[row["settling"]], t.workspace_id, sequence_id, 1)
    ):
        await t.execute(
            "UPDATE sequences SET settling = NULL WHERE workspace_id = $1 AND id = $2", t.workspace_id, sequence_id
        )


async def _move(workspace_id: UUID, sequence_id: UUID, to: SequenceStatus, settling: str, check: Any) -> Moved:
    async def work(t: Tx) -> Moved:
        row = await _locked(t, sequence_id)
        await check(t, row)
        await t.execute(
            """
            UPDATE sequences SET status = $3::text, settling = $4, updated_at = $5,
                paused_at = CASE WHEN $3::text = 'PAUSED' THEN $5::timestamptz END,
                activated_at = CASE WHEN $3::text = 'ACTIVE' THEN coalesce(activated_at, $5) ELSE activated_at END,
                archived_at = CASE WHEN $3::text = 'ARCHIVED' THEN $5::timestamptz END
            WHERE workspace_id = $1 AND id = $2
            """,
            t.workspace_id,
            sequence_id,
            to,
            settling,
            t.now,
        )
        in_flight = await t.fetchval(
            "SELECT count(*) FROM messages WHERE workspace_id = $1 AND sequence_id = $2 AND state = 'HANDING_OVER'",
            t.workspace_id,
            sequence_id,
        )
        return Moved(sequence_id, in_flight)

    moved = await tx(workspace_id, work)
    # The first batch at once, so that a small sequence has settled when the answer arrives; a worker does the rest.
    await settle_batch(workspace_id, sequence_id)
    return moved


async def _refuse_taken(t: Tx, external_id: str | None) -> None:
    if external_id is not None and await t.fetchval(
        "SELECT EXISTS (SELECT FROM sequences WHERE workspace_id = $1 AND external_id = $2)",
        t.workspace_id,
        external_id,
    ):
        raise Invalid("Another sequence has this external id already.", field=["externalId"])


async def _locked(t: Tx, sequence_id: UUID) -> asyncpg.Record:
    row = await t.fetchrow(
        "SELECT * FROM sequences WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE", t.workspace_id, sequence_id
    )
    if row is None:
        raise NotFound("sequence", field=["id"])
    return row


def _refuse_unless(row: asyncpg.Record, status: SequenceStatus, message: str) -> None:
    if row["status"] != status:
        raise SequenceActionNotAvailable(f"{message} This one is {row['status'].lower()}.", row["status"])


def _refuse_in(row: asyncpg.Record, statuses: set[SequenceStatus], message: str) -> None:
    if SequenceStatus(row["status"]) in statuses:
        raise SequenceActionNotAvailable(message, row["status"])


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
    elif step.kind is StepKind.AUTOMATED_EMAIL:
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
