"""Who may be enrolled in a sequence: the rules of enrolment, asked for many contacts at once.

One open recipient of a contact in a sequence is the database's to hold (a unique index). Exclusivity between sequences
is held here: where any of the workspace's sequences asks for it, whoever enrols a person has their contact locked, so
that of two at the same moment the second sees the first.

Source: product.md section 3 "Enrolment".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.database import Tx
from domain.plans import SequenceSettings
from domain.refusals import (
    AlreadyEnrolled,
    EmailBouncedBefore,
    EmailMissing,
    ExclusiveElsewhere,
    PhoneMissing,
    ReenrolmentNotAllowed,
    Refusal,
    Suppressed,
)
from domain.rules.lifecycle import EndReason
from domain.rules.plan import EMAIL_KINDS, Step, StepKind
from domain.suppression import suppressed_contacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the rules know of the contacts that were asked about."""

    first: Step
    settings: SequenceSettings
    now: datetime
    runs: Mapping[UUID, Sequence[asyncpg.Record]]  # in this sequence, by contact
    elsewhere: Mapping[UUID, asyncpg.Record]  # the open run that excludes another, by contact
    suppressed: set[UUID]

    def refusal_of(self, contact: Mapping[str, Any]) -> Refusal | None:
        """Return why this contact may not be enrolled; the first reason that holds. None: it may."""
        runs = self.runs.get(contact["id"], ())
        open_run = next((run for run in runs if run["end_reason"] is None), None)
        if open_run is not None:
            return AlreadyEnrolled(open_run["id"])
        if contact["id"] in self.suppressed:
            return Suppressed()
        if self.first.kind in EMAIL_KINDS:
            if not contact["email"]:
                return EmailMissing()
            if contact["email_bounced_at"] is not None:
                return EmailBouncedBefore()
        if self.first.kind is StepKind.SMS and not contact["phone"]:
            return PhoneMissing()
        if (other := self.elsewhere.get(contact["id"])) is not None:
            return ExclusiveElsewhere(other["id"], other["name"])
        return self._refusal_after(runs, contact)

    def _refusal_after(self, runs: Sequence[asyncpg.Record], contact: Mapping[str, Any]) -> Refusal | None:
        last = max(runs, key=lambda run: run["ended_at"], default=None)
        if last is None:
            return None
        if last["end_reason"] == EndReason.BOUNCED:
            # Whatever the first step is: the address that bounced must have been replaced.
            return EmailBouncedBefore() if contact["email_bounced_at"] is not None else None
        pause = self.settings.reenrolment_pause
        if pause is None:
            return ReenrolmentNotAllowed("This person was in the sequence before, and the sequence takes nobody twice.")
        if last["ended_at"] + pause > self.now:
            day = (last["ended_at"] + pause).date().isoformat()
            return ReenrolmentNotAllowed(
                f"This person was in the sequence before and can be enrolled again from {day}."
            )
        return None


async def look(t: Tx, sequence_id: UUID, settings: SequenceSettings, first: Step, contact_ids: Sequence[UUID]) -> Asked:
    """Return what the rules have to know of these contacts. Where exclusivity counts, they stay locked until the end
    of the transaction."""
    elsewhere = await _elsewhere(t, sequence_id, settings.exclusive, contact_ids)
    return Asked(
        first=first,
        settings=settings,
        now=t.now,
        runs=await _runs(t, sequence_id, contact_ids),
        elsewhere=elsewhere,
        suppressed=await suppressed_contacts(t, contact_ids),
    )


async def open_runs(t: Tx, sequence_id: UUID, contact_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return the open recipients that these contacts have in the sequence, by contact."""
    runs = await _runs(t, sequence_id, contact_ids) if contact_ids else {}
    return {run["contact_id"]: run["id"] for of_one in runs.values() for run in of_one if run["end_reason"] is None}


# A look for each contact: a plan of fewer looks reads all recipients of the sequence.
_RUNS: Final = """
    SELECT r.id, r.contact_id, r.end_reason, r.ended_at FROM unnest($3::uuid[]) AS u (contact_id) CROSS JOIN LATERAL (
        SELECT * FROM recipients r WHERE r.contact_id = u.contact_id OFFSET 0) r
    WHERE r.workspace_id = $1 AND r.sequence_id = $2 AND r.deleted_at IS NULL
"""


async def _runs(t: Tx, sequence_id: UUID, contact_ids: Iterable[UUID]) -> dict[UUID, list[asyncpg.Record]]:
    rows = await t.fetch(
        _RUNS,
        t.workspace_id,
        sequence_id,
        list(contact_ids),
    )
    runs: dict[UUID, list[asyncpg.Record]] = {}
    for row in rows:
        runs.setdefault(row["contact_id"], []).append(row)
    return runs


async def _elsewhere(
    t: Tx, sequence_id: UUID, exclusive: bool, contact_ids: Sequence[UUID]
) -> dict[UUID, asyncpg.Record]:
    """Return the open recipient of each contact in another sequence that shares nobody, or (`exclusive`) in any."""
    if not await t.fetchval(
        "SELECT $2 OR EXISTS (SELECT FROM sequences WHERE workspace_id = $1 AND (settings ->> 'exclusive')::bool)",
        t.workspace_id,
        exclusive,
    ):
        return {}
    await t.fetch(
        "SELECT id FROM contacts WHERE workspace_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR NO KEY UPDATE",
        t.workspace_id,
        list(contact_ids),
    )
    rows = await t.fetch(
        """
        SELECT DISTINCT ON (r.contact_id) r.contact_id, r.id, q.name
        FROM recipients r JOIN sequences q ON q.workspace_id = r.workspace_id AND q.id = r.sequence_id
        WHERE r.workspace_id = $1 AND r.contact_id = ANY($2::uuid[]) AND r.sequence_id <> $3
            AND r.end_reason IS NULL AND r.deleted_at IS NULL AND ($4 OR (q.settings ->> 'exclusive')::bool)
        ORDER BY r.contact_id, r.enrolled_at, r.id
        """,
        t.workspace_id,
        list(contact_ids),
        sequence_id,
        exclusive,
    )
    return {row["contact_id"]: row for row in rows}
